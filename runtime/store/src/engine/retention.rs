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
use std::sync::Arc;

/// Most blocks deleted in one group.
const DELETED_MAX: usize = 1024;
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
    /// Adds the deletes of quarantined and of no longer wanted blocks to the set.
    pub(super) fn retain(&mut self, group: &mut Group, set: &mut WriteSet, ledger: &mut Ledger) -> Result<(), String> {
        let inner = self.inner.clone();
        let now = inner.lock().arrival.now(&*inner.options.clock);
        let mut left = DELETED_MAX;
        for index in 0..group.partitions.len() {
            self.delete_quarantined(index, &mut group.partitions[index], set, ledger)?;
            left = self.retain_partition(index, group, now, left, set, ledger)?;
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
        now: i64,
        mut left: usize,
        set: &mut WriteSet,
        ledger: &mut Ledger,
    ) -> Result<usize, String> {
        let inner = self.inner.clone();
        let declared = inner.declared().map_err(|e| e.to_string())?;
        let (stream, number) = declared.of(index);
        let of_stream = stream.base..stream.base + stream.partitions as usize;
        let mut stream_bytes: u64 = group.partitions[of_stream].iter().map(|p| p.counters.bytes).sum();
        let partition = &mut group.partitions[index];
        // Blocks of this very group are not on the medium yet and stay.
        let durable_end = inner.lock().partitions[index].counters.next;
        let end = declared.block_key(index, durable_end.saturating_sub(1)).last_part();
        let mut lost: Option<Loss> = None;
        while left > 0 && partition.counters.first < durable_end {
            let wanted = wanted(&stream.retention, stream.readers.is_empty(), partition, stream_bytes);
            if !wanted {
                break;
            }
            let from = declared.block_key(index, partition.counters.first);
            let Some(head) = self.heads[index].front(&*inner.medium, from, end)? else { break };
            if partition.quarantine.contains(&head.first) {
                // Deleted and counted in this very group; what was looked up may still show it.
                self.heads[index].known.pop_front();
                partition.counters.first = partition.counters.first.max(head.next);
                continue;
            }
            let over = over(&stream.retention, stream_bytes);
            match verdict(&stream.retention, stream.readers.is_empty(), &head, partition.hold, now, over) {
                Verdict::Stay => break,
                Verdict::Release => partition.counters.released += head.rows,
                Verdict::Lose(reason) => {
                    partition.counters.lost += head.rows;
                    let loss = lost.get_or_insert_with(|| Loss {
                        stream: stream.name.clone(),
                        partition: number,
                        reason,
                        stage: Arc::from("store"),
                        count: 0,
                        offsets: None,
                    });
                    if loss.reason != reason {
                        ledger.add(loss);
                        *loss = Loss { reason, count: 0, offsets: None, ..loss.clone() };
                    }
                    loss.count += head.rows;
                    loss.offsets = Some((loss.offsets.map_or(head.first, |(first, _)| first), head.next - 1));
                }
            }
            self.heads[index].known.pop_front();
            partition.delete(&head, declared.block_key(index, head.first), set);
            partition.counters.first = head.next;
            stream_bytes = stream_bytes.saturating_sub(head.bytes);
            left -= 1;
        }
        lost.iter().for_each(|loss| ledger.add(loss));
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
    fn delete(&mut self, head: &Head, key: Key, set: &mut WriteSet) {
        (0..head.parts).for_each(|part| set.deletes.push(key.part(part)));
        self.counters.stored = self.counters.stored.saturating_sub(head.rows);
        self.counters.bytes = self.counters.bytes.saturating_sub(head.bytes);
        self.touched = true;
    }
}

/// Whether anything can be wanted of the oldest block, before it is looked up.
fn wanted(retention: &Retention, readerless: bool, partition: &Partition, stream_bytes: u64) -> bool {
    let held = partition.hold <= partition.counters.first || (readerless && retention.keep == Keep::UntilRead);
    !held || over(retention, stream_bytes) || retention.max_age.is_some()
}

/// Whether the stream is at its cap: `keep` gives way there, and so does the unread where the stream drops its oldest.
fn over(retention: &Retention, stream_bytes: u64) -> bool {
    match retention.when_full {
        WhenFull::DropOldest => stream_bytes > retention.max_bytes,
        // Appends are refused from here on.
        WhenFull::Block => stream_bytes >= retention.max_bytes,
    }
}

fn verdict(retention: &Retention, readerless: bool, head: &Head, hold: u64, now: i64, over: bool) -> Verdict {
    let older_than = |age: std::time::Duration| i128::from(now) - i128::from(head.arrival) > age.as_micros() as i128;
    // Without readers nothing is ever read, unless a time is all that was asked for.
    let read = if readerless { retention.keep != Keep::UntilRead } else { head.next <= hold };
    let kept_long_enough = match retention.keep {
        Keep::UntilRead => true,
        Keep::For(time) => older_than(time),
    };
    let expired = retention.max_age.is_some_and(older_than);
    match (read, expired, over) {
        (true, _, _) if kept_long_enough => Verdict::Release,
        (true, true, _) | (true, _, true) => Verdict::Release,
        (false, true, _) => Verdict::Lose(LossReason::Age),
        (false, _, true) if retention.when_full == WhenFull::DropOldest => Verdict::Lose(LossReason::Cap),
        _ => Verdict::Stay,
    }
}
