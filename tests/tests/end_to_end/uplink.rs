//! A narrow uplink that two sinks share, alarms and readings: who goes first, how much, and when.

use crate::{PATIENCE, reading, this_minute};
use serde_json::Value;
use std::time::SystemTime;
use tidegate_tests::accounts::Deliveries;
use tidegate_tests::faketime::WallClock;
use tidegate_tests::gateway::Gateway;
use tidegate_tests::link::{Fault, Link, Network};
use tidegate_tests::process::free_port;
use tidegate_tests::publisher::Publisher;
use tidegate_tests::upstream::{Arrival, Upstream};
use tidegate_tests::wait::Pace;

/// What the outage leaves behind.
const BACKLOG: i64 = 5_000;
/// Most requests of readings that may be ahead of the alarms when the line is back: one finds that out, and the next is
/// on its way before the alarms are.
const AHEAD_MAX: usize = 3;
/// `max_bytes_per_hour`.
const BUDGET: usize = 128 * 1024;
/// Bytes of a request before its body, at least.
const HEAD_BYTES: usize = 300;

/// A gateway that devices connect to, with two sinks on one link to one upstream.
struct Site {
    gateway: Gateway,
    upstream: Upstream,
    link: Link,
    readings: Stream,
    alarms: Stream,
    _network: Network,
}

/// A device and how much it has sent.
struct Stream {
    device: Publisher,
    name: &'static str,
    begin: i64,
    sent: i64,
}

impl Site {
    /// Not running yet. `uplink` and `readings` are options of those sections.
    fn configured(uplink: &str, readings: &str) -> Self {
        let (network, upstream) = (Network::start(1), Upstream::start());
        let link = network.link("cloud", upstream.addr());
        let ports = [free_port(), free_port()];
        let mut config = format!("[uplink]\n{uplink}\n");
        for (name, port, more) in [("readings", ports[0], readings), ("alarms", ports[1], "urgent = true")] {
            let url = format!("http://{}/{name}", link.addr());
            config += &format!(
                r#"
                [streams.{name}]
                fields = {{ temp = "f64", seq = "i64" }}
                [sources.{name}]
                type = "mqtt_listener"
                stream = "{name}"
                listen = "127.0.0.1:{port}"
                [sources.{name}.decode]
                format = "json"
                device = "/device"
                time = "/ts"
                [sinks.{name}]
                type = "http"
                from = "{name}"
                url = "{url}"
                gzip = false
                backoff_min = "100ms"
                {more}
                "#
            );
        }
        let gateway = Gateway::configured("", &config);
        let stream = |name, port: u16| Stream {
            device: Publisher::to(([127, 0, 0, 1], port).into(), name),
            name,
            begin: this_minute() - 24 * 3_600_000,
            sent: 0,
        };
        let (readings, alarms) = (stream("readings", ports[0]), stream("alarms", ports[1]));
        Site { gateway, upstream, link, readings, alarms, _network: network }
    }

    /// Waits until everything sent has arrived.
    fn all_arrives(&self) {
        for stream in [&self.readings, &self.alarms] {
            self.arrive(stream.name, stream.sent);
        }
    }

    fn arrive(&self, name: &str, sent: i64) {
        self.gateway.eventually(PATIENCE, &format!("all {name} arrive"), || {
            let count = self.upstream.accepted_count(&format!("/{name}")) as i64;
            if count >= sent { Ok(()) } else { Err(format!("{count} of {sent}")) }
        });
    }

    /// Waits until `/readyz` says this of the sink of readings, and holds that the gateway is ready all the same.
    fn says_of_readings(&self, what: &str) {
        self.gateway.eventually(PATIENCE, &format!("the sink of readings says: {what}"), || {
            let (status, body) = self.gateway.readiness();
            let ready: Value = serde_json::from_str(&body).map_err(|error| error.to_string())?;
            let mut reasons = ready["reasons"].as_array().expect("reasons").iter();
            let said = reasons.any(|reason| {
                reason["component"] == "sink/readings" && reason["reason"].as_str().is_some_and(|r| r.contains(what))
            });
            if said && status == 200 { Ok(()) } else { Err(format!("{status} {body}")) }
        });
    }

    /// Once each by identity, and none missing.
    fn all_arrived_once(&self, arrivals: &[Arrival]) {
        for stream in [&self.readings, &self.alarms] {
            let mut deliveries = Deliveries::default();
            let lines = accepted(arrivals, stream.name).flat_map(|(_, arrival)| &arrival.lines);
            lines.for_each(|line| deliveries.add_line(line));
            assert_eq!(deliveries.gaps(), Vec::<String>::new());
            assert_eq!((deliveries.count() as i64, deliveries.duplicates), (stream.sent, 0), "{}", stream.name);
        }
    }
}

impl Stream {
    /// Sends readings of one device and waits until they are acknowledged.
    fn send(&mut self, device: &str, count: i64) {
        for _ in 0..count {
            self.send_one(device);
        }
        self.device.flush();
    }

    fn send_one(&mut self, device: &str) {
        let body = reading(device, self.begin + self.sent, 20.0, self.sent);
        self.device.publish(&format!("sensors/{device}"), body);
        self.sent += 1;
    }
}

/// Requests of a stream that were taken, with their places among all.
fn accepted<'a>(arrivals: &'a [Arrival], stream: &str) -> impl Iterator<Item = (usize, &'a Arrival)> {
    let path = format!("/{stream}");
    arrivals.iter().enumerate().filter(move |(_, arrival)| arrival.status < 300 && arrival.path == path)
}

/// Places of the records of a device among all that arrived, request by request, and their `seq`.
fn places(arrivals: &[Arrival], device: &str) -> Vec<(usize, i64)> {
    let mut places = Vec::new();
    for (place, arrival) in accepted(arrivals, "readings") {
        for line in &arrival.lines {
            let record: Value = serde_json::from_str(line).expect("JSON");
            if record["device"] == device {
                places.push((place, record["seq"].as_i64().expect("a number")));
            }
        }
    }
    places
}

#[test]
fn after_an_outage_alarms_arrive_first_and_fresh_readings_beside_the_backlog() {
    let live = "request_bytes_max = \"16KiB\"\nlive_share = 0.5\nlive_after = \"1s\"\nbackoff_max = \"500ms\"";
    let mut site = Site::configured("", live);
    site.gateway.start_ready();
    site.readings.send("old", 10);
    site.alarms.send("alarm", 1);
    site.all_arrives();
    site.link.cut();
    site.alarms.send("alarm", 50);
    site.readings.send("old", BACKLOG);
    // By now the sink of alarms waits for some seconds between two attempts, and that of readings for half a second.
    site.gateway.eventually(PATIENCE, "both sinks have tried in vain", || {
        let status = site.gateway.status();
        let retries = ["readings", "alarms"].map(|name| status["sinks"][name]["retries"].as_u64());
        if retries.iter().all(|count| *count >= Some(5)) { Ok(()) } else { Err(format!("{retries:?} retries")) }
    });
    site.upstream.take_arrivals();
    site.link.fault(Fault::Slow(150));
    site.link.mend();
    let (mut pace, mut arrived) = (Pace::per_second(200), 0);
    while arrived < BACKLOG as usize {
        pace.next();
        site.readings.send_one("fresh");
        if site.readings.sent % 20 == 0 {
            site.readings.device.flush();
            arrived = site.upstream.accepted_count("/readings");
        }
    }
    site.readings.device.flush();
    site.arrive("readings", site.readings.sent - 10);
    let arrivals = site.upstream.take_arrivals();
    let last_alarm = accepted(&arrivals, "alarms").map(|(place, _)| place).last().expect("alarms");
    let ahead = accepted(&arrivals, "readings").filter(|(place, _)| *place < last_alarm).count();
    assert!(ahead <= AHEAD_MAX, "{ahead} requests of readings came before the alarms");
    let (old, fresh) = (places(&arrivals, "old"), places(&arrivals, "fresh"));
    let behind = old.iter().filter(|(place, _)| *place > fresh[0].0).count();
    println!("{ahead} requests ahead of the alarms; {behind} of the backlog came after the first fresh reading");
    assert!(behind as i64 > BACKLOG / 2, "fresh readings waited for the backlog: {behind} came after the first");
    assert!(old.is_sorted() && fresh.is_sorted(), "each of the two is in order");
    assert_eq!(accepted(&arrivals, "alarms").map(|(_, arrival)| arrival.lines.len()).sum::<usize>(), 50);
    let mut seqs: Vec<i64> = old.iter().chain(&fresh).map(|(_, seq)| *seq).collect();
    seqs.sort_unstable();
    assert!(seqs.into_iter().eq(10..site.readings.sent), "everything arrived, and once");
}

#[test]
fn an_hour_budget_holds_over_kills_and_leaves_a_part_to_alarms() {
    let mut site = Site::configured(&format!("max_bytes_per_hour = {BUDGET}"), "");
    site.link.fault(Fault::Slow(40));
    site.gateway.start_ready();
    site.readings.send("r", 4_000);
    for kills in 1..=3 {
        site.gateway.eventually(PATIENCE, "some of it arrives", || match site.upstream.accepted_count("/readings") {
            0 => Err("nothing yet".into()),
            _ if site.upstream.requests() >= kills => Ok(()),
            _ => Err(format!("{} requests", site.upstream.requests())),
        });
        site.gateway.kill();
        site.gateway.start();
    }
    site.says_of_readings("max_bytes_per_hour");
    let before = site.upstream.accepted_count("/readings");
    site.alarms.send("a", 3);
    site.arrive("alarms", 3);
    site.gateway.kill();
    site.gateway.start();
    site.says_of_readings("max_bytes_per_hour");
    let arrivals = site.upstream.take_arrivals();
    let bytes: usize = arrivals.iter().map(|arrival| arrival.bytes + HEAD_BYTES).sum();
    let readings: usize = accepted(&arrivals, "readings").map(|(_, arrival)| arrival.lines.len()).sum();
    println!("{bytes} bytes in {} requests, {readings} readings", arrivals.len());
    assert!(bytes <= BUDGET, "{bytes} bytes were sent");
    assert!(bytes >= BUDGET / 4, "{bytes} bytes: the budget was not used");
    assert_eq!(readings, before, "readings were sent beyond the budget");
    assert!(before < 4_000, "the budget was enough");
    let left = site.gateway.status()["uplink"]["bytes_left"].as_u64();
    assert!(left < Some(BUDGET as u64 / 2), "{left:?} bytes are left");
}

#[test]
fn outside_of_its_hours_the_uplink_is_for_alarms_alone() {
    let now = seconds();
    let time = |seconds: i64| format!("{:02}:{:02}", seconds.rem_euclid(86_400) / 3600, seconds.rem_euclid(3600) / 60);
    let window = format!("send_window = \"{}-{}\"\nurgent_any_time = true", time(now - 3600), time(now + 7200));
    let mut site = Site::configured(&window, "");
    // Six hours before the window.
    let clock = WallClock::at(&date(now - 7 * 3600));
    let in_utc = ("TZ".to_owned(), "UTC".to_owned());
    site.gateway.environment(clock.environment().into_iter().chain([in_utc]).collect());
    site.gateway.start_ready();
    site.readings.send("r", 200);
    site.alarms.send("a", 3);
    site.arrive("alarms", 3);
    site.says_of_readings("outside of send_window");
    assert_eq!(site.upstream.accepted_count("/readings"), 0);
    clock.set_right();
    site.all_arrives();
    site.all_arrived_once(&site.upstream.take_arrivals());
}

#[allow(clippy::disallowed_methods, reason = "what the gateway is told is relative to the machine's clock")]
fn seconds() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs() as i64
}

/// As faketime reads it, in UTC.
fn date(seconds: i64) -> String {
    let text = tidegate_record::rfc3339(seconds * 1_000_000);
    text[..19].replace('T', " ")
}
