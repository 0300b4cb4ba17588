//! What a shadow came to, and what its bounds say of that.

use super::compare::Found;
use super::cost::Costs;
use crate::operator::Operator;
use serde::Serialize;

/// Most differences kept as text.
const DIFFERENCES_MAX: usize = 8;
/// A cost is compared once both have been given so many records: what a first call costs says nothing.
const RECORDS_FOR_COST: u64 = 5_000;

/// What a shadow must keep to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// After so many records within the other bounds it has passed; `None`: it goes on until it is stopped.
    pub records: Option<u64>,
    /// The greatest share of results that may differ.
    pub differ: f64,
    /// How many times the live one's nanoseconds a record it may take: judged at the end where there is one, else all along.
    pub slower: f64,
    /// How many more records than the live one's it may fault on.
    pub faults: u64,
}

/// Whether a shadow keeps to its bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It did, for as long as was asked.
    Passed,
    /// It does not, and why.
    Failed(String),
    /// It was ended before there was anything to say: by a person, a swap or the end of the pipeline.
    Stopped,
}

/// What a shadow is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ShadowState {
    /// It runs beside the live one.
    Running,
    /// It could not go on: `reason` says why.
    Ended,
    /// It was told to stop.
    Stopped,
}

/// How a shadow does.
#[derive(Debug, Clone, Serialize)]
pub struct ShadowReport {
    /// Name and version of the plugin beside the live one.
    pub plugin: String,
    /// SHA-256 of its component.
    pub sha256: String,
    /// Whether it runs.
    pub state: ShadowState,
    /// Why it ended.
    pub reason: Option<String>,
    /// Records given to both.
    pub records: u64,
    /// Results compared: of a filter or detector the records given, else the records made by either.
    pub compared: u64,
    /// Results that differ.
    pub differ: u64,
    /// The first of them: device, time, field, the live value and the shadow's.
    pub differences: Vec<String>,
    /// Records (or windows) it faulted on.
    pub faults: u64,
    /// Those the live one faulted on meanwhile.
    pub live_faults: u64,
    /// Nanoseconds a record in its calls lately, without those that took longest: the machine had other things to do.
    pub ns_per_record: u64,
    /// The live one's on the same records.
    pub live_ns_per_record: u64,
}

/// The figures of a shadow.
#[derive(Debug)]
pub(super) struct Books {
    report: ShadowReport,
    bounds: Bounds,
    own: Costs,
    live: Costs,
}

/// What came of an entry.
pub(super) struct Noted {
    pub records: usize,
    pub found: Found,
    /// Records it faulted on, and the live one.
    pub faults: (usize, usize),
    /// Nanoseconds in its calls, and in the live one's.
    pub time_ns: (u64, u64),
}

impl Books {
    pub fn new(operator: &mut dyn Operator, bounds: Bounds) -> Books {
        let report = ShadowReport {
            plugin: operator.plugin(),
            sha256: operator.runner().plugin().sha256(),
            state: ShadowState::Running,
            reason: None,
            records: 0,
            compared: 0,
            differ: 0,
            differences: Vec::new(),
            faults: 0,
            live_faults: 0,
            ns_per_record: 0,
            live_ns_per_record: 0,
        };
        Books { report, bounds, own: Costs::default(), live: Costs::default() }
    }

    pub fn report(&self) -> ShadowReport {
        let (ns_per_record, live_ns_per_record) = (self.own.ns_per_record(), self.live.ns_per_record());
        ShadowReport { ns_per_record, live_ns_per_record, ..self.report.clone() }
    }

    /// Adds what came of an entry. Gives why it must end, where it must.
    pub fn note(&mut self, Noted { records, found, faults, time_ns }: Noted) -> Option<String> {
        self.own.add(records, time_ns.0);
        self.live.add(records, time_ns.1);
        let report = &mut self.report;
        report.records += records as u64;
        report.compared += found.compared as u64;
        report.differ += found.differ as u64;
        let room = DIFFERENCES_MAX.saturating_sub(report.differences.len());
        report.differences.extend(found.differences.into_iter().take(room));
        report.faults += faults.0 as u64;
        report.live_faults += faults.1 as u64;
        if self.bounds.records.is_none() { self.too_slow() } else { None }
    }

    /// It runs no more; `None`: it was told to stop. What was said first stands.
    pub fn end(&mut self, reason: Option<String>) {
        if self.report.state == ShadowState::Running {
            self.report.state = if reason.is_some() { ShadowState::Ended } else { ShadowState::Stopped };
            self.report.reason = reason;
        }
    }

    fn too_slow(&self) -> Option<String> {
        if self.report.records < RECORDS_FOR_COST {
            return None;
        }
        let (ns_per_record, live_ns_per_record) = (self.own.ns_per_record(), self.live.ns_per_record());
        let slower = self.bounds.slower;
        (ns_per_record as f64 > slower * live_ns_per_record.max(1) as f64).then(|| {
            format!("it takes {ns_per_record} ns a record, over {slower} × the {live_ns_per_record} of the live one")
        })
    }

    /// What the bounds say by now.
    pub fn verdict(&self) -> Option<Verdict> {
        let ShadowReport { state, records, compared, differ, faults, live_faults, ref reason, .. } = self.report;
        let Bounds { records: wanted, differ: share, faults: faults_max, .. } = self.bounds;
        match (state, reason) {
            (ShadowState::Running, _) => {}
            (ShadowState::Ended, Some(reason)) => return Some(Verdict::Failed(reason.clone())),
            (ShadowState::Ended | ShadowState::Stopped, _) => return Some(Verdict::Stopped),
        }
        let more = faults.saturating_sub(live_faults);
        if more > faults_max {
            let why = format!("it faulted on {more} records more than the live one, over the bound of {faults_max}");
            return Some(Verdict::Failed(why));
        }
        // An aggregate has no result to compare before a window closes.
        if wanted.is_none_or(|wanted| records < wanted || compared == 0) {
            return None;
        }
        if let Some(reason) = self.too_slow() {
            return Some(Verdict::Failed(reason));
        }
        let differs = differ as f64 / compared.max(1) as f64;
        if differs > share {
            let first =
                self.report.differences.first().map(|first| format!("; the first: {first}")).unwrap_or_default();
            let why = format!("{differ} of {compared} results differ, over the bound of {share}{first}");
            return Some(Verdict::Failed(why));
        }
        Some(Verdict::Passed)
    }
}
