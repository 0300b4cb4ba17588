//! Everything that knows a sensor wire: sources, framing, decode, simulators.

mod backoff;
mod commits;
pub mod decode;
pub mod framing;
mod hand;
mod intake;
mod learned;
mod leb128;
mod letters;
pub mod listener;
pub mod mqtt;
mod options;
mod pem;
pub mod serial;
pub mod simulator;
mod source;
mod status;
mod words;

pub use decode::{DecodeError, DecodeOptions, Decoder};
pub use intake::{Dated, Intake, Loss, LossReason, Parcel, Receipt, Refusal};
pub use options::{Ack, OptionsError, Secret};
pub use source::Source;
pub use status::{Handle, State, Status};
