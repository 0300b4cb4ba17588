//! A copy of a store that goes on working.
//!
//! Between two groups the committer copies everything but the blocks, as it stands durable then, and from then on deletes
//! nothing until the copy is done. Blocks never change, so those that were stored at that moment are copied beside the
//! work that goes on. Streams that would drop their oldest grow by what arrives meanwhile; those that block or are
//! thinned may be full until it is done.

use super::Inner;
use super::check::Entries;
use crate::api::Error;
use crate::keys::{Key, Kind};
use crate::pack::Writer;
use crate::values::{Counters, decode};
use std::io::Write;
use std::sync::Arc;

impl Inner {
    /// Writes everything that is durable to `out`, as a pack of entries.
    pub(super) fn backup(self: &Arc<Self>, out: &mut dyn Write) -> Result<(), Error> {
        let failed = |reason: String| Error::Read { what: "the store for a backup".into(), reason };
        let _pin = self.pin();
        let small = self.turn(move |committer| committer.inner.small_entries().map_err(failed))?;
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
            while from <= to {
                let (entries, last) = self.piece(from, to).map_err(failed)?;
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
    pub(super) fn small_entries(&self) -> Result<Entries, String> {
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

/// The key that comes next, whatever is stored.
pub(super) fn after(key: Key) -> Key {
    match key.part.checked_add(1) {
        Some(part) => key.part(part),
        None => Key { offset: key.offset.saturating_add(1), part: 0, ..key },
    }
}
