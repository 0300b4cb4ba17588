//! The Kafka sink.

mod options;

pub use options::{Cleanup, Compression, KafkaOptions, TopicOptions};
