//! Opening: what a medium holds becomes the state of the engine. Nothing is counted by scanning blocks.

use super::Inner;
use super::clocks::Clocks;
use super::core::{ArrivalClock, Core, Producer};
use super::tail;
use crate::api::LossReason;
use crate::keys::{Key, Kind};
use crate::medium::{Medium, WriteSet, first, value};
use crate::metrics::Meters;
use crate::options::Options;
use crate::values::{Counters, FORMAT, LossTotal, Meta, REASONS, StreamEntry, decode, encode};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, OnceLock, RwLock};
use tidegate_record::{Identity, Schema};
use tokio::sync::{Notify, watch};

/// A snapshot's positions: stream id, partition, position.
type At = Vec<(u32, u32, u64)>;

/// What was on the medium before streams are declared. Stays as it was at open.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    /// Streams by name.
    pub(super) streams: HashMap<String, (u32, StreamEntry)>,
    /// By stream id and partition.
    pub(super) counters: BTreeMap<(u32, u32), Counters>,
    /// By producer, stream id and partition.
    pub(super) cursors: Vec<(Arc<str>, u32, u32, u64)>,
    /// By producer.
    pub(super) snapshots_at: Vec<(Arc<str>, At)>,
}

/// Why a medium is not taken.
#[derive(Debug)]
pub(crate) enum LoadError {
    /// It is of another format: it must not be touched.
    Format(u32),
    /// It cannot be read as a store.
    Broken(String),
    /// It cannot be written.
    Refused(String),
}

impl LoadError {
    /// Of a store that is open already.
    pub(super) fn words(self) -> String {
        match self {
            LoadError::Format(found) => format!("it is of format {found}"),
            LoadError::Broken(reason) | LoadError::Refused(reason) => reason,
        }
    }
}

pub(super) fn load(
    medium: Arc<dyn Medium>,
    options: Options,
    gaps: Option<u64>,
    mut notes: Vec<String>,
) -> Result<Inner, LoadError> {
    let mut meta = match read_meta(&*medium)? {
        Some(meta) => meta,
        None if medium.tail().is_some() => return Err(LoadError::Broken("it is empty, and was not".into())),
        None => create(&*medium, &options)?,
    };
    if meta.gateway != options.gateway {
        notes.push(format!("the store was made by gateway {:?} and goes on as {:?}", meta.gateway, options.gateway));
    }
    let (mut catalogue, producers) = read_catalogue(&*medium).map_err(LoadError::Broken)?;
    let gone = tail::gone(&*medium, &mut meta, &mut catalogue.counters);
    notes.extend(tail::told(&gone));
    let schemas = read_schemas(&*medium).map_err(LoadError::Broken)?;
    let losses = read_losses(&*medium).map_err(LoadError::Broken)?;
    let clocks = Clocks::read(&*medium, meta.arrival).map_err(LoadError::Broken)?;
    let meters = Meters::new();
    losses.iter().for_each(|((stream, reason), &total)| meters.lost(stream, *reason, total));
    let core = Core {
        number: meta.number,
        arrival: ArrivalClock::from(meta.arrival, &*options.clock),
        clocks,
        streams: Vec::new(),
        partitions: Vec::new(),
        producers,
        staged: Vec::new(),
        staged_bytes: 0,
        waiting_bytes: 0,
        waiting_since: None,
        hurry: false,
        poisoned: None,
        closing: false,
        disk_bytes: medium.disk_bytes(),
        disk_free: medium.disk_free(),
        waits_for_disk: false,
        turns: VecDeque::new(),
        pins: 0,
        gone,
        losses,
        notes,
        gaps: gaps.map(StdRng::seed_from_u64),
    };
    Ok(Inner {
        medium,
        commit_interval: (options.commit_interval.as_micros() as u64).into(),
        written: 0.into(),
        identity: Identity { gateway: options.gateway.as_str().into(), epoch: meta.epoch },
        options,
        catalogue,
        declared: OnceLock::new(),
        schemas: RwLock::new(schemas),
        core: Mutex::new(core),
        work: Condvar::new(),
        room: Notify::new(),
        ended: watch::Sender::new(None),
        meters,
    })
}

/// The meta entry, of a format this version reads; `None` where nothing is stored.
pub(crate) fn read_meta(medium: &dyn Medium) -> Result<Option<Meta>, LoadError> {
    let Some(bytes) = value(medium, Key::only(Kind::Meta)).map_err(LoadError::Broken)? else {
        let any = first(medium, Key::all(Kind::Meta).0, Key::all(Kind::Block).1).map_err(LoadError::Broken)?;
        return match any {
            Some(_) => Err(LoadError::Broken("it has entries and no meta entry".into())),
            None => Ok(None),
        };
    };
    let (format, _) = postcard::take_from_bytes::<u32>(&bytes).map_err(|e| LoadError::Broken(e.to_string()))?;
    if !(1..=FORMAT).contains(&format) {
        return Err(LoadError::Format(format));
    }
    decode(&bytes).map(Some).map_err(LoadError::Broken)
}

fn create(medium: &dyn Medium, options: &Options) -> Result<Meta, LoadError> {
    let epoch = options.epoch_seed.map_or_else(|| rand::rng().random(), |seed| StdRng::seed_from_u64(seed).random());
    let meta = Meta { format: FORMAT, epoch, gateway: options.gateway.clone(), arrival: 0, number: 0 };
    let mut set = WriteSet::default();
    set.put(Key::only(Kind::Meta), encode(&meta));
    medium.write(&set).map_err(LoadError::Refused)?;
    Ok(meta)
}

/// Every entry of a kind of small values.
pub(super) fn entries<T>(
    medium: &dyn Medium,
    kind: Kind,
    mut read: impl FnMut(Key, &[u8]) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let (from, to) = Key::all(kind);
    let mut found = Vec::new();
    let mut failed = None;
    medium.scan(from, to, &mut |key, bytes| match read(key, bytes) {
        Ok(entry) => {
            found.push(entry);
            true
        }
        Err(reason) => {
            failed = Some(format!("{kind:?} entry: {reason}"));
            false
        }
    })?;
    failed.map_or(Ok(found), Err)
}

fn read_catalogue(medium: &dyn Medium) -> Result<(Catalogue, HashMap<Arc<str>, Producer>), String> {
    let mut catalogue = Catalogue::default();
    for (id, entry) in entries(medium, Kind::Stream, |key, v| Ok((key.stream, decode::<StreamEntry>(v)?)))? {
        catalogue.streams.insert(entry.name.clone(), (id, entry));
    }
    let counters = entries(medium, Kind::Counters, |key, v| Ok(((key.stream, key.partition), decode(v)?)))?;
    catalogue.counters.extend(counters);
    let names = entries(medium, Kind::Producer, |key, v| Ok((key.stream, decode::<String>(v)?)))?;
    let names: HashMap<u32, Arc<str>> = names.into_iter().map(|(id, name)| (id, name.into())).collect();
    for (key, position) in entries(medium, Kind::Cursor, |key, v| Ok((key, decode::<u64>(v)?)))? {
        let name = u32::try_from(key.offset).ok().and_then(|id| names.get(&id));
        let name = name.ok_or("a cursor of a producer that is not in the catalogue")?;
        catalogue.cursors.push((name.clone(), key.stream, key.partition, position));
    }
    let parts = |key: Key| -> Result<u16, String> {
        Ok(medium.last(key, key.last_part())?.map_or(0, |last| last.part.saturating_add(1)))
    };
    let mut producers = HashMap::new();
    for (&id, name) in &names {
        let producer = Producer {
            id,
            stored: true,
            state_parts: parts(Key::of(Kind::State, id))?,
            snapshot_at_parts: parts(Key::of(Kind::SnapshotAt, id))?,
            snapshot_parts: parts(Key::of(Kind::Snapshot, id))?,
            ..Producer::default()
        };
        if let Some(bytes) = value(medium, Key::of(Kind::SnapshotAt, id))? {
            catalogue.snapshots_at.push((name.clone(), decode(&bytes)?));
        }
        producers.insert(name.clone(), producer);
    }
    Ok((catalogue, producers))
}

fn read_schemas(medium: &dyn Medium) -> Result<HashMap<u64, Arc<Schema>>, String> {
    let mut bytes: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    for (id, part) in entries(medium, Kind::Schema, |key, v| Ok((key.offset, v.to_vec())))? {
        bytes.entry(id).or_default().extend(part);
    }
    bytes.into_iter().map(|(id, bytes)| Ok((id, Arc::new(decode::<Schema>(&bytes)?)))).collect()
}

fn read_losses(medium: &dyn Medium) -> Result<BTreeMap<(Arc<str>, LossReason), u64>, String> {
    let total = |key: Key, v: &[u8]| {
        let total: LossTotal = decode(v)?;
        let reason = REASONS.get(key.partition as usize).ok_or("an unknown loss reason")?;
        Ok(((total.stream.as_str().into(), *reason), total.count))
    };
    Ok(entries(medium, Kind::Losses, total)?.into_iter().collect())
}
