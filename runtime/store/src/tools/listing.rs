//! What is in a store, in numbers: of a folder nobody has open, or of a running gateway.

use super::Catalogue;
use crate::api::{Health, PartitionHealth};
use crate::values::REASONS;
use serde::{Deserialize, Serialize};
use tidegate_record::Identity;

/// A store in numbers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Listing {
    /// The gateway that made it.
    pub gateway: String,
    /// The epoch of its records' identities, 16 hexadecimal digits.
    pub epoch: String,
    /// Bytes it takes on disk.
    pub disk_bytes: u64,
    /// Every partition, in order of name and number.
    pub partitions: Vec<PartitionListing>,
    /// Everything ever given up.
    pub losses: Vec<LossListing>,
    /// Databases that were set aside, by name.
    pub aside: Vec<String>,
    /// What was found damaged among its small entries, a sentence each.
    pub damaged: Vec<String>,
}

/// A partition of a stream.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PartitionListing {
    /// Its stream.
    pub stream: String,
    /// Its number.
    pub partition: u32,
    /// Oldest offset stored.
    pub first: u64,
    /// Next offset to be given.
    pub next: u64,
    /// Records ever appended.
    pub appended: u64,
    /// Records stored now.
    pub stored: u64,
    /// Records released after every reader passed them.
    pub released: u64,
    /// Records the store gave up.
    pub lost: u64,
    /// Bytes stored.
    pub bytes: u64,
    /// Who reads it.
    pub readers: Vec<ReaderListing>,
}

/// A reader of a partition.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ReaderListing {
    /// Its name.
    pub reader: String,
    /// Where it reads on.
    pub cursor: u64,
    /// Offsets between its cursor and the end; the records among them are at most so many.
    pub behind: u64,
    /// What it holds back: nothing from this offset on is released.
    pub holds_from: u64,
    /// Seconds since the oldest record that it has not read arrived, where there is one and it is known.
    pub lag_seconds: Option<f64>,
}

/// Records given up of one stream for one reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossListing {
    /// The stream, or the source where there was none yet.
    pub stream: String,
    /// Why, in the ledger's word.
    pub reason: String,
    /// How many.
    pub count: u64,
}

impl Listing {
    /// Of a running store: what it says of itself. `arrival` is its arrival clock now.
    pub fn running(identity: &Identity, health: &Health, arrival: i64) -> Self {
        let losses = health.losses.iter().map(|(stream, reason, count)| LossListing {
            stream: stream.clone(),
            reason: reason.word().into(),
            count: *count,
        });
        let mut partitions: Vec<_> = health.partitions.iter().map(|p| partition(p, arrival)).collect();
        partitions.sort_by(|a, b| (&a.stream, a.partition).cmp(&(&b.stream, b.partition)));
        Listing {
            gateway: identity.gateway.to_string(),
            epoch: format!("{:016x}", identity.epoch),
            disk_bytes: health.disk_bytes,
            partitions,
            losses: losses.collect(),
            ..Listing::default()
        }
    }

    /// Of a store that nobody has open.
    pub(crate) fn offline(catalogue: &Catalogue, disk_bytes: u64, aside: Vec<String>) -> Self {
        let identity = catalogue.identity();
        let mut partitions = Vec::new();
        for (&id, entry) in &catalogue.streams {
            for (number, counters) in catalogue.partitions(id) {
                let reader = |(name, cursor, holds_from): (&str, u64, u64)| ReaderListing {
                    reader: name.into(),
                    cursor,
                    behind: counters.next.saturating_sub(cursor.max(counters.first)),
                    holds_from,
                    lag_seconds: None,
                };
                partitions.push(PartitionListing {
                    stream: entry.name.clone(),
                    partition: number,
                    first: counters.first,
                    next: counters.next,
                    appended: counters.appended,
                    stored: counters.stored,
                    released: counters.released,
                    lost: counters.lost,
                    bytes: counters.bytes,
                    readers: catalogue.readers(id, number).into_iter().map(reader).collect(),
                });
            }
        }
        partitions.sort_by(|a, b| (&a.stream, a.partition).cmp(&(&b.stream, b.partition)));
        let loss = |((stream, reason), &count): (&(String, u32), &u64)| LossListing {
            stream: stream.clone(),
            reason: REASONS.get(*reason as usize).map_or("?", |reason| reason.word()).into(),
            count,
        };
        Listing {
            gateway: identity.gateway.to_string(),
            epoch: format!("{:016x}", identity.epoch),
            disk_bytes,
            partitions,
            losses: catalogue.losses.iter().map(loss).collect(),
            aside,
            damaged: catalogue.damaged.clone(),
        }
    }
}

fn partition(p: &PartitionHealth, arrival: i64) -> PartitionListing {
    let reader = |r: &crate::api::ReaderHealth| ReaderListing {
        reader: r.reader.clone(),
        cursor: r.cursor.0,
        behind: r.behind,
        holds_from: r.holds_from.0,
        lag_seconds: r.oldest_unread_arrival.map(|at| arrival.saturating_sub(at).max(0) as f64 / 1e6),
    };
    PartitionListing {
        stream: p.partition.stream.to_string(),
        partition: p.partition.number,
        first: p.first.0,
        next: p.durable.0,
        appended: p.appended,
        stored: p.stored,
        released: p.released,
        lost: p.lost,
        bytes: p.bytes,
        readers: p.readers.iter().map(reader).collect(),
    }
}
