//! How long a pipeline stands still while a plugin of it is swapped under load, and whether a record is lost or taken twice.

use crate::blaster::Blaster;
use crate::firehose::source;
use crate::report::Report;
use std::time::Duration;
use tidegate_tests::gateway::Gateway;
use tidegate_tests::wait::eventually;

/// Readings a second, of 1,000 devices.
const RATE: u64 = 20_000;
/// How long.
const SECONDS: u64 = 10;
/// Swaps of each of two operators meanwhile.
const SWAPS: u64 = 10;
/// Longest readings and windows may take beyond their time.
const LATE_MAX: Duration = Duration::from_secs(60);

const OPERATORS: &str = r#"
    [pipelines.stats]
    from = ["readings"]
    to = "stats"
    [[pipelines.stats.operators]]
    filter = "threshold"
    params = { field = "temp", above = -1000.0 }
    [[pipelines.stats.operators]]
    aggregate = "stats"
    params = { fields = ["temp"] }
    [pipelines.stats.operators.window]
    tumbling = "1s"
    idle = "2s"
    [streams.stats]
    keep = "1h"
    "#;

/// At 20,000 readings a second, MQTT 5, QoS 1: the longest gap, and what the windows counted against what was sent.
pub fn measure(report: &mut Report) {
    let readings = RATE * SECONDS;
    let blaster = Blaster::at_rate(readings, 1, Some(RATE));
    let mut gateway = Gateway::configured("", &format!("{}{OPERATORS}", source(blaster.addr, "5", 1)));
    gateway.spawn_on(None);
    let (mut gaps, mut slots) = (Vec::new(), 0.0);
    for swap in 1..=SWAPS {
        let until = readings * swap / (SWAPS + 2);
        eventually(LATE_MAX, "readings come in", || match gateway.appended("readings") {
            count if count >= until => Ok(()),
            count => Err(format!("{count} of {until}")),
        });
        for operator in ["1", "2"] {
            let told = gateway.plugin(&["swap", "stats", operator]).expect("a swap");
            gaps.push(number_before(&told, " us") / 1e3);
            slots = number_before(&told, " slots").max(slots);
        }
    }
    let counted = || -> u64 {
        let windows = gateway.tap("stats", gateway.appended("stats") as usize);
        windows.iter().filter_map(|window| window["count"].as_u64()).sum()
    };
    let counted = eventually(LATE_MAX, "every window is closed", || match counted() {
        count if count >= readings => Ok(count),
        count => Err(format!("{count} of {readings}")),
    });
    let of = "swaps at 20,000 readings a second";
    report.figure(of, "longest gap", gaps.iter().copied().fold(0.0, f64::max), "ms");
    report.figure(of, "most slots carried over", slots, "slots");
    report.figure(of, "swaps", gaps.len() as f64, "swaps");
    report.figure(of, "records lost or taken twice", readings.abs_diff(counted) as f64, "records");
    assert!(gateway.stop().success());
    blaster.finish();
}

/// The number before a word.
fn number_before(told: &str, word: &str) -> f64 {
    let before = told.split(word).next().and_then(|before| before.rsplit(' ').next());
    before.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no number before {word:?} in {told:?}"))
}
