//! The listener with real clients: mosquitto's, rumqttc, a bridge of mosquitto, and devices that are a bare socket.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use common::{Custody, DEADLINE, Mosquitto, Running, certificates, eventually, free_port, publish, publish_readings};
use rumqttc::QoS;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tidegate_devices::listener::{self, Options};
use tidegate_devices::{Ack, LossReason, Source, State};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const NOTHING: [u8; 0] = [];

fn numbers(range: std::ops::Range<usize>) -> Vec<f64> {
    range.map(|n| n as f64).collect()
}

fn options() -> Options {
    Options {
        listen: SocketAddr::from(([127, 0, 0, 1], free_port())),
        linger: Duration::from_millis(2),
        decode: common::decode(),
        ..Default::default()
    }
}

async fn listening(options: &Options, custody: &Arc<Custody>) -> Running {
    let source = listener::Source::build("door", options.clone(), common::schema()).unwrap();
    let running = Running::start(Source::Listener(Box::new(source)), custody);
    running.connected().await;
    running
}

/// `mosquitto_pub` of reading 0, as a process.
fn mosquitto_pub(options: &Options, arguments: &[&str]) -> Child {
    let mut command = Command::new("mosquitto_pub");
    command.args(["-h", "127.0.0.1", "-p", &options.listen.port().to_string()]);
    command.args(["-t", "sensors/a", "-m", &common::reading(0)]).args(arguments);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("mosquitto-clients are installed")
}

async fn ended(child: &mut Child) -> bool {
    let status = eventually(|| child.try_wait().unwrap(), |status| status.is_some()).await;
    status.is_some_and(|status| status.success())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_acknowledged_only_when_its_message_is_durable() {
    for arguments in
        [["-V", "311", "-q", "1"], ["-V", "5", "-q", "1"], ["-V", "311", "-q", "2"], ["-V", "5", "-q", "2"]]
    {
        let (options, custody) = (options(), Custody::holding());
        let source = listening(&options, &custody).await;
        let mut device = mosquitto_pub(&options, &arguments);
        eventually(|| custody.temps(), |t| *t == numbers(0..1)).await;
        eventually(|| source.handle.status().unacked, |&n| n == 1).await;
        assert!(device.try_wait().unwrap().is_none(), "{arguments:?}: it was acknowledged before");
        custody.release();
        assert!(ended(&mut device).await, "{arguments:?}");
        assert_eq!(source.drain().await.unacked, 0);
        assert_eq!(custody.temps(), numbers(0..1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn qos_0_and_on_receive_wait_for_nothing() {
    for (arguments, ack) in [(["-V", "5", "-q", "0"], Ack::OnStore), (["-V", "311", "-q", "1"], Ack::OnReceive)] {
        let (options, custody) = (Options { ack, ..options() }, Custody::holding());
        let source = listening(&options, &custody).await;
        assert!(ended(&mut mosquitto_pub(&options, &arguments)).await);
        eventually(|| custody.temps(), |t| *t == numbers(0..1)).await;
        source.crash().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_store_makes_devices_wait_and_loses_nothing() {
    let (options, custody) = (Options { receive_max: 16, ..options() }, Custody::quick());
    custody.set_full(true);
    let source = listening(&options, &custody).await;
    let port = options.listen.port();
    let devices = tokio::spawn(async move {
        publish_readings(port, 0..200).await;
        let messages: Vec<_> = (200..300).map(|n| ("sensors/a", common::reading(n).into_bytes())).collect();
        publish(port, QoS::ExactlyOnce, false, &messages).await;
    });
    eventually(|| source.handle.status().unacked, |&n| n == 16).await;
    custody.set_full(false);
    devices.await.unwrap();
    assert_eq!((custody.temps(), custody.lost(LossReason::Full)), (numbers(0..300), 0));
    let status = source.drain().await;
    assert_eq!((status.state, status.unacked, status.faults), (State::Stopped, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_of_mosquitto_delivers_over_a_crash_of_the_gateway() {
    let options = Options { topics: vec!["sensors/#".into()], ..options() };
    let bridge = format!(
        "allow_anonymous true\nconnection up\naddress {}\ntopic sensors/# out 1\ncleansession false\n\
         notifications false\nrestart_timeout 1\n",
        options.listen
    );
    let custody = Custody::quick();
    let source = listening(&options, &custody).await;
    let broker = Mosquitto::start_with(&bridge).await;
    eventually(|| source.handle.status().connections, |&n| n == 1).await;
    publish_readings(broker.port, 0..50).await;
    eventually(|| custody.temps(), |t| *t == numbers(0..50)).await;
    eventually(|| source.handle.status().unacked, |&n| n == 0).await;
    source.crash().await;
    publish_readings(broker.port, 50..100).await;
    let next = Custody::after(&custody);
    let source = listening(&options, &next).await;
    let seen = eventually(|| next.temps(), |t| t.ends_with(&numbers(50..100))).await;
    assert!(seen.iter().all(|&n| n >= 50.0), "what was acknowledged, or is known, is not taken again: {seen:?}");
    source.drain().await;
}

/// A device that is a bare socket.
struct Device(TcpStream);

impl Device {
    async fn to(options: &Options) -> Self {
        Device(TcpStream::connect(options.listen).await.unwrap())
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    /// Sends CONNECT of MQTT 3.1.1 for a session that is kept. Gives whether it was there.
    async fn connect(&mut self) -> bool {
        self.send(b"\x10\x0d\0\x04MQTT\x04\0\0\0\0\x01a").await;
        let answer = self.read(4).await;
        assert_eq!((answer[0], answer[3]), (0x20, 0));
        answer[2] == 1
    }

    async fn publish(&mut self, first: u8, id: u16, number: usize) {
        let payload = common::reading(number);
        let mut packet = vec![first, (5 + payload.len()) as u8, 0, 1, b't'];
        packet.extend_from_slice(&id.to_be_bytes());
        packet.extend_from_slice(payload.as_bytes());
        self.send(&packet).await;
    }

    /// Publishes at QoS 0.
    async fn publish_at_once(&mut self, number: usize) {
        let payload = common::reading(number);
        let header = [0x30, (3 + payload.len()) as u8, 0, 1, b't'];
        self.send(&[&header, payload.as_bytes()].concat()).await;
    }

    async fn read(&mut self, bytes: usize) -> Vec<u8> {
        let mut read = vec![0; bytes];
        let all = self.0.read_exact(&mut read);
        tokio::time::timeout(DEADLINE, all).await.expect("an answer").unwrap();
        read
    }

    /// Waits until the listener closes the connection; gives what it said before.
    async fn closed(&mut self) -> Vec<u8> {
        let mut said = Vec::new();
        let end = self.0.read_to_end(&mut said);
        tokio::time::timeout(DEADLINE, end).await.expect("the listener closes the connection").unwrap();
        said
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_gateway_has_the_sessions_and_takes_nothing_twice() {
    let (options, custody) = (options(), Custody::quick());
    let source = listening(&options, &custody).await;
    let mut device = Device::to(&options).await;
    assert!(!device.connect().await);
    custody.hold();
    device.publish(0x34, 7, 1).await;
    device.publish(0x32, 8, 2).await;
    eventually(|| custody.temps(), |t| *t == numbers(1..3)).await;
    source.crash().await;
    custody.release();

    let next = Custody::after(&custody);
    let source = listening(&options, &next).await;
    let mut device = Device::to(&options).await;
    assert!(device.connect().await, "the session is there");
    device.publish(0x3c, 7, 1).await;
    device.publish(0x3a, 8, 2).await;
    assert_eq!(device.read(8).await, [0x50, 2, 0, 7, 0x40, 2, 0, 8]);
    device.send(&[0x62, 2, 0, 7]).await;
    assert_eq!(device.read(4).await, [0x70, 2, 0, 7]);
    // The id is free: another message may have it, even the very same bytes.
    device.publish(0x34, 7, 1).await;
    assert_eq!(device.read(4).await, [0x50, 2, 0, 7]);
    assert_eq!((next.temps(), source.handle.status().redelivered), (numbers(1..2), 2));
    source.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_say_nothing_are_ended() {
    let options = Options { connect_timeout: Duration::from_millis(50), ..options() };
    let source = listening(&options, &Custody::quick()).await;
    let mut stranger = Device::to(&options).await;
    assert_eq!(stranger.closed().await, NOTHING);
    // A slow one that never finishes its first packet.
    let mut slow = Device::to(&options).await;
    slow.send(&[0x10]).await;
    assert_eq!(slow.closed().await, NOTHING);
    // One that is half open: nothing comes for longer than its keep-alive of a second allows.
    let mut silent = Device::to(&options).await;
    silent.send(b"\x10\x10\0\x04MQTT\x05\x02\0\x01\0\0\x03abc").await;
    assert_eq!(silent.read(1).await, [0x20]);
    let said = silent.closed().await;
    assert!(said.windows(3).any(|bytes| bytes[0] == 0xe0 && bytes[2] == 0x8d), "keep alive timeout: {said:x?}");
    eventually(|| source.handle.status().connections, |&n| n == 0).await;
    source.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_does_not_wait_for_who_says_nothing() {
    let options = Options { connect_timeout: Duration::from_secs(3600), ..options() };
    for _ in 0..20 {
        let source = listening(&options, &Custody::quick()).await;
        let mut strangers = Vec::new();
        for _ in 0..8 {
            strangers.push(Device::to(&options).await);
        }
        let drained = tokio::time::timeout(DEADLINE, source.drain()).await;
        assert_eq!(drained.expect("the door closes").state, State::Stopped);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_says_all_it_has_and_goes_is_heard_to_the_end() {
    let (options, custody) = (options(), Custody::holding());
    let source = listening(&options, &custody).await;
    let mut device = Device::to(&options).await;
    let will = common::reading(9);
    let mut connect = b"\x10\0\0\x04MQTT\x04\x04\0\0\0\x01a\0\x01t\0".to_vec();
    connect.push(will.len() as u8);
    connect.extend_from_slice(will.as_bytes());
    connect[1] = (connect.len() - 2) as u8;
    device.send(&connect).await;
    for number in 1..4 {
        device.publish_at_once(number).await;
    }
    device.send(&[0xe0, 0]).await;
    drop(device);
    // Its session waits for the store. Others come and go meanwhile, so its end is seen.
    for _ in 0..10 {
        let mut other = Device::to(&options).await;
        other.send(b"\x10\x0d\0\x04MQTT\x04\x02\0\0\0\x01b").await;
        assert_eq!(other.read(4).await, [0x20, 2, 0, 0]);
        other.send(&[0xe0, 0]).await;
        assert_eq!(other.closed().await, NOTHING);
    }
    custody.release();
    eventually(|| custody.temps(), |t| *t == numbers(1..4)).await;
    source.drain().await;
    assert_eq!(custody.temps(), numbers(1..4), "it said goodbye: its will is not said");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_says_who_it_is_over_tls() {
    let dir = tempfile::tempdir().unwrap();
    let ca = certificates(dir.path(), "localhost");
    let file = |name: &str| dir.path().join(name);
    let options = Options {
        cert_file: Some(file("cert")),
        key_file: Some(file("key")),
        client_ca_file: Some(ca.clone()),
        username: Some("devices".into()),
        password: Some("right".to_owned().into()),
        ..options()
    };
    let custody = Custody::quick();
    let source = listening(&options, &custody).await;
    let (ca, cert, key) =
        (ca.display().to_string(), file("cert").display().to_string(), file("key").display().to_string());
    let tls = ["-q", "1", "-h", "localhost", "--cafile", &ca];
    let shown = ["--cert", &cert, "--key", &key];
    let with = |password: &'static str| [&tls[..], &shown, &["-u", "devices", "-P", password]].concat();
    assert!(!ended(&mut mosquitto_pub(&options, &with("wrong"))).await);
    assert!(!ended(&mut mosquitto_pub(&options, &[&tls[..], &["-u", "devices", "-P", "right"]].concat())).await);
    assert!(ended(&mut mosquitto_pub(&options, &with("right"))).await);
    assert_eq!((custody.temps(), source.handle.status().faults), (numbers(0..1), 1));
    source.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_named_and_taken_when_it_is_free() {
    let options = options();
    let other = std::net::TcpListener::bind(options.listen).unwrap();
    let source = listener::Source::build("door", options.clone(), common::schema()).unwrap();
    let running = Running::start(Source::Listener(Box::new(source)), &Custody::quick());
    running.says(&format!("{} cannot be listened on", options.listen)).await;
    drop(other);
    running.connected().await;
    publish_readings(options.listen.port(), 0..1).await;
    running.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_store_ends_every_connection() {
    let (options, custody) = (options(), Custody::holding());
    let source = listening(&options, &custody).await;
    let mut device = Device::to(&options).await;
    device.send(b"\x10\x0d\0\x04MQTT\x04\x02\0\0\0\x01a").await;
    assert_eq!(device.read(4).await, [0x20, 2, 0, 0]);
    device.publish(0x32, 8, 2).await;
    eventually(|| custody.temps(), |t| *t == numbers(2..3)).await;
    custody.fail();
    assert_eq!(device.closed().await, NOTHING, "nothing is acknowledged");
    assert_eq!(source.drain().await.state, State::Failed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_counts_the_qos_0_messages_it_gives_up_and_leaves_the_others_to_their_devices() {
    let (options, custody) = (options(), Custody::quick());
    custody.set_full(true);
    let source = listening(&options, &custody).await;
    let mut device = Device::to(&options).await;
    device.send(b"\x10\x0d\0\x04MQTT\x04\x02\0\0\0\x01a").await;
    device.read(4).await;
    device.publish(0x32, 8, 2).await;
    eventually(|| source.handle.status().frames, |&n| n == 1).await;
    let fleeting: Vec<_> = (3..6).map(|n| ("t", common::reading(n).into_bytes())).collect();
    publish(options.listen.port(), QoS::AtMostOnce, false, &fleeting).await;
    eventually(|| source.handle.status().frames, |&n| n == 4).await;
    assert_eq!(source.drain().await.state, State::Stopped);
    assert_eq!(device.closed().await, NOTHING, "it was not acknowledged");
    assert_eq!((custody.temps(), custody.lost(LossReason::Full)), (vec![], 3));
}
