//! The Kafka sink against a real Kafka (`cargo xtask setup` brings it).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

#[path = "kafka/broker.rs"]
mod broker;
#[path = "kafka/secured.rs"]
mod secured;

use broker::{Broker, Kept, shared};
use common::{NOW, STREAM, Site};
use secured::Secured;
use std::collections::BTreeMap;
use std::time::Duration;
use tidegate_sinks::forward::State;
use tidegate_sinks::kafka::{Cleanup, Compression, Kafka, KafkaOptions, TopicOptions};

const LARGE: usize = 1 << 20;

/// Options for a topic that is made with so many partitions.
fn to(address: String, topic: &str, partitions: u32) -> KafkaOptions {
    KafkaOptions {
        brokers: vec![address],
        topic: topic.into(),
        timeout: Duration::from_secs(10),
        create_topic: Some(TopicOptions { partitions, ..TopicOptions::default() }),
        ..KafkaOptions::default()
    }
}

fn kafka(options: KafkaOptions) -> Kafka {
    Kafka::build(options).unwrap()
}

/// A broker is started and read by calls that block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

/// The fields `n` by device, in the order each device's records have in Kafka.
fn by_device(kept: &[Kept]) -> BTreeMap<String, Vec<i64>> {
    let mut by_device: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for record in kept {
        by_device.entry(record.key.clone()).or_default().push(record.n());
    }
    by_device
}

/// What every device sent among records 0 to `total`.
fn sent(total: i64) -> BTreeMap<String, Vec<i64>> {
    let mut sent: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    (0..total).for_each(|n| sent.entry(format!("d{}", n % 5)).or_default().push(n));
    sent
}

#[tokio::test]
async fn records_arrive_with_key_time_and_identity_in_order_for_each_device() {
    let broker = blocking(shared).await;
    for (compression, topic) in [(Compression::None, "plain"), (Compression::Lz4, "lz4"), (Compression::Zstd, "zstd")] {
        let site = Site::new();
        site.append(0..500).await;
        site.append(500..1000).await;
        let mut sink = site.run(kafka(KafkaOptions { compression, ..to(broker.address(), topic, 3) }), LARGE);
        let status = sink.settled(1000).await;
        assert_eq!((status.delivered, status.refused, status.retries), (1000, 0, 0), "{:?}", status.reason);
        sink.drain().await;
        let kept = blocking(move || broker.read(topic)).await;
        assert_eq!(by_device(&kept), sent(1000));
        let (epoch, offsets) = (site.store.identity().epoch, site.offsets());
        for record in &kept {
            let offset = offsets[&record.n()];
            let expected = [
                ("tidegate-id", format!("plant-7/{STREAM}/0/{epoch:016x}/{offset}")),
                ("tidegate-gateway", "plant-7".into()),
                ("tidegate-stream", STREAM.into()),
                ("tidegate-partition", "0".into()),
                ("tidegate-epoch", format!("{epoch:016x}")),
                ("tidegate-offset", offset.to_string()),
            ];
            let expected: BTreeMap<String, String> = expected.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
            assert_eq!(record.headers, expected);
            assert_eq!(record.time_ms, NOW / 1000 + record.n() * 1000);
            assert_eq!(record.value["note"], format!("note {}", record.n()));
        }
        for device in 0..5 {
            let places: std::collections::BTreeSet<i32> =
                kept.iter().filter(|r| r.key == format!("d{device}")).map(|r| r.partition).collect();
            assert_eq!(places.len(), 1, "a device's records are in one partition");
        }
    }
}

#[tokio::test]
async fn a_killed_broker_loses_nothing_and_changes_no_order() {
    let mut broker = blocking(|| Broker::start("")).await;
    let site = Site::new();
    let mut sink =
        site.run(kafka(KafkaOptions { timeout: Duration::from_secs(1), ..to(broker.address(), "outage", 4) }), LARGE);
    let mut total = 0;
    for _ in 0..20 {
        site.append(total..total + 200).await;
        total += 200;
    }
    sink.settled(1000).await;
    broker.kill();
    for _ in 0..10 {
        site.append(total..total + 200).await;
        total += 200;
    }
    let status = sink.until(|s| s.state == State::Waiting).await;
    assert!(status.reason.as_ref().unwrap().starts_with("no acknowledgement within 1s: "), "{:?}", status.reason);
    let broker = blocking(move || {
        broker.start_again();
        broker
    })
    .await;
    let status = sink.settled(total as u64).await;
    assert_eq!((status.refused, site.dead_letters().len()), (0, 0));
    sink.drain().await;
    let kept = blocking(move || broker.read("outage")).await;
    let mut seen = by_device(&kept);
    for values in seen.values_mut() {
        let mut known = std::collections::BTreeSet::new();
        values.retain(|n| known.insert(*n));
    }
    assert_eq!(seen, sent(total), "by first arrival");
}

#[tokio::test]
async fn a_restart_of_the_gateway_repeats_records_under_the_same_identities() {
    let broker = blocking(shared).await;
    let mut site = Site::new();
    for block in 0..40 {
        site.append(block * 50..block * 50 + 50).await;
    }
    let mut sink = site.run(kafka(to(broker.address(), "restart", 2)), 20_000);
    sink.settled(500).await;
    sink.kill().await;
    site = site.power_cut();
    let mut sink = site.run(kafka(to(broker.address(), "restart", 2)), 20_000);
    let last = site.offsets()[&1999];
    sink.until(|s| s.cursor.get(&0).is_some_and(|at| *at > last)).await;
    sink.drain().await;
    let kept = blocking(|| broker.read("restart")).await;
    let mut ids: BTreeMap<&str, i64> = BTreeMap::new();
    for record in &kept {
        let n = ids.entry(&record.headers["tidegate-id"]).or_insert(record.n());
        assert_eq!(*n, record.n(), "one identity, one record");
    }
    assert_eq!(ids.len(), 2000);
}

#[tokio::test]
async fn a_record_too_large_for_the_sink_is_a_dead_letter_and_the_others_arrive() {
    let broker = blocking(shared).await;
    let site = Site::new();
    site.append_with(0..100, |n| if n == 42 { "x".repeat(20_000) } else { String::new() }).await;
    let options = KafkaOptions {
        librdkafka: vec![("message.max.bytes".into(), "10000".into())],
        ..to(broker.address(), "large-here", 1)
    };
    let mut sink = site.run(kafka(options), LARGE);
    let status = sink.settled(100).await;
    assert_eq!((status.delivered, status.refused), (99, 1));
    sink.drain().await;
    let letters = site.dead_letters();
    assert_eq!(letters.len(), 1);
    assert!(letters[0].1.contains("more than message.max.bytes allows"), "{}", letters[0].1);
    let kept = blocking(|| broker.read("large-here")).await;
    assert_eq!(kept.iter().map(Kept::n).collect::<Vec<_>>(), (0..100).filter(|n| *n != 42).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_record_too_large_for_the_broker_is_found_and_the_others_arrive_in_order() {
    let broker = blocking(|| Broker::start("message.max.bytes=8000")).await;
    let site = Site::new();
    for block in 0..4 {
        site.append_with(block * 25..block * 25 + 25, |n| if n == 42 { noise(20_000) } else { String::new() }).await;
    }
    let mut sink = site.run(kafka(to(broker.address(), "large-there", 1)), LARGE);
    let status = sink.settled(100).await;
    assert_eq!((status.delivered, status.refused), (99, 1), "{:?}", status.reason);
    sink.drain().await;
    let letters = site.dead_letters();
    assert!(letters[0].1.starts_with("Kafka refused it: "), "{}", letters[0].1);
    assert!(letters[0].2.contains("\"n\":42,"));
    let kept = blocking(move || broker.read("large-there")).await;
    let mut seen: Vec<i64> = kept.iter().map(Kept::n).collect();
    let mut known = std::collections::BTreeSet::new();
    seen.retain(|n| known.insert(*n));
    assert_eq!(seen, (0..100).filter(|n| *n != 42).collect::<Vec<_>>());
}

/// Text that does not compress much.
fn noise(bytes: usize) -> String {
    let mut state = 1u64;
    let mut letter = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b' ' + 2 + ((state >> 33) % 90) as u8)
    };
    (0..bytes).map(|_| letter()).collect()
}

#[tokio::test]
async fn a_topic_is_made_as_configured() {
    let broker = blocking(shared).await;
    let site = Site::new();
    site.append(0..10).await;
    let made =
        TopicOptions { partitions: 5, replication: 1, retention: Duration::from_secs(3600), cleanup: Cleanup::Compact };
    let options = KafkaOptions { create_topic: Some(made), ..to(broker.address(), "made", 1) };
    let mut sink = site.run(kafka(options), LARGE);
    sink.settled(10).await;
    sink.drain().await;
    assert_eq!(blocking(|| broker.partitions("made")).await, 5);
    let config = broker.topic_config("made").await;
    assert_eq!((config["retention.ms"].as_str(), config["cleanup.policy"].as_str()), ("3600000", "compact"));
}

#[tokio::test]
async fn a_missing_topic_is_waited_for_and_never_made_unasked() {
    let broker = blocking(shared).await;
    let site = Site::new();
    site.append(0..10).await;
    let options = KafkaOptions { create_topic: None, ..to(broker.address(), "missing", 1) };
    let mut sink = site.run(kafka(options), LARGE);
    let status = sink.until(|s| s.retries >= 3).await;
    let reason = "there is no topic \"missing\": make it, or add create_topic to the sink";
    assert_eq!((status.state, status.reason.as_deref()), (State::Waiting, Some(reason)));
    assert_eq!(blocking(|| broker.partitions("missing")).await, 0);
    // Someone makes it.
    let other = Site::new();
    other.append(0..1).await;
    let mut maker = other.run(kafka(to(broker.address(), "missing", 1)), LARGE);
    maker.settled(1).await;
    maker.drain().await;
    let status = sink.settled(10).await;
    assert_eq!((status.delivered, site.dead_letters().len()), (10, 0));
    sink.drain().await;
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_waited_for_with_the_reason() {
    let site = Site::new();
    site.append(0..10).await;
    let address = format!("127.0.0.1:{}", broker::free_port());
    let mut sink = site.run(kafka(KafkaOptions { timeout: Duration::from_secs(1), ..to(address, "any", 1) }), LARGE);
    let status = sink.until(|s| s.reason.as_ref().is_some_and(|r| r.contains("refused"))).await;
    assert_eq!(status.state, State::Waiting);
    sink.drain().await;
    assert_eq!(site.dead_letters(), []);
}

#[tokio::test]
async fn sasl_over_tls_delivers_and_a_wrong_password_or_authority_costs_no_record() {
    let secured = blocking(Secured::start).await;
    let site = Site::new();
    site.append(0..100).await;
    let options = |password: &str, authority: &std::path::Path| KafkaOptions {
        timeout: Duration::from_secs(2),
        librdkafka: secured.librdkafka(password, authority),
        ..to(secured.address(), "secured", 1)
    };
    let stranger = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(stranger.path(), rcgen::generate_simple_self_signed(vec![]).unwrap().cert.pem()).unwrap();
    for (options, expected) in [
        (options("wrong", &secured.authority), "uthentication failed"),
        (options(secured::PASSWORD, stranger.path()), "certificate"),
    ] {
        let mut sink = site.run(kafka(options), LARGE);
        let status = sink.until(|s| s.reason.as_ref().is_some_and(|r| r.contains(expected))).await;
        assert_eq!((status.state, status.refused), (State::Waiting, 0));
        sink.drain().await;
    }
    let mut sink = site.run(kafka(options(secured::PASSWORD, &secured.authority)), LARGE);
    let status = sink.settled(100).await;
    assert_eq!((status.delivered, site.dead_letters().len()), (100, 0));
    sink.drain().await;
    let kept = blocking(move || secured.broker.read("secured")).await;
    assert_eq!(by_device(&kept), sent(100));
}
