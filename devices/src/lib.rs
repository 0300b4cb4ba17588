//! Everything that knows a sensor wire: sources, framing, decode, simulators.

pub mod broker;
pub mod decode;
mod intake;
pub mod mqtt;
mod options;
pub mod serial;

pub use decode::DecodeOptions;
pub use intake::{Intake, Loss, LossReason, Parcel, Receipt, Refusal};
pub use options::{OptionsError, Secret};
