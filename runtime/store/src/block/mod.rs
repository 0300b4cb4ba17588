//! The block codec: a batch as stored.
//!
//! ```text
//! version  u8        FORMAT
//! checksum u64 LE    XXH3-64, seeded with the version, over everything behind it
//! header   postcard  first offset, rows, arrivals, event times, schema id, length of the body, runs
//! pass     u8        how often it was thinned; not in format 1
//! body     postcard  devices, device ids, times, a column a field; zstd level 1 where that makes it smaller
//! ```
//!
//! Reading trusts nothing: the checksum first, then every length against what the header promised, and the header
//! against the limits below. A block is immutable, carries its own dictionary, and names its schema by id.

mod blobs;
mod columns;
mod floats;
mod ints;
#[cfg(test)]
mod tests;

use crate::api::Run;
use columns::Body;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::sync::Arc;
use tidegate_record::{Batch, ROWS_MAX, Schema};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Version of the block format as written. Format 1, which knew neither passes nor stamped runs, stays readable; a
/// block of any other version is refused.
pub const FORMAT: u8 = 2;
/// Most runs in a block, so that headers stay small.
pub const RUNS_MAX: usize = 256;
/// Most bytes a body may have before compression.
pub const BODY_BYTES_MAX: usize = 64 << 20;
/// Bytes before the header.
const FRONT: usize = 9;
const ZSTD_LEVEL: i32 = 1;

/// Why bytes are not a block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Damage(String);

impl Damage {
    fn new(what: impl Into<String>) -> Self {
        Damage(what.into())
    }
}

/// A block to be encoded, or as decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// Offset of the first record.
    pub first: u64,
    /// How the rows arrived; their rows add up to the batch's.
    pub runs: Vec<Run>,
    /// How often it was thinned: 0 for records as they were appended.
    pub pass: u8,
    /// The records.
    pub batch: Arc<Batch>,
}

/// What a block says of itself without its columns being read. Not covered by a check of the checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peek {
    /// Offset of the first record.
    pub first: u64,
    /// How many records; 0 is a tick, which takes one position.
    pub rows: u32,
    /// Arrival of the first run, arrival clock, microseconds.
    pub arrival_first: i64,
    /// Arrival of the last run.
    pub arrival_last: i64,
}

impl Peek {
    /// The position behind the last record.
    pub fn next(&self) -> u64 {
        self.first + span(self.rows as usize)
    }
}

/// Positions that `rows` records take: a tick has none and takes one.
pub fn span(rows: usize) -> u64 {
    rows.max(1) as u64
}

#[derive(Debug, Serialize, Deserialize)]
struct Header {
    peek: Peek,
    time_min: i64,
    time_max: i64,
    schema: u64,
    body_bytes: u32,
    compressed: bool,
    runs: Vec<StoredRun>,
}

/// A run as differences from the one before.
#[derive(Debug, Serialize, Deserialize)]
struct StoredRun {
    commit: u64,
    arrival: i64,
    wall: i64,
    /// Four times the rows, plus two where event times are the gateway's own, plus one where the wall clock was
    /// trusted; and 2^32 times the commits that lie between the one whose clock they are of and this one. In format 1:
    /// twice the rows, plus one where it was trusted.
    rows: u64,
}

/// Encodes blocks, keeping its buffers and its compressor.
pub struct Encoder {
    compressor: zstd::bulk::Compressor<'static>,
    packed: Vec<u8>,
}

/// An encoded block and how large its body was before compression.
pub struct Encoded {
    /// What is stored.
    pub bytes: Vec<u8>,
    /// Bytes of the body before compression.
    pub body_bytes: usize,
}

impl Encoder {
    /// A fresh encoder.
    pub fn new() -> std::io::Result<Self> {
        Ok(Encoder { compressor: zstd::bulk::Compressor::new(ZSTD_LEVEL)?, packed: Vec::new() })
    }

    /// The bytes of a block. `schema` is the id of the batch's schema.
    pub fn encode(&mut self, block: &Decoded, schema: u64) -> Result<Encoded, Damage> {
        let rows = block.batch.rows();
        let in_runs: usize = block.runs.iter().map(|r| r.rows as usize).sum();
        assert_eq!(rows, in_runs, "the runs of a block add up to its rows");
        let batch = block.batch.compact_devices();
        let body = postcard::to_stdvec(&Body::of(&batch)).map_err(|e| Damage::new(e.to_string()))?;
        if body.len() > BODY_BYTES_MAX {
            return Err(Damage::new(format!("a body of {} bytes is over {BODY_BYTES_MAX}", body.len())));
        }
        self.packed.clear();
        self.packed.reserve(zstd::zstd_safe::compress_bound(body.len()));
        let packed = self.compressor.compress_to_buffer(&body, &mut self.packed);
        let compressed = packed.is_ok_and(|bytes| bytes < body.len());
        let header = header(block, schema, body.len(), compressed);
        let mut bytes = vec![0; FRONT];
        bytes[0] = FORMAT;
        bytes = postcard::to_extend(&header, bytes).map_err(|e| Damage::new(e.to_string()))?;
        bytes.push(block.pass);
        bytes.extend_from_slice(if compressed { &self.packed } else { &body });
        let checksum = checksum(&bytes);
        bytes[1..FRONT].copy_from_slice(&checksum.to_le_bytes());
        Ok(Encoded { bytes, body_bytes: body.len() })
    }
}

fn header(block: &Decoded, schema: u64, body_bytes: usize, compressed: bool) -> Header {
    let times = block.batch.times();
    let (mut commit, mut arrival, mut wall) = (0u64, 0i64, 0i64);
    let runs = block.runs.iter().map(|run| {
        let stored = StoredRun {
            commit: run.commit.wrapping_sub(commit),
            arrival: run.arrival.wrapping_sub(arrival),
            wall: run.wall.wrapping_sub(wall),
            rows: packed(run),
        };
        (commit, arrival, wall) = (run.commit, run.arrival, run.wall);
        stored
    });
    Header {
        peek: Peek {
            first: block.first,
            rows: block.batch.rows() as u32,
            arrival_first: block.runs.first().map_or(0, |r| r.arrival),
            arrival_last: block.runs.last().map_or(0, |r| r.arrival),
        },
        time_min: times.iter().copied().min().unwrap_or(0),
        time_max: times.iter().copied().max().unwrap_or(0),
        schema,
        body_bytes: body_bytes as u32,
        compressed,
        runs: runs.collect(),
    }
}

fn packed(run: &Run) -> u64 {
    // What was stamped more than 2^32 commits ago is given the oldest clock that can be told.
    let behind = run.stamped.map_or(0, |commit| run.commit.saturating_sub(commit).min(u64::from(u32::MAX)));
    behind << 32 | u64::from(run.rows) << 2 | u64::from(run.stamped.is_some()) << 1 | u64::from(run.trusted)
}

/// Reads what a block says of itself; its bytes are not checked beyond the version and the limits.
pub fn peek(bytes: &[u8]) -> Result<Peek, Damage> {
    if !matches!(bytes.first(), Some(1..=FORMAT)) || bytes.len() < FRONT {
        return Err(Damage::new("not a block of this format"));
    }
    let (peek, _) = postcard::take_from_bytes::<Peek>(&bytes[FRONT..]).map_err(|e| Damage::new(e.to_string()))?;
    if peek.rows as usize > ROWS_MAX || peek.first.checked_add(span(peek.rows as usize)).is_none() {
        return Err(Damage::new("the header is out of range"));
    }
    Ok(peek)
}

/// How often a block was thinned, of its bytes or as many of the first as hold its header; nothing is checked.
pub fn pass(bytes: &[u8]) -> Option<u8> {
    match *bytes.first()? {
        1 => Some(0),
        _ => postcard::take_from_bytes::<Header>(bytes.get(FRONT..)?).ok()?.1.first().copied(),
    }
}

/// Reads a block and checks everything. `schema` finds a schema by its id.
pub fn decode(bytes: &[u8], schema: impl Fn(u64) -> Option<Arc<Schema>>) -> Result<Decoded, Damage> {
    let peek = peek(bytes)?;
    if bytes[1..FRONT] != checksum(bytes).to_le_bytes() {
        return Err(Damage::new("the checksum does not match"));
    }
    let (header, body) =
        postcard::take_from_bytes::<Header>(&bytes[FRONT..]).map_err(|e| Damage::new(e.to_string()))?;
    let (pass, body) = match (bytes[0], body.split_first()) {
        (1, _) => (0, body),
        (_, Some((&pass, body))) => (pass, body),
        (_, None) => return Err(Damage::new("it ends with its header")),
    };
    let rows = peek.rows as usize;
    let body_bytes = header.body_bytes as usize;
    if body_bytes > BODY_BYTES_MAX || header.runs.len() > RUNS_MAX {
        return Err(Damage::new("the header is out of range"));
    }
    let schema =
        schema(header.schema).ok_or_else(|| Damage::new(format!("no schema with id {:016x}", header.schema)))?;
    let unpacked;
    let body = if header.compressed {
        unpacked = decompress(body, body_bytes)?;
        &unpacked
    } else {
        body
    };
    if body.len() != body_bytes {
        return Err(Damage::new("the body has another length than the header says"));
    }
    let (stored, rest) = postcard::take_from_bytes::<Body<'_>>(body).map_err(|e| Damage::new(e.to_string()))?;
    if !rest.is_empty() {
        return Err(Damage::new("bytes are left behind the body"));
    }
    let batch = Arc::new(stored.batch(&schema, rows)?);
    Ok(Decoded { first: peek.first, runs: runs(bytes[0], &header, rows)?, pass, batch })
}

fn runs(format: u8, header: &Header, rows: usize) -> Result<Vec<Run>, Damage> {
    let (mut commit, mut arrival, mut wall) = (0u64, 0i64, 0i64);
    let runs: Vec<Run> = (header.runs.iter())
        .map(|stored| {
            commit = commit.wrapping_add(stored.commit);
            arrival = arrival.wrapping_add(stored.arrival);
            wall = wall.wrapping_add(stored.wall);
            let trusted = stored.rows & 1 == 1;
            let rows = stored.rows as u32;
            match format {
                1 => Run { commit, arrival, wall, trusted, stamped: None, rows: rows >> 1 },
                _ => {
                    let stamped = (rows & 2 == 2).then(|| commit.saturating_sub(stored.rows >> 32));
                    Run { commit, arrival, wall, trusted, stamped, rows: rows >> 2 }
                }
            }
        })
        .collect();
    let total: u64 = runs.iter().map(|r| u64::from(r.rows)).sum();
    if total != rows as u64 || runs.is_empty() {
        return Err(Damage::new("the runs do not add up to the rows"));
    }
    Ok(runs)
}

fn decompress(packed: &[u8], bytes: usize) -> Result<Vec<u8>, Damage> {
    thread_local! {
        static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
    }
    // What zstd says of itself is checked before room is made for it.
    if zstd::zstd_safe::get_frame_content_size(packed).ok().flatten() != Some(bytes as u64) {
        return Err(Damage::new("the compressed body has another length than the header says"));
    }
    DECOMPRESSOR.with_borrow_mut(|slot| {
        let decompressor = match slot {
            Some(decompressor) => decompressor,
            None => slot.insert(zstd::bulk::Decompressor::new().map_err(|e| Damage::new(e.to_string()))?),
        };
        decompressor.decompress(packed, bytes).map_err(|e| Damage::new(e.to_string()))
    })
}

fn checksum(bytes: &[u8]) -> u64 {
    xxh3_64_with_seed(&bytes[FRONT..], u64::from(bytes[0]))
}
