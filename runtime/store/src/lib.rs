//! Streams: append-only, durable, bounded logs of batches, behind one trait with two implementations.

mod api;
pub use api::*;
