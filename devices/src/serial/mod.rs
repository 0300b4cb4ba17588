//! The serial source.

mod options;

pub use options::{FlowControl, FramingOptions, Options, Parity};
