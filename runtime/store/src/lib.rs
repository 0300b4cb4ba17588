//! Streams: append-only, durable, bounded logs of batches, behind one trait with two implementations.
//!
//! [`Store`] is the trait. [`SledStore`] keeps streams on disk, [`MemoryStore`] in memory with gapped positions; both
//! are the same [`engine`] over another medium.

mod api;
pub mod block;
mod coarse;
mod engine;
pub mod files;
mod keys;
mod medium;
mod memory;
mod metrics;
mod options;
mod pack;
mod route;
pub mod sled;
#[cfg(test)]
mod tests;
mod tools;
mod values;
mod verify;
mod when;

pub use api::*;
pub use engine::{Engine, Step, Steps};
pub use memory::{MemoryDisk, MemoryStore, Trouble};
pub use options::Options;
pub use pack::{BlockReader, BlockWriter, copy_pack};
pub use route::partition_of;
pub use sled::{Compacted, Offline, SinkStands, SledStore};
pub use tools::{Listing, LossListing, PartitionListing, ReaderListing, Repaired};
pub use verify::{PartitionReport, Report};
pub use when::offset_at;
