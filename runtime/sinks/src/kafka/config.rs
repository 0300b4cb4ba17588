//! librdkafka's configuration: ours, and what is passed through.

use super::context::Context;
use super::{Compression, KafkaOptions};
use crate::{OptionError, Secret};
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::producer::FutureProducer;
use std::path::Path;
use std::time::Duration;

/// The promises of the sink hang on these, or an option of ours sets them.
const OURS: [(&str, &str); 23] = [
    ("bootstrap.servers", "set brokers"),
    ("metadata.broker.list", "set brokers"),
    ("compression.codec", "set compression"),
    ("compression.type", "set compression"),
    ("queue.buffering.max.kbytes", "set buffer_bytes_max"),
    ("queue.buffering.max.messages", "set buffer_bytes_max"),
    ("acks", "it is always \"all\": less would lose acknowledged records"),
    ("request.required.acks", "it is always \"all\": less would lose acknowledged records"),
    ("enable.idempotence", "it is always on: retries would duplicate and reorder records"),
    ("enable.gapless.guarantee", "it is always on: failures would reorder records"),
    ("max.in.flight", "the idempotent producer sets it"),
    ("max.in.flight.requests.per.connection", "the idempotent producer sets it"),
    ("retries", "the sink retries until a record is delivered"),
    ("message.send.max.retries", "the sink retries until a record is delivered"),
    ("message.timeout.ms", "records that expire would change the order; set timeout"),
    ("delivery.timeout.ms", "records that expire would change the order; set timeout"),
    ("transactional.id", "the sink does not use transactions"),
    ("partitioner", "records are placed by murmur2 of their device, as Kafka's own clients do"),
    ("allow.auto.create.topics", "add create_topic"),
    ("queuing.strategy", "records leave in order"),
    ("produce.offset.report", "the sink sets it"),
    ("opaque", "it is not for configuration"),
    ("plugin.library.paths", "code is not loaded by configuration"),
];

/// The first wait between two attempts to connect, where the longest is not shorter.
const RECONNECT_MIN: Duration = Duration::from_millis(100);

/// The configuration of a client.
pub(super) fn of(options: &KafkaOptions) -> Result<ClientConfig, OptionError> {
    if options.brokers.is_empty() {
        return Err(OptionError::new("brokers", "name at least one, as \"host:9092\""));
    }
    if options.topic.is_empty() {
        return Err(OptionError::new("topic", "is empty"));
    }
    if options.create_topic.as_ref().is_some_and(|t| t.partitions == 0 || t.replication == 0) {
        return Err(OptionError::new("create_topic", "partitions and replication are at least 1"));
    }
    let mut config = ClientConfig::new();
    config
        .set("client.id", "tidegate")
        .set("log.connection.close", "false")
        .set("socket.keepalive.enable", "true")
        .set("socket.timeout.ms", millis(silence_max(options.timeout)))
        .set("reconnect.backoff.ms", millis(options.reconnect_max.min(RECONNECT_MIN)))
        .set("reconnect.backoff.max.ms", millis(options.reconnect_max))
        .set_log_level(RDKafkaLogLevel::Warning);
    pass_through(options, &mut config)?;
    let codec = match options.compression {
        Compression::None => "none",
        Compression::Lz4 => "lz4",
        Compression::Zstd => "zstd",
    };
    config
        .set("bootstrap.servers", options.brokers.join(","))
        .set("compression.codec", codec)
        .set("queue.buffering.max.kbytes", (options.buffer_bytes_max / 1024).max(1).to_string())
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("enable.gapless.guarantee", "true")
        .set("message.timeout.ms", "0")
        .set("partitioner", "murmur2_random")
        .set("allow.auto.create.topics", "false");
    Ok(config)
}

/// How long a broker may leave a request without an answer before the connection is made anew: a delivery that takes
/// longer than `timeout` is told, and may yet be under way on a slow line. Within what librdkafka takes.
fn silence_max(timeout: Duration) -> Duration {
    (timeout * 2).clamp(Duration::from_secs(1), Duration::from_secs(300))
}

fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}

fn pass_through(options: &KafkaOptions, config: &mut ClientConfig) -> Result<(), OptionError> {
    for (name, value) in &options.librdkafka {
        let wrong = |reason: String| OptionError::new(format!("librdkafka.\"{name}\""), reason);
        let (key, value) = match name.strip_suffix("_file") {
            Some(key) => (key, Secret::read(Path::new(value.reveal())).map_err(wrong)?),
            None => (name.as_str(), value.clone()),
        };
        if let Some((_, remedy)) = OURS.iter().find(|(ours, _)| *ours == key) {
            return Err(wrong(format!("cannot be set here: {remedy}")));
        }
        if config.get(key).is_some() && options.librdkafka.iter().filter(|(n, _)| plain(n) == key).count() > 1 {
            return Err(wrong("is given twice".into()));
        }
        config.set(key, value.reveal());
    }
    Ok(())
}

fn plain(name: &str) -> &str {
    name.strip_suffix("_file").unwrap_or(name)
}

/// A producer; its errors name the option and never its value.
pub(super) fn producer(config: &ClientConfig, context: &Context) -> Result<FutureProducer<Context>, OptionError> {
    config.create_with_context(context.clone()).map_err(|error| match error {
        KafkaError::ClientConfig(_, reason, key, _) => OptionError::new(format!("librdkafka.\"{key}\""), reason),
        KafkaError::ClientCreation(reason) => OptionError::new("librdkafka", reason),
        error => OptionError::new("librdkafka", error.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(librdkafka: &[(&str, &str)]) -> KafkaOptions {
        KafkaOptions {
            brokers: vec!["127.0.0.1:9".into()],
            topic: "t".into(),
            librdkafka: librdkafka.iter().map(|&(k, v)| (k.to_owned(), v.into())).collect(),
            ..KafkaOptions::default()
        }
    }

    #[test]
    fn what_the_promises_hang_on_cannot_be_overridden() {
        for (name, remedy) in OURS {
            let error = of(&options(&[(name, "1")])).unwrap_err();
            assert_eq!(error.option, format!("librdkafka.\"{name}\""));
            assert!(error.reason.ends_with(remedy), "{error}");
        }
    }

    #[test]
    fn a_silent_broker_is_given_up_and_a_lost_one_sought_as_the_options_say() {
        let plain = of(&options(&[])).unwrap();
        assert_eq!(
            (plain.get("socket.timeout.ms"), plain.get("reconnect.backoff.max.ms")),
            (Some("60000"), Some("10000"))
        );
        let quick =
            KafkaOptions { timeout: Duration::from_secs(2), reconnect_max: Duration::from_millis(50), ..options(&[]) };
        let quick = of(&quick).unwrap();
        assert_eq!((quick.get("socket.timeout.ms"), quick.get("reconnect.backoff.ms")), (Some("4000"), Some("50")));
        let own = of(&options(&[("socket.timeout.ms", "90000")])).unwrap();
        assert_eq!(own.get("socket.timeout.ms"), Some("90000"));
    }

    #[test]
    fn a_name_ending_in_file_is_read_from_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "s3cret\n").unwrap();
        let path = file.path().to_str().unwrap();
        let config = of(&options(&[("sasl.password_file", path)])).unwrap();
        assert_eq!(config.get("sasl.password"), Some("s3cret"));
        let twice = of(&options(&[("sasl.password", "a"), ("sasl.password_file", path)])).unwrap_err();
        assert_eq!(twice.reason, "is given twice");
        let missing = of(&options(&[("sasl.password_file", "/nowhere/at/all")])).unwrap_err();
        assert!(missing.reason.contains("/nowhere/at/all cannot be read"), "{missing}");
    }

    #[test]
    fn an_unknown_name_is_an_error_that_does_not_show_the_value() {
        let error = super::super::Kafka::build(options(&[("sasl.pasword", "s3cret")])).unwrap_err();
        assert_eq!(error.option, "librdkafka.\"sasl.pasword\"");
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }

    #[test]
    fn secrets_do_not_show_in_debug() {
        let kafka = super::super::Kafka::build(options(&[("sasl.password", "s3cret")])).unwrap();
        assert!(format!("{kafka:?}").contains("sasl.password"));
        assert!(!format!("{kafka:?}").contains("s3cret"));
    }
}
