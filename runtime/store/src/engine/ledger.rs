//! The loss ledger: losses of a group become rows of the `ledger` stream, and totals.

use super::committer::Committer;
use super::group::Group;
use crate::api::{Loss, LossReason, Run};
use crate::keys::{Key, Kind};
use crate::medium::WriteSet;
use crate::values::{LossTotal, encode, reason_number};
use std::collections::BTreeMap;
use std::sync::Arc;
use tidegate_record::{Batch, BatchBuilder, ROWS_MAX, streams};
use xxhash_rust::xxh3::xxh3_64;

/// Stream, partition, reason, stage.
type Which = (Arc<str>, u32, LossReason, Arc<str>);
/// Records, and the offsets between which they are.
type HowMany = (u64, Option<(u64, u64)>);

/// The losses of one group, equal ones as one.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    rows: BTreeMap<Which, HowMany>,
}

impl Ledger {
    pub(crate) fn add(&mut self, loss: &Loss) {
        if loss.count == 0 {
            return;
        }
        let key = (loss.stream.clone(), loss.partition, loss.reason, loss.stage.clone());
        let (count, offsets) = self.rows.entry(key).or_insert((0, loss.offsets));
        *count += loss.count;
        if let (Some(mine), Some(theirs)) = (&mut *offsets, loss.offsets) {
            *mine = (mine.0.min(theirs.0), mine.1.max(theirs.1));
        } else if offsets.is_none() {
            *offsets = loss.offsets;
        }
    }

    /// By stream and reason.
    pub(crate) fn totals(&self) -> BTreeMap<(Arc<str>, LossReason), u64> {
        let mut totals = BTreeMap::new();
        for ((stream, _, reason, _), (count, _)) in &self.rows {
            *totals.entry((stream.clone(), *reason)).or_default() += count;
        }
        totals
    }

    /// As batches of the ledger's schema; `wall` is when they were noted.
    pub(crate) fn batches(&self, schema: Arc<tidegate_record::Schema>, wall: i64) -> Vec<Arc<Batch>> {
        let mut builder = BatchBuilder::new(schema);
        let mut batches = Vec::new();
        // What the ledger loses is in the totals: a row about it would take the place of another, again and again.
        let rows = self.rows.iter().filter(|((stream, ..), _)| **stream != *streams::LEDGER);
        for ((stream, partition, reason, stage), (count, offsets)) in rows {
            builder.integer(0, i64::from(*partition));
            builder.text(1, reason.word());
            builder.text(2, stage);
            builder.integer(3, *count as i64);
            if let Some((first, last)) = offsets {
                builder.integer(4, *first as i64);
                builder.integer(5, *last as i64);
            }
            if builder.end_row(stream, wall).is_err() {
                // A name that is no device id still loses something: it is noted without one.
                builder.end_row("unnamed", wall).unwrap_or_else(|e| unreachable!("a plain device id: {e}"));
            }
            if builder.rows() == ROWS_MAX {
                batches.push(Arc::new(builder.finish()));
            }
        }
        if builder.rows() > 0 {
            batches.push(Arc::new(builder.finish()));
        }
        batches
    }
}

impl Committer {
    /// Appends the group's losses to the ledger, in the same write set as what lost them.
    pub(super) fn note_losses(&mut self, group: &mut Group, set: &mut WriteSet, ledger: &Ledger) -> Result<(), String> {
        if ledger.rows.is_empty() {
            return Ok(());
        }
        let inner = self.inner.clone();
        let declared = inner.declared().map_err(|e| e.to_string())?;
        let stream = &declared.streams[declared.ledger];
        let index = stream.base;
        let mut core = inner.lock();
        let stamp = core.stamp(&*inner.options.clock);
        let stamp = Run { stamped: Some(stamp.commit), ..stamp };
        for batch in ledger.batches(stream.schema.clone(), stamp.wall) {
            core.stage(index, stamp, batch, 0);
        }
        // Only the committer appends here, and ticks came with the group.
        let partition = &mut group.partitions[index];
        let before = partition.entries.len();
        partition.entries.extend(core.partitions[index].staged.iter().skip(before).cloned());
        group.staged_bytes += partition.entries[before..].iter().map(|e| e.batch.memory_bytes()).sum::<usize>();
        for ((name, reason), count) in ledger.totals() {
            let total = count + core.losses.get(&(name.clone(), reason)).copied().unwrap_or(0);
            let key = Key::new(Kind::Losses, 0, reason_number(reason), xxh3_64(name.as_bytes()));
            set.put(key, encode(&LossTotal { stream: name.to_string(), count: total }));
        }
        drop(core);
        declared.wakers[index].staged.notify_waiters();
        self.encode_entries(index, &mut group.partitions[index], before, set)
    }
}
