//! What a pipeline is told.

use crate::OnQuarantine;
use std::sync::Arc;
use std::time::Duration;
use tidegate_sandbox::{Limits, Plugin};

/// A pipeline as configured, its plugins loaded.
#[derive(Debug, Clone)]
pub struct PipelineOptions {
    /// Its name; the producer is `pipeline/NAME`.
    pub name: Arc<str>,
    /// The streams it reads; their fields are the same.
    pub from: Vec<Arc<str>>,
    /// The stream it appends to.
    pub to: Arc<str>,
    /// Operators in order.
    pub operators: Vec<OperatorOptions>,
    /// How much arrival time may pass between snapshots.
    pub checkpoint_interval: Duration,
    /// How many bytes of input (in memory) may pass between snapshots.
    pub checkpoint_bytes: u64,
}

/// One operator as configured. What it does is the plugin's kind.
#[derive(Debug, Clone)]
pub struct OperatorOptions {
    /// The loaded plugin.
    pub plugin: Arc<Plugin>,
    /// Its parameters, a JSON object.
    pub params: String,
    /// The plugin's limits.
    pub limits: Limits,
    /// The window of an aggregate; `None` for the other kinds.
    pub window: Option<WindowOptions>,
    /// Transform: the input's fields that go on beside what the plugin emits; `None`: all of them.
    pub keep: Option<Vec<String>>,
    /// Most devices with state; a new device beyond it goes to the dead letters.
    pub max_keys: usize,
    /// What becomes of records when the plugin is in quarantine.
    pub on_quarantine: OnQuarantine,
    /// After how long (arrival clock) it is tried again by itself; `None`: when a person says so.
    pub release_after: Option<Duration>,
    /// Why the plugin is not to begin by itself, where it is not: the pipeline stands until it is released.
    pub doubt: Option<String>,
}

impl OperatorOptions {
    /// A plugin without parameters, everything else as where nothing is said.
    pub fn of(plugin: Arc<Plugin>) -> Self {
        OperatorOptions {
            plugin,
            params: "{}".into(),
            limits: Limits::default(),
            window: None,
            keep: None,
            max_keys: 100_000,
            on_quarantine: OnQuarantine::default(),
            release_after: None,
            doubt: None,
        }
    }
}

/// A tumbling window on event time, per device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowOptions {
    /// Its span, microseconds, aligned to the epoch; at least 1.
    pub size: i64,
    /// Lateness bound, microseconds: how far behind a device's newest event time a record is still taken.
    pub lateness: i64,
    /// A device silent so long (arrival clock, microseconds) has its windows closed.
    pub idle: i64,
}
