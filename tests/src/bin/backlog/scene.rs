//! A gateway whose upstream is away, and what is seen of it.

use crate::devices::Devices;
use std::time::{Duration, Instant};
use tidegate_tests::gateway::Gateway;
use tidegate_tests::mosquitto::Mosquitto;
use tidegate_tests::upstream::Upstream;

/// Longest anything may take.
const PATIENCE: Duration = Duration::from_secs(600);

pub struct Scene {
    gateway: Gateway,
    upstream: Upstream,
    devices: Devices,
    _mosquitto: Mosquitto,
}

impl Scene {
    pub fn set() -> Self {
        let (mosquitto, mut upstream) = (Mosquitto::start(), Upstream::start());
        upstream.disconnect();
        let mut gateway = Gateway::configured(STORE, &config(&mosquitto.url(), &upstream.url()));
        gateway.start_ready();
        Scene { gateway, upstream, devices: Devices::of(mosquitto.addr()), _mosquitto: mosquitto }
    }

    /// Sends until the stream holds `goal` bytes: the most memory the gateway had on the way, seen after each lot.
    pub fn grow(&mut self, goal: u64) -> u64 {
        let mut most = self.gateway.resident_bytes();
        while self.stored().1 < goal {
            self.devices.send();
            // The broker keeps no endless queue.
            let sent = self.devices.sent;
            self.gateway.eventually(PATIENCE, "what was sent is stored", || match self.gateway.appended("readings") {
                count if count >= sent => Ok(()),
                count => Err(format!("{count} of {sent}")),
            });
            most = most.max(self.gateway.resident_bytes());
        }
        most
    }

    /// Records and bytes of the stream, and bytes of the store's files.
    pub fn stored(&self) -> (u64, u64, u64) {
        let status = self.gateway.status();
        let partition = &status["streams"]["readings"]["partitions"][0];
        let count = |what: &str| partition[what].as_u64().unwrap_or(0);
        (count("stored"), count("bytes"), status["store"]["disk_bytes"].as_u64().unwrap_or(0))
    }

    /// How long it takes to answer after a kill (its store is open by then) and to deliver, and its memory when it
    /// answers.
    #[allow(clippy::disallowed_methods, reason = "a benchmark reads the machine's clock")]
    pub fn kill_and_open(&mut self) -> (Duration, Duration, u64) {
        self.gateway.kill();
        self.upstream.connect();
        let begin = Instant::now();
        self.gateway.start();
        let (opening, memory) = (begin.elapsed(), self.gateway.resident_bytes());
        self.gateway.eventually(PATIENCE, "the backlog moves", || match self.upstream.accepted_count("/cloud") {
            0 => Err("nothing has arrived".into()),
            _ => Ok(()),
        });
        let delivering = begin.elapsed();
        // What is left of it would only fill the upstream's memory.
        self.gateway.kill();
        (opening, delivering, memory)
    }
}

/// A number of bytes for people.
pub fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

const STORE: &str = "max_bytes = \"64GiB\"";

fn config(broker: &str, upstream: &str) -> String {
    format!(
        r#"
        [streams.readings]
        fields = {{ temp = "f64", text = "text" }}
        max_bytes = "32GiB"
        [sources.field]
        type = "mqtt"
        stream = "readings"
        url = "{broker}"
        topics = ["sensors/+"]
        client_id = "backlog"
        [sources.field.decode]
        format = "json"
        device = "/device"
        time = "/ts"
        [sinks.cloud]
        type = "http"
        from = "readings"
        url = "{upstream}/cloud"
        "#
    )
}
