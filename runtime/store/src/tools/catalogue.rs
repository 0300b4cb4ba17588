//! Everything in a store but its blocks, states and snapshots: small, and all of it in memory.

use crate::engine::{LoadError, read_meta};
use crate::keys::{Key, Kind};
use crate::medium::Medium;
use crate::values::{Counters, LossTotal, Meta, REASONS, StreamEntry, decode};
use std::collections::BTreeMap;
use std::sync::Arc;
use tidegate_record::{Identity, Schema};

/// The small entries of a store. What is damaged among them is left out and told.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    pub(crate) meta: Option<Meta>,
    pub(crate) streams: BTreeMap<u32, StreamEntry>,
    pub(crate) schemas: BTreeMap<u64, Arc<Schema>>,
    /// By stream id and partition.
    pub(crate) counters: BTreeMap<(u32, u32), Counters>,
    pub(crate) producers: BTreeMap<u32, String>,
    /// By stream id and partition: producer id and position.
    pub(crate) cursors: BTreeMap<(u32, u32), BTreeMap<u32, u64>>,
    /// By producer id: stream id, partition and position of its snapshot.
    pub(crate) snapshots_at: BTreeMap<u32, Vec<(u32, u32, u64)>>,
    /// By stream and number of the reason.
    pub(crate) losses: BTreeMap<(String, u32), u64>,
    /// What is wrong, a sentence each.
    pub(crate) damaged: Vec<String>,
}

impl Catalogue {
    /// Reads it from a medium. A store of a format this version does not know is an error.
    pub(crate) fn read(medium: &dyn Medium) -> Result<Self, LoadError> {
        let mut catalogue = Catalogue::default();
        match read_meta(medium) {
            Ok(meta) => catalogue.meta = meta,
            Err(LoadError::Broken(reason)) => catalogue.damaged.push(reason),
            Err(other) => return Err(other),
        }
        catalogue.read_entries(medium).map_err(LoadError::Broken)?;
        Ok(catalogue)
    }

    fn read_entries(&mut self, medium: &dyn Medium) -> Result<(), String> {
        let mut schemas: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
        let mut snapshots_at: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
        for kind in [Kind::Stream, Kind::Schema, Kind::Counters, Kind::Producer, Kind::Cursor, Kind::Losses] {
            self.each(medium, kind, |catalogue, key, bytes| match kind {
                Kind::Schema => {
                    schemas.entry(key.offset).or_default().extend_from_slice(bytes);
                    Ok(())
                }
                _ => catalogue.take(key, bytes),
            })?;
        }
        self.each(medium, Kind::SnapshotAt, |_, key, bytes| {
            snapshots_at.entry(key.stream).or_default().extend_from_slice(bytes);
            Ok(())
        })?;
        for (id, bytes) in schemas {
            match decode::<Schema>(&bytes) {
                Ok(schema) => drop(self.schemas.insert(id, Arc::new(schema))),
                Err(reason) => self.damaged.push(format!("the schema {id:016x}: {reason}")),
            }
        }
        for (id, bytes) in snapshots_at {
            match decode(&bytes) {
                Ok(at) => drop(self.snapshots_at.insert(id, at)),
                Err(reason) => self.damaged.push(format!("the positions of producer {id}'s snapshot: {reason}")),
            }
        }
        Ok(())
    }

    fn take(&mut self, key: Key, bytes: &[u8]) -> Result<(), String> {
        match key.kind {
            Kind::Stream => drop(self.streams.insert(key.stream, decode(bytes)?)),
            Kind::Counters => drop(self.counters.insert((key.stream, key.partition), decode(bytes)?)),
            Kind::Producer => drop(self.producers.insert(key.stream, decode(bytes)?)),
            Kind::Cursor => {
                let id = u32::try_from(key.offset).map_err(|_| "no producer has such a number")?;
                self.cursors.entry((key.stream, key.partition)).or_default().insert(id, decode(bytes)?);
            }
            Kind::Losses => {
                let total: LossTotal = decode(bytes)?;
                REASONS.get(key.partition as usize).ok_or("its reason is none this version knows")?;
                *self.losses.entry((total.stream, key.partition)).or_default() += total.count;
            }
            _ => {}
        }
        Ok(())
    }

    fn each(
        &mut self,
        medium: &dyn Medium,
        kind: Kind,
        mut visit: impl FnMut(&mut Self, Key, &[u8]) -> Result<(), String>,
    ) -> Result<(), String> {
        let (from, to) = Key::all(kind);
        medium.scan(from, to, &mut |key, bytes| {
            if let Err(reason) = visit(self, key, bytes) {
                self.damaged.push(format!("a {kind:?} entry: {reason}"));
            }
            true
        })
    }

    /// Gateway and epoch; of a store whose meta entry is damaged, nobody's.
    pub(crate) fn identity(&self) -> Identity {
        let meta = self.meta.as_ref();
        Identity { gateway: meta.map_or("?", |meta| &meta.gateway).into(), epoch: meta.map_or(0, |meta| meta.epoch) }
    }

    /// The id of a stream, or which there are.
    pub(crate) fn stream(&self, name: &str) -> Result<u32, String> {
        let found = self.streams.iter().find(|(_, entry)| entry.name == name);
        found.map(|(&id, _)| id).ok_or_else(|| {
            let names: Vec<&str> = self.streams.values().map(|entry| entry.name.as_str()).collect();
            format!("there is no stream {name:?} in the store. There are: {}", names.join(", "))
        })
    }

    /// The partitions of a stream that anything was ever appended to.
    pub(crate) fn partitions(&self, stream: u32) -> impl Iterator<Item = (u32, Counters)> + '_ {
        self.counters.range((stream, 0)..=(stream, u32::MAX)).map(|(&(_, number), &counters)| (number, counters))
    }

    /// What each reader of a partition holds: its name, its cursor, and from where on it needs the stream.
    pub(crate) fn readers(&self, stream: u32, partition: u32) -> Vec<(&str, u64, u64)> {
        let of = |(id, &cursor): (&u32, &u64)| {
            let at = self.snapshots_at.get(id).into_iter().flatten();
            let snapshot = at.filter(|(s, p, _)| (*s, *p) == (stream, partition)).map(|&(_, _, at)| at).min();
            let name = self.producers.get(id).map_or("(unknown)", String::as_str);
            (name, cursor, snapshot.map_or(cursor, |at| at.min(cursor)))
        };
        self.cursors.get(&(stream, partition)).into_iter().flatten().map(of).collect()
    }
}
