//! A rumqttc subscriber that does nothing with what it gets: the limit a source is measured against.
//!
//! `bare_subscriber ADDR COUNT VERSION` prints the seconds of processor time COUNT messages took, in MQTT 5 or 3.1.1.

#![allow(clippy::expect_used, reason = "a measuring tool ends when it cannot measure")]

use rumqttc::v5;
use std::net::SocketAddr;

/// What may wait for the client; the subscription alone does.
const REQUESTS: usize = 10;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut args = std::env::args().skip(1);
    let addr = args.next().and_then(|a| a.parse().ok()).expect("ADDR");
    let count = args.next().and_then(|a| a.parse().ok()).expect("COUNT");
    match args.next().as_deref() {
        Some("5") => take_v5(addr, count).await,
        Some("3.1.1") => take_v4(addr, count).await,
        _ => panic!("VERSION is 5 or 3.1.1"),
    }
    println!("{}", cpu_seconds());
}

async fn take_v5(addr: SocketAddr, count: u64) {
    let options = v5::MqttOptions::new("bare", addr.ip().to_string(), addr.port());
    let (client, mut events) = v5::AsyncClient::new(options, REQUESTS);
    client.subscribe("sensors/+", v5::mqttbytes::QoS::AtMostOnce).await.expect("room for one request");
    let mut seen = 0;
    while seen < count {
        let event = events.poll().await.expect("a sender that stays");
        seen += u64::from(matches!(event, v5::Event::Incoming(v5::mqttbytes::v5::Packet::Publish(_))));
    }
}

async fn take_v4(addr: SocketAddr, count: u64) {
    let options = rumqttc::MqttOptions::new("bare", addr.ip().to_string(), addr.port());
    let (client, mut events) = rumqttc::AsyncClient::new(options, REQUESTS);
    client.subscribe("sensors/+", rumqttc::QoS::AtMostOnce).await.expect("room for one request");
    let mut seen = 0;
    while seen < count {
        let event = events.poll().await.expect("a sender that stays");
        seen += u64::from(matches!(event, rumqttc::Event::Incoming(rumqttc::Packet::Publish(_))));
    }
}

/// User and system time of this process.
fn cpu_seconds() -> f64 {
    // SAFETY: getrusage writes the struct it is given, plain data of the right type.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}
