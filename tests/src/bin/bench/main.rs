//! `cargo xtask bench`: the gateway against its own limits, as ratios of one run. Prints a table and writes a JSON file.
//!
//! The sensors are a socket that is always full: a broker would be the limit. The gateway has core 0 to itself, the
//! sender core 1. A reading is 61 bytes of JSON: device, time in milliseconds, two numbers with decimals; 1,000
//! devices in turn.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark ends by panicking")]

mod blaster;
mod firehose;
mod hostile;
mod report;
mod start;
mod writes;

use firehose::{Firehose, Keeping};
use report::Report;

/// Readings of one measurement at QoS 0.
const READINGS: u64 = 3_000_000;
/// Readings of one measurement at QoS 1, where the window is the limit.
const READINGS_QOS1: u64 = 500_000;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let mut report = Report::default();
    let (out, bare, plugins) = match &args[..] {
        [out, alone] => {
            match alone.as_str() {
                "hostile" => hostile::measure(&mut report),
                _ => writes::measure(&mut report),
            }
            return report.write(out);
        }
        [out, bare, plugins] => (out, bare, plugins),
        _ => {
            eprintln!("usage: bench OUT.json (writes | hostile | BARE_SUBSCRIBER PLUGINS.json)");
            std::process::exit(2);
        }
    };
    report.include("plugins", plugins);
    blaster::pin_to_core_1();
    for version in ["5", "3.1.1"] {
        let bare = firehose::bare_subscriber(bare, version, READINGS, &mut report);
        firehose::ingest_only(version, READINGS, bare, &mut report);
    }
    for (name, keeping, version, qos, readings) in [
        ("window, MQTT 5, QoS 0, on disk", Keeping::Disk, "5", 0, READINGS),
        ("window, MQTT 5, QoS 0, in memory", Keeping::Memory, "5", 0, READINGS),
        ("window, MQTT 3.1.1, QoS 0, on disk", Keeping::Disk, "3.1.1", 0, READINGS),
        ("window, MQTT 3.1.1, QoS 0, in memory", Keeping::Memory, "3.1.1", 0, READINGS),
        ("window, MQTT 5, QoS 1, on disk", Keeping::Disk, "5", 1, READINGS_QOS1),
    ] {
        Firehose { keeping, version, qos, readings }.measure(name, &mut report);
    }
    firehose::idle(&mut report);
    start::to_first_output(&mut report);
    writes::measure(&mut report);
    report.write(out);
}
