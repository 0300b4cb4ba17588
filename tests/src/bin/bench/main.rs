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
mod swaps;
mod writes;

use firehose::READINGS;
use report::Report;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let mut report = Report::default();
    let (out, bare, plugins) = match &args[..] {
        [out, what] => {
            alone(what, &mut report);
            return report.write(out);
        }
        [out, bare, plugins] => (out, bare, plugins),
        _ => {
            eprintln!("usage: bench OUT.json (writes | hostile | swaps | BARE_SUBSCRIBER PLUGINS.json)");
            std::process::exit(2);
        }
    };
    report.include("plugins", plugins);
    blaster::pin_to_core_1();
    for version in ["5", "3.1.1"] {
        let bare = firehose::bare_subscriber(bare, version, READINGS, &mut report);
        firehose::ingest_only(version, READINGS, bare, &mut report);
    }
    firehose::with_windows(&mut report);
    firehose::idle(&mut report);
    start::to_first_output(&mut report);
    writes::measure(&mut report);
    swaps::measure(&mut report);
    report.write(out);
}

/// One measurement of its own.
fn alone(what: &str, report: &mut Report) {
    match what {
        "hostile" => hostile::measure(report),
        "swaps" => swaps::measure(report),
        _ => writes::measure(report),
    }
}
