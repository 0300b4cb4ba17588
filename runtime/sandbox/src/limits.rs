//! What a plugin may use.

use crate::{Grants, Tables};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Most bytes of a fault's or finding's text that is kept.
pub const TEXT_BYTES_MAX: usize = 512;

/// A plugin is quarantined as well where more than one record in so many faults, ...
pub const STORM_SHARE: u32 = 10;

/// ... until so many are over that share. Each costs a new instance and a probe, some 0.1 ms: a tenth of a second in all.
pub const STORM_FAULTS: u32 = 1000;

/// Bounds of a plugin and each of its instances. The defaults are those of the configuration's `[plugins]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Most linear memory an instance may have. Batches are cut so that a call fits.
    pub memory_bytes: usize,
    /// Most elements its tables may have together.
    pub table_elements: usize,
    /// Most core instances (and tables) in a component: an adapter and its shims make about ten.
    pub instances: usize,
    /// Most linear memories in a component.
    pub memories: usize,
    /// Longest a call may run; checked every 5 ms.
    pub call_time: Duration,
    /// Most fuel a call with records may take, which needs an engine that counts it ([`crate::EngineOptions::fuel`]). By
    /// single-row probes that is most a record may take alone, however records are cut into calls. Looked at where functions
    /// and turns of loops begin, and before bytes are copied: a call may end a few steps beyond.
    pub call_fuel: Option<u64>,
    /// Most bytes a call may return.
    pub output_bytes: usize,
    /// Most records a transform or codec may make in a call.
    pub output_records: usize,
    /// Most bytes the saved state of a slot may take.
    pub state_slot_bytes: usize,
    /// Most bytes the saved states of all slots may take together.
    pub state_bytes: usize,
    /// Largest plugin file.
    pub module_bytes: usize,
    /// So many faulted calls in a row and the plugin is quarantined: [`crate::Halted`].
    pub faults_max: u32,
    /// What it may say.
    pub log: LogLimits,
    /// What it may import.
    pub grants: Grants,
    /// What it may look things up in where that is granted; the same for as long as it runs.
    pub tables: Arc<Tables>,
}

/// A limit that a call ran into, on `/metrics` by the name of its option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Bound {
    /// [`Limits::memory_bytes`].
    Memory,
    /// [`Limits::table_elements`].
    Elements,
    /// [`Limits::instances`] or [`Limits::memories`].
    Instances,
    /// `stack_bytes`, which is the engine's.
    Stack,
    /// [`Limits::call_time`].
    Time,
    /// [`Limits::call_fuel`].
    Fuel,
    /// [`Limits::output_bytes`].
    Output,
    /// [`Limits::output_records`].
    Records,
    /// [`Limits::state_slot_bytes`].
    SlotState,
    /// [`Limits::state_bytes`].
    State,
}

impl Bound {
    /// Every bound.
    pub const ALL: [Bound; 10] = [
        Bound::Memory,
        Bound::Elements,
        Bound::Instances,
        Bound::Stack,
        Bound::Time,
        Bound::Fuel,
        Bound::Output,
        Bound::Records,
        Bound::SlotState,
        Bound::State,
    ];

    /// The option's name in `[plugins]`.
    pub fn option(self) -> &'static str {
        match self {
            Bound::Memory => "memory_bytes",
            Bound::Elements => "table_elements",
            Bound::Instances => "instances",
            Bound::Stack => "stack_bytes",
            Bound::Time => "call_time",
            Bound::Fuel => "call_fuel",
            Bound::Output => "output_bytes",
            Bound::Records => "output_records",
            Bound::SlotState => "state_slot_bytes",
            Bound::State => "state_bytes",
        }
    }

    /// Whether fewer records a call may help.
    pub(crate) fn is_of_a_call(self) -> bool {
        use Bound::{Elements, Fuel, Memory, Output, Records, Time};
        matches!(self, Memory | Elements | Time | Fuel | Output | Records)
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.option())
    }
}

/// Bounds of what a plugin with [`crate::Grant::Log`] may say; the rest is dropped and counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLimits {
    /// Most lines of a call.
    pub call_lines: usize,
    /// Most bytes of a call's lines.
    pub call_bytes: usize,
    /// Most lines a minute.
    pub minute_lines: usize,
    /// Most bytes of a minute's lines.
    pub minute_bytes: usize,
}

impl Default for LogLimits {
    fn default() -> Self {
        LogLimits { call_lines: 16, call_bytes: 4 << 10, minute_lines: 120, minute_bytes: 32 << 10 }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            memory_bytes: 16 << 20,
            table_elements: 100_000,
            instances: 32,
            memories: 8,
            call_time: Duration::from_millis(250),
            call_fuel: None,
            output_bytes: 8 << 20,
            output_records: 65_536,
            state_slot_bytes: 64 << 10,
            state_bytes: 16 << 20,
            module_bytes: 16 << 20,
            faults_max: 100,
            log: LogLimits::default(),
            grants: Grants::default(),
            tables: Arc::default(),
        }
    }
}
