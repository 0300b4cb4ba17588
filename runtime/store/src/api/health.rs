//! What a store says of itself.

use super::{LossReason, Partition, Position};

/// What a store says of itself and of each partition, for status and readiness.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// Why it refuses writes, if it does.
    pub poisoned: Option<String>,
    /// Bytes the store takes on disk.
    pub disk_bytes: u64,
    /// Bytes of keys and values given to the medium since this process began.
    pub written_bytes: u64,
    /// How long a group commit waits for company now.
    pub commit_interval: std::time::Duration,
    /// The cap of those bytes on disk.
    pub disk_bytes_max: u64,
    /// Bytes it can still grow by on its file system, those it took ahead among them. Where known.
    pub disk_free: Option<u64>,
    /// It takes nothing in for want of disk, by its cap or its reserve. Draining goes on.
    pub full: bool,
    /// Not even what is in hand can be written: nothing becomes durable until somebody frees space on the file system.
    pub waits_for_disk: bool,
    /// What was found and repaired or set aside at open, in words.
    pub notes: Vec<String>,
    /// Each partition of each stream.
    pub partitions: Vec<PartitionHealth>,
    /// Cursors in the store whose reader is not configured any more.
    pub orphans: Vec<String>,
    /// Ledger totals since the store was created: (stream, reason, count).
    pub losses: Vec<(String, LossReason, u64)>,
}

/// What a store says of one partition.
#[derive(Debug, Clone)]
pub struct PartitionHealth {
    /// Which.
    pub partition: Partition,
    /// Oldest position still stored.
    pub first: Position,
    /// Next position to be given.
    pub next: Position,
    /// Next position that is not durable yet.
    pub durable: Position,
    /// Records ever appended.
    pub appended: u64,
    /// Records stored now.
    pub stored: u64,
    /// Records released after every reader passed them (and `keep` ran out).
    pub released: u64,
    /// Records given up by the store (cap, age, quarantined, thinned, purged).
    pub lost: u64,
    /// Bytes stored now.
    pub bytes: u64,
    /// Arrival of the oldest block, arrival clock.
    pub oldest_arrival: Option<i64>,
    /// Each reader's cursor and the arrival of the record it stands at (`None`: it has read everything).
    pub readers: Vec<ReaderHealth>,
}

/// Where one reader stands in a partition.
#[derive(Debug, Clone)]
pub struct ReaderHealth {
    /// Its name.
    pub reader: String,
    /// Its durable cursor.
    pub cursor: Position,
    /// What it holds back: nothing from here on is released. Of a pipeline, where its last snapshot stands.
    pub holds_from: Position,
    /// Records between the cursor and the durable end.
    pub behind: u64,
    /// Arrival (arrival clock) of the oldest record not read yet.
    pub oldest_unread_arrival: Option<i64>,
}
