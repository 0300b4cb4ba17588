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
    /// Adds dead letters and losses to the commit of the entry.
    pub fn note(&self, trouble: &Trouble, commit: &mut Commit) {
        self.loss(LossReason::Late, &trouble.late, commit);
        self.loss(LossReason::Fault, &trouble.overflow, commit);
        let faulted: Vec<u32> = trouble.rows.iter().map(|(_, origin, _)| *origin).collect();
        self.loss(LossReason::Fault, &faulted, commit);
        self.loss(LossReason::Fault, &trouble.aside, commit);
        let mut letters = Letters::new(self);
        if let Some(held) = self.held {
            let reason = held.sentence();
            trouble.aside.iter().for_each(|row| letters.row("quarantine", *row, &reason, &self.plugin));
        }
        for row in &trouble.overflow {
            letters.row("keys", *row, "this device is beyond max_keys: raise it, or mend the device ids", "");
        }
        for (_, origin, fault) in &trouble.rows {
            letters.row("plugin", *origin, &sentence(fault), &self.plugin);
        }
        for (_, device, start, fault) in &trouble.windows {
            let reason = format!("the window of {device} from {start} us on: {}", sentence(fault));
            letters.window(&reason, &self.plugin);
        }
        letters.finish().for_each(|append| commit.append(append, Times::set(self.wall)));
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
    builder: BatchBuilder,
}

impl<'a> Letters<'a> {
    fn new(report: &'a Report<'a>) -> Self {
        Letters { report, builder: BatchBuilder::new(Arc::new(streams::dead_letters())) }
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
        b.bytes(4, &frame[..frame.len().min(FRAME_BYTES_MAX)]);
        b.integer(5, frame.len() as i64);
        let name = self.report.producer.replace('/', ":");
        if b.end_row(&name, self.report.wall.micros).is_err() {
            b.rollback();
        }
    }

    fn finish(mut self) -> impl Iterator<Item = Append> {
        let pieces = Arc::new(self.builder.finish()).pieces().into_iter();
        pieces.map(|batch| Append { stream: streams::DEAD_LETTERS.into(), batch })
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
