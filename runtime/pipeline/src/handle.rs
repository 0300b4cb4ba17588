//! What a pipeline shows of itself, and how it is asked.

use crate::Quarantined;
use crate::ask::{Answer, Ask, Asking, Asks, asks};
use crate::cost::{Cost, Meter};
use serde::Serialize;
use std::sync::{Arc, Mutex, PoisonError};

/// The outside's end of a running pipeline. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    status: Arc<Mutex<Status>>,
    meters: Arc<Mutex<Vec<Meter>>>,
    asking: Asking,
}

/// How a pipeline is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Restoring state and replaying up to the committed read position.
    #[default]
    Recovering,
    /// Reading.
    Running,
    /// A full stream makes it wait.
    Waiting,
    /// It stands, for a plugin is in quarantine: `reason` says which. It goes on when that is released.
    Quarantined,
    /// Stopped for good: `reason` says why (a poisoned store, a state it cannot go on from).
    Failed,
    /// Drained.
    Stopped,
}

/// A pipeline's status, for the API and readiness.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Status {
    /// What it does now.
    pub state: State,
    /// Why it failed or waits.
    pub reason: Option<String>,
    /// Records read since the process started.
    pub records_in: u64,
    /// Records appended.
    pub records_out: u64,
    /// Microseconds it has worked: read, called plugins, made commits ready.
    pub work_us: u64,
    /// Late records.
    pub late: u64,
    /// Records (or windows) a plugin faulted on.
    pub faults: u64,
    /// Records of devices beyond `max_keys`.
    pub overflow: u64,
    /// Newest event time seen by its windows, microseconds since the epoch.
    pub newest_event_time: Option<i64>,
    /// Arrival clock of the newest entry it has taken in.
    pub arrival: i64,
    /// Checkpoints taken.
    pub checkpoints: u64,
    /// Records replayed at the start.
    pub replayed: u64,
    /// The last record or window a plugin faulted on, and why.
    pub last_fault: Option<String>,
    /// Plugins in quarantine.
    pub quarantined: Vec<Quarantined>,
    /// What recovery had to give up, in words: a diverged replay, state of other operators.
    pub notes: Vec<String>,
}

impl Handle {
    pub(crate) fn new() -> (Self, Asks) {
        let (asking, asks) = asks();
        (Handle { status: Arc::default(), meters: Arc::default(), asking }, asks)
    }

    /// Has the pipeline do something between two turns; resolves with what it did. The error is a sentence, and nothing
    /// was done.
    pub async fn ask(&self, ask: Ask) -> Result<Answer, String> {
        self.asking.ask(ask).await
    }

    /// The status now.
    pub fn status(&self) -> Status {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What each operator has cost so far.
    pub fn costs(&self) -> Vec<Cost> {
        let work_us = self.status().work_us;
        let meters = self.meters.lock().unwrap_or_else(PoisonError::into_inner);
        (1..).zip(meters.iter()).map(|(operator, meter)| meter.read(operator, work_us)).collect()
    }

    /// Whose cost is shown from now on.
    pub(crate) fn meter(&self, meters: Vec<Meter>) {
        *self.meters.lock().unwrap_or_else(PoisonError::into_inner) = meters;
    }

    pub(crate) fn update<T>(&self, change: impl FnOnce(&mut Status) -> T) -> T {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
