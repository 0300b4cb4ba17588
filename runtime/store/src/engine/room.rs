//! Room: how full the streams and the whole store are, and who has to make room for others.
//!
//! A stream that is thinned makes room from [`PRESSED_PERCENT`] of its cap on, so that its writers seldom wait. So does
//! the whole store at that much of its own: read blocks that are only kept for a while are released, and the largest
//! stream that drops or is thinned gives way, but for a remainder; those that block wait. Draining never waits.

use super::Inner;
use super::core::Core;
use super::group::Group;
use crate::api::{Keep, WhenFull};
use tidegate_record::streams;

/// Percent of a cap from which on room is made.
const PRESSED_PERCENT: u64 = 90;
/// A stream gives way to others down to this part of the store's cap.
const REMAINDER: u64 = 64;

impl Inner {
    /// Space that was freed is reused but not given back: at the cap there is still room while what is stored takes
    /// less than half of it.
    pub(super) fn disk_full(&self, core: &Core) -> bool {
        let live: u64 = core.streams.iter().map(|s| s.bytes + s.staged).sum();
        let at_cap = core.disk_bytes >= self.options.max_bytes && live >= self.options.max_bytes / 2;
        at_cap || core.disk_free.is_some_and(|free| free < self.options.reserve)
    }

    /// Stored bytes of the stream of a partition, as they will be after a group.
    pub(super) fn stream_bytes(&self, group: &Group, partition: usize) -> Result<u64, String> {
        let (stream, _) = self.declared().map_err(|e| e.to_string())?.of(partition);
        Ok(group.partitions[stream.base..][..stream.partitions as usize].iter().map(|p| p.counters.bytes).sum())
    }

    /// Bytes of each stream from which on something of it has to go.
    pub(super) fn caps(&self, group: &Group) -> Result<Vec<u64>, String> {
        let declared = self.declared().map_err(|e| e.to_string())?;
        let disk = self.lock().disk_bytes;
        let mut caps = Vec::with_capacity(declared.streams.len());
        let mut stored = Vec::with_capacity(declared.streams.len());
        for stream in &declared.streams {
            stored.push(self.stream_bytes(group, stream.base)?);
            let max = stream.retention.max_bytes;
            caps.push(match stream.retention.when_full {
                WhenFull::Thin(_) => percent(max, PRESSED_PERCENT),
                WhenFull::Block | WhenFull::DropOldest => max,
            });
        }
        let excess = excess(self.options.max_bytes, disk, stored.iter().sum());
        if excess == 0 {
            return Ok(caps);
        }
        let remainder = self.options.max_bytes / REMAINDER;
        let gives_way = |index: &usize| {
            let stream = &declared.streams[*index];
            let gives = stream.retention.when_full != WhenFull::Block && *stream.name != *streams::LEDGER;
            gives && stored[*index] > remainder
        };
        let largest = (0..stored.len()).filter(gives_way).max_by_key(|index| stored[*index]);
        for (index, cap) in caps.iter_mut().enumerate() {
            let retention = &declared.streams[index].retention;
            if Some(index) == largest {
                *cap = (*cap).min(stored[index].saturating_sub(excess).max(remainder));
            } else if retention.when_full == WhenFull::Block && matches!(retention.keep, Keep::For(_)) {
                *cap = (*cap).min(stored[index].saturating_sub(excess));
            }
        }
        Ok(caps)
    }
}

/// How many of the `live` bytes of a store that takes `disk` bytes have to go before it is full.
fn excess(max: u64, disk: u64, live: u64) -> u64 {
    let on_disk = disk.saturating_sub(percent(max, PRESSED_PERCENT));
    live.saturating_sub(percent(max / 2, PRESSED_PERCENT)).min(on_disk)
}

fn percent(of: u64, percent: u64) -> u64 {
    (u128::from(of) * u128::from(percent) / 100) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_wanted_when_both_the_file_and_what_is_in_it_near_the_cap() {
        let cases = [
            ((1000, 500, 500), 0),
            ((1000, 950, 400), 0),
            ((1000, 900, 800), 0),
            ((1000, 950, 460), 10),
            ((1000, 950, 800), 50),
            ((1000, 2000, 800), 350),
        ];
        for ((max, disk, live), expected) in cases {
            assert_eq!(excess(max, disk, live), expected, "{max} {disk} {live}");
        }
    }
}
