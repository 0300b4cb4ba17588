//! What becomes of a plugin that the sandbox gave up on.
//!
//! It halts at an entry, in the middle of a turn nothing of which was committed. The operators are made anew from the last
//! snapshot and the replay that a restart does, which brings the plugin to where it stood before that entry. From there
//! on it is not called: its records pass by or go to the dead letters, and the mark says so, so that every replay treats
//! them alike. A release is a checkpoint: no replay crosses it.

use crate::entry::Entry;
use serde::{Deserialize, Serialize};
use tidegate_record::Batch;
use tidegate_sandbox::Halted;

/// The policy for a plugin in quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnQuarantine {
    /// The pipeline stands, its read position with it.
    #[default]
    Halt,
    /// Records pass unchanged; what a transform would emit is null.
    Bypass,
    /// Each record goes to the dead letters.
    DeadLetter,
}

impl OnQuarantine {
    /// The word in configuration.
    pub fn word(self) -> &'static str {
        match self {
            OnQuarantine::Halt => "halt",
            OnQuarantine::Bypass => "bypass",
            OnQuarantine::DeadLetter => "dead_letter",
        }
    }
}

/// A plugin in quarantine, for the API and readiness.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// Which operator, from 1.
    pub operator: usize,
    /// Name and version.
    pub plugin: String,
    /// What becomes of its records.
    pub policy: OnQuarantine,
    /// The record it gave up at, such as `readings/0@1234`; empty where it was at none.
    pub at: String,
    /// The device of that record; empty where there is none.
    pub device: String,
    /// Why, with the last fault.
    pub reason: String,
    /// The arrival clock when it is tried again by itself.
    pub release_at: Option<i64>,
    /// Records it was not given since the process started.
    pub records: u64,
}

impl Quarantined {
    /// All of it in a sentence.
    pub fn sentence(&self) -> String {
        let Quarantined { operator, plugin, at, device, reason, .. } = self;
        let place = match (at.is_empty(), device.is_empty()) {
            (true, _) => String::new(),
            (false, true) => format!(" since {at}"),
            (false, false) => format!(" since {at} (device {device})"),
        };
        format!("operator {operator} ({plugin}) is in quarantine{place}: {reason}")
    }
}

/// A place in the order in which a pipeline takes its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct At {
    commit: u64,
    input: u32,
    first: u64,
}

impl At {
    /// Of an entry.
    pub fn of(entry: &Entry) -> Self {
        At { commit: entry.run.commit, input: entry.input as u32, first: entry.first.0 }
    }
}

/// A quarantine that the pipeline goes on in; part of the mark.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Held {
    /// Which operator, from 0.
    pub operator: u32,
    /// From this entry on it is not called.
    pub since: At,
    /// The first 8 bytes of the plugin's SHA-256: another file gets a chance of its own.
    pub plugin: u64,
    /// How long it is until the next try, microseconds of the arrival clock; 0: for ever.
    pub wait: i64,
    /// What people are told.
    pub shown: Quarantined,
}

/// An operator that halted.
#[derive(Debug)]
pub(crate) struct Fallen {
    /// Which operator, from 0.
    pub operator: usize,
    /// What the sandbox says.
    pub halted: Halted,
    /// The entry in hand; `None` where it fell while its state was saved.
    pub entry: Option<Entry>,
}

impl Fallen {
    /// The record at fault: its offset and device.
    pub fn record(&self) -> Option<(u64, &str)> {
        let entry = self.entry.as_ref()?;
        let row = self.halted.row.filter(|row| (*row as usize) < entry.batch.rows());
        let device = row.map_or("", |row| Batch::device(&entry.batch, row as usize));
        Some((entry.first.0 + u64::from(row.unwrap_or(0)), device))
    }
}
