//! The MQTT source against a real mosquitto.

mod common;

use common::{Custody, Mosquitto, Running, eventually, publish, publish_readings};
use rumqttc::QoS;
use std::time::Duration;
use tidegate_devices::mqtt::{Options, Qos, Version};
use tidegate_devices::{Ack, DecodeOptions, LossReason, State};

const BOTH: [Version; 2] = [Version::V5, Version::V311];

fn numbers(range: std::ops::Range<usize>) -> Vec<f64> {
    range.map(|n| n as f64).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_acknowledged_only_when_durable() {
    for version in BOTH {
        let broker = Mosquitto::start().await;
        let custody = Custody::holding();
        let source = Running::mqtt(broker.options(version), &custody);
        source.connected().await;
        publish_readings(broker.port, 0..5).await;
        eventually(|| custody.temps(), |t| *t == numbers(0..5)).await;
        assert_eq!(source.handle.status().unacked, 5, "{version:?}");
        source.crash().await;

        // Nothing was acknowledged: a gateway that knows nothing gets everything again.
        let custody = Custody::holding();
        let source = Running::mqtt(broker.options(version), &custody);
        eventually(|| custody.temps(), |t| *t == numbers(0..5)).await;
        custody.release();
        assert_eq!(source.drain().await.unacked, 0);

        // Everything was acknowledged: only what is new comes.
        let custody = Custody::quick();
        let source = Running::mqtt(broker.options(version), &custody);
        source.connected().await;
        publish_readings(broker.port, 5..6).await;
        eventually(|| custody.temps(), |t| *t == numbers(5..6)).await;
        source.crash().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_broker_redelivers_and_what_is_in_hand_is_recognised() {
    for version in BOTH {
        let mut broker = Mosquitto::start().await;
        let custody = Custody::holding();
        let source = Running::mqtt(broker.options(version), &custody);
        source.connected().await;
        publish_readings(broker.port, 0..10).await;
        eventually(|| custody.temps(), |t| *t == numbers(0..10)).await;
        broker.save(r#""temp":9}"#).await;
        broker.kill();
        source.says("refuses the connection").await;
        broker.restart().await;
        let seen = eventually(|| source.handle.status(), |s| s.redelivered == 10).await;
        assert_eq!(seen.unacked, 10, "{version:?}: redelivered messages wait for the first copy's parcel");
        custody.release();
        eventually(|| source.handle.status().unacked, |&n| n == 0).await;
        publish_readings(broker.port, 10..11).await;
        eventually(|| custody.temps(), |t| *t == numbers(0..11)).await;
        source.crash().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_gateway_recognises_what_is_durable_and_was_not_acknowledged() {
    for version in BOTH {
        let broker = Mosquitto::start().await;
        let custody = Custody::holding();
        let source = Running::mqtt(broker.options(version), &custody);
        source.connected().await;
        publish_readings(broker.port, 0..10).await;
        eventually(|| custody.temps(), |t| *t == numbers(0..10)).await;
        source.crash().await;

        // The crash came between the fsync and the acks.
        let next = Custody::with_state(custody.last_state());
        let source = Running::mqtt(broker.options(version), &next);
        source.connected().await;
        publish_readings(broker.port, 10..12).await;
        eventually(|| next.temps(), |t| *t == numbers(10..12)).await;
        let status = eventually(|| source.handle.status(), |s| s.unacked == 0).await;
        assert_eq!(status.redelivered, 10, "{version:?}");
        source.crash().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_readings_are_not_taken_for_redeliveries() {
    let broker = Mosquitto::start().await;
    let custody = Custody::quick();
    let source = Running::mqtt(broker.options(Version::V5), &custody);
    source.connected().await;
    for _ in 0..3 {
        publish_readings(broker.port, 7..8).await;
    }
    eventually(|| custody.temps(), |t| *t == [7.0; 3]).await;
    assert_eq!(source.drain().await.redelivered, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn retained_messages_are_ignored_unless_asked_for() {
    for version in BOTH {
        let broker = Mosquitto::start().await;
        publish(broker.port, QoS::AtLeastOnce, true, &[("sensors/old", common::reading(99).into_bytes())]).await;
        let custody = Custody::quick();
        let source = Running::mqtt(broker.options(version), &custody);
        source.connected().await;
        publish_readings(broker.port, 1..2).await;
        eventually(|| custody.temps(), |t| *t == [1.0]).await;
        eventually(|| source.handle.status().unacked, |&n| n == 0).await;
        source.crash().await;

        let custody = Custody::quick();
        let asked = Options { retained: true, client_id: "asks".into(), ..broker.options(version) };
        let source = Running::mqtt(asked, &custody);
        eventually(|| custody.temps(), |t| *t == [99.0]).await;
        source.crash().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_store_makes_qos_1_wait_and_loses_nothing() {
    for version in BOTH {
        let broker = Mosquitto::start().await;
        let custody = Custody::quick();
        custody.set_full(true);
        let source = Running::mqtt(Options { receive_max: 16, ..broker.options(version) }, &custody);
        source.connected().await;
        publish_readings(broker.port, 0..100).await;
        let window = if version == Version::V5 { 16 } else { 20 };
        let status = eventually(|| source.handle.status(), |s| s.unacked == window).await;
        assert_eq!((status.dropped, custody.parcels()), (0, 0), "{version:?}");
        custody.set_full(false);
        eventually(|| custody.temps(), |t| *t == numbers(0..100)).await;
        eventually(|| source.handle.status().unacked, |&n| n == 0).await;
        assert!(custody.hurried() || version == Version::V311, "a full window hurries the store");
        assert_eq!(custody.lost(LossReason::Full), 0);
        source.crash().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_store_makes_qos_0_drop_the_newest_and_say_so() {
    let broker = Mosquitto::start().await;
    let custody = Custody::quick();
    custody.set_full(true);
    let source = Running::mqtt(Options { qos: Qos::AtMostOnce, ..broker.options(Version::V5) }, &custody);
    source.connected().await;
    let total = 12_000;
    let mut sent = 0;
    while sent < total {
        // In portions: a broker drops QoS 0 messages of a reader that is slower than it.
        let messages: Vec<_> = (sent..sent + 100).map(|n| ("sensors/a", common::reading(n).into_bytes())).collect();
        publish(broker.port, QoS::AtMostOnce, false, &messages).await;
        sent += 100;
        eventually(|| source.handle.status().frames, |&n| n == sent as u64).await;
    }
    let dropped = source.handle.status().dropped;
    assert!(dropped > 0, "12,000 frames do not fit");
    custody.set_full(false);
    eventually(|| custody.lost(LossReason::Full), |&n| n == dropped).await;
    let kept = custody.temps();
    assert_eq!(kept.len() as u64 + dropped, total as u64);
    assert_eq!(kept, numbers(0..kept.len()), "the newest went, whole and in order");
    source.crash().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_decode_is_set_aside_before_it_is_acknowledged() {
    let broker = Mosquitto::start().await;
    let custody = Custody::holding();
    let source = Running::mqtt(broker.options(Version::V5), &custody);
    source.connected().await;
    let long = format!("{{{}", "x".repeat(100_000));
    let far = br#"{"device":"d1","ts":9000000000000,"temp":1}"#.to_vec();
    let messages = [("sensors/a", b"{\"device\":".to_vec()), ("sensors/b", long.into()), ("sensors/c", far)];
    publish(broker.port, QoS::AtLeastOnce, false, &messages).await;
    let letters = eventually(|| custody.letters(), |l| l.len() == 3).await;
    assert_eq!(source.handle.status().unacked, 3);
    let shown = |at: usize, key: &str| letters[at][key].clone();
    assert_eq!((shown(0, "stage"), shown(0, "origin")), ("decode".into(), "sensors/a".into()));
    assert_eq!((shown(0, "device"), shown(0, "frame")), ("field".into(), "eyJkZXZpY2UiOg==".into()));
    assert_eq!((shown(1, "frame_bytes"), shown(2, "stage")), (100_001.into(), "time".into()));
    assert_eq!(shown(1, "frame").as_str().unwrap().len(), (64 * 1024usize).div_ceil(3) * 4);
    assert_eq!(shown(2, "reason"), "time is 83333 days ahead of the gateway's clock");
    assert_eq!(custody.lost(LossReason::Decode), 3);
    custody.release();
    eventually(|| source.handle.status().unacked, |&n| n == 0).await;
    source.crash().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_commits_and_acknowledges_what_is_in_hand() {
    for version in BOTH {
        let broker = Mosquitto::start().await;
        let custody = Custody::quick();
        let slow = Options { linger: Duration::from_secs(3600), ..broker.options(version) };
        let source = Running::mqtt(slow, &custody);
        source.connected().await;
        publish_readings(broker.port, 0..3).await;
        eventually(|| source.handle.status().unacked, |&n| n == 3).await;
        assert_eq!(custody.parcels(), 0);
        let status = source.drain().await;
        assert_eq!((status.state, status.unacked), (State::Stopped, 0), "{version:?}");
        assert_eq!(custody.temps(), numbers(0..3));
    }
}

/// The broker keeps them: waiting for room would cost the stages behind the source their time.
#[tokio::test(flavor = "multi_thread")]
async fn a_drain_of_a_full_store_does_not_wait_for_room_and_acknowledges_nothing() {
    for version in BOTH {
        let broker = Mosquitto::start().await;
        let custody = Custody::quick();
        custody.set_full(true);
        let source = Running::mqtt(broker.options(version), &custody);
        source.connected().await;
        publish_readings(broker.port, 0..10).await;
        eventually(|| source.handle.status().unacked, |&n| n == 10).await;
        let status = source.drain().await;
        assert_eq!((status.state, custody.parcels()), (State::Stopped, 0), "{version:?}");

        let next = Custody::quick();
        let source = Running::mqtt(broker.options(version), &next);
        eventually(|| next.temps(), |t| *t == numbers(0..10)).await;
        source.crash().await;
    }
}

/// What the broker does not send again is in the ledger, whatever it came with.
#[tokio::test(flavor = "multi_thread")]
async fn a_drain_of_a_full_store_counts_the_qos_0_messages_it_gives_up() {
    let broker = Mosquitto::start().await;
    let custody = Custody::quick();
    custody.set_full(true);
    let source = Running::mqtt(broker.options(Version::V5), &custody);
    source.connected().await;
    publish_readings(broker.port, 0..4).await;
    eventually(|| source.handle.status().frames, |&n| n == 4).await;
    let fleeting: Vec<_> = (4..11).map(|n| ("sensors/a", common::reading(n).into_bytes())).collect();
    publish(broker.port, QoS::AtMostOnce, false, &fleeting).await;
    eventually(|| source.handle.status().frames, |&n| n == 11).await;
    source.drain().await;
    assert_eq!((custody.lost(LossReason::Full), custody.temps()), (7, vec![]));

    let next = Custody::quick();
    let source = Running::mqtt(broker.options(Version::V5), &next);
    eventually(|| next.temps(), |t| *t == numbers(0..4)).await;
    source.crash().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_acknowledges_on_receive_does_not_wait_for_the_store() {
    for version in BOTH {
        let broker = Mosquitto::start().await;
        let custody = Custody::holding();
        let hasty = || Options { ack: Ack::OnReceive, ..broker.options(version) };
        let source = Running::mqtt(hasty(), &custody);
        source.connected().await;
        publish_readings(broker.port, 0..5).await;
        eventually(|| source.handle.status(), |s| (s.frames, s.unacked) == (5, 0)).await;
        source.crash().await;
        // It has read what we wrote: it takes one packet at a time, and a second connection would make it forget the rest.
        broker.says("gateway closed its connection").await;

        // What the crash took is gone: the broker has no more of it.
        let next = Custody::quick();
        let source = Running::mqtt(hasty(), &next);
        source.connected().await;
        publish_readings(broker.port, 5..6).await;
        eventually(|| next.temps(), |t| *t == numbers(5..6)).await;
        source.crash().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn at_qos_2_a_message_is_received_only_when_durable() {
    for version in BOTH {
        let broker = Mosquitto::start().await;
        let custody = Custody::holding();
        let twice = || Options { qos: Qos::ExactlyOnce, ..broker.options(version) };
        let publish_twice = async |range: std::ops::Range<usize>| {
            let messages: Vec<_> = range.map(|n| ("sensors/a", common::reading(n).into_bytes())).collect();
            publish(broker.port, QoS::ExactlyOnce, false, &messages).await;
        };
        let source = Running::mqtt(twice(), &custody);
        source.connected().await;
        publish_twice(0..5).await;
        eventually(|| custody.temps(), |t| *t == numbers(0..5)).await;
        assert_eq!(source.handle.status().unacked, 5, "{version:?}");
        source.crash().await;

        // A gateway whose store was durable in time knows them, and takes what is new.
        let next = Custody::with_state(custody.last_state());
        let source = Running::mqtt(twice(), &next);
        eventually(|| source.handle.status(), |s| (s.redelivered, s.unacked) == (5, 0)).await;
        publish_twice(5..8).await;
        eventually(|| next.temps(), |t| *t == numbers(5..8)).await;
        assert_eq!(source.drain().await.unacked, 0);

        // All of them were released: nothing comes again.
        let last = Custody::quick();
        let source = Running::mqtt(twice(), &last);
        source.connected().await;
        publish_twice(8..9).await;
        eventually(|| last.temps(), |t| *t == numbers(8..9)).await;
        assert_eq!(source.handle.status().redelivered, 0, "{version:?}");
        source.crash().await;
    }
}

/// A broker that has our PUBREC sends only PUBREL on the next connection, here one of a message this run has never seen.
#[tokio::test(flavor = "multi_thread")]
async fn a_release_of_an_earlier_connections_message_is_answered() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    for version in BOTH {
        let broker = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let options = Options {
            url: format!("mqtt://{}", broker.local_addr().unwrap()),
            topics: vec!["sensors/#".into()],
            client_id: "gateway".into(),
            qos: Qos::ExactlyOnce,
            version,
            decode: common::decode(),
            ..Default::default()
        };
        let source = Running::mqtt(options, &Custody::quick());
        let (mut socket, _) = broker.accept().await.unwrap();
        let session_present: &[u8] = if version == Version::V5 { &[0x20, 3, 1, 0, 0] } else { &[0x20, 2, 1, 0] };
        socket.write_all(session_present).await.unwrap();
        socket.write_all(&[0x62, 2, 0x12, 0x34]).await.unwrap();
        let mut seen = Vec::new();
        let completed = async {
            while !seen.windows(4).any(|bytes| bytes == [0x70, 2, 0x12, 0x34]) {
                assert_ne!(socket.read_buf(&mut seen).await.unwrap(), 0, "{version:?}: it hung up after {seen:x?}");
            }
        };
        tokio::time::timeout(common::DEADLINE, completed).await.expect("PUBCOMP");
        source.crash().await;
    }
}

/// Their packet ids may be those of other messages by now, and nothing in the payload tells one reading from the next.
#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_gateway_takes_readings_without_a_time_again() {
    let broker = Mosquitto::start().await;
    let custody = Custody::holding();
    let timeless = || {
        let options = broker.options(Version::V5);
        Options { decode: DecodeOptions { time: None, ..options.decode }, ..options }
    };
    let source = Running::mqtt(timeless(), &custody);
    source.connected().await;
    publish_readings(broker.port, 0..10).await;
    eventually(|| custody.temps(), |t| *t == numbers(0..10)).await;
    source.crash().await;
    let next = Custody::with_state(custody.last_state());
    let source = Running::mqtt(timeless(), &next);
    eventually(|| next.temps(), |t| *t == numbers(0..10)).await;
    assert_eq!(source.handle.status().redelivered, 0);
    source.crash().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_without_a_broker_ends_when_everything_is_durable() {
    let mut broker = Mosquitto::start().await;
    let custody = Custody::holding();
    let source = Running::mqtt(broker.options(Version::V5), &custody);
    source.connected().await;
    publish_readings(broker.port, 0..3).await;
    eventually(|| custody.temps().len(), |&n| n == 3).await;
    broker.kill();
    source.says("refuses the connection").await;
    custody.release();
    assert_eq!(source.drain().await.state, State::Stopped);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_store_ends_acknowledging() {
    let broker = Mosquitto::start().await;
    let custody = Custody::holding();
    let source = Running::mqtt(broker.options(Version::V5), &custody);
    source.connected().await;
    publish_readings(broker.port, 0..3).await;
    eventually(|| custody.temps().len(), |&n| n == 3).await;
    custody.fail();
    let status = source.says("fsync failed").await;
    assert_eq!(status.state, State::Failed);
    let handle = source.handle.clone();
    source.drain().await;
    assert_eq!(handle.status().state, State::Failed, "a failure stays visible");

    let next = Custody::quick();
    let source = Running::mqtt(broker.options(Version::V5), &next);
    eventually(|| next.temps(), |t| *t == numbers(0..3)).await;
    source.crash().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oversized_packet_is_named_and_counted() {
    let broker = Mosquitto::start().await;
    let custody = Custody::quick();
    let small = |version| Options { packet_bytes_max: 1024, ..broker.options(version) };
    let source = Running::mqtt(small(Version::V311), &custody);
    source.connected().await;
    let big = format!(r#"{{"device":"d1","ts":0,"temp":1,"pad":"{}"}}"#, "x".repeat(5000));
    publish(broker.port, QoS::AtLeastOnce, false, &[("sensors/a", big.clone().into())]).await;
    let status = eventually(|| source.handle.status(), |s| s.failures >= 3 && s.reason.is_some()).await;
    let reason = status.reason.unwrap();
    assert!(reason.starts_with("a packet of 50") && reason.contains("over packet_bytes_max"), "{reason}");
    source.crash().await;

    // MQTT 5 tells the broker the limit: it holds the message back by itself and the next one comes.
    let source = Running::mqtt(Options { client_id: "five".into(), ..small(Version::V5) }, &custody);
    source.connected().await;
    publish(broker.port, QoS::AtLeastOnce, false, &[("sensors/a", big.into())]).await;
    publish_readings(broker.port, 5..6).await;
    eventually(|| custody.temps(), |t| *t == [5.0]).await;
    source.crash().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gateways_with_one_client_id_are_told() {
    let broker = Mosquitto::start().await;
    let (one, two) = (Custody::quick(), Custody::quick());
    let first = Running::mqtt(broker.options(Version::V5), &one);
    first.connected().await;
    let second = Running::mqtt(broker.options(Version::V5), &two);
    first.says("another client").await;
    first.crash().await;
    second.crash().await;
}
