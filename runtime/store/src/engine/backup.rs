//! A copy of a store that goes on working.
//!
//! Between two groups the committer copies everything but the blocks, as it stands durable then, and from then on deletes
//! nothing until the copy is done. Blocks never change, so those that were stored at that moment are copied beside the
//! work that goes on. Streams that would drop their oldest grow by what arrives meanwhile; those that block or are
//! thinned may be full until it is done.

use super::Inner;
use crate::api::Error;
use crate::keys::{Key, Kind};
use crate::pack::Writer;
use crate::values::{Counters, decode};
use std::io::Write;
use std::sync::{Arc, mpsc};

/// What the committer does between two groups.
pub(super) type Turn = Box<dyn FnOnce() + Send>;

/// Most turns waiting; there are few who ask.
pub(super) const TURNS_MAX: usize = 8;

/// Holds the deleting off as long as it lives.
struct Pin(Arc<Inner>);

impl Drop for Pin {
    fn drop(&mut self) {
        self.0.lock().pins -= 1;
    }
}

impl Inner {
    /// Has the committer do something between two groups, and waits for it.
    fn turn<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Inner) -> Result<T, String> + Send + 'static,
    ) -> Result<T, Error> {
        // Before streams are declared there is nobody to do it.
        self.declared()?;
        let (done, result) = mpsc::sync_channel(1);
        let inner = self.clone();
        let mut core = self.lock();
        core.writable()?;
        if core.turns.len() >= TURNS_MAX {
            return Err(self.failed("others are at it already: ask again later".into()));
        }
        core.turns.push_back(Box::new(move || drop(done.send(work(&inner)))));
        drop(core);
        self.work.notify_all();
        // The store may be closed or poisoned before it comes to it.
        let result = result.recv().map_err(|_| Error::Closed)?;
        result.map_err(|reason| self.failed(reason))
    }

    fn failed(&self, reason: String) -> Error {
        Error::Read { what: "the store for a backup".into(), reason }
    }

    /// Writes everything that is durable to `out`, as a pack of entries.
    pub(super) fn backup(self: &Arc<Self>, out: &mut dyn Write) -> Result<(), Error> {
        let failed = |reason: String| self.failed(reason);
        self.lock().pins += 1;
        let _pin = Pin(self.clone());
        let small = self.turn(|inner| inner.small_entries())?;
        let written = |error: std::io::Error| failed(error.to_string());
        let mut pack = Writer::begin(out, &self.identity).map_err(written)?;
        for (key, value) in &small {
            pack.entry(*key, value).map_err(written)?;
        }
        for (key, value) in small.iter().filter(|(key, _)| key.kind == Kind::Counters) {
            let counters: Counters = decode(value).map_err(failed)?;
            if counters.first >= counters.next {
                continue;
            }
            let key = |offset| Key::new(Kind::Block, key.stream, key.partition, offset);
            let (mut from, to) = (key(counters.first), key(counters.next - 1).last_part());
            // A bit at a time: while a scan is under way sled keeps what it has visited.
            while from <= to {
                let (mut entries, mut bytes, mut last) = (Vec::new(), 0, None);
                let scanned = self.medium.scan(from, to, &mut |key, value| {
                    entries.push((key, value.to_vec()));
                    bytes += value.len();
                    last = Some(key);
                    bytes < PIECE_BYTES
                });
                scanned.map_err(failed)?;
                for (key, value) in entries {
                    pack.entry(key, &value).map_err(written)?;
                }
                let Some(last) = last else { break };
                from = after(last);
            }
        }
        pack.finish().map_err(written).map(drop)
    }

    /// Everything but the blocks.
    fn small_entries(&self) -> Result<Vec<(Key, Vec<u8>)>, String> {
        let mut entries = Vec::new();
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Block) {
            let (from, to) = Key::all(kind);
            self.medium.scan(from, to, &mut |key, value| {
                entries.push((key, value.to_vec()));
                true
            })?;
        }
        Ok(entries)
    }
}

/// So many bytes are read before they are written.
const PIECE_BYTES: usize = 256 << 10;

/// The key that comes next, whatever is stored.
fn after(key: Key) -> Key {
    match key.part.checked_add(1) {
        Some(part) => key.part(part),
        None => Key { offset: key.offset.saturating_add(1), part: 0, ..key },
    }
}
