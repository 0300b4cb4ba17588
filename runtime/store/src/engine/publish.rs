//! Publishing: a group is durable, and now everyone may know.

use super::Inner;
use super::committer::Committer;
use super::core::{Core, PartitionState};
use super::group::{Group, Partition, Written};
use super::ledger::Ledger;
use crate::api::Block;

impl Committer {
    pub(super) fn publish(&mut self, group: Group, ledger: Ledger) {
        let inner = self.inner.clone();
        let Ok(declared) = inner.declared() else { return };
        inner.medium.take_ahead(inner.options.reserve / 2);
        let (disk_bytes, disk_free) = (inner.medium.disk_bytes(), inner.medium.disk_free());
        let Group { commits, partitions, staged_bytes, pressed } = group;
        let mut durable = Vec::new();
        let mut core = inner.lock();
        (core.disk_bytes, core.disk_free) = (disk_bytes, disk_free);
        core.staged_bytes = core.staged_bytes.saturating_sub(staged_bytes);
        for (index, partition) in partitions.into_iter().enumerate() {
            if !partition.blocks.is_empty() {
                durable.push(index);
            }
            for Written { head, .. } in &partition.blocks {
                self.heads[index].appended(*head);
            }
            inner.publish_partition(&mut core, index, partition);
        }
        for commit in &commits {
            let number = commit.committed.number;
            let producer = core.producer(&commit.producer);
            for (partition, position) in &commit.reads {
                if let Some(cursor) = producer.cursors.get_mut(partition) {
                    cursor.durable = Some(*position);
                }
            }
            producer.state.take_if(|(staged, _)| *staged <= number);
            producer.snapshot.take_if(|(staged, _)| *staged <= number);
        }
        for (key, count) in ledger.totals() {
            let (stream, reason) = (key.0.clone(), key.1);
            let total = core.losses.entry(key).or_default();
            *total += count;
            inner.meters.lost(&stream, reason, *total);
        }
        inner.meters.disk(disk_bytes);
        if pressed && !core.closing {
            core.begin_waiting();
        }
        drop(core);
        // Before any receipt resolves.
        self.note_tail(declared);
        for commit in commits {
            // Whoever dropped the receipt does not want to know.
            let _ = commit.receipt.send(Ok(commit.committed));
        }
        for index in durable {
            declared.wakers[index].durable.notify_waiters();
        }
        inner.room.notify_waiters();
    }
}

impl Inner {
    fn publish_partition(&self, core: &mut Core, index: usize, partition: Partition) {
        let Ok(declared) = self.declared() else { return };
        let (stream, _) = declared.of(index);
        let state = &mut core.partitions[index];
        let totals = &mut core.streams[declared.stream_of[index]];
        totals.bytes = (totals.bytes + partition.counters.bytes).saturating_sub(state.counters.bytes);
        let (mut memory, mut encoded, mut rows) = (0, 0, 0);
        for Written { block, head } in &partition.blocks {
            memory += block.batch.memory_bytes();
            encoded += head.bytes;
            rows += head.rows;
        }
        if memory > 0 && rows > 0 {
            totals.ratio = (totals.ratio * 3.0 + encoded as f64 / memory as f64) / 4.0;
            stream.appended.increment(rows);
        }
        for entry in state.staged.drain(..partition.entries.len()) {
            totals.staged = totals.staged.saturating_sub(entry.estimate);
        }
        state.counters = partition.counters;
        state.floor = state.floor.max(state.counters.first);
        state.thinning = None;
        for first in &partition.quarantine {
            state.quarantine.remove(first);
        }
        let bytes_max = self.options.tail_bytes / stream.partitions as usize;
        state.keep_tail(partition.blocks.into_iter().map(|written| written.block), bytes_max);
    }
}

impl PartitionState {
    /// Lets go of the blocks that begin before an offset.
    pub(super) fn forget_tail(&mut self, end: u64) {
        while let Some(front) = self.tail.pop_front_if(|block| block.first.0 < end) {
            self.tail_bytes -= front.batch.memory_bytes();
        }
    }

    /// Adds blocks to the tail and lets the oldest go: for want of room, or because they are no longer stored.
    fn keep_tail(&mut self, blocks: impl Iterator<Item = Block>, bytes_max: usize) {
        for block in blocks {
            self.tail_bytes += block.batch.memory_bytes();
            self.tail.push_back(block);
        }
        while let Some(front) = self.tail.front() {
            if self.tail_bytes <= bytes_max && front.next.0 > self.floor {
                break;
            }
            self.tail_bytes -= front.batch.memory_bytes();
            self.tail.pop_front();
        }
    }
}
