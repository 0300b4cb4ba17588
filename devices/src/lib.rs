//! Everything that knows a sensor wire: sources, framing, decode, simulators.

mod intake;

pub use intake::{Intake, Loss, LossReason, Parcel, Receipt, Refusal};
