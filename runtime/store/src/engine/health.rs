//! What the store says of itself.

use super::Inner;
use super::core::Core;
use super::declare::{Declared, Stream};
use crate::api::{Health, Hold, Partition, PartitionHealth, Position, ReaderHealth};
use crate::block;
use crate::medium::first;

impl Inner {
    pub(super) fn health(&self) -> Health {
        let core = self.lock();
        let mut health = Health {
            poisoned: core.poisoned.as_ref().map(|reason| reason.to_string()),
            disk_bytes: core.disk_bytes,
            written_bytes: self.written.load(std::sync::atomic::Ordering::Relaxed),
            commit_interval: self.commit_interval(),
            disk_bytes_max: self.options.max_bytes,
            disk_free: core.disk_free,
            full: self.disk_full(&core),
            waits_for_disk: core.waits_for_disk,
            notes: core.notes.clone(),
            losses: core.losses.iter().map(|((stream, reason), n)| (stream.to_string(), *reason, *n)).collect(),
            ..Health::default()
        };
        let Some(declared) = self.declared.get() else { return health };
        for stream in &declared.streams {
            for number in 0..stream.partitions {
                health.partitions.push(partition(&core, stream, number));
            }
        }
        health.orphans = orphans(&core, declared);
        drop(core);
        for partition in &mut health.partitions {
            self.add_arrivals(partition);
        }
        health
    }

    /// Looks up when the oldest and the next unread records arrived, without the lock held.
    fn add_arrivals(&self, health: &mut PartitionHealth) {
        let Ok(index) = self.index(&health.partition) else { return };
        health.oldest_arrival = self.arrival_at(index, health.first.0, health.durable.0);
        for reader in &mut health.readers {
            reader.oldest_unread_arrival = if reader.cursor <= health.first {
                health.oldest_arrival
            } else {
                self.arrival_at(index, reader.cursor.0, health.durable.0)
            };
        }
    }

    /// The arrival of the first durable record at or after a position.
    fn arrival_at(&self, index: usize, at: u64, durable: u64) -> Option<i64> {
        if at >= durable {
            return None;
        }
        let core = self.lock();
        let tail = &core.partitions[index].tail;
        if tail.front().is_some_and(|front| front.first.0 <= at) {
            let block = tail.get(tail.partition_point(|block| block.next.0 <= at))?;
            return block.runs.first().map(|run| run.arrival);
        }
        drop(core);
        let key = |offset| self.declared().map(|declared| declared.block_key(index, offset)).ok();
        let within = self.medium.last(key(0)?, key(at)?.last_part()).ok().flatten();
        let peek = |key| {
            let mut peeked = None;
            let peek = &mut |_, bytes: &[u8]| {
                peeked = block::peek(bytes).ok();
                false
            };
            self.medium.scan(key, key, peek).ok().and(peeked)
        };
        if let Some(found) = within.and_then(|key| peek(key.part(0))).filter(|found| found.next() > at) {
            return Some(found.arrival_first);
        }
        let next = first(&*self.medium, key(at)?, key(durable)?).ok().flatten()?;
        peek(next.part(0)).map(|found| found.arrival_first)
    }
}

fn partition(core: &Core, stream: &Stream, number: u32) -> PartitionHealth {
    let index = stream.base + number as usize;
    let state = &core.partitions[index];
    let counters = &state.counters;
    let reader = |(name, hold): &(std::sync::Arc<str>, Hold)| {
        let producer = core.producers.get(name);
        let durable = producer.and_then(|p| p.cursors.get(&index)).and_then(|c| c.durable);
        let cursor = durable.unwrap_or(counters.first);
        let holds_from = match hold {
            Hold::Cursor => cursor,
            Hold::Snapshot => producer.and_then(|p| p.snapshot_at.get(&index)).copied().unwrap_or(counters.first),
        };
        ReaderHealth {
            reader: name.to_string(),
            cursor: Position(cursor),
            holds_from: Position(holds_from),
            behind: counters.next.saturating_sub(cursor.max(counters.first)).min(counters.stored),
            oldest_unread_arrival: None,
        }
    };
    PartitionHealth {
        partition: Partition::new(stream.name.clone(), number),
        first: Position(counters.first),
        next: Position(state.next),
        durable: Position(state.durable()),
        appended: counters.appended,
        stored: counters.stored,
        released: counters.released,
        lost: counters.lost,
        bytes: counters.bytes,
        oldest_arrival: None,
        readers: stream.readers.iter().map(reader).collect(),
    }
}

/// Durable cursors of readers that are not configured.
fn orphans(core: &Core, declared: &Declared) -> Vec<String> {
    let mut orphans = Vec::new();
    for (name, producer) in &core.producers {
        for &index in producer.cursors.keys() {
            let (stream, number) = declared.of(index);
            if !stream.readers.iter().any(|(reader, _)| reader == name) {
                orphans.push(format!("{name} on {}/{number}", stream.name));
            }
        }
    }
    orphans.sort();
    orphans
}
