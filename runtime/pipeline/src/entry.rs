//! The unit a pipeline works in: the records of one stream that arrived in one commit.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Arc;
use tidegate_record::Batch;
use tidegate_store::{Block, Position, Run, Store};

/// Records of one input that arrived in one commit, or a tick.
///
/// Live and replayed input is cut alike, since the log keeps the runs: so what an idle time-out or a plugin call sees is
/// the same at replay.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Which input of the pipeline.
    pub input: usize,
    /// Position of its first record.
    pub first: Position,
    /// Where to read on.
    pub next: Position,
    /// How it arrived.
    pub run: Run,
    /// The clock of its event times, where the gateway set them.
    pub era: Option<Era>,
    /// Its records; none for a tick.
    pub batch: Arc<Batch>,
}

/// The wall clock between two steps of it. Times of one era can be compared; between eras lies a correction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Era {
    /// The commit it began with.
    pub since: u64,
    /// How far it was ahead of the arrival clock, microseconds.
    pub offset: i64,
}

impl Era {
    /// Of a run whose times the gateway set. What is read of the log's clock here stood in it before the run did, so a
    /// replay comes to the same.
    fn of(run: &Run, store: &dyn Store) -> Option<Self> {
        let commit = run.stamped?;
        let own = Era { since: commit, offset: run.wall.saturating_sub(run.arrival) };
        Some(store.dating(commit).map_or(own, |dating| Era { since: dating.since, offset: dating.offset }))
    }
}

/// Cuts a block into entries.
pub(crate) fn cut(input: usize, block: Block, store: &dyn Store, into: &mut VecDeque<Entry>) {
    let Block { first, next, runs, batch, .. } = block;
    if let [run] = runs[..] {
        into.push_back(Entry { input, first, next, run, era: Era::of(&run, store), batch });
        return;
    }
    let (mut row, last) = (0, runs.len().saturating_sub(1));
    for (index, run) in runs.into_iter().enumerate() {
        let end = row + run.rows as usize;
        let first = Position(first.0 + row as u64);
        let next = if index == last { next } else { Position(first.0 + u64::from(run.rows)) };
        let era = Era::of(&run, store);
        into.push_back(Entry { input, first, next, run, era, batch: Arc::new(batch.slice(row..end)) });
        row = end;
    }
}
