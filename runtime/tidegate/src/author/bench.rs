//! What a plugin costs, by how many records a call has.

use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tidegate_record::{Batch, BatchBuilder, Clock, Scalar, Schema, SystemClock};
use tidegate_sandbox::{Input, Kind, Limits, Plugin, Runner};

/// Calls that fuel is counted over.
const COUNTED_CALLS: usize = 5;
/// Devices the records are of.
const DEVICES: u32 = 64;

/// What to measure with.
#[derive(Debug, Clone)]
pub struct BenchOptions {
    /// The fields of the records.
    pub fields: Arc<Schema>,
    /// Parameters, a JSON object.
    pub params: String,
    /// What it may use.
    pub limits: Limits,
    /// Records a call.
    pub batches: Vec<usize>,
    /// How long each is measured.
    pub time: Duration,
}

/// What calls of one size cost.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measured {
    /// Records a call.
    pub batch: usize,
    /// Microseconds until an instance can be called, instantiated and configured: the least of five.
    pub start_us: i64,
    /// Nanoseconds a record: the least of five parts of the time, since what disturbs only adds.
    pub ns_per_record: f64,
    /// Fuel a record, of the calls after the first, where the plugin counts it: the same at every run.
    pub fuel_per_record: Option<f64>,
    /// Most linear memory an instance had, bytes.
    pub memory_bytes_peak: u64,
    /// Records set aside.
    pub faults: u64,
}

/// Measures a plugin with records made at random, the same at every run.
pub fn bench(plugin: &Arc<Plugin>, options: &BenchOptions) -> Result<Vec<Measured>, String> {
    let clock = SystemClock::default();
    options.batches.iter().map(|&rows| measure(plugin, options, rows, &clock)).collect()
}

fn measure(plugin: &Arc<Plugin>, options: &BenchOptions, rows: usize, clock: &SystemClock) -> Result<Measured, String> {
    let start = || -> Result<(Runner, i64), String> {
        let began = clock.boot();
        let runner = Runner::new(plugin.clone(), &options.params, &options.fields, &options.limits);
        Ok((runner.map_err(|error| error.to_string())?, clock.boot() - began))
    };
    let (mut runner, mut start_us) = start()?;
    for _ in 0..4 {
        start_us = start_us.min(start()?.1);
    }
    let (batch, slots) = records(&options.fields, rows);
    let slots = runner.plan().slots.then_some(slots);
    call(&mut runner, plugin.kind(), &batch, slots.as_deref())?;
    let before = runner.stats().fuel.load(Relaxed);
    for _ in 0..COUNTED_CALLS {
        call(&mut runner, plugin.kind(), &batch, slots.as_deref())?;
    }
    let fuel = (runner.stats().fuel.load(Relaxed) - before) as f64 / (COUNTED_CALLS * rows) as f64;
    let fuel_per_record = plugin.counts_fuel().then_some(fuel);
    let part = (options.time.as_micros() as i64 / 5).max(1);
    let mut least = f64::INFINITY;
    for _ in 0..5 {
        let (began, mut calls) = (clock.boot(), 0u64);
        let took = loop {
            call(&mut runner, plugin.kind(), &batch, slots.as_deref())?;
            calls += 1;
            let took = clock.boot() - began;
            if took >= part {
                break took;
            }
        };
        least = least.min(took as f64 * 1000.0 / (calls * rows as u64) as f64);
    }
    let stats = runner.stats();
    let (memory_bytes_peak, faults) = (stats.memory_bytes_peak.load(Relaxed), stats.faults.load(Relaxed));
    Ok(Measured { batch: rows, start_us, ns_per_record: least, fuel_per_record, memory_bytes_peak, faults })
}

fn call(runner: &mut Runner, kind: Kind, batch: &Arc<Batch>, slots: Option<&[u32]>) -> Result<(), String> {
    let input = Input { batch, slots, skip: &[] };
    let called = match kind {
        Kind::Filter => runner.keep(input).map(drop),
        Kind::Transform | Kind::Codec => runner.apply(input).map(drop),
        Kind::Detect => runner.score(input).map(drop),
        Kind::Aggregate => runner.update(input).map(drop),
    };
    called.map_err(|halted| halted.to_string())
}

/// Records at random: numbers about 20, texts of eight letters, devices in turn.
fn records(fields: &Arc<Schema>, rows: usize) -> (Arc<Batch>, Vec<u32>) {
    let mut rng = SmallRng::seed_from_u64(7);
    let mut builder = BatchBuilder::new(fields.clone());
    let mut slots = Vec::with_capacity(rows);
    for row in 0..rows {
        for (at, field) in fields.fields().iter().enumerate() {
            let letters: [u8; 8] = std::array::from_fn(|_| rng.random_range(b'a'..=b'z'));
            match field.scalar {
                Scalar::Float => builder.float(at, f64::from(rng.random_range(0..4000)) / 100.0),
                Scalar::Integer => builder.integer(at, rng.random_range(0..100)),
                Scalar::Boolean => builder.boolean(at, rng.random()),
                Scalar::Text => builder.text(at, &String::from_utf8_lossy(&letters)),
                Scalar::Bytes => builder.bytes(at, &letters),
            };
        }
        let device = row as u32 % DEVICES;
        if let Err(error) = builder.end_row(&format!("d{device:02}"), row as i64 * 1000) {
            unreachable!("a device of letters and digits: {error}");
        }
        slots.push(device);
    }
    (Arc::new(builder.finish()), slots)
}
