//! The sandbox: engine + limits + instance, together. The only home of wasmtime.
//!
//! An [`Engine`] loads [`Plugin`]s; a [`Runner`] is one configured instance of a plugin that a pipeline calls with
//! batches and that outlives the plugin's faults.

mod engine;
mod error;
mod fault;
mod limits;
mod plan;
mod plugin;
mod runner;
mod stats;

pub use engine::{Compiler, Engine, EngineOptions};
pub use error::{ConfigureError, EngineError, Issue, LoadError, LoadProblem, StateError};
pub use fault::{Fault, FaultKind, Halted, RowFault};
pub use limits::{Limits, TEXT_BYTES_MAX};
pub use plan::{Finding, Finished, Found, Input, Kept, Plan, Table, Window};
pub use plugin::{About, Kind, Plugin};
pub use runner::Runner;
pub use stats::Stats;

/// What the gateway's hidden subcommand calls: compiles `input` (a component) to `output`. Sets this process's own
/// limits on memory and processor time, so call it in a process of its own.
pub fn compile_main(_input: &std::path::Path, _output: &std::path::Path) -> Result<(), String> {
    Err("not there yet".into())
}
