//! What a sink delivers to: requests and the answers the forward loop understands.

use futures::future::BoxFuture;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tidegate_record::{Batch, Identity, RecordId, Row};
use tidegate_store::{ClockMark, Dates, Partition};

/// What a sink delivers to.
pub trait Upstream: Send + 'static {
    /// Delivers a request, once. Bounded in time; the forward loop waits for it before it gives the next one, and
    /// gives an equal one again after [`Delivery::Retry`].
    fn deliver<'a>(&'a mut self, request: &'a Request) -> BoxFuture<'a, Delivery>;

    /// Whether a request carries a key ([`Request::key`]) by which the upstream knows it again. Then the same records
    /// must make the same requests after a restart too.
    fn keyed(&self) -> bool;

    /// Where it delivers, for logs and status; without secrets.
    fn place(&self) -> &str;

    /// Most bytes a delivery of `request` puts on the wire, as far as is known before.
    fn weigh<'a>(&'a mut self, request: &'a Request) -> BoxFuture<'a, u64> {
        Box::pin(std::future::ready(request.json_bytes()))
    }

    /// Bytes put on the wire since this was last asked; `None` where that is not known: then what was
    /// [weighed](Upstream::weigh) counts.
    fn sent(&mut self) -> Option<u64> {
        None
    }
}

/// An upstream's answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// Every record is the upstream's now.
    Delivered,
    /// Not now: the same request again later. Anything a person or time can mend is this.
    Retry {
        /// A sentence for status and logs.
        reason: String,
        /// The upstream asked for this wait.
        after: Option<Duration>,
    },
    /// These records were refused for good, all others delivered.
    Refused(Vec<Refused>),
    /// At least one of the records is refused for good, it is not known which: to be found by bisection.
    Bisect {
        /// What the upstream said.
        reason: String,
    },
    /// The request is too large: to be delivered in halves.
    Split {
        /// What the upstream said.
        reason: String,
    },
}

/// A record the upstream will never take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its place in the request, from 0.
    pub index: usize,
    /// A sentence for the dead letter.
    pub reason: String,
}

/// Records of one partition, in order, delivered together. Cheap to clone: the batches are shared.
#[derive(Debug, Clone)]
pub struct Request {
    identity: Identity,
    partition: Partition,
    parts: Vec<Part>,
    records: usize,
}

/// Some rows of one block.
#[derive(Debug, Clone)]
struct Part {
    /// The offset of the batch's row 0.
    base: u64,
    /// How often the block was thinned.
    pass: u8,
    batch: Arc<Batch>,
    dates: Arc<Dates>,
    rows: Range<usize>,
}

/// One record of a request.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Its identity.
    pub id: RecordId<'a>,
    /// Its device: the key.
    pub device: &'a str,
    /// Its event time, microseconds since the epoch; corrected where the gateway's clock set it and was wrong.
    pub time: i64,
    /// What is to be said of its time.
    pub clock: Option<ClockMark>,
    /// Its values.
    pub row: Row<'a>,
}

impl Request {
    /// A request without records.
    pub fn new(identity: Identity, partition: Partition) -> Self {
        Request { identity, partition, parts: Vec::new(), records: 0 }
    }

    /// Adds `rows` of a batch whose row 0 has offset `base` and whose block was thinned `pass` times. Offsets must rise from part to part; `rows` is not empty.
    pub fn push(&mut self, base: u64, pass: u8, batch: Arc<Batch>, rows: Range<usize>) {
        assert!(rows.start < rows.end && rows.end <= batch.rows(), "rows {rows:?} of a batch of {}", batch.rows());
        assert!(self.parts.is_empty() || self.last() < base + rows.start as u64, "offsets rise within a request");
        self.records += rows.len();
        self.parts.push(Part { base, pass, batch, dates: Arc::default(), rows });
    }

    /// How the times of the part added last are to be read. What is known of them may grow until the request is cut, and
    /// over a restart; identities stay.
    pub fn date(&mut self, dates: Arc<Dates>) {
        if let Some(part) = self.parts.last_mut() {
            part.dates = dates;
        }
    }

    /// Gateway and epoch.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The partition its records are of.
    pub fn partition(&self) -> &Partition {
        &self.partition
    }

    /// How many records.
    pub fn len(&self) -> usize {
        self.records
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// The offset of the first record; 0 where there is none.
    pub fn first(&self) -> u64 {
        self.parts.first().map_or(0, |p| p.base + p.rows.start as u64)
    }

    /// The offset of the last record; 0 where there is none.
    pub fn last(&self) -> u64 {
        self.parts.last().map_or(0, |p| p.base + p.rows.end as u64 - 1)
    }

    /// The request's name, the same whenever the same records are delivered together:
    /// `gateway/stream/partition/epoch/first-last`.
    pub fn key(&self) -> String {
        let pass = self.parts.first().map_or(0, |part| part.pass);
        format!("{}-{}", self.id(self.first(), pass), self.last())
    }

    /// The records in order.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.parts.iter().flat_map(move |part| {
            part.rows.clone().map(move |row| {
                let (shift, clock) = part.dates.at(row);
                Record {
                    id: self.id(part.base + row as u64, part.pass),
                    device: part.batch.device(row),
                    time: part.batch.times()[row].saturating_add(shift),
                    clock,
                    row: part.batch.row(row).shifted(shift),
                }
            })
        })
    }

    /// The bytes its records have as JSON.
    pub fn json_bytes(&self) -> u64 {
        let mut counted = Counted(0);
        // Counting never fails, and rows are always JSON.
        self.records().for_each(|record| drop(serde_json::to_writer(&mut counted, &record.row)));
        counted.0
    }

    /// The records at `places` (counted from 0), as a request of its own.
    pub fn slice(&self, places: Range<usize>) -> Self {
        let mut out = Request::new(self.identity.clone(), self.partition.clone());
        let mut before = 0;
        for part in &self.parts {
            let from = places.start.saturating_sub(before).min(part.rows.len());
            let to = places.end.saturating_sub(before).min(part.rows.len());
            if from < to {
                out.push(part.base, part.pass, part.batch.clone(), part.rows.start + from..part.rows.start + to);
                out.date(part.dates.clone());
            }
            before += part.rows.len();
        }
        out
    }

    fn id(&self, offset: u64, pass: u8) -> RecordId<'_> {
        let Partition { stream, number } = &self.partition;
        RecordId { identity: &self.identity, stream, partition: *number, offset, pass }
    }
}

/// A record written with its identity: `{"_id":"gateway/stream/partition/epoch/offset","device":…}`. Behind it stands
/// `"_clock":"unset"` or `"corrected"` where the gateway set the record's time by a clock that was not right.
#[derive(Debug, Clone, Copy)]
pub struct Identified<'a>(pub Record<'a>);

impl Serialize for Identified<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("_id", &IdText(self.0.id))?;
        if let Some(mark) = self.0.clock {
            map.serialize_entry("_clock", mark.word())?;
        }
        self.0.row.serialize_entries(&mut map)?;
        map.end()
    }
}

/// Counts what is written.
struct Counted(u64);

impl io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct IdText<'a>(RecordId<'a>);

impl Serialize for IdText<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}
