//! What a runner has done so far, for `/metrics` and `tidegate top`.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of one runner. Read them from any thread.
#[derive(Debug, Default)]
pub struct Stats {
    /// Calls into the guest.
    pub calls: AtomicU64,
    /// Records given to it.
    pub records_in: AtomicU64,
    /// Records kept, found, made (windows finished, for an aggregate).
    pub records_out: AtomicU64,
    /// Microseconds spent in calls.
    pub time_us: AtomicU64,
    /// Most linear memory an instance had, in bytes.
    pub memory_bytes_peak: AtomicU64,
    /// Faulted calls and rejected rows.
    pub faults: AtomicU64,
}

impl Stats {
    /// Nanoseconds a record so far, 0 where there was none.
    pub fn ns_per_record(&self) -> u64 {
        let records = self.records_in.load(Ordering::Relaxed);
        (self.time_us.load(Ordering::Relaxed) * 1000).checked_div(records).unwrap_or(0)
    }
}
