//! What is known of the store in memory, behind one short lock. Nothing here does I/O.

use super::clocks::Clocks;
use super::readers::Reached;
use super::tail::Gone;
use crate::api::{Block, Committed, Error, LossReason, Position, Run, Snapshot};
use crate::values::Counters;
use rand::Rng;
use rand::rngs::StdRng;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use tidegate_record::{Batch, Clock, Trust};
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Largest gap the in-memory store leaves between two positions.
const GAP_MAX: u64 = 1000;
/// Most ticks waiting in a partition; the latest beyond it are forgotten, and asked for again after an earlier one.
const TICKS_MAX: usize = 256;

/// The state of the engine.
pub(super) struct Core {
    /// The latest commit number given.
    pub(super) number: u64,
    pub(super) arrival: ArrivalClock,
    pub(super) clocks: Clocks,
    /// By number of stream among those declared.
    pub(super) streams: Vec<StreamState>,
    /// By partition, over all declared streams.
    pub(super) partitions: Vec<PartitionState>,
    pub(super) producers: HashMap<Arc<str>, Producer>,
    /// Commits taken in that no group has taken yet.
    pub(super) staged: Vec<StagedCommit>,
    /// Memory held by what is not durable.
    pub(super) staged_bytes: usize,
    /// What the next group would encode to, roughly.
    pub(super) waiting_bytes: u64,
    /// When the first of `staged` came.
    pub(super) waiting_since: Option<Instant>,
    /// A commit asked not to wait.
    pub(super) hurry: bool,
    pub(super) poisoned: Option<Arc<str>>,
    pub(super) closing: bool,
    pub(super) disk_bytes: u64,
    pub(super) disk_free: Option<u64>,
    /// A group waits until the disk has room for it.
    pub(super) waits_for_disk: bool,
    /// What the committer is asked to do between two groups.
    pub(super) turns: VecDeque<super::turn::Turn>,
    /// So many backups are under way: nothing is deleted.
    pub(super) pins: u32,
    /// What was gone when the store was opened, until it is in the ledger.
    pub(super) gone: Vec<Gone>,
    /// Everything ever given up, by stream and reason.
    pub(super) losses: BTreeMap<(Arc<str>, LossReason), u64>,
    pub(super) notes: Vec<String>,
    /// Where positions jump; `None` where they never do.
    pub(super) gaps: Option<StdRng>,
}

/// Sums over a stream's partitions.
#[derive(Debug)]
pub(super) struct StreamState {
    /// Stored and durable.
    pub(super) bytes: u64,
    /// What is staged will take about this.
    pub(super) staged: u64,
    /// Encoded bytes a byte in memory, of late.
    pub(super) ratio: f64,
}

/// One partition.
#[derive(Debug, Default)]
pub(super) struct PartitionState {
    /// As of the last durable group: `counters.next` is the durable end.
    pub(super) counters: Counters,
    /// The next position to be given.
    pub(super) next: u64,
    /// Readers see nothing before it. Runs ahead of `counters.first` while blocks are being deleted.
    pub(super) floor: u64,
    /// Taken in, not durable.
    pub(super) staged: VecDeque<Entry>,
    /// The latest durable blocks, as on disk.
    pub(super) tail: VecDeque<Block>,
    pub(super) tail_bytes: usize,
    /// Arrival of the latest entry.
    pub(super) last_arrival: i64,
    pub(super) ticks: BTreeSet<i64>,
    /// Blocks found bad and not yet deleted, by first offset.
    pub(super) quarantine: BTreeSet<u64>,
    /// Offsets below the durable end at which a reader found nothing.
    pub(super) nothing: Range<u64>,
    /// Offsets whose blocks are being replaced by coarser ones.
    pub(super) thinning: Option<Range<u64>>,
}

/// A batch as one commit brought it.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) first: u64,
    pub(super) run: Run,
    pub(super) batch: Arc<Batch>,
    /// What it will take encoded, roughly.
    pub(super) estimate: u64,
}

/// A commit taken in.
pub(super) struct StagedCommit {
    pub(super) producer: Arc<str>,
    pub(super) reads: Vec<(usize, u64)>,
    pub(super) state: Option<Arc<Vec<u8>>>,
    pub(super) snapshot: Option<Arc<Snapshot>>,
    pub(super) losses: Vec<crate::api::Loss>,
    pub(super) committed: Committed,
    pub(super) receipt: oneshot::Sender<Result<Committed, Error>>,
}

/// One producer. What is accepted is what its next session begins with; what is durable is what survives.
#[derive(Debug, Default)]
pub(super) struct Producer {
    pub(super) id: u32,
    /// Its name is in the catalogue on disk.
    pub(super) stored: bool,
    pub(super) generation: u64,
    /// By partition.
    pub(super) cursors: HashMap<usize, Cursor>,
    /// Where its snapshot was taken, by partition.
    pub(super) snapshot_at: HashMap<usize, u64>,
    /// How far it makes use of what it has read, by partition; not at all before it said so.
    pub(super) reached: HashMap<usize, Reached>,
    /// Not durable yet, with the number of its commit.
    pub(super) state: Option<(u64, Arc<Vec<u8>>)>,
    pub(super) snapshot: Option<(u64, Arc<Snapshot>)>,
    /// Parts on disk.
    pub(super) state_parts: u16,
    pub(super) snapshot_at_parts: u16,
    pub(super) snapshot_parts: u16,
}

/// Where a producer stands in a partition.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cursor {
    pub(super) accepted: u64,
    pub(super) durable: Option<u64>,
}

/// The clock of the log: persisted, advanced by the boot clock, never backwards.
#[derive(Debug)]
pub(super) struct ArrivalClock {
    /// The boot clock reads this more (or less).
    offset: i64,
    last: i64,
}

impl ArrivalClock {
    /// Goes on from the latest arrival an earlier process gave.
    pub(super) fn from(stored: i64, clock: &dyn Clock) -> Self {
        ArrivalClock { offset: stored.saturating_sub(clock.boot()), last: stored }
    }

    pub(super) fn now(&self, clock: &dyn Clock) -> i64 {
        clock.boot().saturating_add(self.offset).max(self.last)
    }

    pub(super) fn give(&mut self, clock: &dyn Clock) -> i64 {
        self.last = self.now(clock);
        self.last
    }
}

impl Entry {
    /// The position behind its last record.
    pub(super) fn end(&self) -> u64 {
        self.first + crate::block::span(self.batch.rows())
    }

    pub(super) fn block(&self) -> Block {
        Block {
            first: Position(self.first),
            next: Position(self.end()),
            runs: vec![self.run],
            pass: 0,
            batch: self.batch.clone(),
        }
    }
}

impl PartitionState {
    pub(super) fn durable(&self) -> u64 {
        self.counters.next
    }
}

impl Core {
    /// Whether writes are taken.
    pub(super) fn writable(&self) -> Result<(), Error> {
        match &self.poisoned {
            Some(reason) => Err(Error::Poisoned(reason.clone())),
            None if self.closing => Err(Error::Closed),
            None => Ok(()),
        }
    }

    /// Numbers a commit: what its entries are stamped with.
    pub(super) fn stamp(&mut self, clock: &dyn Clock) -> Run {
        let sight = self.look(clock);
        let trusted = sight.trust > Trust::Unset;
        Run { commit: self.number, arrival: sight.arrival, wall: sight.wall, trusted, stamped: None, rows: 0 }
    }

    /// Stages a batch in a partition; gives its first offset and the end.
    pub(super) fn stage(&mut self, partition: usize, stamp: Run, batch: Arc<Batch>, estimate: u64) -> (u64, u64) {
        let mut draw = |rng: &mut StdRng| if rng.random_bool(0.3) { rng.random_range(1..=GAP_MAX) } else { 0 };
        let gap = self.gaps.as_mut().map_or(0, &mut draw);
        self.staged_bytes += batch.memory_bytes();
        self.waiting_bytes += estimate;
        let state = &mut self.partitions[partition];
        let entry = Entry { first: state.next + gap, run: Run { rows: batch.rows() as u32, ..stamp }, batch, estimate };
        let range = (entry.first, entry.end());
        state.next = range.1;
        state.last_arrival = stamp.arrival;
        state.ticks = state.ticks.split_off(&(stamp.arrival + 1));
        state.staged.push_back(entry);
        range
    }

    /// Asks for a tick.
    pub(super) fn tick_at(&mut self, partition: usize, arrival: i64) {
        let state = &mut self.partitions[partition];
        if arrival > state.last_arrival {
            state.ticks.insert(arrival);
            if state.ticks.len() > TICKS_MAX {
                state.ticks.pop_last();
            }
        }
    }

    /// The earliest tick asked for in any partition.
    pub(super) fn next_tick(&self) -> Option<i64> {
        self.partitions.iter().filter_map(|p| p.ticks.first().copied()).min()
    }

    /// Something waits for a group commit.
    pub(super) fn begin_waiting(&mut self) -> bool {
        let first = self.waiting_since.is_none();
        if first {
            self.waiting_since = Some(Instant::now());
        }
        first
    }

    /// The producer of this name, known from now on.
    pub(super) fn producer(&mut self, name: &Arc<str>) -> &mut Producer {
        let id = self.producers.values().map(|p| p.id + 1).max().unwrap_or(0);
        self.producers.entry(name.clone()).or_insert_with(|| Producer { id, ..Producer::default() })
    }
}
