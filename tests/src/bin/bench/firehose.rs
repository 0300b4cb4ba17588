//! Readings as fast as one core takes them.

use crate::blaster::{Blaster, DEVICES, READINGS_PER_MS};
use crate::report::Report;
use serde_json::Value;
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};
use tidegate_tests::gateway::Gateway;
use tidegate_tests::upstream::Upstream;
use tidegate_tests::wait::eventually;

/// Readings of one measurement at QoS 0.
pub const READINGS: u64 = 3_000_000;
/// Readings of one measurement at QoS 1, where the window is the limit.
const READINGS_QOS1: u64 = 500_000;
/// Longest one measurement may take.
const MEASURE_MAX: Duration = Duration::from_secs(300);

/// Where the streams are kept.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Keeping {
    Disk,
    Memory,
}

/// "JSON over MQTT → filter → 1 s window of stats per device → HTTP sink".
pub struct Firehose {
    pub keeping: Keeping,
    pub version: &'static str,
    pub qos: u8,
    pub readings: u64,
}

/// What a bare subscriber needs, seconds of processor time a million messages.
pub fn bare_subscriber(program: &str, version: &str, readings: u64, report: &mut Report) -> f64 {
    let blaster = Blaster::start(readings, 0);
    let output = Command::new("taskset")
        .args(["-c", "0", program, &blaster.addr.to_string(), &readings.to_string(), version])
        .output()
        .expect("taskset and the bare subscriber");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    blaster.finish();
    let seconds: f64 = String::from_utf8_lossy(&output.stdout).trim().parse().expect("seconds of processor time");
    let per_million = seconds / readings as f64 * 1e6;
    report.figure(&format!("bare rumqttc subscriber, MQTT {version}"), "processor time", per_million, "s/M");
    per_million
}

/// MQTT to durable stream, nothing else.
pub fn ingest_only(version: &str, readings: u64, bare: f64, report: &mut Report) {
    let blaster = Blaster::start(readings, 0);
    let store = "max_bytes = \"4GiB\"";
    let mut gateway = Gateway::configured(store, &source(blaster.addr, version, 0));
    let measured = run(&mut gateway, Keeping::Disk, readings, |gateway| stored(&gateway.status(), "readings"));
    let name = &format!("ingest, MQTT {version}, QoS 0, on disk");
    measured.note(name, readings, report);
    report.figure(name, "against a bare subscriber", measured.cpu / readings as f64 * 1e6 / bare, "x");
    note_bytes(name, &gateway, report);
    assert!(gateway.stop().success());
    blaster.finish();
}

impl Firehose {
    /// Runs it once.
    pub fn measure(&self, name: &str, report: &mut Report) {
        let upstream = Upstream::start();
        let blaster = Blaster::start(self.readings, self.qos);
        let config = format!("{}{}", source(blaster.addr, self.version, self.qos), windows(&upstream.url()));
        let store = "max_bytes = \"4GiB\"";
        let mut gateway = Gateway::configured(store, &config);
        let measured = run(&mut gateway, self.keeping, self.readings, |gateway| {
            gateway.status()["pipelines"]["stats"]["records_in"].as_u64().unwrap_or(0)
        });
        measured.note(name, self.readings, report);
        note_bytes(name, &gateway, report);
        let full_windows = (self.readings / READINGS_PER_MS / 1000).saturating_sub(4);
        let expected = (full_windows * DEVICES) as usize;
        eventually(MEASURE_MAX, "the windows arrive", || match upstream.accepted_count("/stats") {
            count if count >= expected => Ok(()),
            count => Err(format!("{count} of {expected}")),
        });
        assert!(gateway.stop().success());
        blaster.finish();
    }
}

/// Resident memory of the same gateway with nothing to do, five seconds after its start.
pub fn idle(report: &mut Report) {
    let (upstream, blaster) = (Upstream::start(), Blaster::start(0, 0));
    let config = format!("{}{}", source(blaster.addr, "5", 0), windows(&upstream.url()));
    let mut gateway = Gateway::configured("", &config);
    gateway.start_ready();
    std::thread::sleep(Duration::from_secs(5));
    report.figure("idle", "resident memory", gateway.resident_bytes() as f64 / 1048576.0, "MiB");
    assert!(gateway.stop().success());
    blaster.finish();
}

/// What one run took.
struct Measured {
    seconds: f64,
    cpu: f64,
    idle_bytes: u64,
    peak_bytes: u64,
    dropped: u64,
}

impl Measured {
    fn note(&self, name: &str, readings: u64, report: &mut Report) {
        let taken_in = readings - self.dropped;
        report.figure(name, "processor time", self.cpu / taken_in as f64 * 1e6, "s/M");
        report.figure(name, "readings a second on one core", taken_in as f64 / self.seconds, "1/s");
        report.figure(name, "dropped (QoS 0 does not wait)", self.dropped as f64, "readings");
        report.figure(name, "resident memory at the start", self.idle_bytes as f64 / 1048576.0, "MiB");
        report.figure(name, "resident memory, most", self.peak_bytes as f64 / 1048576.0, "MiB");
    }
}

/// Runs the gateway on core 0 until `done` counts all readings that were not dropped.
#[allow(clippy::disallowed_methods, reason = "a benchmark reads the machine's clock")]
fn run(gateway: &mut Gateway, keeping: Keeping, readings: u64, done: impl Fn(&Gateway) -> u64) -> Measured {
    let begin = Instant::now();
    gateway.spawn_on(Some(keeping == Keeping::Memory));
    let (mut idle_bytes, mut peak_bytes) = (0, 0);
    let dropped = eventually(MEASURE_MAX, "every reading is taken in", || {
        let resident = gateway.resident_bytes();
        idle_bytes = if idle_bytes == 0 { resident } else { idle_bytes };
        peak_bytes = peak_bytes.max(resident);
        let dropped = gateway.status()["sources"]["load"]["dropped"].as_u64().unwrap_or(0);
        let count = done(gateway);
        if count + dropped >= readings { Ok(dropped) } else { Err(format!("{count} taken in, {dropped} dropped")) }
    });
    Measured { seconds: begin.elapsed().as_secs_f64(), cpu: gateway.cpu_seconds(), idle_bytes, peak_bytes, dropped }
}

/// Records ever appended to a stream.
fn stored(status: &Value, stream: &str) -> u64 {
    partition(status, stream)["appended"].as_u64().unwrap_or(0)
}

fn partition<'a>(status: &'a Value, stream: &str) -> &'a Value {
    &status["streams"][stream]["partitions"][0]
}

fn note_bytes(name: &str, gateway: &Gateway, report: &mut Report) {
    let status = gateway.status();
    let readings = partition(&status, "readings");
    let (bytes, records) = (readings["bytes"].as_f64().unwrap_or(0.0), readings["stored"].as_f64().unwrap_or(1.0));
    report.figure(name, "stored", bytes / records.max(1.0), "B/reading");
}

/// What a pipeline of a filter and windows adds, by version, QoS and medium.
pub fn with_windows(report: &mut Report) {
    for (name, keeping, version, qos, readings) in [
        ("window, MQTT 5, QoS 0, on disk", Keeping::Disk, "5", 0, READINGS),
        ("window, MQTT 5, QoS 0, in memory", Keeping::Memory, "5", 0, READINGS),
        ("window, MQTT 3.1.1, QoS 0, on disk", Keeping::Disk, "3.1.1", 0, READINGS),
        ("window, MQTT 3.1.1, QoS 0, in memory", Keeping::Memory, "3.1.1", 0, READINGS),
        ("window, MQTT 5, QoS 1, on disk", Keeping::Disk, "5", 1, READINGS_QOS1),
    ] {
        Firehose { keeping, version, qos, readings }.measure(name, report);
    }
}

/// A source that subscribes to the sender, and its stream, kept for an hour so that its bytes can be counted.
pub fn source(addr: SocketAddr, version: &str, qos: u8) -> String {
    format!(
        "[streams.readings]\nfields = {{ temp = \"f64\", hum = \"f64\" }}\nkeep = \"1h\"\nmax_bytes = \"2GiB\"\n\
         [sources.load]\ntype = \"mqtt\"\nstream = \"readings\"\nurl = \"mqtt://{addr}\"\ntopics = [\"sensors/+\"]\n\
         client_id = \"bench\"\nversion = \"{version}\"\nqos = {qos}\n[sources.load.decode]\nformat = \"json\"\ndevice = \"/device\"\n\
         time = \"/ts\"\n"
    )
}

fn windows(url: &str) -> String {
    format!(
        "[pipelines.stats]\nfrom = [\"readings\"]\nto = \"stats\"\n\
         [[pipelines.stats.operators]]\nfilter = \"threshold\"\nparams = {{ field = \"temp\", above = 17.5 }}\n\
         [[pipelines.stats.operators]]\naggregate = \"stats\"\nparams = {{ fields = [\"temp\"] }}\n\
         [pipelines.stats.operators.window]\ntumbling = \"1s\"\n\
         [sinks.up]\ntype = \"http\"\nfrom = \"stats\"\nurl = \"{url}/stats\"\n"
    )
}
