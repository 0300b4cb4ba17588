//! `cargo xtask bench backlog`: what gigabytes of backlog take of memory, and how long a store of them takes to open.
//!
//! Readings come from a real mosquitto, the upstream is away, the stream grows until it holds what was asked for. Then
//! the gateway is killed and started again, and the upstream comes back. An error where memory grew, or opening took,
//! more than is promised.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark ends by panicking")]

mod devices;
mod scene;

use scene::{Scene, mib};
use std::time::Duration;

/// How much more memory a backlog may take.
const GROWTH_BYTES_MAX: u64 = 32 << 20;
/// How long opening it may take.
const OPENING_MAX: Duration = Duration::from_secs(5);
/// Stored before memory is looked at for the first time: every buffer and cache has its size by then.
const WARM_BYTES: u64 = 128 << 20;

fn main() {
    let Some(gib) = std::env::args().nth(1).and_then(|text| text.parse::<f64>().ok()) else {
        eprintln!("usage: backlog GIB");
        std::process::exit(2);
    };
    let goal = (gib * f64::from(1 << 30)) as u64;
    let mut scene = Scene::set();
    let before = scene.grow(WARM_BYTES);
    let most = scene.grow(goal);
    let (records, bytes, disk) = scene.stored();
    println!("{records} readings stored in {}, {} on the disk", mib(bytes), mib(disk));
    println!("memory: {} at {}, at most {} up to {}", mib(before), mib(WARM_BYTES), mib(most), mib(bytes));
    let (opening, delivering, memory) = scene.kill_and_open();
    println!(
        "killed and started again: it answers after {:.2} s, with {}; the first of the backlog is upstream after {:.2} s",
        opening.as_secs_f64(),
        mib(memory),
        delivering.as_secs_f64()
    );
    let growth = most.saturating_sub(before);
    assert!(growth <= GROWTH_BYTES_MAX, "memory grew by {} with the backlog", mib(growth));
    assert!(opening <= OPENING_MAX, "opening took {opening:?}");
}
