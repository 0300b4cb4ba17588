//! Fuzz targets: what must hold of bytes from outside, whatever they are.
//!
//! A target is a function of bytes that panics when a property does not hold. `cargo xtask fuzz` runs them under
//! libFuzzer; `tests/corpus.rs` runs each over its kept inputs, with every test run.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a target fails by panicking")]

mod allocation;
mod block;
mod bytes;
mod config;
mod custody;
mod decode;
mod framing;
mod guest;
mod listener;
mod talk;

use allocation::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What a target made of an input whose properties hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It was taken for what it says it is.
    Accepted,
    /// It was refused, with a reason.
    Refused,
}

/// Bytes from outside, and what must hold of them.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, and that of its folder in `corpus/`.
    pub name: &'static str,
    /// Panics where a property does not hold.
    pub run: fn(&[u8]) -> Verdict,
}

/// Every target. The first word of each module's documentation says what bytes it is about.
pub const TARGETS: &[Target] = &[
    Target { name: "block", run: block::run },
    Target { name: "framing", run: framing::run },
    Target { name: "decode", run: decode::run },
    Target { name: "config", run: config::run },
    Target { name: "guest", run: guest::run },
    Target { name: "listener", run: listener::run },
];

/// The target of a name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
