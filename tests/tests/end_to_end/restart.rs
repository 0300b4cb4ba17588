//! After a restart everything goes on where it stood: no stall, no second copy, nothing that waits for new readings.

use crate::{PATIENCE, field, http_sink, reading, this_minute};
use tidegate_tests::accounts::Deliveries;
use tidegate_tests::gateway::Gateway;
use tidegate_tests::mosquitto::Mosquitto;
use tidegate_tests::publisher::Publisher;
use tidegate_tests::upstream::Upstream;

const BACKLOG: i64 = 2_000;

/// A gateway at a real broker, and an upstream that may be away.
struct Scene {
    upstream: Upstream,
    gateway: Gateway,
    devices: Publisher,
    begin: i64,
    sent: i64,
    _mosquitto: Mosquitto,
}

impl Scene {
    fn set() -> Self {
        let (mosquitto, upstream) = (Mosquitto::start(), Upstream::start());
        let config = field(&mosquitto.url()) + &http_sink("cloud", "readings", &upstream.url());
        let mut gateway = Gateway::configured("", &config);
        gateway.start_ready();
        let devices = Publisher::to(mosquitto.addr(), "devices");
        Scene { upstream, gateway, devices, begin: this_minute(), sent: 0, _mosquitto: mosquitto }
    }

    /// Publishes readings and waits until the gateway has them.
    fn send(&mut self, count: i64) {
        for _ in 0..count {
            let body = reading("d1", self.begin + self.sent, 20.0, self.sent);
            self.devices.publish("sensors/d1", body);
            self.sent += 1;
        }
        self.devices.flush();
        self.gateway.eventually(PATIENCE, "the readings are stored", || match self.gateway.appended("readings") {
            count if count as i64 >= self.sent => Ok(()),
            count => Err(format!("{count} of {}", self.sent)),
        });
    }

    /// Waits until everything sent has arrived: each reading once, in order.
    fn all_arrive_once(&self) {
        self.gateway.eventually(PATIENCE, "everything is delivered", || {
            let count = self.upstream.accepted_count("/cloud") as i64;
            if count >= self.sent { Ok(()) } else { Err(format!("{count} of {}", self.sent)) }
        });
        let mut deliveries = Deliveries::default();
        self.upstream.accepted().iter().for_each(|line| deliveries.add_line(line));
        assert_eq!((deliveries.count() as i64, deliveries.duplicates), (self.sent, 0));
        assert_eq!((deliveries.gaps(), deliveries.out_of_order), (Vec::new(), 0));
    }
}

#[test]
fn a_backlog_is_delivered_after_a_kill_though_nothing_new_arrives() {
    let mut scene = Scene::set();
    scene.upstream.disconnect();
    scene.send(BACKLOG);
    scene.gateway.kill();
    scene.upstream.connect();
    scene.gateway.start();
    scene.all_arrive_once();
}

#[test]
fn readings_after_a_restart_flow_and_those_before_it_are_not_sent_again() {
    let mut scene = Scene::set();
    for round in 0..3 {
        scene.send(100);
        scene.all_arrive_once();
        assert!(scene.gateway.stop().success(), "the drain, round {round}");
        let requests = scene.upstream.requests();
        scene.gateway.start();
        scene.send(1);
        scene.all_arrive_once();
        let since = scene.upstream.requests() - requests;
        assert_eq!(since, 1, "requests since the restart, for one reading");
    }
}
