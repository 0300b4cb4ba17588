//! A gateway without a battery: it boots in 1970, and the clock becomes right while it runs.

use crate::{PATIENCE, field, http_sink, windows};
use serde_json::Value;
use std::time::SystemTime;
use tidegate_tests::faketime::WallClock;
use tidegate_tests::gateway::Gateway;
use tidegate_tests::mosquitto::Mosquitto;
use tidegate_tests::publisher::Publisher;
use tidegate_tests::upstream::Upstream;

const IN_1970: &str = "1970-01-02 00:00:00";
/// Readings of each phase.
const EACH: u64 = 20;

/// Readings that bring no time of their own.
fn timeless(broker_url: &str) -> String {
    field(broker_url).replace("time = \"/ts\"", "")
}

/// A gateway and what it stands among.
struct Site {
    gateway: Gateway,
    devices: Publisher,
    sent: u64,
}

impl Site {
    /// Sends readings and waits until they are durable; gives the time around it, microseconds.
    fn send(&mut self) -> (i64, i64) {
        let before = now();
        for seq in self.sent..self.sent + EACH {
            self.devices.publish("sensors/d1", format!(r#"{{"device":"d1","temp":20.5,"seq":{seq}}}"#));
        }
        self.devices.flush();
        self.sent += EACH;
        let sent = self.sent;
        self.gateway.eventually(PATIENCE, "what was sent is stored", || match self.gateway.appended("readings") {
            appended if appended >= sent => Ok(()),
            appended => Err(format!("{appended} of {sent}")),
        });
        (before, now())
    }

    /// The readings a phase sent, as upstream has them.
    fn arrived(&self, upstream: &Upstream, phase: u64) -> Vec<Value> {
        let seqs = phase * EACH..(phase + 1) * EACH;
        self.gateway.eventually(PATIENCE, "the readings of the phase arrive", || {
            let lines = upstream.accepted();
            let records = lines.iter().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
            let of_phase = |record: &Value| record["seq"].as_u64().is_some_and(|seq| seqs.contains(&seq));
            let found: Vec<Value> = records.filter(of_phase).collect();
            if found.len() as u64 == EACH { Ok(found) } else { Err(format!("{} of {EACH}", found.len())) }
        })
    }

    fn is_clock_set(&self) -> bool {
        !self.gateway.readiness().1.contains("the wall clock is not set")
    }

    /// Waits until the gateway has seen that its clock was set.
    fn clock_is_seen(&self) {
        self.gateway.eventually(PATIENCE, "the gateway sees that its clock is set", || {
            if self.is_clock_set() { Ok(()) } else { Err("it says it is not".into()) }
        });
    }
}

#[allow(clippy::disallowed_methods, reason = "what the gateway says is compared with the machine's clock")]
fn now() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_micros() as i64
}

fn time(record: &Value) -> &str {
    record["time"].as_str().expect("a time")
}

/// RFC 3339 in UTC with six decimals sorts as the times do.
fn text(micros: i64) -> String {
    tidegate_record::rfc3339(micros)
}

fn assert_within(records: &[Value], clock: Option<&str>, (from, to): (i64, i64)) {
    // faketime and the gateway read the clock a moment apart.
    let (from, to) = (text(from - 1_000_000), text(to + 1_000_000));
    for record in records {
        assert_eq!(record["_clock"].as_str(), clock, "{record}");
        assert!(*from <= *time(record) && *time(record) <= *to, "not between {from} and {to}: {record}");
    }
}

#[test]
fn a_boot_in_1970_is_dated_upstream_once_the_clock_is_right_and_after_a_restart_too() {
    let (mosquitto, upstream, clock) = (Mosquitto::start(), Upstream::start(), WallClock::at(IN_1970));
    let config = timeless(&mosquitto.url())
        + &windows("1s", "2s")
        + &http_sink("readings", "readings", &upstream.url())
        + &http_sink("windows", "windows", &upstream.url());
    let mut gateway = Gateway::configured("", &config);
    gateway.environment(clock.environment());
    gateway.start_ready();
    let mut site = Site { gateway, devices: Publisher::to(mosquitto.addr(), "devices"), sent: 0 };
    assert!(!site.is_clock_set());

    // Without a clock what goes upstream says so.
    site.send();
    let unset = site.arrived(&upstream, 0);
    assert!(unset.iter().all(|r| r["_clock"] == "unset" && time(r).starts_with("1970-01-02T00:")), "{unset:?}");

    // These wait while the clock becomes right.
    upstream.pause(true);
    let held = site.send();
    clock.set_right();
    site.clock_is_seen();
    let right = site.send();
    site.gateway.kill();

    // The next boot is in 1970 again; what is known of the one before is in the log.
    clock.begin_at(IN_1970);
    site.gateway.start();
    upstream.pause(false);
    assert_within(&site.arrived(&upstream, 1), Some("corrected"), held);
    assert_within(&site.arrived(&upstream, 2), None, right);

    // Its own go on from where the clock last stood, and are dated when it is right again.
    site.send();
    let gone_on = site.arrived(&upstream, 3);
    assert!(gone_on.iter().all(|r| r["_clock"] == "unset" && *time(r) >= *text(right.0)), "{gone_on:?}");
    upstream.pause(true);
    let held = site.send();
    clock.set_right();
    site.clock_is_seen();
    // The commit of these has the correction in the log. A request that is tried again is the same to the byte, marks
    // and all: after a kill it is made anew.
    site.send();
    site.gateway.kill();
    site.gateway.start();
    upstream.pause(false);
    assert_within(&site.arrived(&upstream, 4), Some("corrected"), held);

    // Nothing was late, nothing aged: every reading is in a window, and in one only.
    assert_eq!([site.gateway.lost("late"), site.gateway.lost("age"), site.gateway.lost("cap")], [0, 0, 0]);
    site.gateway.eventually(PATIENCE, "every reading is in a window", || {
        let lines = upstream.accepted();
        let counts = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok()?["count"].as_u64());
        let count: u64 = counts.sum();
        assert!(count <= site.sent, "{count} readings are in windows, {} were sent", site.sent);
        if count == site.sent { Ok(()) } else { Err(format!("{count} of {}", site.sent)) }
    });
    assert!(site.gateway.stop().success());
}
