//! The tail: how far the store has come, noted beside the medium after every group that is durable.
//!
//! sled takes a place in its log that does not read for the log's end, and opens as what it was some commits earlier. The
//! tail finds that out: what is missing is lost, and is ledgered; and the offsets of what is missing are not given again,
//! for upstream may know them. Under one epoch the ends of partitions never go back, so an older tail says nothing.

use super::committer::Committer;
use super::declare::Declared;
use super::group::Group;
use super::ledger::Ledger;
use crate::api::{Loss, LossReason};
use crate::keys::{Key, Kind};
use crate::medium::{Medium, WriteSet};
use crate::values::{Counters, Meta, PartitionTail, Tail, decode, encode};
use std::collections::BTreeMap;

/// Records of a partition that the medium has no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone {
    pub(crate) stream: u32,
    pub(crate) partition: u32,
    pub(crate) count: u64,
    pub(crate) offsets: (u64, u64),
}

/// What the medium has lost since its tail was noted. Counters and commit number go on behind it.
pub(crate) fn gone(medium: &dyn Medium, meta: &mut Meta, counters: &mut BTreeMap<(u32, u32), Counters>) -> Vec<Gone> {
    let tail = medium.tail().and_then(|bytes| decode::<Tail>(&bytes).ok());
    let Some(tail) = tail.filter(|tail| tail.epoch == meta.epoch) else { return Vec::new() };
    // Two groups may bear one number (it is the latest given when a group is written): the ends tell them apart.
    meta.number = meta.number.max(tail.number);
    let mut gone = Vec::new();
    for PartitionTail { stream, partition, next, appended } in tail.partitions {
        let counters = counters.entry((stream, partition)).or_default();
        if next <= counters.next {
            continue;
        }
        let count = appended.saturating_sub(counters.appended);
        gone.push(Gone { stream, partition, count, offsets: (counters.next, next - 1) });
        counters.next = next;
        counters.appended += count;
        counters.lost += count;
    }
    gone
}

/// What a person is told of it.
pub(super) fn told(gone: &[Gone]) -> Option<String> {
    let records: u64 = gone.iter().map(|gone| gone.count).sum();
    (records > 0).then(|| {
        format!(
            "the database was found as it had been some commits earlier: {records} records that were durable are no \
             longer in it, some of which may have been delivered. Check the disk"
        )
    })
}

impl Committer {
    /// Adds what was gone at the open to the first group.
    pub(super) fn note_gone(&self, declared: &Declared, group: &mut Group, set: &mut WriteSet, ledger: &mut Ledger) {
        let catalogue = &self.inner.catalogue;
        for Gone { stream, partition, count, offsets } in std::mem::take(&mut self.inner.lock().gone) {
            let name = match declared.by_id(stream, partition) {
                Some(index) => {
                    group.partitions[index].touched = true;
                    declared.of(index).0.name.clone()
                }
                // It is not configured any more; its counters go on for when it is again.
                None => {
                    let counters = catalogue.counters.get(&(stream, partition)).copied().unwrap_or_default();
                    set.put(Key::new(Kind::Counters, stream, partition, 0), encode(&counters));
                    let known = catalogue.streams.iter().find(|(_, (id, _))| *id == stream);
                    known.map_or("(unknown)", |(name, _)| name.as_str()).into()
                }
            };
            let (reason, stage) = (LossReason::Quarantined, "store".into());
            ledger.add(&Loss { stream: name, partition, reason, stage, count, offsets: Some(offsets) });
        }
    }

    /// Notes how far the store has come, of which everything is durable. Nothing where nothing was written.
    pub(super) fn note_tail(&mut self, declared: &Declared) {
        if !std::mem::take(&mut self.wrote) {
            return;
        }
        let inner = &self.inner;
        let core = inner.lock();
        let end = |stream, partition, counters: &Counters| {
            let (next, appended) = (counters.next, counters.appended);
            PartitionTail { stream, partition, next, appended }
        };
        let ends = core.partitions.iter().enumerate().map(|(index, state)| {
            let (stream, partition) = declared.of(index);
            end(stream.id, partition, &state.counters)
        });
        let others =
            inner.catalogue.counters.iter().filter(|((id, partition), _)| declared.by_id(*id, *partition).is_none());
        let others = others.map(|(&(id, partition), counters)| end(id, partition, counters));
        let partitions = ends.chain(others).collect();
        let tail = Tail { epoch: inner.identity.epoch, number: self.number, partitions };
        drop(core);
        inner.medium.note_tail(&encode(&tail));
    }
}
