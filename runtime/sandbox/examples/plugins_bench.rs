//! What the sandbox costs: each shipped plugin through a [`Runner`] with the production limits on, against the very
//! same operator run natively on the same columns.
//!
//! `cargo xtask plugins && cargo run --release -p tidegate-sandbox --example plugins_bench -- out.json [plugin [records a batch]]`
//!
//! The two sides take turns, batch for batch, in one run, so that a machine that slows down slows both; what is told is
//! the median. Both sides of the filter gather the rows kept. The runner's journal, its saves and its checks of
//! everything the guest answers are part of its time; the native side has none of that.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark fails by panicking")]

use serde_json::{Value, json};
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use tidegate_record::{Batch, BatchBuilder, Clock, Field, Scalar, Schema, SystemClock, Values};
use tidegate_sandbox::{Engine, EngineOptions, Input, Limits, Runner};
use tidegate_sdk::{Aggregate, Detect, Filter, Plugin, glue};

/// Records a batch.
const SIZES: [usize; 3] = [16, 256, 4096];
/// Devices the records are of.
const DEVICES: u32 = 1000;
/// Different batches that take turns.
const BATCHES: usize = 8;
/// Turns of each side; the median is told.
const ROUNDS: usize = 801;
/// Records of a turn: long enough for a clock of microseconds, short enough that few turns are interrupted.
const TURN_RECORDS: usize = 1 << 16;

const THRESHOLD: &str = r#"{"field":"temp","above":20}"#;
const STATS: &str = r#"{"fields":["temp"]}"#;
const ZSCORE: &str = r#"{"field":"temp","threshold":6}"#;

/// A batch as each side takes it.
struct Pair {
    host: Arc<Batch>,
    slots: Vec<u32>,
    guest: tidegate_sdk::Batch,
}

fn main() {
    let mut all = serde_json::Map::new();
    let (only, only_rows) = (std::env::args().nth(2), std::env::args().nth(3));
    for (name, measure) in [("threshold", threshold as fn(&[Pair]) -> Value), ("stats", stats), ("zscore", zscore)] {
        if only.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        let mut sizes = serde_json::Map::new();
        for rows in SIZES {
            if only_rows.as_ref().is_some_and(|only| *only != rows.to_string()) {
                continue;
            }
            let pairs: Vec<Pair> = (0..BATCHES).map(|at| pair(rows, at * rows)).collect();
            let measured = measure(&pairs);
            println!("{name:9} {rows:5} {measured}");
            sizes.insert(rows.to_string(), measured);
        }
        all.insert(name.into(), sizes.into());
    }
    if let Some(out) = std::env::args_os().nth(1) {
        let text = serde_json::to_string_pretty(&all).expect("JSON");
        std::fs::write(&out, text + "\n").expect("the file can be written");
    }
}

fn threshold(pairs: &[Pair]) -> Value {
    let mut plugin: threshold::Threshold = native(THRESHOLD);
    let mut runner = runner("threshold.wasm", THRESHOLD);
    let mut keep = |pair: &Pair| plugin.keep(&pair.guest, &mut Vec::new());
    for pair in pairs {
        assert_eq!(runner.keep(Input::of(&pair.host)).expect("runs").keep, keep(pair), "both sides do the same");
    }
    compare(
        pairs,
        |pair| drop(black_box(pair.host.filter(&runner.keep(Input::of(&pair.host)).expect("runs").keep))),
        |pair| drop(black_box(pair.host.filter(&keep(pair)))),
    )
}

fn stats(pairs: &[Pair]) -> Value {
    let mut plugin: stats::Stats = native(STATS);
    let mut runner = runner("stats.wasm", STATS);
    compare(
        pairs,
        |pair| assert!(runner.update(Input::with_slots(&pair.host, &pair.slots)).expect("runs").is_empty()),
        |pair| plugin.update(black_box(&pair.guest), &mut Vec::new()),
    )
}

fn zscore(pairs: &[Pair]) -> Value {
    let mut plugin: zscore::Zscore = native(ZSCORE);
    let mut runner = runner("zscore.wasm", ZSCORE);
    compare(
        pairs,
        |pair| drop(black_box(runner.score(Input::with_slots(&pair.host, &pair.slots)).expect("runs"))),
        |pair| drop(black_box(plugin.score(black_box(&pair.guest), &mut Vec::new(), &mut Vec::new()))),
    )
}

/// Lets both sides take turns.
fn compare(pairs: &[Pair], mut plugin: impl FnMut(&Pair), mut native: impl FnMut(&Pair)) -> Value {
    let rows = pairs[0].slots.len();
    let (mut plugin_ns, mut native_ns, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    turn(pairs, rows, &mut plugin);
    turn(pairs, rows, &mut native);
    for _ in 0..ROUNDS {
        let (a, b) = (turn(pairs, rows, &mut plugin), turn(pairs, rows, &mut native));
        plugin_ns.push(a);
        native_ns.push(b);
        ratios.push(a / b);
    }
    let told = |values: Vec<f64>| (median(values) * 100.0).round() / 100.0;
    json!({ "plugin_ns": told(plugin_ns), "native_ns": told(native_ns), "ratio": told(ratios) })
}

/// Nanoseconds a record.
fn turn(pairs: &[Pair], rows: usize, run: &mut impl FnMut(&Pair)) -> f64 {
    let clock = SystemClock::default();
    let calls = TURN_RECORDS / rows;
    let began = clock.boot();
    pairs.iter().cycle().take(calls).for_each(run);
    (clock.boot() - began) as f64 * 1000.0 / (calls * rows) as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Temperatures around 20, no two devices alike; `first` is the number of the first record.
fn pair(rows: usize, first: usize) -> Pair {
    let mut builder = BatchBuilder::new(schema());
    let mut slots = Vec::with_capacity(rows);
    for record in first..first + rows {
        let scattered = (record as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        let slot = scattered as u32 % DEVICES;
        slots.push(slot);
        assert!(builder.float(0, 15.0 + (scattered % 1000) as f64 / 100.0));
        builder.end_row(&format!("device-{slot}"), record as i64 * 1000).expect("a device");
    }
    let host = Arc::new(builder.finish());
    let Values::Floats(values) = &host.columns()[0].values else { unreachable!("temp is a float") };
    let columns = vec![tidegate_sdk::Column { values: tidegate_sdk::Values::Floats(values.clone()), valid: None }];
    let guest = tidegate_sdk::Batch { rows: rows as u32, times: None, slots: Some(slots.clone()), columns };
    Pair { host, slots, guest }
}

fn schema() -> Arc<Schema> {
    Arc::new(Schema::new(vec![Field::new("temp", Scalar::Float)]).expect("a schema"))
}

/// The operator of a plugin's crate, configured as the sandbox configures it.
fn native<P: Plugin>(params: &str) -> P {
    let held = glue::Held::<P>::new(None);
    let field = tidegate_sdk::Field { name: "temp".into(), scalar: tidegate_sdk::Scalar::Float, unit: String::new() };
    glue::configure(&held, params, &[field], true).expect("configures");
    held.into_inner().expect("configured")
}

fn runner(file: &str, params: &str) -> Runner {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let engine = Engine::new(EngineOptions::default()).expect("an engine");
    let limits = Limits::default();
    let plugin = engine.load(&Path::new(&target).join("plugins").join(file), &limits);
    Runner::new(plugin.expect("run `cargo xtask plugins` first"), params, &schema(), &limits).expect("configures")
}
