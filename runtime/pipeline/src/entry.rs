//! The unit a pipeline works in: the records of one stream that arrived in one commit.

use std::collections::VecDeque;
use std::sync::Arc;
use tidegate_record::Batch;
use tidegate_store::{Block, Position, Run};

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
    /// Its records; none for a tick.
    pub batch: Arc<Batch>,
}

/// Cuts a block into entries.
pub(crate) fn cut(input: usize, block: Block, into: &mut VecDeque<Entry>) {
    let Block { first, next, runs, batch, .. } = block;
    if let [run] = runs[..] {
        into.push_back(Entry { input, first, next, run, batch });
        return;
    }
    let (mut row, last) = (0, runs.len().saturating_sub(1));
    for (index, run) in runs.into_iter().enumerate() {
        let end = row + run.rows as usize;
        let first = Position(first.0 + row as u64);
        let next = if index == last { next } else { Position(first.0 + u64::from(run.rows)) };
        into.push_back(Entry { input, first, next, run, batch: Arc::new(batch.slice(row..end)) });
        row = end;
    }
}
