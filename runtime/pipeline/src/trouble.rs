//! What could not be done with a record, as dead letters, ledger entries and counts.

use crate::Quarantined;
use crate::entry::Entry;
use crate::handle::Status;
use crate::operator::Trouble;
use std::sync::Arc;
use tidegate_record::{BatchBuilder, Times, Wall, streams};
use tidegate_sandbox::Fault;
use tidegate_store::{Append, Commit, Loss, LossReason, Partition};

/// Most bytes of a fault's message and backtrace in a dead letter.
const REASON_BYTES_MAX: usize = 2048;

/// Most bytes of a record (as JSON) that its dead letter keeps; `frame_bytes` has its true length.
const FRAME_BYTES_MAX: usize = 64 * 1024;

/// A batch of dead letters ends where their texts and records have so many bytes.
const LETTERS_BYTES_MAX: usize = 4 << 20;

/// What the dead letters and ledger entries of one entry say of where they come from.
pub(crate) struct Report<'a> {
    pub producer: &'a Arc<str>,
    pub partition: &'a Partition,
    pub entry: &'a Entry,
    pub plugin: String,
    /// Which operator, from 0.
    pub operator: usize,
    /// The quarantine it is in.
    pub held: Option<&'a Quarantined>,
    /// When it is noted.
    pub wall: Wall,
}

impl Report<'_> {
    /// Adds dead letters and losses to the commit of the entry. An operator before may have made many records of one:
    /// that one is lost once, and is in the dead letters once.
    pub fn note(&self, trouble: &Trouble, commit: &mut Commit) {
        let (overflow, aside) = (distinct(&trouble.overflow), distinct(&trouble.aside));
        let mut faulted: Vec<(u32, &Fault)> = trouble.rows.iter().map(|(_, origin, fault)| (*origin, fault)).collect();
        faulted.sort_by_key(|(origin, _)| *origin);
        let faulted: Vec<_> = faulted.chunk_by(|(one, _), (other, _)| one == other).collect();
        self.loss(LossReason::Late, &trouble.late, commit);
        self.loss(LossReason::Fault, &overflow, commit);
        self.loss(LossReason::Fault, &faulted.iter().map(|same| same[0].0).collect::<Vec<_>>(), commit);
        self.loss(LossReason::Fault, &aside, commit);
        let mut letters = Letters::new(self, commit);
        if let Some(held) = self.held {
            let reason = held.sentence();
            aside.iter().for_each(|row| letters.row("quarantine", *row, &reason, &self.plugin));
        }
        for row in &overflow {
            letters.row("keys", *row, "this device is beyond max_keys: raise it, or mend the device ids", "");
        }
        for same in faulted {
            let (origin, fault) = same[0];
            let reason = match same.len() {
                1 => sentence(fault),
                count => format!("{count} records made of this one faulted, the first: {}", sentence(fault)),
            };
            letters.row("plugin", origin, &reason, &self.plugin);
        }
        for (_, device, start, fault) in &trouble.windows {
            let reason = format!("the window of {device} from {start} us on: {}", sentence(fault));
            letters.window(&reason, &self.plugin);
        }
        letters.end();
    }

    /// The first fault in a sentence that names plugin, version, operator, device and offset.
    pub fn first(&self, trouble: &Trouble) -> Option<String> {
        let operator = self.operator + 1;
        if let Some((_, origin, fault)) = trouble.rows.first() {
            let at = self.entry.first.0 + u64::from(*origin);
            let device = self.entry.batch.device(*origin as usize);
            return Some(format!("operator {operator}, {}@{at} (device {device}): {fault}", self.partition));
        }
        let (_, device, start, fault) = trouble.windows.first()?;
        Some(format!("operator {operator}, the window of {device} from {start} us on: {fault}"))
    }

    fn loss(&self, reason: LossReason, rows: &[u32], commit: &mut Commit) {
        let (Some(first), Some(last)) = (rows.iter().min(), rows.iter().max()) else { return };
        let at = |row: &u32| self.entry.first.0 + u64::from(*row);
        commit.losses.push(Loss {
            stream: self.partition.stream.clone(),
            partition: self.partition.number,
            reason,
            stage: self.producer.clone(),
            count: rows.len() as u64,
            offsets: Some((at(first), at(last))),
        });
    }
}

/// Each of the rows once, ascending.
fn distinct(rows: &[u32]) -> Vec<u32> {
    let mut rows = rows.to_vec();
    rows.sort_unstable();
    rows.dedup();
    rows
}

fn sentence(fault: &Fault) -> String {
    let mut text = fault.to_string();
    if !fault.backtrace.is_empty() {
        text.push('\n');
        text.push_str(&fault.backtrace);
    }
    let mut end = text.len().min(REASON_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

/// Dead letters in the making.
struct Letters<'a> {
    report: &'a Report<'a>,
    commit: &'a mut Commit,
    builder: BatchBuilder,
    /// Of texts and records in the builder.
    bytes: usize,
}

impl<'a> Letters<'a> {
    fn new(report: &'a Report<'a>, commit: &'a mut Commit) -> Self {
        Letters { report, commit, builder: BatchBuilder::new(Arc::new(streams::dead_letters())), bytes: 0 }
    }

    /// A letter with the record as JSON.
    fn row(&mut self, stage: &str, row: u32, reason: &str, plugin: &str) {
        let Report { partition, entry, .. } = self.report;
        let origin = format!("{partition}@{}", entry.first.0 + u64::from(row));
        let json = serde_json::to_vec(&entry.batch.row(row as usize)).unwrap_or_default();
        self.letter(stage, reason, &origin, plugin, &json);
    }

    fn window(&mut self, reason: &str, plugin: &str) {
        let origin = format!("{}@{}", self.report.partition, self.report.entry.first.0);
        self.letter("plugin", reason, &origin, plugin, &[]);
    }

    /// Fields as [`streams::dead_letters`] declares them.
    fn letter(&mut self, stage: &str, reason: &str, origin: &str, plugin: &str, frame: &[u8]) {
        let b = &mut self.builder;
        b.text(0, stage);
        b.text(1, reason);
        b.text(2, origin);
        if !plugin.is_empty() {
            b.text(3, plugin);
        }
        let kept = &frame[..frame.len().min(FRAME_BYTES_MAX)];
        b.bytes(4, kept);
        b.integer(5, frame.len() as i64);
        let name = self.report.producer.replace('/', ":");
        if b.end_row(&name, self.report.wall.micros).is_err() {
            b.rollback();
        }
        self.bytes += reason.len() + kept.len();
        if self.bytes >= LETTERS_BYTES_MAX {
            self.end();
        }
    }

    /// Ends a batch.
    fn end(&mut self) {
        self.bytes = 0;
        for batch in Arc::new(self.builder.finish()).pieces() {
            let append = Append { stream: streams::DEAD_LETTERS.into(), batch };
            self.commit.append(append, Times::set(self.report.wall));
        }
    }
}

/// Adds to the status.
pub(crate) fn count(status: &mut Status, operator: usize, trouble: &Trouble) {
    status.late += trouble.late.len() as u64;
    status.overflow += trouble.overflow.len() as u64;
    status.faults += (trouble.rows.len() + trouble.windows.len()) as u64;
    let held = trouble.aside.len() + trouble.passed;
    let shown = status.quarantined.iter_mut().find(|shown| shown.operator == operator + 1 && held > 0);
    shown.into_iter().for_each(|shown| shown.records += held as u64);
}

/// The pipeline's metrics.
pub(crate) struct Counters {
    received: metrics::Counter,
    sent: metrics::Counter,
    late: metrics::Counter,
    faults: metrics::Counter,
    work_us: metrics::Counter,
    aside: metrics::Counter,
    passed: metrics::Counter,
    quarantined: metrics::Gauge,
    diverged: metrics::Counter,
}

impl Counters {
    pub fn new(pipeline: &str) -> Self {
        let name = pipeline.to_owned();
        Counters {
            received: metrics::counter!("tidegate_pipeline_records_received_total", "pipeline" => name.clone()),
            sent: metrics::counter!("tidegate_pipeline_records_sent_total", "pipeline" => name.clone()),
            late: metrics::counter!("tidegate_pipeline_records_late_total", "pipeline" => name.clone()),
            faults: metrics::counter!("tidegate_pipeline_faults_total", "pipeline" => name.clone()),
            work_us: metrics::counter!("tidegate_pipeline_work_us_total", "pipeline" => name.clone()),
            aside: metrics::counter!("tidegate_pipeline_records_set_aside_total", "pipeline" => name.clone()),
            passed: metrics::counter!("tidegate_pipeline_records_bypassed_total", "pipeline" => name.clone()),
            quarantined: metrics::gauge!("tidegate_pipeline_operators_quarantined", "pipeline" => name.clone()),
            diverged: metrics::counter!("tidegate_pipeline_replays_diverged_total", "pipeline" => name),
        }
    }

    pub fn received(&self, records: u64) {
        self.received.increment(records);
    }

    pub fn worked(&self, micros: u64) {
        self.work_us.increment(micros);
    }

    pub fn sent(&self, records: u64) {
        self.sent.increment(records);
    }

    pub fn quarantined(&self, operators: usize) {
        self.quarantined.set(operators as f64);
    }

    pub fn diverged(&self, operators: usize) {
        self.diverged.increment(operators as u64);
    }

    pub fn trouble(&self, trouble: &Trouble) {
        self.late.increment(trouble.late.len() as u64);
        self.aside.increment(trouble.aside.len() as u64);
        self.passed.increment(trouble.passed as u64);
        self.faults.increment((trouble.rows.len() + trouble.windows.len() + trouble.overflow.len()) as u64);
    }
}

#[cfg(test)]
#[path = "trouble/tests.rs"]
mod tests;
