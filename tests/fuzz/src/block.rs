//! A stored block: what was encoded is decoded again, and bytes that are no block are damage, never a panic or much
//! memory.

use crate::Verdict;
use crate::allocation::within;
use crate::bytes::Bytes;
use std::sync::Arc;
use tidegate_record::{Batch, Blobs, Column, Field, Scalar, Schema, Values};
use tidegate_store::Run;
use tidegate_store::block::{BODY_BYTES_MAX, Decoded, Encoder, FORMAT, decode, peek};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use Scalar::{Boolean, Bytes as Binary, Float, Integer, Text};

const SCHEMAS: [&[Scalar]; 4] =
    [&[Float, Integer, Boolean, Text, Binary, Float], &[Float], &[], &[Text, Text, Binary, Text]];
/// Bytes before the header: the version and the checksum.
const FRONT: usize = 9;

pub fn run(input: &[u8]) -> Verdict {
    let mut input = Bytes(input);
    let choice = input.byte();
    let scalars = input.of(&SCHEMAS);
    let fields = scalars.iter().enumerate().map(|(at, &scalar)| Field::new(format!("f{at}"), scalar));
    let schema = Arc::new(Schema::new(fields.collect()).expect("a schema"));
    if choice & 1 == 0 {
        stored(choice >> 1, input.0, &schema)
    } else {
        let block = made(&mut input, &schema);
        let bytes = encode(&block);
        assert_eq!(decoded(&bytes, &schema).as_ref(), Some(&block), "what was encoded is decoded again");
        // A byte of it wrong.
        let mut wrong = bytes;
        let at = input.word() as usize % wrong.len();
        wrong[at] ^= input.byte().max(1);
        assert_eq!(decoded(&wrong, &schema), None, "the checksum finds a wrong byte");
        Verdict::Accepted
    }
}

/// Bytes as if they were stored, with a right checksum: only then is anything behind it looked at.
fn stored(format: u8, body: &[u8], schema: &Arc<Schema>) -> Verdict {
    let format = format % (FORMAT + 2);
    let mut bytes = vec![format; FRONT];
    bytes.extend_from_slice(body);
    let checksum = xxh3_64_with_seed(body, u64::from(format)).to_le_bytes();
    bytes[1..FRONT].copy_from_slice(&checksum);
    let Some(block) = decoded(&bytes, schema) else { return Verdict::Refused };
    assert!((1..=FORMAT).contains(&format), "format {format} is not known");
    let peeked = peek(&bytes).expect("what decodes can be peeked at");
    assert_eq!((peeked.first, peeked.rows as usize), (block.first, block.batch.rows()));
    assert_sound(&block);
    // It may have been written otherwise than we would; what we write of it is stable.
    let again = encode(&block);
    let back = decoded(&again, schema).expect("what was encoded is a block");
    assert_eq!(back, block, "decoded and encoded it is the same block");
    assert_eq!(encode(&back), again, "encoding is stable");
    Verdict::Accepted
}

/// The block in `bytes`; at most so much memory is used on it that a whole body is there twice while it grows.
fn decoded(bytes: &[u8], schema: &Arc<Schema>) -> Option<Decoded> {
    within(4 * BODY_BYTES_MAX + 16 * bytes.len(), || decode(bytes, |_| Some(schema.clone()))).ok()
}

fn encode(block: &Decoded) -> Vec<u8> {
    let mut encoder = Encoder::new().expect("a compressor");
    encoder.encode(block, block.batch.schema().id()).expect("a block is encoded").bytes
}

/// What a reader may rely on.
fn assert_sound(block: &Decoded) {
    let batch = &block.batch;
    let in_runs: u64 = block.runs.iter().map(|run| u64::from(run.rows)).sum();
    assert_eq!(in_runs, batch.rows() as u64);
    let parts = (batch.device_ids().to_vec(), batch.times().to_vec(), batch.columns().to_vec());
    let whole = Batch::from_parts(batch.schema().clone(), batch.devices().clone(), parts.0, parts.1, parts.2);
    assert_eq!(whole.as_ref(), Ok(batch.as_ref()), "its parts make a batch");
    for column in batch.columns() {
        if let Values::Booleans(values) = &column.values {
            assert!(values.iter().all(|&value| value <= 1), "booleans are 0 or 1");
        }
    }
}

/// A block of the choices of an input.
fn made(input: &mut Bytes<'_>, schema: &Arc<Schema>) -> Decoded {
    let rows = usize::from(input.byte() % 48);
    let mut devices = Blobs::default();
    for at in 0..1 + input.byte() % 4 {
        devices.push(format!("d{at}").as_bytes());
    }
    let ids = (0..rows).map(|_| u32::from(input.byte()) % devices.len() as u32).collect();
    let unit = input.of(&[1i64, 1_000, 1_000_000, i64::MAX / 256]);
    let times = (0..rows).map(|_| i64::from(input.byte() as i8).wrapping_mul(unit)).collect();
    let columns = schema.fields().iter().map(|field| column(input, field.scalar, rows)).collect();
    let batch = Batch::from_parts(schema.clone(), Arc::new(devices), ids, times, columns).expect("a batch");
    let first = input.word() >> 1;
    Decoded { first, runs: runs(input, rows as u32), pass: input.byte(), batch: Arc::new(batch) }
}

fn column(input: &mut Bytes<'_>, scalar: Scalar, rows: usize) -> Column {
    let way = input.byte();
    let blobs = |input: &mut Bytes<'_>| {
        let mut blobs = Blobs::default();
        for _ in 0..rows {
            let length = usize::from(input.byte() % 9);
            let bytes = input.take(length);
            match scalar {
                Text => blobs.push(String::from_utf8_lossy(bytes).as_bytes()),
                _ => blobs.push(bytes),
            }
        }
        blobs
    };
    let values = match scalar {
        Float if way & 1 == 0 => Values::Floats((0..rows).map(|_| f64::from_bits(input.word())).collect()),
        Float => Values::Floats((0..rows).map(|_| f64::from(input.byte() as i8) / 100.0).collect()),
        Integer if way & 1 == 0 => Values::Integers((0..rows).map(|_| input.word() as i64).collect()),
        Integer => Values::Integers((0..rows).map(|_| i64::from(input.byte())).collect()),
        Boolean => Values::Booleans((0..rows).map(|_| input.byte() & 1).collect()),
        Text => Values::Texts(blobs(input)),
        Binary => Values::Bytes(blobs(input)),
    };
    let valid = (way & 2 == 2).then(|| (0..rows).map(|_| input.byte() & 1).collect());
    Column { values, valid }
}

/// Runs that add up to `rows`.
fn runs(input: &mut Bytes<'_>, rows: u32) -> Vec<Run> {
    let mut runs = Vec::new();
    let mut left = rows;
    while left > 0 || runs.is_empty() {
        let flags = input.byte();
        let rows = left.min(u32::from(flags >> 2) + 1);
        left -= rows;
        let (commit, arrival, wall) = (input.word(), input.word() as i64, input.word() as i64);
        runs.push(Run {
            commit,
            arrival,
            wall,
            trusted: flags & 1 == 1,
            stamped: (flags & 2 == 2).then(|| commit - commit % 3),
            rows,
        });
    }
    runs
}
