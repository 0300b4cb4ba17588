//! Declaring streams: the configured ones are found in the catalogue or made.

use super::Inner;
use super::core::{Cursor, PartitionState, StreamState};
use crate::api::{Error, Hold, Keep, Retention, StreamSpec, WhenFull};
use crate::keys::{Key, Kind};
use crate::medium::WriteSet;
use crate::values::{StreamEntry, encode};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use tidegate_record::{Schema, streams};
use tokio::sync::Notify;

/// Cap of the ledger where it is not declared.
const LEDGER_BYTES_MAX: u64 = 16 << 20;
/// What encoding makes of memory, before any block was encoded.
const RATIO_AT_FIRST: f64 = 0.5;

/// The streams of this process. Never changes once declared.
pub(super) struct Declared {
    pub(super) streams: Vec<Stream>,
    by_name: HashMap<Arc<str>, usize>,
    /// Which of them is the ledger.
    pub(super) ledger: usize,
    /// By partition, over all streams.
    pub(super) wakers: Vec<Wakers>,
    /// By partition: its stream.
    pub(super) stream_of: Vec<usize>,
}

/// Who waits for a partition.
#[derive(Default)]
pub(super) struct Wakers {
    pub(super) staged: Notify,
    pub(super) durable: Notify,
}

/// A declared stream.
pub(super) struct Stream {
    pub(super) name: Arc<str>,
    pub(super) id: u32,
    pub(super) schema: Arc<Schema>,
    pub(super) schema_id: u64,
    pub(super) retention: Retention,
    pub(super) readers: Vec<(Arc<str>, Hold)>,
    /// Its first partition over all streams.
    pub(super) base: usize,
    pub(super) partitions: u32,
    /// Dead letters and the ledger.
    pub(super) never_blocks: bool,
    pub(super) appended: metrics::Counter,
}

impl Declared {
    pub(super) fn stream(&self, name: &str) -> Result<&Stream, Error> {
        self.position(name).map(|index| &self.streams[index])
    }

    pub(super) fn position(&self, name: &str) -> Result<usize, Error> {
        self.by_name.get(name).copied().ok_or_else(|| Error::NoStream(name.into()))
    }

    /// The stream a partition is of, and its number there.
    pub(super) fn of(&self, partition: usize) -> (&Stream, u32) {
        let stream = &self.streams[self.stream_of[partition]];
        (stream, (partition - stream.base) as u32)
    }

    /// The key of a block.
    pub(super) fn block_key(&self, partition: usize, first: u64) -> Key {
        let (stream, number) = self.of(partition);
        Key::new(Kind::Block, stream.id, number, first)
    }

    /// The partition of a stored stream id and number, if declared.
    pub(super) fn by_id(&self, id: u32, partition: u32) -> Option<usize> {
        let stream = self.streams.iter().find(|s| s.id == id).filter(|s| partition < s.partitions)?;
        Some(stream.base + partition as usize)
    }
}

impl Inner {
    pub(super) fn declare(&self, mut specs: Vec<StreamSpec>) -> Result<(), Error> {
        if !specs.iter().any(|spec| spec.name == streams::LEDGER) {
            specs.push(ledger());
        }
        let declared = self.resolve(specs)?;
        self.store_catalogue(&declared)?;
        let mut core = self.lock();
        for stream in &declared.streams {
            let mut state = StreamState { bytes: 0, staged: 0, ratio: RATIO_AT_FIRST };
            for number in 0..stream.partitions {
                let counters = self.catalogue.counters.get(&(stream.id, number)).copied().unwrap_or_default();
                state.bytes += counters.bytes;
                core.partitions.push(PartitionState {
                    counters,
                    next: counters.next,
                    floor: counters.first,
                    last_arrival: i64::MIN,
                    ..PartitionState::default()
                });
            }
            core.streams.push(state);
        }
        for (name, stream, partition, position) in &self.catalogue.cursors {
            if let Some(index) = declared.by_id(*stream, *partition) {
                let cursor = Cursor { accepted: *position, durable: Some(*position) };
                core.producer(name).cursors.insert(index, cursor);
            }
        }
        for (name, at) in &self.catalogue.snapshots_at {
            let known = at.iter().filter_map(|&(id, number, at)| Some((declared.by_id(id, number)?, at)));
            core.producer(name).snapshot_at = known.collect();
        }
        core.notes.extend(self.undeclared(&declared));
        let sight = core.sight(&*self.options.clock);
        core.clocks.open(sight);
        if !core.gone.is_empty() {
            core.begin_waiting();
        }
        drop(core);
        self.declared.set(declared).map_err(|_| self.refusal("streams are declared twice"))
    }

    fn refusal(&self, reason: &str) -> Error {
        Error::Open { path: self.options.path.display().to_string(), reason: reason.into() }
    }

    fn resolve(&self, specs: Vec<StreamSpec>) -> Result<Declared, Error> {
        let mut next_id = self.catalogue.streams.values().map(|(id, _)| id + 1).max().unwrap_or(0);
        let mut declared = Declared {
            streams: Vec::new(),
            by_name: HashMap::new(),
            ledger: 0,
            wakers: Vec::new(),
            stream_of: Vec::new(),
        };
        for spec in specs {
            let never_blocks = spec.name == streams::LEDGER || spec.name == streams::DEAD_LETTERS;
            let index = declared.streams.len();
            if spec.name == streams::LEDGER {
                declared.ledger = index;
                if *spec.schema != streams::ledger() {
                    return Err(self.refusal("the ledger is declared with fields that are not the ledger's"));
                }
            }
            let id = self.catalogue.streams.get(&spec.name).map_or(next_id, |(id, _)| *id);
            next_id = next_id.max(id + 1);
            let name: Arc<str> = spec.name.as_str().into();
            if declared.by_name.insert(name.clone(), index).is_some() {
                return Err(self.refusal(&format!("stream {name:?} is declared twice")));
            }
            let partitions = spec.partitions.max(1);
            let base = declared.wakers.len();
            declared.wakers.extend((0..partitions).map(|_| Wakers::default()));
            declared.stream_of.extend((0..partitions).map(|_| index));
            let when_full = if never_blocks { WhenFull::DropOldest } else { spec.retention.when_full };
            declared.streams.push(Stream {
                appended: self.meters.appended(&name),
                id,
                schema_id: spec.schema.id(),
                schema: spec.schema,
                retention: Retention { when_full, ..spec.retention },
                readers: spec.readers.into_iter().map(|(reader, hold)| (reader.into(), hold)).collect(),
                base,
                partitions,
                never_blocks,
                name,
            });
        }
        Ok(declared)
    }

    /// New streams and schemas are on disk before anything is appended to them.
    fn store_catalogue(&self, declared: &Declared) -> Result<(), Error> {
        let mut set = WriteSet::default();
        let mut schemas = self.schemas.write().unwrap_or_else(PoisonError::into_inner);
        for stream in &declared.streams {
            let known = self.catalogue.streams.get(&*stream.name).map_or(0, |(_, entry)| entry.partitions);
            if known < stream.partitions {
                let entry = StreamEntry { name: stream.name.to_string(), partitions: stream.partitions };
                set.put(Key::of(Kind::Stream, stream.id), encode(&entry));
            }
            schemas.entry(stream.schema_id).or_insert_with(|| {
                set.put(Key::new(Kind::Schema, 0, 0, stream.schema_id), encode(&*stream.schema));
                stream.schema.clone()
            });
        }
        if set.is_empty() {
            return Ok(());
        }
        self.medium.write(&set).map_err(|reason| {
            self.lock().poisoned = Some(reason.as_str().into());
            Error::Poisoned(reason.into())
        })
    }

    /// What is on disk and in no configuration, in words.
    fn undeclared(&self, declared: &Declared) -> Vec<String> {
        let mut notes = Vec::new();
        for (name, (_, entry)) in &self.catalogue.streams {
            match declared.stream(name) {
                Err(_) => notes.push(format!("stream {name:?} is in the store and not in the configuration: kept")),
                Ok(stream) if stream.partitions < entry.partitions => notes.push(format!(
                    "stream {name:?} has {} partitions in the store and {} in the configuration: the others are kept",
                    entry.partitions, stream.partitions
                )),
                Ok(_) => {}
            }
        }
        notes.sort();
        notes
    }
}

fn ledger() -> StreamSpec {
    StreamSpec {
        name: streams::LEDGER.into(),
        schema: Arc::new(streams::ledger()),
        partitions: 1,
        retention: Retention {
            max_bytes: LEDGER_BYTES_MAX,
            max_age: None,
            keep: Keep::UntilRead,
            when_full: WhenFull::DropOldest,
        },
        readers: Vec::new(),
    }
}
