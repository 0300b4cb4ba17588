//! What the store counts for `/metrics`.

use crate::api::LossReason;
use metrics::{Counter, Gauge, Histogram};

/// Handles of the store's metrics.
pub(crate) struct Meters {
    commits: Counter,
    written: Counter,
    duration: Histogram,
    disk: Gauge,
}

impl Meters {
    pub(crate) fn new() -> Self {
        Meters {
            commits: metrics::counter!("tidegate_store_commits_total"),
            written: metrics::counter!("tidegate_store_written_bytes_total"),
            duration: metrics::histogram!("tidegate_store_commit_duration_seconds"),
            disk: metrics::gauge!("tidegate_store_disk_bytes"),
        }
    }

    /// Records appended to a stream, once durable.
    pub(crate) fn appended(&self, stream: &str) -> Counter {
        metrics::counter!("tidegate_store_records_appended_total", "stream" => stream.to_string())
    }

    /// A group commit wrote `bytes` in `micros`.
    pub(crate) fn commit(&self, bytes: u64, micros: i64) {
        self.commits.increment(1);
        self.written.increment(bytes);
        self.duration.record(micros as f64 / 1e6);
    }

    pub(crate) fn disk(&self, bytes: u64) {
        self.disk.set(bytes as f64);
    }

    /// Records given up since the store was created: the total goes on over restarts, as the ledger does.
    pub(crate) fn lost(&self, stream: &str, reason: LossReason, total: u64) {
        metrics::counter!(
            "tidegate_store_records_lost_total",
            "stream" => stream.to_string(),
            "reason" => reason.word()
        )
        .absolute(total);
    }
}
