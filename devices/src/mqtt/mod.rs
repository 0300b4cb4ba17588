//! The MQTT source.

mod options;

pub use options::{Options, Qos, Version};
