//! SIGKILL in mid-window. (A true power cut is the store's own test: it cuts the disk beneath it.)

use crate::{PATIENCE, field, http_sink, reading, this_minute, windows};
use serde_json::Value;
use std::collections::BTreeMap;
use tidegate_tests::accounts::Deliveries;
use tidegate_tests::gateway::Gateway;
use tidegate_tests::mosquitto::Mosquitto;
use tidegate_tests::publisher::Publisher;
use tidegate_tests::upstream::Upstream;

const DEVICES: i64 = 50;
/// Readings of each device in each window of ten seconds.
const EACH: i64 = 40;

#[test]
fn windows_are_exact_when_the_gateway_is_killed_in_the_middle_of_them() {
    let mosquitto = Mosquitto::start();
    let upstream = Upstream::start();
    let config = field(&mosquitto.url()) + &windows("10s", "3s") + &http_sink("cloud", "windows", &upstream.url());
    let mut gateway = Gateway::configured("", &config);
    gateway.start_ready();
    let mut devices = Publisher::to(mosquitto.addr(), "devices");
    let begin = this_minute() - 600_000;
    let mut sent = 0;
    for seq in 0..3 * EACH {
        // In the middle of the first, second and third window.
        if seq % EACH == EACH / 2 {
            devices.flush();
            gateway.eventually(PATIENCE, "what was sent is durable", || {
                let appended = gateway.appended("readings") as i64;
                if appended >= sent { Ok(()) } else { Err(format!("{appended} of {sent}")) }
            });
            gateway.kill();
            gateway.start_ready();
        }
        for device in 0..DEVICES {
            let name = format!("d{device:02}");
            let body = reading(&name, begin + seq * 10_000 / EACH, (seq % EACH) as f64, seq);
            devices.publish(&format!("sensors/{name}"), body);
            sent += 1;
        }
    }
    devices.flush();
    let expected = 3 * DEVICES as usize;
    let deliveries = gateway.eventually(PATIENCE, "every window is delivered", || {
        let mut deliveries = Deliveries::default();
        upstream.accepted().iter().for_each(|line| deliveries.add_line(line));
        if deliveries.count() >= expected { Ok(deliveries) } else { Err(format!("{} windows", deliveries.count())) }
    });
    let mut windows: BTreeMap<(&str, &str), &Value> = BTreeMap::new();
    for window in deliveries.records() {
        let key = (window["device"].as_str().expect("a device"), window["time"].as_str().expect("a time"));
        assert_eq!(windows.insert(key, window), None, "the window {key:?} twice");
        assert_eq!(window["count"].as_i64(), Some(EACH), "{window}");
        assert_eq!(window["temp_min"].as_f64(), Some(0.0), "{window}");
        assert_eq!(window["temp_max"].as_f64(), Some((EACH - 1) as f64), "{window}");
    }
    assert_eq!(windows.len(), expected);
    assert_eq!(deliveries.gaps(), Vec::<String>::new());
}
