//! What readers are at work on: what may be made coarser under them, and what may not.
//!
//! Of each reader of a stream a block is one of three: behind its hold (it never reads it again), at work (it may make
//! use of it, deliver it or replay it), or not begun. Only what is at work for nobody is made coarser. A sink holds from
//! its cursor and is at work up to where it said it reaches; a pipeline holds from its snapshot and is at work up to its
//! read position, or where it said it reaches.
//!
//! What a sink delivered before a restart and did not commit is known to nobody. So its next delivery waits until the
//! one before is durable, and after a restart nothing is made coarser until each has said how far its first one reaches:
//! the same again.

use super::core::{Core, Cursor};
use super::declare::Stream;
use crate::api::{Hold, Reach, Session, WhenFull};
use std::ops::Range;
use std::sync::Arc;

/// How far a reader makes use of what it has read of a partition.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reached {
    until: u64,
    /// The first offset ahead of it that was made coarser since it last read on: what it has read from there is stale.
    stale_from: u64,
}

impl Default for Reached {
    fn default() -> Self {
        Reached { until: 0, stale_from: u64::MAX }
    }
}

impl Core {
    /// Notes how far a reader reaches, unless something comes first.
    pub(super) fn reaching(
        &mut self,
        stream: &Stream,
        reader: &Session,
        partition: usize,
        Range { start: at, end: until }: Range<u64>,
    ) -> Reach {
        if self.poisoned.is_some() || !matches!(stream.retention.when_full, WhenFull::Thin(_)) {
            return Reach::Granted;
        }
        let delivers = stream.readers.iter().any(|(name, hold)| *name == reader.producer && *hold == Hold::Cursor);
        let thinning = self.partitions[partition].thinning.clone();
        let producer = self.producer(&reader.producer);
        let Cursor { accepted, durable } = producer.cursors.get(&partition).copied().unwrap_or_default();
        let durable = durable.unwrap_or(0);
        let reached = producer.reached.entry(partition).or_default();
        if until <= reached.until {
            return Reach::Granted;
        }
        if delivers && durable < at && durable < reached.until {
            return Reach::CommitFirst;
        }
        if thinning.is_some_and(|range| range.start < until && accepted < range.end) {
            return Reach::ReadAgain;
        }
        if reached.stale_from < until {
            reached.stale_from = u64::MAX;
            return Reach::ReadAgain;
        }
        reached.until = until;
        Reach::Granted
    }

    /// Where each reader of a stream holds a partition, in the order of the readers.
    pub(super) fn holds(&self, stream: &Stream, partition: usize) -> Vec<u64> {
        let hold = |(reader, hold): &(Arc<str>, Hold)| {
            let producer = self.producers.get(reader)?;
            match hold {
                Hold::Cursor => producer.cursors.get(&partition).map(|c| c.accepted),
                Hold::Snapshot => producer.snapshot_at.get(&partition).copied(),
            }
        };
        stream.readers.iter().map(|reader| hold(reader).unwrap_or(0)).collect()
    }

    /// The offsets each reader is at work on, where `holds` says from where. `None` while a sink has not said.
    pub(super) fn at_work(&self, stream: &Stream, partition: usize, holds: &[u64]) -> Option<Vec<Range<u64>>> {
        let at_work = |((reader, hold), &from): (&(Arc<str>, Hold), &u64)| {
            let producer = self.producers.get(reader);
            let reached = producer.and_then(|p| p.reached.get(&partition)).map(|reached| reached.until);
            let cursor = producer.and_then(|p| p.cursors.get(&partition)).map_or(0, |cursor| cursor.accepted);
            match (hold, reached) {
                (Hold::Cursor, None) => None,
                (_, reached) => Some(from..reached.unwrap_or(0).max(cursor).max(from)),
            }
        };
        stream.readers.iter().zip(holds).map(at_work).collect()
    }

    /// From now on what lies in `range` is being made coarser, unless a reader has come to it meanwhile.
    pub(super) fn begin_thinning(
        &mut self,
        stream: &Stream,
        partition: usize,
        holds: &[u64],
        range: &Range<u64>,
    ) -> bool {
        let at_work = self.at_work(stream, partition, holds);
        if at_work.is_none_or(|at_work| at_work.iter().any(|work| overlap(work, range))) {
            return false;
        }
        for ((reader, _), _) in stream.readers.iter().zip(holds).filter(|(_, hold)| **hold < range.end) {
            let reached = self.producer(reader).reached.entry(partition).or_default();
            reached.stale_from = reached.stale_from.min(range.start);
        }
        // The medium shows what is coarse before the group is durable: nobody is to read what comes behind it from memory.
        self.partitions[partition].forget_tail(range.end);
        self.partitions[partition].thinning = Some(range.clone());
        true
    }
}

/// Whether a reader at work on a range is so on a block; one that it has begun and not finished among them, where the
/// range is empty.
pub(super) fn overlap(work: &Range<u64>, block: &Range<u64>) -> bool {
    block.start < work.end && work.start < block.end
}
