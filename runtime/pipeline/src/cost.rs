//! What each operator of a pipeline costs.

use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use tidegate_sandbox::{Bound, Runner, Stats};

/// An operator and the counts of its runner.
#[derive(Debug, Clone)]
pub(crate) struct Meter {
    kind: &'static str,
    plugin: String,
    counts_fuel: bool,
    stats: Arc<Stats>,
}

/// What an operator has cost since its runner was made.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cost {
    /// Its place in the pipeline, from 1.
    pub operator: usize,
    /// What it does.
    pub kind: &'static str,
    /// Name and version of its plugin.
    pub plugin: String,
    /// Records (windows, when an aggregate finishes) given to the plugin.
    pub records_in: u64,
    /// Records kept or made, findings, windows finished.
    pub records_out: u64,
    /// Calls.
    pub calls: u64,
    /// Microseconds in calls.
    pub time_us: u64,
    /// That as a share of all the time the pipeline has worked; the rest is the other operators' and the gateway's own.
    pub time_share: f64,
    /// Nanoseconds a record: all time by all records.
    pub ns_per_record: u64,
    /// Half of the calls took no more than this, nanoseconds a record.
    pub ns_per_record_p50: Option<u64>,
    /// 99 of 100 calls did not.
    pub ns_per_record_p99: Option<u64>,
    /// The longest call, microseconds.
    pub call_us_max: u64,
    /// Fuel the calls took; `None` where it is not counted.
    pub fuel: Option<u64>,
    /// Fuel a record.
    pub fuel_per_record: Option<u64>,
    /// Most linear memory an instance had.
    pub memory_bytes_peak: u64,
    /// What the saved states of its slots take.
    pub state_bytes: u64,
    /// Faulted calls and rejected records.
    pub faults: u64,
    /// Calls that ran into a limit, by the limit's option.
    pub limits_hit: BTreeMap<&'static str, u64>,
    /// Lines it logged that were passed on.
    pub log_lines: u64,
    /// Lines it logged beyond its bounds.
    pub log_dropped: u64,
}

impl Meter {
    pub fn of(runner: &Runner) -> Meter {
        let (plugin, stats) = (runner.plugin(), runner.stats().clone());
        let (kind, about, counts_fuel) = (plugin.kind().word(), plugin.about(), plugin.counts_fuel());
        Meter { kind, plugin: format!("{} {}", about.name, about.version), counts_fuel, stats }
    }

    /// `work_us`: how long the pipeline has worked.
    pub fn read(&self, operator: usize, work_us: u64) -> Cost {
        let stats = &self.stats;
        let read = |count: &AtomicU64| count.load(Relaxed);
        let time_us = read(&stats.time_ns) / 1000;
        let hit = Bound::ALL.iter().zip(&stats.bounds).map(|(bound, count)| (bound.option(), read(count)));
        Cost {
            operator,
            kind: self.kind,
            plugin: self.plugin.clone(),
            records_in: read(&stats.records_in),
            records_out: read(&stats.records_out),
            calls: read(&stats.calls),
            time_us,
            time_share: if work_us == 0 { 0.0 } else { (time_us as f64 / work_us as f64).min(1.0) },
            ns_per_record: stats.ns_per_record(),
            ns_per_record_p50: stats.record_ns_at(0.5),
            ns_per_record_p99: stats.record_ns_at(0.99),
            call_us_max: read(&stats.call_ns_peak) / 1000,
            fuel: self.counts_fuel.then(|| read(&stats.fuel)),
            fuel_per_record: self.counts_fuel.then(|| stats.fuel_per_record()),
            memory_bytes_peak: read(&stats.memory_bytes_peak),
            state_bytes: read(&stats.state_bytes),
            faults: read(&stats.faults),
            limits_hit: hit.filter(|(_, count)| *count > 0).collect(),
            log_lines: read(&stats.log_lines),
            log_dropped: read(&stats.log_dropped),
        }
    }
}
