//! The sandbox: engine + limits + instance, together. The only home of wasmtime.
//!
//! An [`Engine`] loads [`Plugin`]s; a [`Runner`] is one configured instance of a plugin that a pipeline calls with
//! batches and that outlives the plugin's faults.

mod base;
mod cache;
mod compile;
mod context;
mod copies;
mod engine;
mod error;
mod fault;
mod fuel;
mod grants;
mod guest;
mod imports;
mod job;
mod journal;
mod limits;
mod lines;
mod load;
mod lookup;
mod plan;
mod plugin;
mod reply;
mod runner;
mod setup;
mod stats;
mod tables;
mod ticker;
mod trust;
mod wire;

pub use compile::compile_main;
pub use engine::{CompileLimits, Compiler, Engine, EngineOptions};
pub use error::{ConfigureError, EngineError, Issue, LoadError, LoadProblem, StateError};
pub use fault::{Fault, FaultKind, Halted, RowFault};
pub use grants::{Arrival, Grant, Grants};
pub use limits::{Bound, Limits, LogLimits, TEXT_BYTES_MAX};
pub use plan::{Finding, Finished, Found, Input, Kept, Plan, Table, Window};
pub use plugin::{About, Kind, PACKAGE, Plugin};
pub use runner::{Carried, Misfit, Runner};
pub use stats::{RECORD_NS, Stats};
pub use tables::{KeyedTable, TableError, Tables};
pub use ticker::TICK;
pub use trust::{KeyError, KeyId, PublicKey, SecretKey, SignError, Trust, TrustProblem, sign, signers};
