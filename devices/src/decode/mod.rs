//! Frames to records, sans I/O.

mod options;

pub use options::{DecodeOptions, Format, TimeUnit};
