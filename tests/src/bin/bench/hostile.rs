//! What a plugin that never returns costs the pipelines beside it: how long a reading takes from a device to the upstream,
//! with such a plugin in another pipeline and with a good one in its place.

use crate::report::Report;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};
use tidegate_tests::gateway::Gateway;
use tidegate_tests::process::free_port;
use tidegate_tests::upstream::Upstream;
use tidegate_tests::wait::{Pace, eventually};
use tidegate_tests::{parts, wait};

/// Readings a second.
const RATE: u32 = 500;
/// Readings of a run: too few for a plugin that never returns to end in quarantine (100 calls of 250 ms).
const READINGS: usize = 5_000;
/// Runs of each side, taking turns.
const PAIRS: usize = 5;
/// Longest the readings may take beyond their time.
const LATE_MAX: Duration = Duration::from_secs(30);

/// The median over pairs of runs.
pub fn measure(report: &mut Report) {
    let plugins = plugins();
    let (mut calm, mut ratios) = (Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        let (beside_good, beside_bad) = (p99(plugins.path(), "deadband"), p99(plugins.path(), "spin"));
        calm.push(beside_good * 1e3);
        ratios.push(beside_bad / beside_good);
    }
    let of = "beside a plugin that never returns";
    report.figure(of, "p99, device to upstream, without it", median(calm), "ms");
    report.figure(of, "p99 with it against without it", median(ratios), "x");
}

/// The shipped plugins, and one that does not come back from a call.
fn plugins() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let shipped = parts::plugins();
    for file in ["threshold.wasm", "deadband.wat"] {
        std::fs::copy(shipped.join(file), folder.path().join(file)).expect("run `cargo xtask plugins` first");
    }
    let text = std::fs::read_to_string(shipped.join("deadband.wat")).expect("text");
    let clear = "(memory.fill (local.get $mask) (i32.const 0) (local.get $rows))";
    let spin = text.replacen(clear, &format!("{clear} (loop $spin (br $spin))"), 1);
    assert_ne!(spin, text, "deadband.wat clears its mask first");
    std::fs::write(folder.path().join("spin.wat"), spin).expect("a plugin");
    folder
}

/// Seconds that 99 of 100 readings take at most, from a device to the upstream, beside a pipeline of the plugin `other`.
#[allow(clippy::disallowed_methods, reason = "a benchmark reads the machine's clock")]
fn p99(plugins: &Path, other: &str) -> f64 {
    let (upstream, port) = (Upstream::start(), free_port());
    let mut gateway = Gateway::configured("", "");
    gateway.plugins_from(plugins.into());
    gateway.reconfigure("commit_interval = \"10ms\"", &config(port, &upstream.url(), other));
    gateway.start_ready();
    let mut device = Device::connect(port);
    let mut pace = Pace::per_second(RATE);
    let sent: Vec<Instant> = (0..READINGS)
        .map(|number| {
            pace.next();
            let now = Instant::now();
            device.send(number);
            now
        })
        .collect();
    eventually(LATE_MAX, "every reading is upstream", || match upstream.accepted_count("/good") {
        count if count >= READINGS => Ok(()),
        count => Err(format!("{count} of {READINGS}")),
    });
    let mut took = Vec::with_capacity(READINGS);
    for arrival in upstream.take_arrivals() {
        for line in &arrival.lines {
            let record: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let number = record["number"].as_u64().expect("its number") as usize;
            took.push((arrival.at - sent[number]).as_secs_f64());
        }
    }
    if other == "spin" {
        let calls = gateway.counter("tidegate_plugin_faults_total", &["kind=\"deadline\""]);
        assert!(calls > 0.0, "the plugin was not stopped once: it did not run");
    }
    gateway.kill();
    took.sort_by(f64::total_cmp);
    took[took.len() * 99 / 100]
}

fn config(port: u16, upstream: &str, other: &str) -> String {
    format!(
        "[streams.readings]\nfields = {{ temp = \"f64\", number = \"i64\" }}\n\
         [sources.door]\ntype = \"mqtt_listener\"\nstream = \"readings\"\nlisten = \"127.0.0.1:{port}\"\n\
         [sources.door.decode]\nformat = \"json\"\ndevice = \"/device\"\n\
         [pipelines.good]\nfrom = [\"readings\"]\nto = \"good\"\n\
         [[pipelines.good.operators]]\nfilter = \"threshold\"\nparams = {{ field = \"temp\", above = 0.0 }}\n\
         [pipelines.other]\nfrom = [\"readings\"]\nto = \"other\"\n\
         [[pipelines.other.operators]]\nfilter = \"{other}\"\nparams = {{ band = 0.5 }}\n\
         [sinks.up]\ntype = \"http\"\nfrom = \"good\"\nurl = \"{upstream}/good\"\n"
    )
}

/// A device that sends at QoS 0 and waits for nothing.
struct Device(TcpStream);

impl Device {
    fn connect(port: u16) -> Self {
        let connected = wait::poll(LATE_MAX, || TcpStream::connect(("127.0.0.1", port)).map_err(|e| e.to_string()));
        let mut stream = connected.expect("the listener listens");
        stream.set_nodelay(true).expect("a socket");
        // MQTT 3.1.1, clean session, no keep-alive, client id "d1".
        stream.write_all(b"\x10\x0e\0\x04MQTT\x04\x02\0\0\0\x02d1").expect("CONNECT");
        let mut connack = [0; 4];
        stream.read_exact(&mut connack).expect("CONNACK");
        assert_eq!(connack, [0x20, 2, 0, 0]);
        Device(stream)
    }

    fn send(&mut self, number: usize) {
        let body = format!("{{\"device\":\"d1\",\"temp\":{}.5,\"number\":{number}}}", number % 50 + 1);
        let topic = "sensors/d1";
        let mut packet = vec![0x30, (2 + topic.len() + body.len()) as u8, 0, topic.len() as u8];
        packet.extend_from_slice(topic.as_bytes());
        packet.extend_from_slice(body.as_bytes());
        self.0.write_all(&packet).expect("PUBLISH");
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
