//! Looking a store over that goes on working.
//!
//! Between two groups the committer copies everything but the blocks, as it stands durable then; from then on nothing is
//! deleted until the check is done, and blocks never change: so the blocks of that moment are there to be held against the
//! books of that moment. They are read a piece at a time, with a rest after each as long as the piece took.

use super::Inner;
use super::backup::after;
use crate::api::Error;
use crate::keys::{Key, Kind};
use crate::medium::{Medium, WriteSet};
use crate::values::{Counters, decode};
use crate::verify::{self, Report};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// So many bytes are read before they are looked at.
const PIECE_BYTES: usize = 256 << 10;
/// Longest rest.
const REST_MAX: Duration = Duration::from_millis(50);

/// Keys and their values, in order.
pub(super) type Entries = Vec<(Key, Vec<u8>)>;

impl Inner {
    /// Looks it over, as long as `going_on` says true.
    pub(super) fn verify(self: &Arc<Self>, going_on: &mut dyn FnMut() -> bool) -> Result<Report, Error> {
        let failed = |reason: String| Error::Read { what: "the store to check it".into(), reason };
        let _pin = self.pin();
        let small = self.turn(move |committer| committer.inner.small_entries().map_err(failed))?;
        let mut ends = BTreeMap::new();
        for (key, value) in small.iter().filter(|(key, _)| key.kind == Kind::Counters) {
            // What does not decode is told as a problem.
            ends.insert((key.stream, key.partition), decode::<Counters>(value).map_or(u64::MAX, |c| c.next));
        }
        let declared = self.declared()?;
        let stood = |key: Key| match ends.get(&(key.stream, key.partition)) {
            Some(end) => key.offset < *end,
            // A stream that had no record yet has no counters. One without them that nobody writes to is damaged.
            None => declared.by_id(key.stream, key.partition).is_none(),
        };
        let report = verify::of(&Kept(small), |visit| {
            let (mut from, to) = Key::all(Kind::Block);
            loop {
                let began = self.options.clock.boot();
                let (entries, last) = self.piece(from, to)?;
                entries.iter().filter(|(key, _)| stood(*key)).for_each(|(key, value)| visit(*key, value));
                let Some(last) = last else { return Ok(()) };
                from = after(last);
                if !going_on() {
                    return Err("it was broken off".into());
                }
                let took = u64::try_from(self.options.clock.boot() - began).unwrap_or(0);
                std::thread::sleep(Duration::from_micros(took).min(REST_MAX));
            }
        });
        report.map_err(|error| failed(error.words()))
    }

    /// The next entries, and the key of the last. A bit at a time: while a scan is under way sled keeps what it visits.
    pub(super) fn piece(&self, from: Key, to: Key) -> Result<(Entries, Option<Key>), String> {
        let (mut entries, mut bytes) = (Vec::new(), 0);
        self.medium.scan(from, to, &mut |key, value| {
            entries.push((key, value.to_vec()));
            bytes += value.len();
            bytes < PIECE_BYTES
        })?;
        let last = entries.last().map(|(key, _)| *key);
        Ok((entries, last))
    }
}

/// Entries as they stood at one moment, in the order of their keys.
struct Kept(Entries);

impl Medium for Kept {
    fn write(&self, _set: &WriteSet) -> Result<(), String> {
        Err("what stood at a moment is not written to".into())
    }

    fn scan(&self, from: Key, to: Key, visit: &mut dyn FnMut(Key, &[u8]) -> bool) -> Result<(), String> {
        let begin = self.0.partition_point(|(key, _)| *key < from);
        for (key, value) in self.0[begin..].iter().take_while(|(key, _)| *key <= to) {
            if !visit(*key, value) {
                break;
            }
        }
        Ok(())
    }

    fn last(&self, from: Key, to: Key) -> Result<Option<Key>, String> {
        let end = self.0.partition_point(|(key, _)| *key <= to);
        Ok(self.0[..end].last().map(|(key, _)| *key).filter(|key| *key >= from))
    }

    fn disk_bytes(&self) -> u64 {
        0
    }

    fn disk_free(&self) -> Option<u64> {
        None
    }

    fn release(&self) {}
}
