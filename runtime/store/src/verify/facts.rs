//! The small entries of a store: what it says of itself, before its blocks are looked at.

use super::{PartitionReport, Report, conserved};
use crate::api::LossReason;
use crate::engine::{LoadError, read_meta};
use crate::keys::{Key, Kind};
use crate::medium::{Medium, value};
use crate::values::{Counters, LossTotal, PartitionTail, REASONS, StreamEntry, Tail, decode, unseal};
use std::collections::BTreeMap;
use std::sync::Arc;
use tidegate_record::Schema;

/// Everything but the blocks.
#[derive(Default)]
pub(super) struct Facts {
    streams: BTreeMap<u32, String>,
    schemas: BTreeMap<u64, Arc<Schema>>,
    counters: BTreeMap<(u32, u32), Counters>,
    cursors: BTreeMap<(u32, u32), Vec<(String, u64)>>,
    /// What the store itself gave up, by stream.
    losses: BTreeMap<String, u64>,
}

impl Facts {
    pub(super) fn read(medium: &dyn Medium, report: &mut Report) -> Result<Self, LoadError> {
        Facts::read_meta(medium, report)?;
        Facts::read_entries(medium, report).map_err(LoadError::Broken)
    }

    fn read_entries(medium: &dyn Medium, report: &mut Report) -> Result<Self, String> {
        let mut facts = Facts::default();
        each(medium, Kind::Stream, report, |key, bytes| {
            facts.streams.insert(key.stream, decode::<StreamEntry>(bytes)?.name);
            Ok(())
        })?;
        facts.read_schemas(medium, report)?;
        each(medium, Kind::Counters, report, |key, bytes| {
            facts.counters.insert((key.stream, key.partition), decode(bytes)?);
            Ok(())
        })?;
        facts.read_producers(medium, report)?;
        each(medium, Kind::Losses, report, |key, bytes| {
            let total: LossTotal = decode(bytes)?;
            let reason = REASONS.get(key.partition as usize).ok_or("its reason is none this version knows")?;
            if by_the_store(*reason) {
                *facts.losses.entry(total.stream).or_default() += total.count;
            }
            Ok(())
        })?;
        Ok(facts)
    }

    fn read_meta(medium: &dyn Medium, report: &mut Report) -> Result<(), LoadError> {
        match read_meta(medium) {
            Ok(Some(meta)) => (report.gateway, report.epoch) = (meta.gateway, meta.epoch),
            Ok(None) => report.problem("nothing is stored: not even what makes it a store".into()),
            Err(LoadError::Broken(reason)) => report.problem(format!("the meta entry: {reason}")),
            Err(other) => return Err(other),
        }
        Ok(())
    }

    fn read_schemas(&mut self, medium: &dyn Medium, report: &mut Report) -> Result<(), String> {
        let mut parts: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
        each(medium, Kind::Schema, report, |key, bytes| {
            parts.entry(key.offset).or_default().extend_from_slice(bytes);
            Ok(())
        })?;
        for (id, bytes) in parts {
            match decode::<Schema>(&bytes) {
                Ok(schema) => drop(self.schemas.insert(id, Arc::new(schema))),
                Err(reason) => report.problem(format!("the schema {id:016x} is damaged: {reason}")),
            }
        }
        Ok(())
    }

    fn read_producers(&mut self, medium: &dyn Medium, report: &mut Report) -> Result<(), String> {
        let mut names: BTreeMap<u32, String> = BTreeMap::new();
        each(medium, Kind::Producer, report, |key, bytes| {
            names.insert(key.stream, decode(bytes)?);
            Ok(())
        })?;
        each(medium, Kind::Cursor, report, |key, bytes| {
            let name = u32::try_from(key.offset).ok().and_then(|id| names.get(&id));
            let name = name.ok_or("it is of a reader that is not in the catalogue")?;
            let cursor = (name.clone(), decode(bytes)?);
            self.cursors.entry((key.stream, key.partition)).or_default().push(cursor);
            Ok(())
        })?;
        for (&id, name) in &names {
            for (kind, what) in [(Kind::State, "state"), (Kind::Snapshot, "snapshot")] {
                let sealed = value(medium, Key::of(kind, id))?;
                if let Some(Err(reason)) = sealed.map(unseal) {
                    report.problem(format!("the {what} of {name} is damaged: {reason}"));
                }
            }
        }
        Ok(())
    }

    /// The stream and partition of a key, as people write it.
    pub(super) fn name(&self, key: Key) -> String {
        format!("{}/{}", self.stream(key.stream), key.partition)
    }

    fn stream(&self, id: u32) -> String {
        self.streams.get(&id).cloned().unwrap_or_else(|| format!("(stream {id}, not in the catalogue)"))
    }

    pub(super) fn schema(&self, id: u64) -> Option<Arc<Schema>> {
        self.schemas.get(&id).cloned()
    }

    pub(super) fn counters(&self, id: (u32, u32)) -> Counters {
        self.counters.get(&id).copied().unwrap_or_default()
    }

    /// What is counted of a partition; what is found is still to be added.
    pub(super) fn partition(&self, id: (u32, u32)) -> PartitionReport {
        let counters = self.counters(id);
        PartitionReport {
            stream: self.stream(id.0),
            partition: id.1,
            first: counters.next,
            next: counters.next,
            appended: counters.appended,
            released: counters.released,
            lost: counters.lost,
            cursors: self.cursors.get(&id).cloned().unwrap_or_default(),
            ..PartitionReport::default()
        }
    }

    /// Partitions without blocks: they may have had some.
    pub(super) fn add_empty_partitions(&self, report: &mut Report) {
        for (&id, &counters) in &self.counters {
            let told = self.partition(id);
            if report.partitions.iter().any(|p| (&p.stream, p.partition) == (&told.stream, told.partition)) {
                continue;
            }
            self.check_counters(&told, counters, report);
            if counters.stored > 0 {
                let problem = format!(
                    "{}/{}: no block is stored and {} records are counted",
                    told.stream, told.partition, counters.stored
                );
                report.problem(problem);
            }
            report.partitions.push(told);
        }
    }

    /// What a partition's counters say against itself, its bytes and its readers.
    pub(super) fn check_counters(&self, told: &PartitionReport, counters: Counters, report: &mut Report) {
        let name = format!("{}/{}", told.stream, told.partition);
        let Counters { appended, stored, released, lost, .. } = counters;
        if !conserved(counters) {
            report.problem(format!(
                "{name}: {appended} records were appended, but {stored} stored + {released} released + {lost} lost are not that many"
            ));
        }
        if told.bytes != counters.bytes {
            report.problem(format!("{name}: {} bytes are stored and {} are counted", told.bytes, counters.bytes));
        }
        for (reader, cursor) in told.cursors.iter().filter(|(_, cursor)| *cursor > counters.next) {
            report.problem(format!("{name}: {reader} stands at {cursor}, behind the end at {}", counters.next));
        }
    }

    /// The tail never says more than the database held.
    pub(super) fn check_tail(&self, medium: &dyn Medium, report: &mut Report) {
        let tail = medium.tail().and_then(|bytes| decode::<Tail>(&bytes).ok());
        for PartitionTail { stream, partition, next, .. } in
            tail.filter(|tail| tail.epoch == report.epoch).into_iter().flat_map(|tail| tail.partitions)
        {
            let stands = self.counters((stream, partition)).next;
            if next > stands {
                report.problem(format!(
                    "{}/{partition}: it had come to {next} and stands at {stands}: what is between is lost. A gateway \
                     ledgers it when it starts, a repair does now",
                    self.stream(stream)
                ));
            }
        }
    }

    /// What a stream's counters call lost is what the ledger's totals say the store gave up.
    pub(super) fn check_losses(&self, report: &mut Report) {
        let mut counted: BTreeMap<String, u64> = BTreeMap::new();
        for (&(id, _), counters) in &self.counters {
            *counted.entry(self.stream(id)).or_default() += counters.lost;
        }
        for (stream, lost) in counted {
            let noted = self.losses.get(&stream).copied().unwrap_or(0);
            if lost != noted {
                report.problem(format!("{stream}: {lost} records were lost by the store and the ledger has {noted}"));
            }
        }
    }
}

/// Reasons of the store's own, which its counters call lost; the others were never appended, or are dead letters.
fn by_the_store(reason: LossReason) -> bool {
    match reason {
        LossReason::Cap | LossReason::Age | LossReason::Quarantined | LossReason::Thinned | LossReason::Purged => true,
        LossReason::Late | LossReason::Decode | LossReason::Fault | LossReason::Refused | LossReason::Full => false,
    }
}

/// Visits every entry of a kind; what cannot be read is a problem of the report.
fn each(
    medium: &dyn Medium,
    kind: Kind,
    report: &mut Report,
    mut visit: impl FnMut(Key, &[u8]) -> Result<(), String>,
) -> Result<(), String> {
    let (from, to) = Key::all(kind);
    medium.scan(from, to, &mut |key, bytes| {
        if let Err(reason) = visit(key, bytes) {
            report.problem(format!("a {kind:?} entry is damaged: {reason}"));
        }
        true
    })
}
