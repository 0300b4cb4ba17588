//! The tail: how far the store has come, noted beside the medium after every group that is durable.
//!
//! sled takes a place in its log that does not read for the log's end, and opens as what it was some commits earlier. The
//! tail finds that out: what is missing is lost, and is ledgered; and the offsets of what is missing are not given again,
//! for upstream may know them.

use super::committer::Committer;
use super::declare::Declared;
use super::group::Group;
use super::ledger::Ledger;
use super::load::Catalogue;
use crate::api::{Loss, LossReason};
use crate::medium::Medium;
use crate::values::{Meta, PartitionTail, Tail, decode, encode};

/// Records of a partition that the medium has no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gone {
    stream: u32,
    partition: u32,
    count: u64,
    offsets: (u64, u64),
}

/// What the medium has lost since its tail was noted. Counters and commit number go on behind it.
pub(super) fn gone(medium: &dyn Medium, meta: &mut Meta, catalogue: &mut Catalogue) -> Vec<Gone> {
    let tail = medium.tail().and_then(|bytes| decode::<Tail>(&bytes).ok());
    let Some(tail) = tail.filter(|tail| tail.epoch == meta.epoch && tail.number > meta.number) else {
        return Vec::new();
    };
    meta.number = tail.number;
    let mut gone = Vec::new();
    for PartitionTail { stream, partition, next, appended } in tail.partitions {
        let counters = catalogue.counters.entry((stream, partition)).or_default();
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
    let text = format!(
        "the database was found as it had been some commits earlier: {records} records that were durable are no longer \
         in it, some of which may have been delivered. They are in the ledger; check the disk"
    );
    (!gone.is_empty()).then_some(text)
}

impl Committer {
    /// Adds what was gone at the open to the first group.
    pub(super) fn note_gone(&self, declared: &Declared, group: &mut Group, ledger: &mut Ledger) {
        for Gone { stream, partition, count, offsets } in std::mem::take(&mut self.inner.lock().gone) {
            let Some(index) = declared.by_id(stream, partition) else { continue };
            group.partitions[index].touched = true;
            ledger.add(&Loss {
                stream: declared.of(index).0.name.clone(),
                partition,
                reason: LossReason::Quarantined,
                stage: "store".into(),
                count,
                offsets: Some(offsets),
            });
        }
    }

    /// Notes how far the store has come, of which everything is durable.
    pub(super) fn note_tail(&self, declared: &Declared) {
        let core = self.inner.lock();
        let ends = core.partitions.iter().enumerate().map(|(index, state)| {
            let (stream, partition) = declared.of(index);
            let (next, appended) = (state.counters.next, state.counters.appended);
            PartitionTail { stream: stream.id, partition, next, appended }
        });
        let tail = Tail { epoch: self.inner.identity.epoch, number: self.number, partitions: ends.collect() };
        drop(core);
        self.inner.medium.note_tail(&encode(&tail));
    }
}
