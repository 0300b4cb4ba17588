//! Why a plugin call failed.

use crate::limits::TEXT_BYTES_MAX;
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
    /// It asked for more memory or tables than it may have.
    Memory,
    /// It answered what the contract does not allow, or more than `output_bytes`.
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

/// A fault that concerns one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowFault {
    /// The row of the input batch.
    pub row: u32,
    /// Why.
    pub fault: Fault,
}

/// The plugin is quarantined: what it would still do is not worth the attempt. The pipeline stops and says so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("plugin quarantined after {calls} faulted calls in a row, last: {last}")]
pub struct Halted {
    /// Faulted calls in a row.
    pub calls: u32,
    /// The last of them.
    pub last: Fault,
}

/// Cuts `text` to [`TEXT_BYTES_MAX`] bytes at a character, for text a guest wrote.
pub(crate) fn bounded(mut text: String) -> String {
    if text.len() > TEXT_BYTES_MAX {
        let end = (0..=TEXT_BYTES_MAX).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        text.truncate(end);
    }
    text
}

/// What wasmtime says when an answer is larger than its allowance, whose name there nobody here knows.
const TOO_MUCH_COPIED: &str = "fuel allocated for hostcalls has been exhausted";

/// The fault a failed call is. `denied`: what the limiter refused during it; `output_bytes`: the limit.
pub(crate) fn of(
    plugin: &Arc<str>,
    denied: Option<&'static str>,
    output_bytes: usize,
    error: &wasmtime::Error,
) -> Fault {
    let trap = error.downcast_ref::<Trap>();
    let kind = match (trap, denied) {
        (Some(Trap::Interrupt), _) => FaultKind::Deadline,
        (_, Some(_)) => FaultKind::Memory,
        (Some(_), None) => FaultKind::Trap,
        (None, None) => FaultKind::BadReply,
    };
    let cause = match trap {
        Some(trap) => trap.to_string().trim_start_matches("wasm trap: ").to_string(),
        None => error.root_cause().to_string(),
    };
    let message = match (kind, denied) {
        (FaultKind::Deadline, _) => "ran longer than call_time allows".into(),
        (FaultKind::Memory, Some(what)) => format!("asked for more {what} than it may have: {cause}"),
        _ if cause.ends_with(TOO_MUCH_COPIED) => format!("answered more than output_bytes ({output_bytes}) allows"),
        _ => cause,
    };
    let backtrace = error.downcast_ref::<WasmBacktrace>().map(frames).unwrap_or_default();
    Fault { kind, message: bounded(message), backtrace, plugin: plugin.clone() }
}

/// A reply the contract does not allow.
pub(crate) fn bad_reply(plugin: &Arc<str>, message: &str) -> Fault {
    let message = bounded(message.to_string());
    Fault { kind: FaultKind::BadReply, message, backtrace: String::new(), plugin: plugin.clone() }
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
