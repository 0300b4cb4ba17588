//! Why a plugin call failed.

use crate::Bound;
use crate::limits::{STORM_FAULTS, STORM_SHARE, TEXT_BYTES_MAX};
use std::fmt;
use std::sync::Arc;
use wasmtime::{Trap, WasmBacktrace};

/// Most bytes of a backtrace that are kept.
const BACKTRACE_BYTES_MAX: usize = 4096;

/// What kind of failure a fault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The guest trapped: a panic, unreachable code, an access out of bounds, a stack too deep.
    Trap,
    /// It ran longer than `call_time`.
    Deadline,
    /// It took more fuel than `call_fuel`.
    Fuel,
    /// It asked for more memory or tables than it may have.
    Memory,
    /// It answered what the contract does not allow, or more than it may.
    BadReply,
    /// The guest disliked this record and said so; nothing is broken.
    Rejected,
}

impl FaultKind {
    /// The word in dead letters and on `/metrics`.
    pub fn word(self) -> &'static str {
        match self {
            FaultKind::Trap => "trap",
            FaultKind::Deadline => "deadline",
            FaultKind::Fuel => "fuel",
            FaultKind::Memory => "memory",
            FaultKind::BadReply => "bad_reply",
            FaultKind::Rejected => "rejected",
        }
    }
}

/// Why a plugin call failed, with enough to find the line at fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What kind.
    pub kind: FaultKind,
    /// The limit it ran into, where it was one.
    pub bound: Option<Bound>,
    /// A sentence, at most [`TEXT_BYTES_MAX`] bytes.
    pub message: String,
    /// The guest's functions, innermost first, one a line; empty where nothing trapped.
    pub backtrace: String,
    /// `name version` of the plugin.
    pub plugin: Arc<str>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "plugin {}: {}: {}", self.plugin, self.kind.word(), self.message)?;
        match self.backtrace.lines().next() {
            Some(innermost) => write!(f, " (in {innermost})"),
            None => Ok(()),
        }
    }
}

impl Fault {
    /// The same, where it trapped, with what the guest said last: a panic's message.
    pub(crate) fn with(mut self, last_words: Option<String>) -> Fault {
        if let Some(words) = last_words.filter(|_| self.kind == FaultKind::Trap) {
            self.message = bounded(format!("{}; it said: {words}", self.message));
        }
        self
    }
}

/// A fault that concerns one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowFault {
    /// The row of the input batch.
    pub row: u32,
    /// Why.
    pub fault: Fault,
}

/// The plugin is quarantined: what it would still do is not worth the attempt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("plugin quarantined after {}, last: {last}", self.after())]
pub struct Halted {
    /// Faulted calls in a row.
    pub calls: u32,
    /// More than its share of all records faulted, if not in a row.
    pub storm: bool,
    /// The row of the input batch that the last call faulted on, or its first; `None` where it was about no row.
    pub row: Option<u32>,
    /// The last fault.
    pub last: Fault,
    /// The slot it was about, where it was about one.
    pub slot: Option<u32>,
}

impl Halted {
    /// The same, saying which device the slot is of: `device` is asked for its name.
    pub fn named<'a>(mut self, device: impl FnOnce(u32) -> Option<&'a str>) -> Halted {
        if let Some(device) = self.slot.and_then(device) {
            self.last.message = bounded(format!("device {device:?}: {}", self.last.message));
        }
        self
    }

    /// How it came to that.
    pub fn after(&self) -> String {
        match self.storm {
            false => format!("{} faulted calls in a row", self.calls),
            true => format!("more than one record in {STORM_SHARE} faulted, over {STORM_FAULTS} faults"),
        }
    }
}

/// Cuts `text` to [`TEXT_BYTES_MAX`] bytes at a character, for text a guest wrote.
pub(crate) fn bounded(text: String) -> String {
    if text.len() <= TEXT_BYTES_MAX {
        return text;
    }
    let end = (0..=TEXT_BYTES_MAX).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    // Not cut where it is: it would keep the room of the whole.
    text[..end].to_owned()
}

/// What wasmtime says when an answer is larger than its allowance, whose name there nobody here knows.
const TOO_MUCH_COPIED: &str = "fuel allocated for hostcalls has been exhausted";

/// How wasmtime begins to say that a component has too many instances, memories or tables.
const TOO_MANY_INSTANCES: &str = "resource limit exceeded: ";

/// The fault a failed call is. `denied`: what the limiter refused during it; `output_bytes`: the limit.
pub(crate) fn of(plugin: &Arc<str>, denied: Option<Bound>, output_bytes: usize, error: &wasmtime::Error) -> Fault {
    let trap = error.downcast_ref::<Trap>();
    let cause = match trap {
        Some(trap) => trap.to_string().trim_start_matches("wasm trap: ").to_string(),
        None => error.root_cause().to_string(),
    };
    let bound = match (trap, denied) {
        (Some(Trap::Interrupt), _) => Some(Bound::Time),
        (Some(Trap::OutOfFuel), _) => Some(Bound::Fuel),
        (_, Some(denied)) => Some(denied),
        (Some(Trap::StackOverflow), None) => Some(Bound::Stack),
        (None, None) if cause.ends_with(TOO_MUCH_COPIED) => Some(Bound::Output),
        (None, None) if cause.starts_with(TOO_MANY_INSTANCES) => Some(Bound::Instances),
        _ => None,
    };
    let (kind, message) = match bound {
        Some(Bound::Time) => (FaultKind::Deadline, "ran longer than call_time allows".into()),
        Some(Bound::Fuel) => (FaultKind::Fuel, "took more fuel than call_fuel allows".into()),
        Some(Bound::Memory) => (FaultKind::Memory, format!("asked for more memory than it may have: {cause}")),
        Some(Bound::Elements) => {
            (FaultKind::Memory, format!("asked for more table elements than it may have: {cause}"))
        }
        Some(Bound::Instances) => (FaultKind::Memory, cause),
        Some(Bound::Output) => {
            (FaultKind::BadReply, format!("answered more than output_bytes ({output_bytes}) allows"))
        }
        _ if trap.is_some() => (FaultKind::Trap, cause),
        _ => (FaultKind::BadReply, cause),
    };
    let backtrace = error.downcast_ref::<WasmBacktrace>().map(frames).unwrap_or_default();
    Fault { kind, bound, message: bounded(message), backtrace, plugin: plugin.clone() }
}

/// A reply the contract does not allow.
pub(crate) fn bad_reply(plugin: &Arc<str>, message: &str) -> Fault {
    let message = bounded(message.to_string());
    Fault { kind: FaultKind::BadReply, bound: None, message, backtrace: String::new(), plugin: plugin.clone() }
}

/// A reply that is more than a limit allows.
pub(crate) fn too_much(plugin: &Arc<str>, bound: Bound, message: &str) -> Fault {
    Fault { bound: Some(bound), ..bad_reply(plugin, message) }
}

/// The guest's functions by name, innermost first, one a line.
fn frames(backtrace: &WasmBacktrace) -> String {
    let mut text = String::new();
    for frame in backtrace.frames() {
        let name = match frame.func_name() {
            Some(name) => format!("{:#}", rustc_demangle::demangle(name)),
            None => format!("function {}", frame.func_index()),
        };
        if text.len() + name.len() + 1 > BACKTRACE_BYTES_MAX {
            break;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&name);
    }
    text
}
