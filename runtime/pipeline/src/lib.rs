//! Pipelines: streams in, operators in order, a stream out, in one thread.
//!
//! Windows, watermarks and keys are ours (they are about time and order); arithmetic is the plugins'. Everything below
//! [`Chain`] is synchronous and knows no clock and no I/O: time comes with the data, so replaying a log gives the same
//! bytes. [`Pipeline::run`] is the only part that touches the store: it recovers (last snapshot, then replay up to the
//! committed read position, everything produced discarded), reads, commits outputs and read position at once, and takes
//! checkpoints.

mod ask;
mod chain;
mod cost;
mod digest;
mod entry;
mod handle;
mod handover;
mod keys;
mod mark;
mod merge;
mod operator;
mod options;
mod quarantine;
mod recover;
mod rows;
mod run;
mod shadow;
mod start;
mod swap;
mod trial;
mod trouble;
mod window;

pub use ask::{Answer, Ask};
pub use chain::{BuildError, Chain};
pub use cost::Cost;
pub use handle::{Handle, State, Status};
pub use handover::{Handover, Recipe, Swapped};
pub use options::{OperatorOptions, PipelineOptions, WindowOptions};
pub use quarantine::{OnQuarantine, Quarantined};
pub use shadow::{Bounds, Shadow, ShadowReport, ShadowState, Verdict};
pub use start::{Pipeline, StartError};
pub use swap::{shadow, swap};
pub use trial::{Trial, Tried};
