//! What the gateway has acknowledged it has, whatever is killed.

use crate::{PATIENCE, field, kafka_sink, reading, this_minute, windows};
use std::collections::HashMap;
use tidegate_tests::accounts::{Deliveries, readings, sum};
use tidegate_tests::gateway::Gateway;
use tidegate_tests::kafka::Kafka;
use tidegate_tests::mosquitto::Mosquitto;
use tidegate_tests::publisher::Publisher;

const DEVICES: i64 = 1_000;
const READINGS_EACH: i64 = 100;
const SENT: i64 = DEVICES * READINGS_EACH;
/// Between two readings of a device, in event time.
const STEP_MS: i64 = 100;

/// mosquitto, gateway and Kafka: 100,000 readings; the broker is restarted, the gateway drained once and killed twice.
#[test]
fn every_acknowledged_reading_is_counted_once_over_kills_and_restarts() {
    let (mut mosquitto, kafka) = (Mosquitto::start(), Kafka::start());
    let config = field(&mosquitto.url()) + &windows("1s", "3s") + &kafka_sink("windows", "windows", &kafka.brokers());
    let mut gateway = Gateway::configured("", &config);
    gateway.start_ready();
    let mut devices = Publisher::to(mosquitto.addr(), "devices");
    let begin = this_minute() - 600_000;
    let mut redelivered = 0;
    for round in 0..READINGS_EACH {
        match round {
            20 | 70 => {
                redelivered += recognised(&gateway);
                gateway.kill();
            }
            // Readings went on while it was away.
            24 | 70.. if !gateway.is_running() => gateway.start(),
            40 => mosquitto.restart(),
            55 => {
                redelivered += recognised(&gateway);
                assert!(gateway.stop().success(), "the drain");
                gateway.start();
            }
            _ => {}
        }
        for device in 0..DEVICES {
            let name = format!("d{device:04}");
            let body = reading(&name, begin + round * STEP_MS, device as f64 / 10.0, round);
            devices.publish(&format!("sensors/{name}"), body);
        }
    }
    devices.flush();
    gateway.eventually(PATIENCE, "every reading is in the input stream", || {
        let appended = gateway.appended("readings") as i64;
        if appended >= SENT { Ok(()) } else { Err(format!("{appended} of {SENT}")) }
    });
    redelivered += recognised(&gateway);
    let stored = gateway.tap("readings", SENT as usize);
    let (unique, again) = readings(&stored);
    assert_eq!(unique.len() as i64, SENT, "readings that were acknowledged and are not there");
    assert_order(&stored);
    let sent_again = mosquitto.redeliveries("test-gateway-field");
    println!(
        "{} stored, {again} of them again; the publisher sent {} again, the broker {sent_again}; {redelivered} \
         redeliveries recognised",
        stored.len(),
        devices.sent_again
    );
    // What the broker sends again and the gateway does not know any more is what it has acknowledged: the broker ended,
    // or the connection broke, with those acks unread. How many of the others there are depends on what is in hand at
    // those instants, and may be none; that they are recognised is tested in `devices/tests`, where the commit waits.
    let explained = devices.sent_again + sent_again.saturating_sub(redelivered);
    assert!(
        again as u64 <= explained,
        "{again} duplicates, and only {explained} messages were sent again unrecognised"
    );
    assert_windows(&gateway, &kafka, stored.len() as i64);
}

/// Counts of the windows in Kafka and late records in the ledger are the input stream's records, exactly.
fn assert_windows(gateway: &Gateway, kafka: &Kafka, stored: i64) {
    let deliveries = gateway.eventually(PATIENCE, "the windows in Kafka account for every record", || {
        let mut deliveries = Deliveries::default();
        for kept in kafka.read("windows")? {
            let id = kept.header("tidegate-id").parse()?;
            deliveries.add(id, serde_json::from_str(&kept.value).map_err(|error| error.to_string())?);
        }
        let (counted, late) = (sum(deliveries.records(), "count"), gateway.lost("late") as i64);
        if counted + late >= stored {
            Ok(deliveries)
        } else {
            Err(format!("{counted} counted, {late} late of {stored}"))
        }
    });
    let (counted, late) = (sum(deliveries.records(), "count"), gateway.lost("late") as i64);
    println!("{} windows, {} delivered twice, {late} late", deliveries.count(), deliveries.duplicates);
    assert_eq!(counted + late, stored, "{late} late");
    assert_eq!(deliveries.gaps(), Vec::<String>::new());
    assert_eq!(deliveries.out_of_order, 0, "records that overtook others");
}

/// First copies of each device's readings are in the order they were sent.
fn assert_order(stored: &[serde_json::Value]) {
    let mut last: HashMap<&str, i64> = HashMap::new();
    for record in stored {
        let (device, seq) = (record["device"].as_str().expect("a device"), record["seq"].as_i64().expect("a number"));
        let last = last.entry(device).or_insert(-1);
        assert!(seq <= *last + 1, "{device}: {seq} came after {last}");
        *last = seq.max(*last);
    }
}

fn recognised(gateway: &Gateway) -> u64 {
    gateway.status()["sources"]["field"]["redelivered"].as_u64().expect("a count")
}
