//! What a trial found.

use std::fmt;
use std::time::Duration;

/// Counts of one trial, and every violation in words.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Power cuts and kills that happened.
    pub cuts: u32,
    /// SIGKILLs.
    pub kills: u32,
    /// Of both, those that hit a gateway that had not come up yet.
    pub early: u32,
    /// Readings sent.
    pub sent: u64,
    /// Readings the gateway acknowledged, as the witness saw it.
    pub acknowledged: u64,
    /// Different readings that came upstream.
    pub delivered: u64,
    /// Acknowledged and neither upstream, nor stored, nor in the ledger.
    pub lost: u64,
    /// Stores that were set aside, and gateways that did not come up.
    pub not_opened: u32,
    /// Records nobody sent.
    pub invented: u64,
    /// Records that are not as they were sent, or not as they first came.
    pub altered: u64,
    /// Records that came again under their identity.
    pub again: u64,
    /// Readings the broker sent again and the gateway took again, under an identity of their own.
    pub taken_again: u64,
    /// Publishes the broker sent again, by the DUP flag.
    pub redelivered: u64,
    /// Requests the upstream refused.
    pub refused: u64,
    /// Readings the windows counted.
    pub windowed: u64,
    /// Readings that were late for their window, by the ledger.
    pub late: u64,
    /// From the start after a fault to a fresh reading upstream: the longest.
    pub recovery_max: Duration,
    /// What must not be.
    pub violations: Vec<String>,
}

impl Verdict {
    /// Adds a violation unless `holds`.
    pub fn hold(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.violations.push(what());
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = [
            ("power cuts", u64::from(self.cuts)),
            ("kills", u64::from(self.kills)),
            ("of these, of a gateway that was still coming up", u64::from(self.early)),
            ("readings sent", self.sent),
            ("acknowledged by the gateway", self.acknowledged),
            ("delivered upstream, each counted once", self.delivered),
            ("acknowledged and lost", self.lost),
            ("stores that did not open", u64::from(self.not_opened)),
            ("records invented", self.invented),
            ("records altered", self.altered),
            ("delivered again, removable by identity", self.again),
            ("redelivered by the broker (DUP)", self.redelivered),
            ("of these, taken twice: removable by device and number", self.taken_again),
            ("requests the upstream refused", self.refused),
            ("counted in windows", self.windowed),
            ("late for their window, in the ledger", self.late),
        ];
        for (what, count) in rows {
            writeln!(f, "| {what:<56} | {count:>10} |")?;
        }
        let longest = self.recovery_max.as_secs_f64();
        writeln!(f, "| {:<56} | {longest:>8.1} s |", "longest from a start to a fresh reading upstream")?;
        for violation in &self.violations {
            writeln!(f, "VIOLATION: {violation}")?;
        }
        Ok(())
    }
}
