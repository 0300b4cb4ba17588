//! The gateway: configuration, topology, control, command line.
//!
//! [`config`] makes typed options of a file, [`topology`] builds and wires every part from them, [`http`] shows what
//! is going on, [`tables`] reads what plugins look up, [`readiness`] says whether that is well, [`author`] is the loop of who writes plugins, [`cli`] is what a
//! person types.

pub mod author;
pub mod cli;
pub mod config;
mod flash;
pub mod http;
pub mod log;
pub mod memory;
mod ndjson;
pub mod readiness;
pub mod tables;
pub mod topology;
mod when;
