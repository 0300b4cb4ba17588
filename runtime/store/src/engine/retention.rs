//! Retention: which of the oldest blocks go with this group, and whether that is a release or a loss.
//!
//! The head of a partition is known a few blocks deep; only when those are gone is the medium asked for the next few.
//! So nothing is ever found by reading a backlog, however long it is.

use super::committer::Committer;
use super::group::{Group, Partition};
use super::ledger::Ledger;
use crate::api::{Keep, Loss, LossReason, Retention, WhenFull};
use crate::block;
use crate::keys::{KEY_BYTES, Key};
use crate::medium::{Medium, WriteSet, first};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// Most blocks looked up on the medium at once.
const LOOKED_UP_MAX: usize = 32;
/// Most blocks known of a partition's head.
const KNOWN_MAX: usize = 256;

/// A stored block as retention sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) first: u64,
    pub(super) next: u64,
    pub(super) rows: u64,
    /// Of its last run.
    pub(super) arrival: i64,
    /// Keys and values.
    pub(super) bytes: u64,
    pub(super) parts: u16,
}

/// The oldest blocks of a partition.
#[derive(Debug, Default)]
pub(super) struct Heads {
    known: VecDeque<Head>,
    /// Nothing durable lies behind what is known.
    all: bool,
    /// Found while looking up, and not readable.
    damaged: Vec<u64>,
}

/// What is to happen to the oldest block.
enum Verdict {
    Release,
    Lose(LossReason),
    Stay,
}

impl Heads {
    /// A block of a group that is durable now.
    pub(super) fn appended(&mut self, head: Head) {
        if self.all && self.known.len() < KNOWN_MAX {
            self.known.push_back(head);
        } else {
            self.all = false;
        }
    }

    /// Blocks in `range` became those of `written`.
    pub(super) fn replaced(&mut self, range: &Range<u64>, written: Vec<Head>) {
        let from = self.known.partition_point(|head| head.first < range.start);
        let to = self.known.partition_point(|head| head.first < range.end);
        if from < to {
            let behind = self.known.split_off(to);
            self.known.truncate(from);
            self.known.extend(written);
            self.known.extend(behind);
        }
    }

    fn forget(&mut self, first: u64) -> Option<Head> {
        let index = self.known.iter().position(|head| head.first == first)?;
        self.known.remove(index)
    }

    fn front(&mut self, medium: &dyn Medium, from: Key, to: Key) -> Result<Option<Head>, String> {
        if self.known.is_empty() && !self.all {
            self.look_up(medium, from, to)?;
        }
        Ok(self.known.front().copied())
    }

    fn look_up(&mut self, medium: &dyn Medium, from: Key, to: Key) -> Result<(), String> {
        let mut more = false;
        let (known, damaged) = (&mut self.known, &mut self.damaged);
        medium.scan(from, to, &mut |key, bytes| {
            let stored = (KEY_BYTES + bytes.len()) as u64;
            if key.part > 0 {
                if let Some(head) = known.back_mut().filter(|head| head.first == key.offset) {
                    head.bytes += stored;
                    head.parts += 1;
                }
                return true;
            }
            if known.len() == LOOKED_UP_MAX {
                more = true;
                return false;
            }
            match block::peek(bytes).ok().filter(|peek| peek.first == key.offset) {
                Some(peek) => known.push_back(Head {
                    first: key.offset,
                    next: peek.next(),
                    rows: u64::from(peek.rows),
                    arrival: peek.arrival_last,
                    bytes: stored,
                    parts: 1,
                }),
                None => damaged.push(key.offset),
            }
            true
        })?;
        self.all = !more;
        Ok(())
    }
}

impl Committer {
    /// Adds the deletes of quarantined and of no longer wanted blocks to the set, and makes streams coarser that are
    /// near their cap.
    pub(super) fn retain(&mut self, group: &mut Group, set: &mut WriteSet, ledger: &mut Ledger) -> Result<(), String> {
        let inner = self.inner.clone();
        let core = inner.lock();
        if core.pins > 0 {
            // What is bad is forgotten only once it is deleted and counted.
            group.partitions.iter_mut().for_each(|partition| partition.quarantine.clear());
            return Ok(());
        }
        let now = core.arrival.now(&*inner.options.clock);
        drop(core);
        let caps = inner.caps(group)?;
        let mut left = inner.deleted_max();
        for index in 0..group.partitions.len() {
            self.delete_quarantined(index, &mut group.partitions[index], set, ledger)?;
            let cap = caps[inner.declared().map_err(|e| e.to_string())?.stream_of[index]];
            left = self.retain_partition(index, group, (now, cap), left, set, ledger)?;
            if left > 0 && inner.stream_bytes(group, index)? > cap {
                group.pressed |= self.thin(index, &mut left, group, set, ledger)?;
            }
            // The rest goes with the next.
            group.pressed |= left == 0;
            let damaged = std::mem::take(&mut self.heads[index].damaged);
            if !damaged.is_empty() {
                let mut core = inner.lock();
                core.partitions[index].quarantine.extend(damaged);
                core.begin_waiting();
            }
        }
        Ok(())
    }

    fn retain_partition(
        &mut self,
        index: usize,
        group: &mut Group,
        (now, cap): (i64, u64),
        mut left: usize,
        set: &mut WriteSet,
        ledger: &mut Ledger,
    ) -> Result<usize, String> {
        let inner = self.inner.clone();
        let declared = inner.declared().map_err(|e| e.to_string())?;
        let (stream, number) = declared.of(index);
        let mut stream_bytes = inner.stream_bytes(group, index)?;
        let partition = &mut group.partitions[index];
        let policy = Policy {
            retention: &stream.retention,
            readerless: stream.readers.is_empty(),
            cap,
            purge: self
                .purging
                .as_ref()
                .filter(|purging| purging.partition == index)
                .map_or(0, |p| p.end(partition.hold)),
            drops: match stream.retention.when_full {
                WhenFull::Block => false,
                WhenFull::DropOldest => true,
                WhenFull::Thin(_) => std::mem::take(&mut self.sweeps[index].exhausted),
            },
            now,
        };
        // Blocks of this very group are not on the medium yet and stay.
        let durable_end = inner.lock().partitions[index].counters.next;
        let end = declared.block_key(index, durable_end.saturating_sub(1)).last_part();
        let mut lost = Losing::new(stream.name.clone(), number);
        while left > 0 && partition.counters.first < durable_end && policy.wants(partition, stream_bytes) {
            let from = declared.block_key(index, partition.counters.first);
            let Some(head) = self.heads[index].front(&*inner.medium, from, end)? else { break };
            if partition.quarantine.contains(&head.first) {
                // Deleted and counted in this very group; what was looked up may still show it.
                self.heads[index].known.pop_front();
                partition.counters.first = partition.counters.first.max(head.next);
                continue;
            }
            match policy.verdict(&head, partition.hold, stream_bytes) {
                Verdict::Stay => break,
                Verdict::Release => partition.counters.released += head.rows,
                Verdict::Lose(reason) => {
                    partition.counters.lost += head.rows;
                    if let (LossReason::Purged, Some(purging)) = (reason, &mut self.purging) {
                        purging.count += head.rows;
                    }
                    lost.add(reason, &head, ledger);
                }
            }
            self.heads[index].known.pop_front();
            self.sweeps[index].deleted(&head);
            partition.delete(&head, declared.block_key(index, head.first), set);
            partition.counters.first = head.next;
            stream_bytes = stream_bytes.saturating_sub(head.bytes);
            left = left.saturating_sub(usize::from(head.parts));
        }
        lost.note(ledger);
        if let Some(purging) = self.purging.as_mut().filter(|purging| purging.partition == index) {
            purging.through = left > 0;
        }
        Ok(left)
    }

    /// Blocks that readers found bad: counted lost, once, and gone.
    fn delete_quarantined(
        &mut self,
        index: usize,
        partition: &mut Partition,
        set: &mut WriteSet,
        ledger: &mut Ledger,
    ) -> Result<(), String> {
        let inner = self.inner.clone();
        let declared = inner.declared().map_err(|e| e.to_string())?;
        let (stream, number) = declared.of(index);
        for &first_offset in &partition.quarantine {
            self.heads[index].forget(first_offset);
            let key = declared.block_key(index, first_offset);
            let durable = inner.lock().partitions[index].durable();
            let behind = declared.block_key(index, durable);
            let next = first(&*inner.medium, key.last_part(), behind)?.filter(|k| !k.same_value(key));
            let next = next.map_or(durable, |k| k.offset);
            let (mut bytes, mut peeked, mut keys) = (0, None, Vec::new());
            inner.medium.scan(key, key.last_part(), &mut |key, value| {
                if key.part == 0 {
                    peeked = block::peek(value).ok();
                }
                bytes += (KEY_BYTES + value.len()) as u64;
                keys.push(key);
                true
            })?;
            if keys.is_empty() {
                continue;
            }
            // What it says of itself counts where it can be true; else every position up to the next block does.
            let span = next.saturating_sub(first_offset);
            let told = peeked.filter(|p| p.first == first_offset && p.next() <= next).map(|p| u64::from(p.rows));
            let counters = &mut partition.counters;
            let rows = told.unwrap_or(span).min(counters.stored);
            counters.stored -= rows;
            counters.lost += rows;
            counters.bytes = counters.bytes.saturating_sub(bytes);
            partition.touched = true;
            set.deletes.extend(keys);
            ledger.add(&Loss {
                stream: stream.name.clone(),
                partition: number,
                reason: LossReason::Quarantined,
                stage: Arc::from("store"),
                count: rows,
                offsets: Some((first_offset, first_offset + block::span(rows as usize) - 1)),
            });
        }
        Ok(())
    }
}

impl Partition {
    pub(super) fn delete(&mut self, head: &Head, key: Key, set: &mut WriteSet) {
        (0..head.parts).for_each(|part| set.deletes.push(key.part(part)));
        self.counters.stored = self.counters.stored.saturating_sub(head.rows);
        self.counters.bytes = self.counters.bytes.saturating_sub(head.bytes);
        self.touched = true;
    }
}

/// Losses of one partition, neighbours for one reason as one.
struct Losing(Loss);

impl Losing {
    fn new(stream: Arc<str>, partition: u32) -> Self {
        let (reason, stage) = (LossReason::Cap, Arc::from("store"));
        Losing(Loss { stream, partition, reason, stage, count: 0, offsets: None })
    }

    fn add(&mut self, reason: LossReason, head: &Head, ledger: &mut Ledger) {
        if self.0.reason != reason {
            self.note(ledger);
            self.0 = Loss { reason, count: 0, offsets: None, ..self.0.clone() };
        }
        self.0.count += head.rows;
        self.0.offsets = Some((self.0.offsets.map_or(head.first, |(first, _)| first), head.next - 1));
    }

    fn note(&self, ledger: &mut Ledger) {
        ledger.add(&self.0);
    }
}

/// What holds for the oldest blocks of a partition now.
struct Policy<'p> {
    retention: &'p Retention,
    readerless: bool,
    /// Bytes of the stream from which on something has to go.
    cap: u64,
    /// What ends at or before this offset is given up, whoever needs it.
    purge: u64,
    /// Whether the unread goes too.
    drops: bool,
    now: i64,
}

impl Policy<'_> {
    /// Whether anything can be wanted of the oldest block, before it is looked up.
    fn wants(&self, partition: &Partition, stream_bytes: u64) -> bool {
        let keeps = matches!(self.retention.keep, Keep::UntilRead | Keep::All);
        let held = partition.hold <= partition.counters.first || (self.readerless && keeps);
        self.purge > partition.counters.first || !held || self.over(stream_bytes) || self.retention.max_age.is_some()
    }

    /// Whether the stream is at its cap: `keep` gives way there, and so does the unread where the stream drops it.
    fn over(&self, stream_bytes: u64) -> bool {
        match self.retention.when_full {
            // Appends are refused from here on.
            WhenFull::Block => stream_bytes > self.cap || stream_bytes >= self.retention.max_bytes,
            WhenFull::DropOldest | WhenFull::Thin(_) => stream_bytes > self.cap,
        }
    }

    fn verdict(&self, head: &Head, hold: u64, stream_bytes: u64) -> Verdict {
        if head.next <= self.purge {
            return Verdict::Lose(LossReason::Purged);
        }
        let age = i128::from(self.now) - i128::from(head.arrival);
        let older_than = |limit: std::time::Duration| age > limit.as_micros() as i128;
        // Without readers nothing is ever read, unless a time is all that was asked for.
        let read = if self.readerless { matches!(self.retention.keep, Keep::For(_)) } else { head.next <= hold };
        let kept_long_enough = match self.retention.keep {
            Keep::UntilRead | Keep::All => true,
            Keep::For(time) => older_than(time),
        };
        let expired = self.retention.max_age.is_some_and(older_than);
        let over = self.over(stream_bytes);
        match (read, expired, over) {
            (true, _, _) if kept_long_enough => Verdict::Release,
            (true, true, _) | (true, _, true) => Verdict::Release,
            (false, true, _) if self.retention.keep != Keep::All => Verdict::Lose(LossReason::Age),
            (false, _, true) if self.drops => Verdict::Lose(LossReason::Cap),
            _ => Verdict::Stay,
        }
    }
}
