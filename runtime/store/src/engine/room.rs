//! Room: how full the streams, the store and its file system are, and who has to make room for others.
//!
//! **Cap.** sled reuses space that was freed and gives little of it back, so the store is full when its file has reached
//! `max_bytes` and what is stored takes half of that.
//!
//! **Reserve.** At a full disk sled can neither delete nor open, so the last bytes of the file system are for draining:
//! half of them are taken ahead, since others may fill the disk. Below the reserve the store lives in what it has, and
//! the more of the reserve is gone, the less of its file may be in use ([`permitted`]); once drained it takes in again
//! without getting anything back from the file system. And a group whose writing might not fit what is left waits for
//! that: a write that fails would poison the store.
//!
//! **Giving way.** A stream that is thinned makes room from [`PRESSED_PERCENT`] of its cap on, so that its writers seldom
//! wait. So does the whole store: read blocks that are only kept for a while are released, and the largest stream that
//! drops or is thinned gives way, but for a remainder; those that block wait. Draining never waits for any of this.

use super::Inner;
use super::committer::Committer;
use super::core::Core;
use super::group::Group;
use crate::api::{Keep, WhenFull};
use crate::medium::WriteSet;
use std::sync::PoisonError;
use std::time::Duration;
use tidegate_record::streams;

/// Percent of a cap from which on room is made.
const PRESSED_PERCENT: u64 = 90;
/// A stream gives way to others down to this part of the store's file.
const REMAINDER: u64 = 64;
/// How often a group that waits for the disk looks at it.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// What sled may append for a group whatever it holds: segments are written whole.
const WRITE_BYTES_MIN: u64 = 1 << 20;
/// How many bytes sled may append for one that is put: pages are written anew.
const WRITE_FACTOR: u64 = 3;
/// The same for a key that is deleted.
const DELETE_BYTES: u64 = 8 << 10;
/// Most and fewest keys that a group may delete; in between, what sled appends for them takes a quarter of what is free.
const DELETED_MAX: usize = 2048;
const DELETED_MIN: usize = 16;

impl Inner {
    /// Whether nothing is taken in for want of disk.
    pub(super) fn disk_full(&self, core: &Core) -> bool {
        let staged: u64 = core.streams.iter().map(|s| s.staged).sum();
        let live: u64 = staged + core.streams.iter().map(|s| s.bytes).sum::<u64>();
        let (max, disk, free) = (self.options.max_bytes, core.disk_bytes, core.disk_free);
        let at_cap = disk >= max && live >= max / 2;
        // What is staged must fit with as much again for draining.
        let too_much = free.is_some_and(|free| 2 * staged * WRITE_FACTOR > free && staged > 0);
        at_cap || too_much || permitted(disk, free, self.options.reserve).is_some_and(|permitted| live >= permitted)
    }

    /// How many keys a group may delete.
    pub(super) fn deleted_max(&self) -> usize {
        let free = self.lock().disk_free.unwrap_or(u64::MAX);
        usize::try_from(free / 4 / DELETE_BYTES).unwrap_or(usize::MAX).clamp(DELETED_MIN, DELETED_MAX)
    }

    /// Stored bytes of the stream of a partition, as they will be after a group.
    pub(super) fn stream_bytes(&self, group: &Group, partition: usize) -> Result<u64, String> {
        let (stream, _) = self.declared().map_err(|e| e.to_string())?.of(partition);
        Ok(group.partitions[stream.base..][..stream.partitions as usize].iter().map(|p| p.counters.bytes).sum())
    }

    /// Bytes of each stream from which on something of it has to go.
    pub(super) fn caps(&self, group: &Group) -> Result<Vec<u64>, String> {
        let declared = self.declared().map_err(|e| e.to_string())?;
        let core = self.lock();
        let (disk, free) = (core.disk_bytes, core.disk_free);
        drop(core);
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
        let live = stored.iter().sum();
        let over_permitted =
            permitted(disk, free, self.options.reserve).map_or(0, |permitted| live_over(live, permitted));
        let excess = excess(self.options.max_bytes, disk, live).max(over_permitted);
        if excess == 0 {
            return Ok(caps);
        }
        let remainder = self.options.max_bytes.min(disk) / REMAINDER;
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

impl Committer {
    /// Waits until the disk has room for what writing a set may take; readers and sinks go on meanwhile. An error where
    /// the store is closed before.
    pub(super) fn wait_for_disk(&self, set: &WriteSet) -> Result<(), String> {
        if !self.may_wait {
            return Ok(());
        }
        let inner = &self.inner;
        let puts: u64 = set.puts.iter().map(|(_, value)| value.len() as u64).sum();
        let needed = WRITE_BYTES_MIN + puts * WRITE_FACTOR + set.deletes.len() as u64 * DELETE_BYTES;
        loop {
            let (disk, free) = (inner.medium.disk_bytes(), inner.medium.disk_free());
            let mut core = inner.lock();
            (core.disk_bytes, core.disk_free) = (disk, free);
            let live: u64 = core.streams.iter().map(|stream| stream.bytes).sum();
            let fits = free.is_none_or(|free| needed <= free + inside(disk, live));
            if !fits && !core.waits_for_disk {
                tracing::error!(needed, free, "the file system is full: commits wait until there is room on it");
            }
            core.waits_for_disk = !fits;
            if fits {
                return Ok(());
            }
            if core.closing {
                return Err("the file system is full: what waited to be committed was not, nor acknowledged".into());
            }
            drop(inner.work.wait_timeout(core, LOOK_INTERVAL).unwrap_or_else(PoisonError::into_inner));
        }
    }
}

/// How many of the `live` bytes of a store that takes `disk` bytes have to go before it is full.
fn excess(max: u64, disk: u64, live: u64) -> u64 {
    let on_disk = disk.saturating_sub(percent(max, PRESSED_PERCENT));
    live_over(live, max / 2).min(on_disk)
}

/// How many of the `live` bytes are over what is asked of them from [`PRESSED_PERCENT`] of a limit on.
fn live_over(live: u64, limit: u64) -> u64 {
    live.saturating_sub(percent(limit, PRESSED_PERCENT))
}

/// How many bytes may be stored in a file of `disk` bytes where the file system has less than the reserve: from half of
/// it, as long as all of the reserve is there, to nothing. `None` above the reserve.
fn permitted(disk: u64, free: Option<u64>, reserve: u64) -> Option<u64> {
    let free = free.filter(|free| *free < reserve)?;
    Some((u128::from(disk) * u128::from(free) / (2 * u128::from(reserve))) as u64)
}

/// Bytes that sled surely finds inside a file of `disk` bytes that holds `live` ones.
fn inside(disk: u64, live: u64) -> u64 {
    (disk / 4).saturating_sub(live)
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

    #[test]
    fn less_may_be_stored_the_more_of_the_reserve_is_gone() {
        let cases = [
            ((1000, None, 100), None),
            ((1000, Some(100), 100), None),
            ((1000, Some(5), 0), None),
            ((1000, Some(99), 100), Some(495)),
            ((1000, Some(50), 100), Some(250)),
            ((1000, Some(0), 100), Some(0)),
        ];
        for ((disk, free, reserve), expected) in cases {
            assert_eq!(permitted(disk, free, reserve), expected, "{disk} {free:?} {reserve}");
        }
    }
}
