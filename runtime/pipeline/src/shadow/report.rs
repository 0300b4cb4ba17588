//! What a shadow came to, and what its bounds say of that.

use super::compare::Found;
use super::cost::{Costs, Spent};
use crate::operator::Operator;
use serde::Serialize;

/// Most differences kept as text.
const DIFFERENCES_MAX: usize = 8;
/// A cost is compared once both have been given so many records: what a first call costs says nothing.
const RECORDS_FOR_COST: u64 = 5_000;
/// So is that of finishing windows once both did so at so many entries.
const FINISHES_FOR_COST: usize = 8;

/// What a shadow must keep to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// After so many records within the other bounds it has passed; `None`: it goes on until it is stopped.
    pub records: Option<u64>,
    /// The greatest share of results that may differ.
    pub differ: f64,
    /// How many times the live one's nanoseconds a record, and a window to finish, it may take: judged at the end where
    /// there is one, else all along.
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
    /// It was ended before there was anything to say: by a person, a swap, a fall or the end of the pipeline.
    Stopped(String),
}

/// What a shadow is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ShadowState {
    /// It runs beside the live one.
    Running,
    /// It could not go on: `reason` says why.
    Ended,
    /// Others ended it: `reason` says why.
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
    /// Of an aggregate: the same for a window that is finished.
    pub ns_per_window: u64,
    /// The live one's for the same windows.
    pub live_ns_per_window: u64,
    /// Fuel a record, windows included, where it is counted: no busy machine changes it.
    pub fuel_per_record: Option<u64>,
    /// The live one's on the same records.
    pub live_fuel_per_record: Option<u64>,
}

/// The figures of a shadow.
#[derive(Debug)]
pub(super) struct Books {
    report: ShadowReport,
    bounds: Bounds,
    records: Pair,
    windows: Pair,
    /// Its fuel, and the live one's, where it is counted.
    fuel: Option<(u64, u64)>,
    /// Why it is to stop, once it has come to the end of what it was given.
    stop: Option<String>,
}

/// What its calls cost, and the live one's.
#[derive(Debug, Default)]
struct Pair {
    own: Costs,
    live: Costs,
}

impl Pair {
    fn add(&mut self, own: (u64, u64), live: (u64, u64)) {
        self.own.add(own.0, own.1);
        self.live.add(live.0, live.1);
    }

    fn too_slow(&self, slower: f64, item: &str) -> Option<String> {
        let (own, live) = (self.own.ns_per_item(), self.live.ns_per_item());
        let is_over = own as f64 > slower * live.max(1) as f64;
        is_over.then(|| format!("it takes {own} ns a {item}, over {slower} × the {live} of the live one"))
    }
}

/// What came of an entry.
pub(super) struct Noted {
    pub records: usize,
    pub found: Found,
    /// Records it faulted on, and the live one.
    pub faults: (usize, usize),
    /// What it spent in its calls, and the live one.
    pub spent: (Spent, Spent),
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
            ns_per_window: 0,
            live_ns_per_window: 0,
            fuel_per_record: None,
            live_fuel_per_record: None,
        };
        Books { report, bounds, records: Pair::default(), windows: Pair::default(), fuel: None, stop: None }
    }

    pub fn report(&self) -> ShadowReport {
        let a_record = |fuel: u64| fuel.checked_div(self.report.records);
        ShadowReport {
            ns_per_record: self.records.own.ns_per_item(),
            live_ns_per_record: self.records.live.ns_per_item(),
            ns_per_window: self.windows.own.ns_per_item(),
            live_ns_per_window: self.windows.live.ns_per_item(),
            fuel_per_record: self.fuel.and_then(|(own, _)| a_record(own)),
            live_fuel_per_record: self.fuel.and_then(|(_, live)| a_record(live)),
            ..self.report.clone()
        }
    }

    /// Adds what came of an entry. Gives why it must end, where it must.
    pub fn note(&mut self, Noted { records, found, faults, spent: (own, live) }: Noted) -> Option<String> {
        self.records.add((records as u64, own.records_ns), (records as u64, live.records_ns));
        self.windows.add((own.windows, own.windows_ns), (live.windows, live.windows_ns));
        if let Some((own, live)) = own.fuel.zip(live.fuel) {
            let so_far = self.fuel.unwrap_or_default();
            self.fuel = Some((so_far.0 + own, so_far.1 + live));
        }
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

    /// It is to stop, and why.
    pub fn stop(&mut self, why: &str) {
        self.stop.get_or_insert_with(|| why.to_owned());
    }

    /// It runs no more; `None`: others ended it. What was said first stands.
    pub fn end(&mut self, reason: Option<String>) {
        if self.report.state == ShadowState::Running {
            self.report.state = if reason.is_some() { ShadowState::Ended } else { ShadowState::Stopped };
            let ended = || self.stop.take().unwrap_or_else(|| "its pipeline stopped".into());
            self.report.reason = Some(reason.unwrap_or_else(ended));
        }
    }

    fn too_slow(&self) -> Option<String> {
        let slower = self.bounds.slower;
        let records = self.report.records >= RECORDS_FOR_COST;
        let windows = self.windows.own.entries().min(self.windows.live.entries()) >= FINISHES_FOR_COST;
        let of_records = records.then(|| self.records.too_slow(slower, "record")).flatten();
        of_records.or_else(|| windows.then(|| self.windows.too_slow(slower, "window it finishes")).flatten())
    }

    /// Why others want it to end, or ended it.
    pub fn stopped(&self) -> Option<String> {
        let ended = (self.report.state == ShadowState::Stopped).then(|| self.report.reason.clone().unwrap_or_default());
        self.stop.clone().or(ended)
    }

    /// What the bounds say by now.
    pub fn verdict(&self) -> Option<Verdict> {
        let ShadowReport { state, records, compared, differ, faults, live_faults, ref reason, .. } = self.report;
        let Bounds { records: wanted, differ: share, faults: faults_max, .. } = self.bounds;
        match (state, reason) {
            (ShadowState::Running, _) => {}
            (ShadowState::Ended, reason) => return Some(Verdict::Failed(reason.clone().unwrap_or_default())),
            (ShadowState::Stopped, reason) => return Some(Verdict::Stopped(reason.clone().unwrap_or_default())),
        }
        // It works off what it was given: who told it to stop does not want it in the live one's place any more.
        if self.stop.is_some() {
            return None;
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
