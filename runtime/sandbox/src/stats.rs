//! What a runner has done so far, for `/metrics` and `tidegate top`.

use crate::{Bound, Fault, FaultKind};
use metrics::{Counter, Gauge, counter, gauge};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};
use tidegate_record::SystemClock;

/// For the time spent in calls, which decides nothing.
pub(crate) static CLOCK: LazyLock<SystemClock> = LazyLock::new(SystemClock::default);

/// Counts of one runner. Read them from any thread.
#[derive(Debug, Default)]
pub struct Stats {
    /// Calls into the guest.
    pub calls: AtomicU64,
    /// Records (windows, when an aggregate finishes) given to it.
    pub records_in: AtomicU64,
    /// Records kept or made, findings, windows finished.
    pub records_out: AtomicU64,
    /// Microseconds spent in calls.
    pub time_us: AtomicU64,
    /// Most linear memory an instance had, in bytes.
    pub memory_bytes_peak: AtomicU64,
    /// Faulted calls and rejected rows.
    pub faults: AtomicU64,
    /// Bytes of the saved states of all slots.
    pub state_bytes: AtomicU64,
    /// Most beats of the deadline's clock ([`crate::TICK`]) that a call saw.
    pub ticks_peak: AtomicU64,
    /// Calls that ran into a limit, in the order of [`Bound::ALL`].
    pub bounds: [AtomicU64; Bound::ALL.len()],
    /// Lines it logged that were passed on.
    pub log_lines: AtomicU64,
    /// Lines over the bounds of a call or a minute.
    pub log_dropped: AtomicU64,
}

impl Stats {
    /// Nanoseconds a record so far, 0 where there was none.
    pub fn ns_per_record(&self) -> u64 {
        let records = self.records_in.load(Relaxed);
        (self.time_us.load(Relaxed) * 1000).checked_div(records).unwrap_or(0)
    }
}

/// The counts and their metrics.
pub(crate) struct Meters {
    pub(crate) stats: Arc<Stats>,
    operator: String,
    calls: Counter,
    records_in: Counter,
    records_out: Counter,
    time_us: Counter,
    memory_bytes: Gauge,
    state_bytes: Gauge,
}

impl Meters {
    /// `operator` is the label; counts go on in `stats`.
    pub(crate) fn new(operator: &str, stats: Arc<Stats>) -> Self {
        let operator = operator.to_string();
        Meters {
            calls: counter!("tidegate_plugin_calls_total", "operator" => operator.clone()),
            records_in: counter!("tidegate_plugin_records_in_total", "operator" => operator.clone()),
            records_out: counter!("tidegate_plugin_records_out_total", "operator" => operator.clone()),
            time_us: counter!("tidegate_plugin_call_time_us_total", "operator" => operator.clone()),
            memory_bytes: gauge!("tidegate_plugin_memory_bytes_peak", "operator" => operator.clone()),
            state_bytes: gauge!("tidegate_plugin_state_bytes", "operator" => operator.clone()),
            operator,
            stats,
        }
    }

    pub(crate) fn called(&self, records: usize, time_us: i64, ticks: u64) {
        let (records, time_us) = (records as u64, time_us.max(0) as u64);
        self.stats.calls.fetch_add(1, Relaxed);
        self.stats.records_in.fetch_add(records, Relaxed);
        self.stats.time_us.fetch_add(time_us, Relaxed);
        if ticks > 0 {
            self.stats.ticks_peak.fetch_max(ticks, Relaxed);
        }
        self.calls.increment(1);
        self.records_in.increment(records);
        self.time_us.increment(time_us);
    }

    pub(crate) fn made(&self, records: usize, rejected: usize) {
        self.stats.records_out.fetch_add(records as u64, Relaxed);
        self.records_out.increment(records as u64);
        if rejected > 0 {
            self.count_faults(FaultKind::Rejected, rejected as u64);
        }
    }

    pub(crate) fn memory(&self, bytes: usize) {
        if self.stats.memory_bytes_peak.fetch_max(bytes as u64, Relaxed) < bytes as u64 {
            self.memory_bytes.set(bytes as f64);
        }
    }

    pub(crate) fn faulted(&self, fault: &Fault) {
        self.count_faults(fault.kind, 1);
        if let Some(bound) = fault.bound {
            self.stats.bounds[bound as usize].fetch_add(1, Relaxed);
            let labels = [("operator", self.operator.clone()), ("limit", bound.option().to_string())];
            counter!("tidegate_plugin_limits_hit_total", &labels).increment(1);
        }
    }

    pub(crate) fn state(&self, bytes: usize) {
        self.stats.state_bytes.store(bytes as u64, Relaxed);
        self.state_bytes.set(bytes as f64);
    }

    pub(crate) fn operator(&self) -> &str {
        &self.operator
    }

    pub(crate) fn logged(&self, passed: u64, dropped: u64) {
        self.stats.log_lines.fetch_add(passed, Relaxed);
        self.stats.log_dropped.fetch_add(dropped, Relaxed);
        counter!("tidegate_plugin_log_lines_total", "operator" => self.operator.clone()).increment(passed);
        counter!("tidegate_plugin_log_dropped_total", "operator" => self.operator.clone()).increment(dropped);
    }

    fn count_faults(&self, kind: FaultKind, count: u64) {
        self.stats.faults.fetch_add(count, Relaxed);
        let labels = [("operator", self.operator.clone()), ("kind", kind.word().to_string())];
        counter!("tidegate_plugin_faults_total", &labels).increment(count);
    }
}
