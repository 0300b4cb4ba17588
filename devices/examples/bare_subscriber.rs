//! A rumqttc subscriber that does nothing with what it gets: the limit a source is measured against.
//!
//! `bare_subscriber ADDR COUNT` prints the seconds of processor time COUNT messages took.

#![allow(clippy::expect_used, reason = "a measuring tool ends when it cannot measure")]

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::Packet;
use rumqttc::v5::{AsyncClient, Event, MqttOptions};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut args = std::env::args().skip(1);
    let addr: std::net::SocketAddr = args.next().and_then(|a| a.parse().ok()).expect("ADDR");
    let count: u64 = args.next().and_then(|a| a.parse().ok()).expect("COUNT");
    let mut options = MqttOptions::new("bare", addr.ip().to_string(), addr.port());
    options.set_outgoing_inflight_upper_limit(10);
    let (client, mut events) = AsyncClient::new(options, 10);
    client.subscribe("sensors/+", QoS::AtMostOnce).await.expect("room for one request");
    let mut seen = 0;
    while seen < count {
        if let Event::Incoming(Packet::Publish(_)) = events.poll().await.expect("a sender that stays") {
            seen += 1;
        }
    }
    println!("{}", cpu_seconds());
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
