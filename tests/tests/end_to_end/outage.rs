//! The upstream is away: nothing is lost, order is kept, memory does not grow with the backlog.

use crate::{PATIENCE, field, http_sink, kafka_sink, reading, this_minute};
use tidegate_tests::accounts::Deliveries;
use tidegate_tests::gateway::Gateway;
use tidegate_tests::kafka::Kafka;
use tidegate_tests::mosquitto::Mosquitto;
use tidegate_tests::publisher::Publisher;
use tidegate_tests::upstream::{Mood, Upstream};
use tidegate_tests::wait::Pace;

/// Readings a second during an outage.
const RATE: u32 = 5_000;
/// Before the outage, so that everything is warm when memory is looked at.
const WARM_SECONDS: u32 = 3;
/// How much more memory an outage may take.
const GROWTH_BYTES_MAX: u64 = 32 << 20;

/// How long the upstream is away; `TIDEGATE_OUTAGE_SECONDS=60` for the long form.
fn outage_seconds() -> u32 {
    std::env::var("TIDEGATE_OUTAGE_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(20)
}

#[test]
fn an_http_outage_loses_nothing_and_takes_no_memory() {
    let mosquitto = Mosquitto::start();
    let mut upstream = Upstream::start();
    let config = field(&mosquitto.url()) + &http_sink("cloud", "readings", &upstream.url());
    let mut gateway = Gateway::configured("", &config);
    gateway.start_ready();
    let mut devices = Devices::of(&mosquitto);
    devices.send_for(WARM_SECONDS);
    let before = gateway.resident_bytes();
    upstream.disconnect();
    devices.send_for(outage_seconds());
    assert_eq!(gateway.readiness().0, 200, "data waits safely: {}", gateway.readiness().1);
    assert_memory(&mut gateway, before);
    upstream.connect();
    gateway.eventually(PATIENCE, "the backlog is delivered", || {
        let count = upstream.accepted_count("/cloud");
        if count as i64 >= devices.sent { Ok(()) } else { Err(format!("{count} of {}", devices.sent)) }
    });
    let mut deliveries = Deliveries::default();
    upstream.accepted().iter().for_each(|line| deliveries.add_line(line));
    assert_complete(&deliveries, devices.sent);
}

#[test]
fn a_kafka_outage_loses_nothing_and_takes_no_memory() {
    let (mosquitto, mut kafka) = (Mosquitto::start(), Kafka::start());
    let config = field(&mosquitto.url()) + &kafka_sink("lake", "readings", &kafka.brokers());
    let mut gateway = Gateway::configured("", &config);
    gateway.start_ready();
    let mut devices = Devices::of(&mosquitto);
    devices.send_for(WARM_SECONDS);
    let before = gateway.resident_bytes();
    kafka.kill();
    devices.send_for(outage_seconds());
    assert_memory(&mut gateway, before);
    kafka.start_again();
    let deliveries = gateway.eventually(PATIENCE, "the backlog is delivered", || {
        let mut deliveries = Deliveries::default();
        for kept in kafka.read("lake")? {
            let id = kept.header("tidegate-id").parse()?;
            deliveries.add(id, serde_json::from_str(&kept.value).map_err(|error| error.to_string())?);
        }
        let count = deliveries.count() as i64;
        if count >= devices.sent { Ok(deliveries) } else { Err(format!("{count} of {}", devices.sent)) }
    });
    assert_complete(&deliveries, devices.sent);
}

/// An expired token is for a person to see to: no record is refused for it.
#[test]
fn an_unauthorized_backlog_waits_and_is_not_dead_lettered() {
    let mosquitto = Mosquitto::start();
    let upstream = Upstream::start();
    upstream.mood(Mood::Refuse(401));
    let config = field(&mosquitto.url()) + &http_sink("cloud", "readings", &upstream.url());
    let mut gateway = Gateway::configured("", &config);
    gateway.start_ready();
    let mut devices = Devices::of(&mosquitto);
    devices.send_for(outage_seconds());
    gateway.eventually(PATIENCE, "several requests are refused and readiness says so", || {
        let (_, reasons) = gateway.readiness();
        if upstream.requests() >= 4 && reasons.contains("401") { Ok(()) } else { Err(reasons) }
    });
    upstream.mood(Mood::Accept);
    gateway.eventually(PATIENCE, "everything is delivered", || {
        let count = upstream.accepted_count("/cloud") as i64;
        if count >= devices.sent { Ok(()) } else { Err(format!("{count} of {}", devices.sent)) }
    });
    let mut deliveries = Deliveries::default();
    upstream.accepted().iter().for_each(|line| deliveries.add_line(line));
    assert_complete(&deliveries, devices.sent);
    assert_eq!(gateway.appended("dead_letters"), 0, "dead letters");
}

/// Devices that send [`RATE`] readings a second.
struct Devices {
    publisher: Publisher,
    begin: i64,
    sent: i64,
}

impl Devices {
    fn of(broker: &Mosquitto) -> Self {
        Devices { publisher: Publisher::to(broker.addr(), "devices"), begin: this_minute(), sent: 0 }
    }

    fn send_for(&mut self, seconds: u32) {
        let mut pace = Pace::per_second(RATE);
        for _ in 0..RATE * seconds {
            pace.next();
            let device = format!("d{:03}", self.sent % 500);
            let body = reading(&device, self.begin + self.sent / 5, 20.0 + (self.sent % 100) as f64 / 10.0, self.sent);
            self.publisher.publish(&format!("sensors/{device}"), body);
            self.sent += 1;
        }
        self.publisher.flush();
    }
}

fn assert_memory(gateway: &mut Gateway, before: u64) {
    let during = gateway.resident_bytes();
    println!("memory: {} KiB before the outage, {} KiB at its end", before >> 10, during >> 10);
    assert!(during <= before + GROWTH_BYTES_MAX, "memory grew from {before} to {during} bytes");
}

/// Every offset came, each first copy in order, and every reading is there.
fn assert_complete(deliveries: &Deliveries, sent: i64) {
    println!("{} delivered, {} of them twice", deliveries.count(), deliveries.duplicates);
    assert_eq!(deliveries.gaps(), Vec::<String>::new());
    assert_eq!(deliveries.out_of_order, 0, "records that overtook others");
    assert_eq!(deliveries.count() as i64, sent, "records delivered");
    let seqs: std::collections::BTreeSet<_> =
        deliveries.records().filter_map(|record| record["seq"].as_i64()).collect();
    assert_eq!(seqs.len() as i64, sent, "readings among them");
}
