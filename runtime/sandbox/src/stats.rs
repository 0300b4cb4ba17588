//! What a runner has done so far, for `/metrics` and `tidegate top`.

use crate::{Bound, Fault, FaultKind};
use metrics::{Counter, Gauge, Histogram, Label, counter, gauge, histogram};
use std::cell::OnceCell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};
use tidegate_record::SystemClock;

/// For the time spent in calls, which decides nothing.
pub(crate) static CLOCK: LazyLock<SystemClock> = LazyLock::new(SystemClock::default);

/// Upper bounds of the buckets that calls are counted in, by nanoseconds a record.
pub const RECORD_NS: [u64; 16] =
    [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 50_000, 100_000, 1_000_000];

/// Counts of one runner. Read them from any thread.
#[derive(Debug, Default)]
pub struct Stats {
    /// Calls into the guest.
    pub calls: AtomicU64,
    /// Records (windows, when an aggregate finishes) given to it.
    pub records_in: AtomicU64,
    /// Records kept or made, findings, windows finished.
    pub records_out: AtomicU64,
    /// Nanoseconds spent in calls.
    pub time_ns: AtomicU64,
    /// Fuel that calls took; 0 where it is not counted.
    pub fuel: AtomicU64,
    /// Nanoseconds of the longest call.
    pub call_ns_peak: AtomicU64,
    /// Calls by nanoseconds a record: one count for each of [`RECORD_NS`], and one for more than the last.
    pub record_ns: [AtomicU64; RECORD_NS.len() + 1],
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
        self.time_ns.load(Relaxed).checked_div(records).unwrap_or(0)
    }

    /// Fuel a record so far, 0 where there was none.
    pub fn fuel_per_record(&self) -> u64 {
        self.fuel.load(Relaxed).checked_div(self.records_in.load(Relaxed)).unwrap_or(0)
    }

    /// Nanoseconds a record that so large a share of the calls did not take longer than: a bound of [`RECORD_NS`], the
    /// longest call's where it took longer than the last; `None` where there was no call.
    pub fn record_ns_at(&self, share: f64) -> Option<u64> {
        let counts: Vec<u64> = self.record_ns.iter().map(|count| count.load(Relaxed)).collect();
        let wanted = (counts.iter().sum::<u64>() as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        let at = counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        })?;
        Some(RECORD_NS.get(at).copied().unwrap_or_else(|| self.call_ns_peak.load(Relaxed)))
    }
}

/// The counts and their metrics.
pub(crate) struct Meters {
    pub(crate) stats: Arc<Stats>,
    operator: String,
    plugin: Arc<str>,
    /// Registered when something is counted: by then the operator has its name.
    metrics: OnceCell<Metrics>,
    /// The same, where fuel is counted.
    fuel: OnceCell<Counter>,
}

struct Metrics {
    calls: Counter,
    records_in: Counter,
    records_out: Counter,
    time_ns: Counter,
    record_ns: Histogram,
    memory_bytes: Gauge,
    state_bytes: Gauge,
}

impl Meters {
    /// `operator` and `plugin` are the labels; counts go on in `stats`.
    pub(crate) fn new(operator: &str, plugin: Arc<str>, stats: Arc<Stats>) -> Self {
        Meters { stats, operator: operator.into(), plugin, metrics: OnceCell::new(), fuel: OnceCell::new() }
    }

    /// The same counts, under the name of an operator.
    pub(crate) fn renamed(&self, operator: &str) -> Self {
        Meters::new(operator, self.plugin.clone(), self.stats.clone())
    }

    /// The same counts, of another version of the plugin.
    pub(crate) fn of(&self, plugin: Arc<str>) -> Self {
        Meters::new(&self.operator, plugin, self.stats.clone())
    }

    fn labels(&self) -> Vec<Label> {
        vec![Label::new("operator", self.operator.clone()), Label::new("plugin", self.plugin.to_string())]
    }

    fn metrics(&self) -> &Metrics {
        self.metrics.get_or_init(|| Metrics {
            calls: counter!("tidegate_plugin_calls_total", self.labels()),
            records_in: counter!("tidegate_plugin_records_in_total", self.labels()),
            records_out: counter!("tidegate_plugin_records_out_total", self.labels()),
            time_ns: counter!("tidegate_plugin_call_time_ns_total", self.labels()),
            record_ns: histogram!("tidegate_plugin_record_ns", self.labels()),
            memory_bytes: gauge!("tidegate_plugin_memory_bytes_peak", self.labels()),
            state_bytes: gauge!("tidegate_plugin_state_bytes", self.labels()),
        })
    }

    /// A call with so many records, and how many beats of the deadline's clock it saw.
    pub(crate) fn called(&self, records: usize, time_ns: i64, ticks: u64) {
        let (records, time_ns) = (records as u64, time_ns.max(0) as u64);
        let record_ns = time_ns / records.max(1);
        self.stats.calls.fetch_add(1, Relaxed);
        self.stats.records_in.fetch_add(records, Relaxed);
        self.stats.time_ns.fetch_add(time_ns, Relaxed);
        raise(&self.stats.call_ns_peak, time_ns);
        self.stats.record_ns[RECORD_NS.partition_point(|&bound| bound < record_ns)].fetch_add(1, Relaxed);
        raise(&self.stats.ticks_peak, ticks);
        let metrics = self.metrics();
        metrics.calls.increment(1);
        metrics.records_in.increment(records);
        metrics.time_ns.increment(time_ns);
        metrics.record_ns.record(record_ns as f64);
    }

    /// What the fuel of a call was.
    pub(crate) fn burned(&self, fuel: u64) {
        self.stats.fuel.fetch_add(fuel, Relaxed);
        self.fuel.get_or_init(|| counter!("tidegate_plugin_fuel_total", self.labels())).increment(fuel);
    }

    pub(crate) fn made(&self, records: usize, rejected: usize) {
        self.stats.records_out.fetch_add(records as u64, Relaxed);
        self.metrics().records_out.increment(records as u64);
        if rejected > 0 {
            self.count_faults(FaultKind::Rejected, rejected as u64);
        }
    }

    pub(crate) fn memory(&self, bytes: usize) {
        if raise(&self.stats.memory_bytes_peak, bytes as u64) {
            self.metrics().memory_bytes.set(bytes as f64);
        }
    }

    pub(crate) fn state(&self, bytes: usize) {
        self.stats.state_bytes.store(bytes as u64, Relaxed);
        self.metrics().state_bytes.set(bytes as f64);
    }

    pub(crate) fn faulted(&self, fault: &Fault) {
        self.count_faults(fault.kind, 1);
        if let Some(bound) = fault.bound {
            self.stats.bounds[bound as usize].fetch_add(1, Relaxed);
            self.count("tidegate_plugin_limits_hit_total", Some(("limit", bound.option())), 1);
        }
    }

    pub(crate) fn operator(&self) -> &str {
        &self.operator
    }

    pub(crate) fn logged(&self, passed: u64, dropped: u64) {
        self.stats.log_lines.fetch_add(passed, Relaxed);
        self.stats.log_dropped.fetch_add(dropped, Relaxed);
        self.count("tidegate_plugin_log_lines_total", None, passed);
        self.count("tidegate_plugin_log_dropped_total", None, dropped);
    }

    fn count_faults(&self, kind: FaultKind, count: u64) {
        self.stats.faults.fetch_add(count, Relaxed);
        self.count("tidegate_plugin_faults_total", Some(("kind", kind.word())), count);
    }

    /// What is seldom counted is looked up each time.
    fn count(&self, name: &'static str, also: Option<(&'static str, &'static str)>, count: u64) {
        let mut labels = self.labels();
        labels.extend(also.map(|(key, value)| Label::new(key, value)));
        counter!(name, labels).increment(count);
    }
}

/// Notes a value, and says whether it is the highest so far: most calls only look.
fn raise(peak: &AtomicU64, value: u64) -> bool {
    peak.load(Relaxed) < value && peak.fetch_max(value, Relaxed) < value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_what_a_record_took() {
        let meters = Meters::new("p/1", "some 1.0.0".into(), Arc::default());
        let stats = meters.stats.clone();
        assert_eq!((stats.ns_per_record(), stats.record_ns_at(0.5)), (0, None));
        // 98 calls of 4 ns a record, one of 150, one of 30 ms.
        (0..98).for_each(|_| meters.called(1000, 4_000, 0));
        meters.called(10, 1_500, 0);
        meters.called(1, 30_000_000, 0);
        let at = [0.5, 0.98, 0.99, 1.0].map(|share| stats.record_ns_at(share));
        assert_eq!(at, [Some(5), Some(5), Some(200), Some(30_000_000)]);
        assert_eq!(stats.ns_per_record(), (98 * 4_000 + 1_500 + 30_000_000) / 98_011);
        assert_eq!(stats.call_ns_peak.load(Relaxed), 30_000_000);
    }
}
