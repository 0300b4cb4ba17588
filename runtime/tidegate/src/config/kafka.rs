//! `type = "kafka"`: a sink that produces to a topic.

use super::secret;
use super::section::Section;
use super::sinks::SinkKind;
use super::units::Size;
use std::time::Duration;
use tidegate_sinks::Secret;
use tidegate_sinks::kafka::{Cleanup, Compression, KafkaOptions, TopicOptions};

/// Most bytes a topic's name may have.
const TOPIC_BYTES_MAX: usize = 249;
/// What only the gateway may set: other values would break what it promises.
const OWN: [&str; 4] = ["bootstrap.servers", "enable.idempotence", "acks", "transactional.id"];

pub(super) fn read(section: &mut Section<'_>) -> Option<(SinkKind, Option<usize>)> {
    let default = KafkaOptions::default();
    let brokers: Vec<String> = section.needed("brokers").unwrap_or_default();
    if section.has("brokers") && brokers.is_empty() {
        section.problem("brokers", "names no broker");
    }
    for broker in &brokers {
        let port =
            broker.rsplit_once(':').and_then(|(host, port)| port.parse::<u16>().ok().filter(|_| !host.is_empty()));
        if port.is_none_or(|port| port == 0) {
            section.problem("brokers", format!("{broker:?} is no host and port, such as \"127.0.0.1:9092\""));
        }
    }
    let buffer_bytes_max = Size(default.buffer_bytes_max as u64);
    let compressions = [("none", Compression::None), ("lz4", Compression::Lz4), ("zstd", Compression::Zstd)];
    let options = KafkaOptions {
        brokers,
        topic: topic(section),
        compression: section.word("compression", "lz4", &compressions),
        timeout: section.within("timeout", default.timeout, Duration::from_secs(1)..=Duration::from_secs(3600)),
        reconnect_max: default.reconnect_max,
        buffer_bytes_max: section.within("buffer_bytes_max", buffer_bytes_max, Size::mib(1)..=Size::gib(1)).0 as usize,
        create_topic: section.optional("create_topic", create_topic),
        librdkafka: passed_through(section),
    };
    Some((SinkKind::Kafka(options), None))
}

fn topic(section: &mut Section<'_>) -> String {
    let topic = section.needed_text("topic");
    let legal = topic.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if topic.len() > TOPIC_BYTES_MAX || !legal || topic == "." || topic == ".." {
        let rule = format!("1 to {TOPIC_BYTES_MAX} letters, digits, '.', '_' and '-'");
        section.problem("topic", format!("{topic:?} is no topic: {rule}"));
    }
    topic
}

fn create_topic(section: &mut Section<'_>) -> TopicOptions {
    let default = TopicOptions::default();
    let limits = Duration::from_secs(60)..=Duration::from_secs(100 * 365 * 86_400);
    TopicOptions {
        partitions: section.within("partitions", default.partitions, 1..=10_000),
        replication: section.within("replication", default.replication, 1..=100),
        retention: section.within("retention", default.retention, limits),
        cleanup: section.word("cleanup", "delete", &[("delete", Cleanup::Delete), ("compact", Cleanup::Compact)]),
    }
}

/// librdkafka's own options. A file is named by its full path; the sink reads it.
fn passed_through(section: &mut Section<'_>) -> Vec<(String, Secret)> {
    let mut out = Vec::new();
    for (name, value) in section.entries("librdkafka") {
        if OWN.contains(&name.as_str()) {
            value.problem("the gateway sets this itself: its promises rest on it");
        }
        let text = if value.inner.get_ref().is_str() {
            value.get::<String>()
        } else {
            value.get::<serde_json::Value>().map(|json| json.to_string())
        };
        let Some(mut text) = text else { continue };
        if name.ends_with("_file") {
            if secret::read_file(section.context, &value.path, &text).is_none() {
                continue;
            }
            text = section.context.resolve(&text).display().to_string();
        }
        out.push((name, Secret::from(text)));
    }
    out
}
