//! Every way in and out of a gateway, and everything that goes wrong on the way.

use crate::{PATIENCE, reading, this_minute};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng as _, SeedableRng as _};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tidegate_tests::accounts::{Deliveries, readings};
use tidegate_tests::exact::Exact;
use tidegate_tests::gateway::Gateway;
use tidegate_tests::kafka::Kafka;
use tidegate_tests::link::{Fault, Link, Network, Ways};
use tidegate_tests::mosquitto::Mosquitto;
use tidegate_tests::process::free_port;
use tidegate_tests::publisher::Publisher;
use tidegate_tests::upstream::Upstream;
use tidegate_tests::wait::Pace;

/// Readings a second of each device.
const RATE: u32 = 100;
/// Silence must be noticed by then: `keep_alive` and `timeout` of `network.toml`, some times over on a busy machine, and
/// less than where nobody minded them (librdkafka would wait a minute).
const NOTICED: Duration = Duration::from_secs(45);
/// How often a link that comes and goes does so.
const COMES_AND_GOES: usize = 3;

/// What the links do next; `SEED=7` has it in another order and other numbers.
#[derive(Debug, Clone, Copy)]
enum Scene {
    /// Something is in the way, and readings flow all the while.
    Flows(Fault, Fault),
    /// Nothing flows, and the gateway says so: source and HTTP, device and Kafka.
    Stands([Fault; 4]),
    /// The links are gone, some times in a row.
    ComesAndGoes,
}

/// What the gateway says of each part that stands, in any of these words.
const SAID: [(&str, &[&str]); 4] = [
    ("source/field", &["does not answer", "closed the connection", "refuses the connection"]),
    ("source/once", &["does not answer", "closed the connection", "refuses the connection"]),
    ("sink/cloud", &["ran out of time", "the request failed", "no connection"]),
    ("sink/lake", &["no broker answers", "isconnected", "reset by peer", "onnection refused"]),
];

fn script(seed: u64) -> Vec<Scene> {
    let mut random = StdRng::seed_from_u64(seed);
    let delay = random.random_range(50..250);
    let late = Fault::Late { delay, jitter: delay / 2 };
    let mut silent = || Fault::Silent([Ways::Both, Ways::There, Ways::Back][random.random_range(0..3)]);
    // The HTTP reply is lost, for sure: the request is made again under the same identities.
    let silences = [silent(), Fault::Silent(Ways::Back), silent(), silent()];
    let rate = random.random_range(40..80);
    let mut scenes = vec![
        Scene::Flows(late, late),
        Scene::Flows(Fault::Slow(rate), Fault::Slow(rate)),
        Scene::Flows(Fault::Sliced, Fault::Sliced),
        Scene::Stands(silences),
        Scene::Stands([Fault::Reset; 4]),
        Scene::ComesAndGoes,
    ];
    scenes.shuffle(&mut random);
    scenes
}

/// A gateway whose every connection is a link, and devices that send all the while.
struct Site {
    gateway: Gateway,
    mosquitto: Mosquitto,
    upstream: Upstream,
    kafka: Kafka,
    /// Broker, HTTP upstream, listener, Kafka.
    links: [Link; 4],
    devices: Vec<Device>,
    _network: Network,
}

impl Site {
    fn set(seed: u64) -> Self {
        let kafka_link = free_port();
        let (mosquitto, upstream) = (Mosquitto::start(), Upstream::start());
        let (network, kafka) = (Network::start(seed), Kafka::start_behind(kafka_link));
        let listener = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let links = [
            network.link("broker", mosquitto.addr()),
            network.link("cloud", upstream.addr()),
            network.link("door", listener),
            network.link_on(kafka_link, "kafka", kafka.far()),
        ];
        let config = include_str!("network.toml")
            .replace("@BROKER@", &links[0].addr().to_string())
            .replace("@UPSTREAM@", &links[1].addr().to_string())
            .replace("@LISTENER@", &listener.to_string())
            .replace("@KAFKA@", &links[3].addr().to_string());
        let mut gateway = Gateway::configured("", &config);
        gateway.start_ready();
        let door = links[2].addr();
        let devices = vec![
            Device::at_qos_1("field", Publisher::to(mosquitto.addr(), "devices")),
            Device::at_qos_2("once", Exact::to(mosquitto.addr())),
            Device::at_qos_1("walk-in", Publisher::to(door, "devices")),
            Device::at_qos_2("walk-in-once", Exact::to(door)),
            // Next door, so that there is always something to deliver.
            Device::at_qos_1("neighbour", Publisher::to(listener, "neighbour")),
        ];
        Site { gateway, mosquitto, upstream, kafka, links, devices, _network: network }
    }

    fn play(&mut self, scene: Scene) {
        println!("{scene:?}");
        match scene {
            Scene::Flows(one, other) => {
                for (link, fault) in self.links.iter_mut().zip([one, one, other, other]) {
                    link.fault(fault);
                }
                self.flows("through the fault");
            }
            Scene::Stands(faults) => {
                self.links.iter_mut().zip(faults).for_each(|(link, fault)| link.fault(fault));
                self.says_so();
                if matches!(faults[2], Fault::Silent(Ways::Both | Ways::There)) {
                    self.listener_gives_up();
                }
            }
            Scene::ComesAndGoes => {
                for _ in 1..COMES_AND_GOES {
                    self.links.iter_mut().for_each(Link::cut);
                    self.says_so();
                    self.links.iter_mut().for_each(Link::heal);
                    self.flows("between two cuts");
                }
                self.links.iter_mut().for_each(Link::cut);
                self.says_so();
            }
        }
        self.links.iter_mut().for_each(Link::heal);
        self.flows("again");
        self.gateway.eventually(PATIENCE, "nothing is said of any part", || {
            let said = self.said();
            if SAID.iter().all(|(part, _)| !said.contains_key(*part)) { Ok(()) } else { Err(format!("{said:?}")) }
        });
    }

    /// Every source takes in more, and every sink delivers all there is by now and more.
    fn flows(&self, when: &str) {
        let counts = |status: &Value| {
            let sources = ["field", "once", "door"].map(|name| status["sources"][name]["records"].as_u64());
            let sinks = ["cloud", "lake"].map(|name| status["sinks"][name]["cursor"]["0"].as_u64());
            (sources, sinks)
        };
        let (begin, appended) = (counts(&self.gateway.status()), self.gateway.appended("readings"));
        self.gateway.eventually(PATIENCE, &format!("readings flow {when}"), || {
            let now = counts(&self.gateway.status());
            let come = now.0.iter().zip(&begin.0).all(|(now, begin)| now > begin);
            let go = now.1.iter().all(|cursor| *cursor > Some(appended));
            if come && go { Ok(()) } else { Err(format!("{now:?} after {begin:?}, {appended} appended")) }
        });
    }

    /// `/readyz` names every source and sink, and why.
    fn says_so(&self) {
        let mut told = BTreeMap::new();
        self.gateway.eventually(NOTICED, "the gateway says what is wrong with each of its parts", || {
            told.extend(self.said());
            let is_told = |(part, words): &&(&str, &[&str])| {
                told.get(*part).is_some_and(|said: &String| words.iter().any(|word| said.contains(word)))
            };
            let untold: Vec<_> = SAID.iter().filter(|said| !is_told(said)).map(|(part, _)| *part).collect();
            if untold.is_empty() { Ok(()) } else { Err(format!("nothing of {untold:?} in {told:?}")) }
        });
        told.iter().for_each(|(part, said)| println!("    {part}: {said}"));
    }

    /// By component.
    fn said(&self) -> BTreeMap<String, String> {
        let ready: Value = serde_json::from_str(&self.gateway.readiness().1).expect("JSON");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let reasons = ready["reasons"].as_array().expect("reasons").iter();
        reasons.map(|reason| (text(&reason["component"]), text(&reason["reason"]))).collect()
    }

    /// Devices it has not heard of for one and a half of `keep_alive_max` are not connected any more; the neighbour is.
    fn listener_gives_up(&self) {
        self.gateway.eventually(NOTICED, "the listener ends what is silent", || {
            match self.gateway.status()["sources"]["door"]["connections"].as_u64() {
                Some(1) => Ok(()),
                some => Err(format!("{some:?} connections")),
            }
        });
    }

    /// Everything sent is upstream in both places, once by its identity, and nothing else is.
    fn account(mut self) {
        let sent: Vec<Sent> = self.devices.drain(..).map(Device::stop).collect();
        let all: i64 = sent.iter().map(|sent| sent.count).sum();
        let appended = self.gateway.eventually(PATIENCE, "all is stored and both sinks are through", || {
            let (status, appended) = (self.gateway.status(), self.gateway.appended("readings"));
            let through = ["cloud", "lake"].map(|name| status["sinks"][name]["cursor"]["0"].as_u64() == Some(appended));
            if appended as i64 >= all && through == [true; 2] {
                Ok(appended)
            } else {
                Err(format!("{all} sent, {appended} stored, {through:?}"))
            }
        });
        let mut cloud = Deliveries::default();
        self.upstream.accepted().iter().for_each(|line| cloud.add_line(line));
        let mut lake = Deliveries::default();
        for kept in self.kafka.read("lake").expect("the topic") {
            let id = kept.header("tidegate-id").parse().expect("an identity");
            lake.add(id, serde_json::from_str(&kept.value).expect("JSON"));
        }
        println!("{appended} stored; {} came twice by HTTP, {} by Kafka", cloud.duplicates, lake.duplicates);
        for deliveries in [&cloud, &lake] {
            assert_eq!(deliveries.gaps(), Vec::<String>::new());
            assert_eq!((deliveries.count() as u64, deliveries.out_of_order), (appended, 0));
        }
        assert!(cloud.duplicates > 0, "no reply was lost: nothing was sent again");
        assert!(cloud.records().eq(lake.records()), "HTTP and Kafka have other records");
        let mut records: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for record in cloud.records() {
            records.entry(record["device"].as_str().expect("a device").into()).or_default().push(record.clone());
        }
        assert_eq!(records.len(), sent.len(), "devices");
        for sent in sent {
            self.accounts_for(&sent, &records[sent.device]);
        }
        assert_eq!(self.gateway.appended("dead_letters") + self.gateway.appended("ledger"), 0);
    }

    /// What arrived of one device.
    fn accounts_for(&self, sent: &Sent, records: &[Value]) {
        let (unique, again) = readings(records);
        let expected = (0..sent.count).map(|seq| (sent.device.to_owned(), seq)).collect();
        assert_eq!(unique, expected, "{}", sent.device);
        let recognised = self.gateway.status()["sources"]["field"]["redelivered"].as_u64().expect("a count");
        let explained = match sent.device {
            "field" => self.mosquitto.redeliveries("test-gateway-field").saturating_sub(recognised) + sent.again,
            "walk-in" | "neighbour" => sent.again,
            // QoS 2.
            _ => 0,
        };
        println!("{}: {} sent, {again} stored twice, at most {explained} explained", sent.device, sent.count);
        assert!(again as u64 <= explained, "{}: {again} twice, {explained} explained", sent.device);
    }
}

/// A device that sends until it is stopped.
struct Device {
    name: &'static str,
    stop: Arc<AtomicBool>,
    sending: JoinHandle<(i64, u64)>,
}

/// What a device sent and had acknowledged.
struct Sent {
    device: &'static str,
    count: i64,
    /// Sent again.
    again: u64,
}

impl Device {
    fn at_qos_1(name: &'static str, mut publisher: Publisher) -> Self {
        Self::begin(name, move |next| {
            match next {
                Some(body) => publisher.publish(&format!("sensors/{name}"), body),
                None => publisher.flush(),
            }
            publisher.sent_again
        })
    }

    fn at_qos_2(name: &'static str, mut device: Exact) -> Self {
        Self::begin(name, move |next| {
            match next {
                Some(body) => device.publish(&format!("once/{name}"), body),
                None => device.flush(),
            }
            0
        })
    }

    fn begin(name: &'static str, mut publish: impl FnMut(Option<String>) -> u64 + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let begin = this_minute() - 600_000;
        let sending = std::thread::spawn(move || {
            let (mut count, mut pace) = (0, Pace::per_second(RATE));
            while !stopped.load(Ordering::Relaxed) {
                pace.next();
                publish(Some(reading(name, begin + count, 20.0, count)));
                count += 1;
            }
            (count, publish(None))
        });
        Device { name, stop, sending }
    }

    /// Waits until everything is acknowledged.
    fn stop(self) -> Sent {
        self.stop.store(true, Ordering::Relaxed);
        let (count, again) = self.sending.join().expect("the device");
        Sent { device: self.name, count, again }
    }
}

#[test]
fn what_was_acknowledged_arrives_over_every_fault_of_every_link() {
    let seed = std::env::var("SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(4);
    println!("SEED={seed}");
    let mut site = Site::set(seed);
    site.flows("from the beginning");
    script(seed).into_iter().for_each(|scene| site.play(scene));
    site.account();
}
