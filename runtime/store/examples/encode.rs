//! Prints what a record costs: encoded (bytes and time), decoded, and through a whole store.
//!
//! `cargo run --release -p tidegate-store --example encode [-- FOLDER]`; with a folder the store on disk is tried too.

use std::sync::Arc;
use std::time::Duration;
use tidegate_record::{Batch, BatchBuilder, Clock, Field, Scalar, Schema, SystemClock};
use tidegate_store::block::{Decoded, Encoder, decode};
use tidegate_store::{
    Append, Commit, Hold, Keep, MemoryStore, Options, Partition, Position, Refusal, Retention, Run, Store, StreamSpec,
    Visibility, WhenFull, sled,
};

type Outcome = Result<(), Box<dyn std::error::Error>>;

const RECORDS: usize = 1 << 20;

fn main() -> Outcome {
    for rows in [64, 256, 1024, 4096] {
        codec(rows)?;
    }
    for rows in [64, 256, 1024, 4096] {
        through(&format!("memory, {rows} a commit"), &MemoryStore::new(Options::new("", "bench"), 1), rows)?;
    }
    if let Some(folder) = std::env::args().nth(1) {
        for rows in [64, 256, 1024, 4096] {
            let path = std::path::Path::new(&folder).join(rows.to_string());
            through(&format!("sled, {rows} a commit"), &sled::open(Options::new(path, "bench"))?, rows)?;
        }
    }
    Ok(())
}

fn codec(rows: usize) -> Outcome {
    let clock = SystemClock::default();
    let batch = climate(rows, 0);
    let schema = batch.schema().clone();
    let runs = vec![Run { commit: 1, arrival: 1, wall: 1, trusted: true, stamped: None, rows: rows as u32 }];
    let block = Decoded { first: 0, runs, pass: 0, batch };
    let mut encoder = Encoder::new()?;
    let mut bytes = encoder.encode(&block, schema.id())?.bytes;
    let turns = RECORDS / rows;
    let began = clock.boot();
    for _ in 0..turns {
        bytes = encoder.encode(&block, schema.id())?.bytes;
    }
    let encoded = clock.boot() - began;
    let began = clock.boot();
    for _ in 0..turns {
        decode(&bytes, |_| Some(schema.clone()))?;
    }
    let decoded = clock.boot() - began;
    println!(
        "block of {rows:5}: {:.2} bytes, encode {:.1} ns, decode {:.1} ns a record",
        bytes.len() as f64 / rows as f64,
        nanos(encoded),
        nanos(decoded)
    );
    Ok(())
}

/// Appends, commits and reads back, the reader keeping up.
fn through(what: &str, store: &dyn Store, rows: usize) -> Outcome {
    let clock = SystemClock::default();
    let retention =
        Retention { max_bytes: 256 << 20, max_age: None, keep: Keep::UntilRead, when_full: WhenFull::Block };
    let batches: Vec<_> = (0..16).map(|i| climate(rows, i)).collect();
    store.declare(vec![StreamSpec {
        name: "readings".into(),
        schema: batches[0].schema().clone(),
        partitions: 1,
        retention,
        readers: vec![("sink/x".into(), Hold::Cursor)],
    }])?;
    let (source, sink) = (store.attach("source/s")?, store.attach("sink/x")?);
    let partition = Partition::new("readings", 0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let began = clock.boot();
    let (mut at, mut read, mut last) = (Position(0), 0, None);
    for turn in 0..RECORDS / rows {
        let mut commit = Commit::by(&source);
        commit.appends.push(Append { stream: "readings".into(), batch: batches[turn % 16].clone() });
        loop {
            match store.commit(commit) {
                Ok(receipt) => break last = Some(receipt),
                Err(Refusal::Failed(error)) => return Err(error.into()),
                Err(Refusal::Full(refused, stream)) => {
                    commit = *refused;
                    runtime.block_on(store.room(stream.as_deref()));
                }
            }
        }
        while let Some(block) = store.read(&partition, at, Visibility::Durable)? {
            (at, read) = (block.next, read + block.batch.rows());
            let mut commit = Commit::by(&sink);
            commit.reads.push((partition.clone(), at));
            drop(store.commit(commit));
        }
    }
    if let Some(receipt) = last {
        runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), receipt).await })??;
    }
    let spent = clock.boot() - began;
    let health = store.health();
    let resident = std::fs::read_to_string("/proc/self/status")?;
    let resident = resident.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default().to_string();
    println!(
        "{what}: {:.1} ns a record, {read} read meanwhile, {} bytes on disk, {resident}",
        nanos(spent),
        health.disk_bytes
    );
    runtime.block_on(store.close())?;
    Ok(())
}

fn nanos(micros: i64) -> f64 {
    micros as f64 * 1000.0 / RECORDS as f64
}

/// Readings of a thousand devices in no order: milliseconds and two decimals.
fn climate(rows: usize, seed: u64) -> Arc<Batch> {
    let fields = vec![Field::new("temp", Scalar::Float), Field::new("hum", Scalar::Float)];
    let schema = Schema::new(fields).unwrap_or_else(|error| unreachable!("{error}"));
    let mut builder = BatchBuilder::new(Arc::new(schema));
    let mut state = seed * 7919 + 88_172_645_463_325_252;
    let mut random = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let mut time = 1_767_225_600_000 + seed as i64 * 1000;
    for _ in 0..rows {
        time += random(3) as i64;
        builder.float(0, (2000 + random(500)) as f64 / 100.0);
        builder.float(1, (4000 + random(2000)) as f64 / 100.0);
        let device = format!("d{:04}", random(1000));
        builder.end_row(&device, time * 1000).unwrap_or_else(|error| unreachable!("{error}"));
    }
    Arc::new(builder.finish())
}
