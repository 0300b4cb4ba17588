//! Options of a Kafka sink.

use crate::Secret;
use std::time::Duration;

/// How record batches are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// Not at all.
    None,
    /// LZ4: cheap.
    #[default]
    Lz4,
    /// Zstandard: smaller.
    Zstd,
}

/// What Kafka does with old records of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cleanup {
    /// They go after the retention.
    #[default]
    Delete,
    /// The newest of each key stays.
    Compact,
}

/// `[sinks.NAME.create_topic]`: how the topic is made when it is not there. A topic that is there is left as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicOptions {
    /// Its partitions, at least 1.
    pub partitions: u32,
    /// Copies of each, at least 1.
    pub replication: u32,
    /// `retention.ms`.
    pub retention: Duration,
    /// `cleanup.policy`.
    pub cleanup: Cleanup,
}

impl Default for TopicOptions {
    fn default() -> Self {
        TopicOptions {
            partitions: 1,
            replication: 1,
            retention: Duration::from_secs(7 * 24 * 60 * 60),
            cleanup: Cleanup::default(),
        }
    }
}

/// `[sinks.NAME]` with `type = "kafka"`.
#[derive(Debug, Clone, PartialEq)]
pub struct KafkaOptions {
    /// `host:port` of one broker or more.
    pub brokers: Vec<String>,
    /// The topic.
    pub topic: String,
    /// Of record batches.
    pub compression: Compression,
    /// How long a delivery may take before it is shown as failing. librdkafka keeps at it, in order.
    pub timeout: Duration,
    /// Longest wait between two attempts to connect.
    pub reconnect_max: Duration,
    /// Most bytes waiting in librdkafka's queue.
    pub buffer_bytes_max: usize,
    /// Makes the topic when it is not there; `None` never makes one.
    pub create_topic: Option<TopicOptions>,
    /// Passed through to librdkafka; a name ending in `_file` stands for the name without it and the file's text.
    pub librdkafka: Vec<(String, Secret)>,
}

impl Default for KafkaOptions {
    fn default() -> Self {
        KafkaOptions {
            brokers: Vec::new(),
            topic: String::new(),
            compression: Compression::default(),
            timeout: Duration::from_secs(30),
            reconnect_max: Duration::from_secs(10),
            buffer_bytes_max: 8 * 1024 * 1024,
            create_topic: None,
            librdkafka: Vec::new(),
        }
    }
}
