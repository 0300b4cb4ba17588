//! Whether data flows or safely waits, and everything that is not well, in sentences.
//!
//! | part | what is seen | severity |
//! |---|---|---|
//! | store | poisoned | not ready |
//! | store | [`NEARLY_FULL`] percent of its cap used; full for want of the reserve; commits wait for the disk | not ready |
//! | store | less than the reserve left of the file system, and yet not full | warning |
//! | store | full within [`FULL_SOON`] at the present rate | warning |
//! | store | repairs at open; cursors nobody has configured; records given up lately | warning |
//! | stream that blocks | [`NEARLY_FULL`] percent of its cap used: its sources wait or drop | not ready |
//! | stream that blocks | full within [`FULL_SOON`] at the present rate | warning |
//! | stream that drops its oldest | full within [`FULL_SOON`]: it would drop what is not delivered | warning |
//! | source | connecting, retrying or failed: no data flows | not ready |
//! | source | connected, with a remark | warning |
//! | pipeline | failed: a plugin in quarantine, a poisoned store | not ready |
//! | pipeline | recovering; waiting for room; behind its input, or its event time behind the clock | warning |
//! | sink | failed | not ready |
//! | sink | a delivery waits to be tried again; behind its stream | warning |
//! | sink | held: its uplink is shut by the schedule, or the hour's budget is spent | waiting |
//! | clock | the wall clock is not set | warning |
//! | flash | few days of the stated endurance are left, or the write budget is not kept to | warning |
//!
//! So a sink whose upstream is down leaves the gateway ready as long as there is room: what it should deliver waits
//! safely. Ready means no reason of severity "not ready"; healthy means nothing but what waits as it was told to.

mod parts;
mod rate;
mod stored;
#[cfg(test)]
mod tests;

use crate::config::StreamConfig;
use rate::Samples;
use serde::Serialize;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tidegate_record::Wall;
use tidegate_store::Health;

/// Percent of a cap from which on it counts as full.
pub const NEARLY_FULL: u64 = 95;
/// A forecast shorter than this is worth a warning.
pub const FULL_SOON: Duration = Duration::from_secs(24 * 3600);
/// A reader whose oldest unread record waits longer than this is behind.
pub const BEHIND: Duration = Duration::from_secs(60);
/// Windows whose newest event time is further behind the wall clock than this have fallen behind.
pub const WATERMARK_LAG: Duration = Duration::from_secs(600);

/// Whether the gateway may take traffic, and why not (or what else is not well).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ready {
    /// No reason is of severity "not ready".
    pub ready: bool,
    /// Everything that is not well, the worst first.
    pub reasons: Vec<Reason>,
}

/// One thing that is not well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// What it means for the gateway.
    pub severity: Severity,
    /// `store`, `stream/NAME`, `source/NAME`, `pipeline/NAME`, `sink/NAME`, `clock`, `flash`.
    pub component: String,
    /// A sentence.
    pub reason: String,
}

/// What a reason means for the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Data neither flows nor safely waits.
    NotReady,
    /// Degraded, and nothing is lost by it yet.
    Warning,
    /// No trouble: it waits because it was told to.
    Waiting,
}

/// What is seen of the gateway at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'s> {
    /// Boot clock, microseconds.
    pub boot: i64,
    /// Wall clock.
    pub wall: Wall,
    /// Arrival clock ([`tidegate_store::Store::arrival_now`]), microseconds.
    pub arrival: i64,
    /// The store.
    pub health: &'s Health,
    /// Every source.
    pub sources: &'s [tidegate_devices::Status],
    /// Every pipeline, with its name.
    pub pipelines: &'s [(String, tidegate_pipeline::Status)],
    /// Every sink.
    pub sinks: &'s [tidegate_sinks::Status],
}

/// Judges what is seen. It remembers a minute of it, for rates.
#[derive(Debug)]
pub struct Monitor {
    streams: Vec<StreamConfig>,
    reserve: u64,
    samples: Mutex<Samples>,
}

impl Monitor {
    /// A monitor of a gateway with these streams.
    pub fn new(streams: &[StreamConfig]) -> Self {
        Monitor { streams: streams.to_vec(), reserve: 0, samples: Mutex::default() }
    }

    /// Free bytes of the file system that the store never uses (`store.reserve`).
    pub fn with_reserve(self, reserve: u64) -> Self {
        Monitor { reserve, ..self }
    }

    /// What to say of what is seen now. Cheap; called for every probe.
    pub fn judge(&self, seen: &Seen<'_>) -> Ready {
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        samples.add(seen.boot, seen.health);
        let mut reasons = Vec::new();
        stored::judge(seen, (&self.streams, self.reserve), &samples, &mut reasons);
        parts::judge(seen, &mut reasons);
        reasons.sort_by_key(|reason| reason.severity);
        Ready { ready: reasons.iter().all(|reason| reason.severity != Severity::NotReady), reasons }
    }
}

impl Ready {
    /// With warnings of another part.
    pub fn with(mut self, reasons: Vec<Reason>) -> Self {
        self.reasons.extend(reasons);
        self.reasons.sort_by_key(|reason| reason.severity);
        self
    }

    /// Nothing is amiss: what waits was told to.
    pub fn is_healthy(&self) -> bool {
        self.reasons.iter().all(|reason| reason.severity == Severity::Waiting)
    }
}

impl Reason {
    fn waiting(component: impl Into<String>, reason: impl Into<String>) -> Self {
        Reason { severity: Severity::Waiting, component: component.into(), reason: reason.into() }
    }

    fn not_ready(component: impl Into<String>, reason: impl Into<String>) -> Self {
        Reason { severity: Severity::NotReady, component: component.into(), reason: reason.into() }
    }

    pub(crate) fn warning(component: impl Into<String>, reason: impl Into<String>) -> Self {
        Reason { severity: Severity::Warning, component: component.into(), reason: reason.into() }
    }
}

/// A duration for people: its largest unit only, rounded down.
fn about(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// The time from `earlier` to `now`, both microseconds; zero where they are the other way round.
fn since(earlier: i64, now: i64) -> Duration {
    Duration::from_micros(u64::try_from(now.saturating_sub(earlier)).unwrap_or(0))
}
