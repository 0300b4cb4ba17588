//! A group commit: everything staged as one write set.

use super::committer::Committer;
use super::core::{Core, Entry, StagedCommit};
use super::declare::Declared;
use super::ledger::Ledger;
use super::retention::Head;
use crate::api::{Block, Error, Position};
use crate::block::{Decoded, RUNS_MAX, span};
use crate::keys::{Key, Kind};
use crate::medium::{PART_BYTES, WriteSet, parts, stored_bytes};
use crate::values::{Counters, FORMAT, Meta, encode, seal};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tidegate_record::{Batch, ROWS_MAX};

/// Most parts of an encoded block of more than one run.
const BLOCK_PARTS_MAX: u16 = 6;
/// Most memory of the runs of a block of more than one.
pub(super) const BLOCK_MEMORY_MAX: usize = 4 << 20;

/// What was staged when the committer came for it.
pub(super) struct Group {
    pub(super) commits: Vec<StagedCommit>,
    pub(super) partitions: Vec<Partition>,
    /// Memory and estimates that publishing gives back.
    pub(super) staged_bytes: usize,
    /// There is more to make room for than one group does.
    pub(super) pressed: bool,
}

/// One partition's share of a group.
pub(super) struct Partition {
    pub(super) entries: Vec<Entry>,
    /// As they will be when the group is durable.
    pub(super) counters: Counters,
    /// Whether they change.
    pub(super) touched: bool,
    /// Readers need everything from here on.
    pub(super) hold: u64,
    /// The same of each reader, in their order.
    pub(super) holds: Vec<u64>,
    pub(super) quarantine: BTreeSet<u64>,
    /// The entries as blocks.
    pub(super) blocks: Vec<Written>,
}

/// A block of this group, and what retention will know of it.
pub(super) struct Written {
    pub(super) block: Block,
    pub(super) head: Head,
}

impl Group {
    /// Takes everything staged. The entries stay where staged readers see them until the group is published.
    pub(super) fn take(core: &mut Core, declared: &Declared) -> Group {
        core.waiting_since = None;
        core.waiting_bytes = 0;
        core.hurry = false;
        let mut partitions: Vec<Partition> = (core.partitions.iter())
            .map(|state| Partition {
                entries: state.staged.iter().cloned().collect(),
                counters: state.counters,
                touched: false,
                hold: u64::MAX,
                holds: Vec::new(),
                quarantine: state.quarantine.clone(),
                blocks: Vec::new(),
            })
            .collect();
        for stream in &declared.streams {
            for (number, partition) in partitions[stream.base..][..stream.partitions as usize].iter_mut().enumerate() {
                partition.holds = core.holds(stream, stream.base + number);
                // Every cursor taken in is in this very group.
                partition.hold = partition.holds.iter().copied().min().unwrap_or(u64::MAX);
            }
        }
        let (commits, staged_bytes) = (std::mem::take(&mut core.staged), core.staged_bytes);
        Group { commits, partitions, staged_bytes, pressed: false }
    }
}

impl Committer {
    /// Encodes, writes and publishes a group. After an error the store is poisoned and the group's receipts say so.
    pub(super) fn commit(&mut self, mut group: Group) {
        match self.write(&mut group) {
            Ok(ledger) => self.publish(group, ledger),
            Err(reason) => self.give_up(group, &reason),
        }
    }

    pub(super) fn give_up(&self, group: Group, reason: &str) {
        self.inner.poison(reason);
        fail(group.commits, reason);
    }

    /// Makes a group durable. Nothing is written where there is nothing to write.
    pub(super) fn write(&mut self, group: &mut Group) -> Result<Ledger, String> {
        let inner = self.inner.clone();
        let began = inner.options.clock.boot();
        let declared = inner.declared().map_err(|e| e.to_string())?;
        let mut set = WriteSet::default();
        let mut ledger = Ledger::default();
        for (index, partition) in group.partitions.iter_mut().enumerate() {
            self.encode_entries(index, partition, 0, &mut set)?;
        }
        self.note_gone(declared, group, &mut set, &mut ledger);
        for commit in &group.commits {
            commit.losses.iter().for_each(|loss| ledger.add(loss));
        }
        self.retain(group, &mut set, &mut ledger)?;
        self.note_losses(group, &mut set, &ledger)?;
        self.put_producers(group, &mut set);
        inner.put_clocks(&mut set);
        if !set.is_empty() || group.partitions.iter().any(|p| p.touched) {
            for (index, partition) in group.partitions.iter().enumerate().filter(|(_, p)| p.touched) {
                let (stream, number) = declared.of(index);
                set.put(Key::new(Kind::Counters, stream.id, number, 0), encode(&partition.counters));
            }
            let (arrival, number) = self.raise_floors(group);
            let meta = Meta {
                format: FORMAT,
                epoch: inner.identity.epoch,
                gateway: inner.identity.gateway.to_string(),
                arrival,
                number,
            };
            set.put(Key::only(Kind::Meta), encode(&meta));
            self.wait_for_disk(&set)?;
            inner.medium.write(&set)?;
            (self.number, self.wrote) = (number, true);
            inner.written.fetch_add(set.bytes(), std::sync::atomic::Ordering::Relaxed);
            inner.meters.commit(set.bytes(), inner.options.clock.boot() - began);
        }
        Ok(ledger)
    }

    /// Hides what is about to be deleted from readers; gives the clock and number to be stored.
    fn raise_floors(&self, group: &Group) -> (i64, u64) {
        let mut core = self.inner.lock();
        for (state, partition) in core.partitions.iter_mut().zip(&group.partitions) {
            state.floor = partition.counters.first.max(state.floor);
        }
        (core.arrival.now(&*self.inner.options.clock), core.number)
    }

    /// Merges the entries from number `from` on into blocks and adds them to the set.
    pub(super) fn encode_entries(
        &mut self,
        index: usize,
        partition: &mut Partition,
        from: usize,
        set: &mut WriteSet,
    ) -> Result<(), String> {
        let entries = std::mem::take(&mut partition.entries);
        let mut rest = &entries[from..];
        while !rest.is_empty() {
            let (these, behind) = rest.split_at(mergeable(rest, self.rows_max[index]));
            rest = behind;
            let batches: Vec<Arc<Batch>> = these.iter().map(|e| e.batch.clone()).collect();
            let batch = Batch::concat(&batches).ok_or("a block of nothing")?;
            let runs = these.iter().map(|e| e.run).collect();
            self.encode_block(index, partition, Decoded { first: these[0].first, runs, pass: 0, batch }, set)?;
        }
        partition.entries = entries;
        Ok(())
    }

    /// Encodes a block; in two where it comes out too large, cut between runs: an append stays whole.
    fn encode_block(
        &mut self,
        index: usize,
        partition: &mut Partition,
        block: Decoded,
        set: &mut WriteSet,
    ) -> Result<(), String> {
        let inner = self.inner.clone();
        let declared = inner.declared().map_err(|e| e.to_string())?;
        let schema = declared.of(index).0.schema_id;
        let rows = block.batch.rows();
        let encoded =
            self.encoder.encode(&block, schema).map_err(|damage| format!("records do not encode: {damage}"))?;
        self.rows_max[index] = fitting_rows(rows, encoded.bytes.len());
        if block.runs.len() > 1 && parts(encoded.bytes.len()) > BLOCK_PARTS_MAX {
            let (front, back) = split(block);
            self.encode_block(index, partition, front, set)?;
            return self.encode_block(index, partition, back, set);
        }
        let (first, next) = (block.first, block.first + span(rows));
        let bytes = stored_bytes(encoded.bytes.len());
        let parts = set.put(declared.block_key(index, first), encoded.bytes);
        let counters = &mut partition.counters;
        counters.next = next;
        counters.appended += rows as u64;
        counters.stored += rows as u64;
        counters.bytes += bytes;
        partition.touched = true;
        let arrival = block.runs.last().map_or(0, |run| run.arrival);
        partition.blocks.push(Written {
            head: Head { first, next, rows: rows as u64, arrival, bytes, parts },
            block: Block {
                first: Position(first),
                next: Position(next),
                runs: block.runs,
                pass: block.pass,
                batch: block.batch,
            },
        });
        Ok(())
    }

    /// Adds cursors, states and snapshots, of each the last.
    fn put_producers(&self, group: &Group, set: &mut WriteSet) {
        let Ok(declared) = self.inner.declared() else { return };
        let mut core = self.inner.lock();
        let mut cursors = BTreeMap::new();
        let (mut states, mut snapshots) = (BTreeMap::new(), BTreeMap::new());
        for commit in &group.commits {
            for &(partition, position) in &commit.reads {
                cursors.insert((commit.producer.clone(), partition), position);
            }
            commit.state.iter().for_each(|state| drop(states.insert(commit.producer.clone(), state.clone())));
            commit.snapshot.iter().for_each(|s| drop(snapshots.insert(commit.producer.clone(), s.clone())));
            let producer = core.producer(&commit.producer);
            if !producer.stored {
                producer.stored = true;
                set.put(Key::of(Kind::Producer, producer.id), encode(&&*commit.producer));
            }
        }
        for ((producer, partition), position) in cursors {
            let (stream, number) = declared.of(partition);
            let id = core.producer(&producer).id;
            set.put(Key::new(Kind::Cursor, stream.id, number, u64::from(id)), encode(&position));
        }
        for (name, state) in states {
            let producer = core.producer(&name);
            producer.state_parts = set.replace(Key::of(Kind::State, producer.id), seal(&state), producer.state_parts);
        }
        for (name, snapshot) in snapshots {
            let at: Vec<(u32, u32, u64)> = (snapshot.at.iter())
                .filter_map(|(p, at)| Some((declared.stream(&p.stream).ok()?.id, p.number, at.0)))
                .collect();
            let producer = core.producer(&name);
            let key = Key::of(Kind::SnapshotAt, producer.id);
            producer.snapshot_at_parts = set.replace(key, encode(&at), producer.snapshot_at_parts);
            let key = Key::of(Kind::Snapshot, producer.id);
            producer.snapshot_parts = set.replace(key, seal(&snapshot.bytes), producer.snapshot_parts);
        }
    }
}

/// How many of the first entries become one block: consecutive, within the limits of a block; a tick is one alone.
fn mergeable(entries: &[Entry], rows_max: usize) -> usize {
    let (mut rows, mut bytes, mut count) = (0, 0, 0);
    for entry in entries.iter().take(RUNS_MAX) {
        rows += entry.batch.rows();
        bytes += entry.batch.memory_bytes();
        let joins = count == 0
            || (entry.first == entries[count - 1].end()
                && entry.batch.rows() > 0
                && entries[count - 1].batch.rows() > 0
                && rows <= rows_max
                && bytes <= BLOCK_MEMORY_MAX);
        if !joins {
            break;
        }
        count += 1;
    }
    count
}

/// How many records like these fit a block, with a little to spare.
fn fitting_rows(rows: usize, bytes: usize) -> usize {
    let room = usize::from(BLOCK_PARTS_MAX) * PART_BYTES * 9 / 10;
    (room * rows.max(1) / bytes.max(1)).clamp(1, ROWS_MAX)
}

/// A block of more than one run in two, at the run that comes nearest to half of the records.
fn split(block: Decoded) -> (Decoded, Decoded) {
    let rows = block.batch.rows();
    let (mut runs, mut cut) = (block.runs, 0);
    let front = (runs[..runs.len() - 1].iter())
        .take_while(|run| {
            let taken = cut == 0 || cut + run.rows as usize <= rows / 2;
            cut += if taken { run.rows as usize } else { 0 };
            taken
        })
        .count();
    let back = runs.split_off(front);
    let (front_batch, back_batch) = (block.batch.slice(0..cut), block.batch.slice(cut..rows));
    (
        Decoded { first: block.first, runs, pass: block.pass, batch: Arc::new(front_batch) },
        Decoded { first: block.first + cut as u64, runs: back, pass: block.pass, batch: Arc::new(back_batch) },
    )
}

/// Tells whoever waits that their commits will never be durable.
pub(super) fn fail(commits: Vec<StagedCommit>, reason: &str) {
    for commit in commits {
        // Whoever dropped the receipt does not want to know.
        let _ = commit.receipt.send(Err(Error::Poisoned(reason.into())));
    }
}
