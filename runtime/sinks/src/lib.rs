//! Sinks: what delivers records from a stream to an upstream, and moves the cursor when the upstream said yes.
//!
//! One forward loop ([`Forward`]) serves every sink: cursor → request → deliver → backoff with jitter → dead letters
//! for what is refused for good. What differs is the [`Upstream`]: [`http::Http`] and [`kafka::Kafka`]. The only home
//! of reqwest and rdkafka; the feature `kafka` (default) brings librdkafka in.
//!
//! Towards upstream delivery is at least once; every record carries its identity
//! `gateway/stream/partition/epoch/offset`, so that a receiver can make it effectively once.

pub mod forward;
pub mod http;
#[cfg(feature = "kafka")]
pub mod kafka;
mod secret;
pub mod uplink;
pub mod upstream;

pub use forward::{Forward, ForwardOptions, Handle, Status};
pub use secret::Secret;
pub use uplink::{Uplink, UplinkOptions, UplinkStatus};
pub use upstream::{Delivery, Request, Upstream};

/// A sink whose options cannot be used as they are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{option}: {reason}")]
pub struct OptionError {
    /// The option's name as in the configuration, for example `ca_file`.
    pub option: String,
    /// What is wrong and what to do.
    pub reason: String,
}

impl OptionError {
    fn new(option: impl Into<String>, reason: impl Into<String>) -> Self {
        OptionError { option: option.into(), reason: reason.into() }
    }
}
