//! What a reader is given: consecutive records, and how they arrived.

use super::Position;
use std::sync::Arc;
use tidegate_record::Batch;

/// What a reader may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// Only what is durable: sinks and taps.
    Durable,
    /// Also what is accepted and not yet durable: pipelines, whose own commits cannot become durable earlier.
    Staged,
}

/// Consecutive records of a block that arrived in one commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The commit's number.
    pub commit: u64,
    /// Arrival clock, microseconds; never goes backwards.
    pub arrival: i64,
    /// Wall clock then, microseconds since the epoch.
    pub wall: i64,
    /// Whether the wall clock was trustworthy: the one that set the event times, where the gateway did.
    pub trusted: bool,
    /// Where the gateway set the event times, for records that brought none: the commit whose wall clock they are of.
    /// This run's own, or for what a pipeline made of others, theirs.
    pub stamped: Option<u64>,
    /// How many records; 0 for a tick (which takes one position).
    pub rows: u32,
}

/// Consecutive records of a partition. Record `row` has offset `first + row`.
#[derive(Debug, Clone)]
pub struct Block {
    /// Position of the first record.
    pub first: Position,
    /// Where to read on: past the last record and any gap known behind it.
    pub next: Position,
    /// How the rows arrived, in order; their rows add up to the batch's.
    pub runs: Vec<Run>,
    /// How often it was thinned: 0 for records as they were appended. Part of their identity.
    pub pass: u8,
    /// The records. Empty for a tick.
    pub batch: Arc<Batch>,
}
