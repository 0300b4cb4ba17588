//! `cargo xtask bench`: the gateway against its own limits, as ratios of one run. Prints a table and writes a JSON file.
//!
//! The sensors are a socket that is always full: a broker would be the limit. The gateway has core 0 to itself, the
//! sender core 1. A reading is 61 bytes of JSON: device, time in milliseconds, two numbers with decimals; 1,000
//! devices in turn.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark ends by panicking")]

mod blaster;
mod firehose;
mod report;
mod start;

use firehose::{Firehose, Keeping};
use report::Report;

/// Readings of one measurement at QoS 0.
const READINGS: u64 = 3_000_000;
/// Readings of one measurement at QoS 1, where the window is the limit.
const READINGS_QOS1: u64 = 500_000;

fn main() {
    let mut args = std::env::args().skip(1);
    let (Some(out), Some(bare)) = (args.next(), args.next()) else {
        eprintln!("usage: bench OUT.json BARE_SUBSCRIBER");
        std::process::exit(2);
    };
    let mut report = Report::default();
    blaster::pin_to_core_1();
    let bare = firehose::bare_subscriber(&bare, READINGS, &mut report);
    firehose::ingest_only(READINGS, bare, &mut report);
    for (name, keeping, qos, readings) in [
        ("window, QoS 0, on disk", Keeping::Disk, 0, READINGS),
        ("window, QoS 0, in memory", Keeping::Memory, 0, READINGS),
        ("window, QoS 1, on disk", Keeping::Disk, 1, READINGS_QOS1),
    ] {
        Firehose { keeping, qos, readings }.measure(name, &mut report);
    }
    start::to_first_output(&mut report);
    report.write(&out);
}
