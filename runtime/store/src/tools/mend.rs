//! Mending: a database is written anew from what is whole in another, its books are made to add up, and what is gone is
//! in the ledger. What was set aside earlier is brought in behind it.
//!
//! - A block that is whole is kept under its identity; one that is not is given up (`quarantined`).
//! - `next` is raised beyond every block and every cursor, so that no offset is given twice.
//! - What another database holds and nobody had read there comes to the end of its stream, under new identities: that
//!   database's own may have been given again. Who read there by a snapshot reads on from the snapshot, so a pipeline's
//!   results of the time since then come twice rather than not at all.

use super::{Catalogue, Found, Rewrite, blocks, copy, partitions};
use crate::api::{Block, Loss, LossReason};
use crate::block::{Decoded, Encoder, span};
use crate::engine::{Gone, Ledger, gone, trim_block};
use crate::keys::{Key, Kind};
use crate::medium::{Medium, stored_bytes};
use crate::values::{
    ClockEntry, Counters, FORMAT, LossTotal, Meta, REASONS, StreamEntry, decode, encode, reason_number,
};
use rand::Rng as _;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidegate_record::{Batch, Schema, streams};
use xxhash_rust::xxh3::xxh3_64;

/// What a repair did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Repaired {
    /// Records that stayed where they were.
    pub kept: u64,
    /// Records brought back, by stream: they are at its end, under new identities.
    pub brought: BTreeMap<String, u64>,
    /// Records that could not be read, by stream: given up, and in the ledger.
    pub lost: BTreeMap<String, u64>,
    /// Records a person gave up, by stream; in the ledger too.
    pub purged: BTreeMap<String, u64>,
    /// What else was put right, a sentence each.
    pub notes: Vec<String>,
}

/// A database being mended into another.
pub(crate) struct Mend<'a> {
    out: Rewrite<'a>,
    encoder: Encoder,
    /// As it will be.
    catalogue: Catalogue,
    meta: Meta,
    ledger: Ledger,
    report: Repaired,
    /// Blocks of this stream that end at or before this offset go.
    purge: Option<(u32, u64)>,
}

impl<'a> Mend<'a> {
    /// Begins with what is whole in `source`; `None` begins with nothing, as a store of `gateway`.
    pub(crate) fn begin(source: Option<&dyn Medium>, out: &'a dyn Medium, gateway: &str) -> Result<Self, String> {
        Mend::without(source, out, gateway, None)
    }

    /// As [`Mend::begin`], without the blocks of a stream that end at or before an offset: a person gives them up.
    pub(crate) fn without(
        source: Option<&dyn Medium>,
        out: &'a dyn Medium,
        gateway: &str,
        purge: Option<(u32, u64)>,
    ) -> Result<Self, String> {
        let mut report = Repaired::default();
        let catalogue = match source {
            Some(source) => Catalogue::read(source).map_err(|error| format!("{error:?}"))?,
            None => Catalogue::default(),
        };
        report.notes.extend(catalogue.damaged.iter().map(|what| format!("left out: {what}")));
        let fresh =
            || Meta { format: FORMAT, epoch: rand::rng().random(), gateway: gateway.into(), arrival: 0, number: 0 };
        let meta = catalogue.meta.clone().unwrap_or_else(|| {
            report.notes.push("it had no meta entry: its records have a new epoch".into());
            fresh()
        });
        let encoder = Encoder::new().map_err(|error| error.to_string())?;
        let mut mend =
            Mend { out: Rewrite::of(out), encoder, catalogue, meta, ledger: Ledger::default(), report, purge };
        if let Some(source) = source {
            // What a database that fell behind had is gone, and its offsets are not given again.
            for Gone { stream, partition, count, offsets } in gone(source, &mut mend.meta, &mut mend.catalogue.counters)
            {
                mend.give_up((stream, partition), LossReason::Quarantined, count, offsets);
            }
            mend.keep(source)?;
        } else {
            mend.report.notes.clear();
        }
        Ok(mend)
    }

    fn keep(&mut self, source: &dyn Medium) -> Result<(), String> {
        copy(source, &mut self.out, &[Kind::State, Kind::Snapshot])?;
        self.keep_catalogue()?;
        self.keep_clocks(source)?;
        let mut ids: Vec<(u32, u32)> = self.catalogue.counters.keys().copied().collect();
        ids.extend(partitions(source)?);
        ids.sort_unstable();
        ids.dedup();
        for id in ids {
            let before = self.catalogue.counters.get(&id).copied().unwrap_or_default();
            let after = self.keep_partition(source, id, before)?;
            self.catalogue.counters.insert(id, after);
        }
        Ok(())
    }

    /// The small entries that could be read; counters and losses come last.
    fn keep_catalogue(&mut self) -> Result<(), String> {
        let Catalogue { streams, schemas, producers, cursors, snapshots_at, .. } = &self.catalogue;
        for (&id, entry) in streams {
            self.out.put(Key::of(Kind::Stream, id), encode(entry))?;
        }
        for (&id, schema) in schemas {
            self.out.put(Key::new(Kind::Schema, 0, 0, id), encode(&**schema))?;
        }
        for (&id, name) in producers {
            self.out.put(Key::of(Kind::Producer, id), encode(name))?;
        }
        for (&(stream, partition), cursors) in cursors {
            // One whose producer is not known is nobody's.
            for (&id, position) in cursors.iter().filter(|(id, _)| producers.contains_key(id)) {
                self.out.put(Key::new(Kind::Cursor, stream, partition, u64::from(id)), encode(position))?;
            }
        }
        for (&id, at) in snapshots_at {
            self.out.put(Key::of(Kind::SnapshotAt, id), encode(at))?;
        }
        Ok(())
    }

    fn keep_clocks(&mut self, source: &dyn Medium) -> Result<(), String> {
        let (from, to) = Key::all(Kind::Clock);
        let mut put = Ok(());
        source.scan(from, to, &mut |key, bytes| {
            match decode::<ClockEntry>(bytes) {
                Ok(_) => put = self.out.put(key, bytes.to_vec()),
                Err(reason) => self.report.notes.push(format!("left out: a Clock entry: {reason}")),
            }
            put.is_ok()
        })?;
        put
    }

    /// Copies the whole blocks of a partition; gives its counters as they are now.
    fn keep_partition(&mut self, source: &dyn Medium, id: (u32, u32), before: Counters) -> Result<Counters, String> {
        let mut kept = Counters { first: u64::MAX, next: 0, stored: 0, bytes: 0, ..before };
        let (mut failed, mut latest) = (Ok(()), (0, 0));
        let purge = self.purge.filter(|(stream, _)| *stream == id.0).map_or(0, |(_, before)| before);
        let (mut purged, mut purged_to) = (0, 0);
        let out = &mut self.out;
        blocks(source, &self.catalogue, id, 0, &mut |found: Found| {
            let Ok(block) = found.block else { return true };
            if block.first.0 < kept.next {
                return true;
            }
            if block.next.0 <= purge {
                purged += block.batch.rows() as u64;
                purged_to = block.next.0;
                return true;
            }
            kept.first = kept.first.min(block.first.0);
            kept.next = block.next.0;
            kept.stored += block.batch.rows() as u64;
            kept.bytes += stored_bytes(found.bytes.len());
            let last = block.runs.last().map_or((0, 0), |run| (run.commit, run.arrival));
            latest = (latest.0.max(last.0), latest.1.max(last.1));
            failed = out.put(found.key, found.bytes);
            failed.is_ok()
        })?;
        failed?;
        self.meta.number = self.meta.number.max(latest.0);
        self.meta.arrival = self.meta.arrival.max(latest.1);
        let name = self.name(id);
        let stands = self.catalogue.readers(id.0, id.1).iter().map(|&(_, cursor, _)| cursor).max().unwrap_or(0);
        let next = kept.next.max(before.next).max(stands).max(purged_to);
        if next > before.next {
            self.report.notes.push(format!("{name}: the next offset is {next} instead of {}", before.next));
        }
        // What was appended is what was counted, and what is found beyond that.
        kept.appended = before.appended.max(kept.stored + before.released + before.lost + purged);
        kept.lost = kept.appended - before.released - kept.stored;
        kept.next = next;
        kept.first = kept.first.min(next);
        self.report.kept += kept.stored;
        self.give_up(id, LossReason::Purged, purged, (before.first, purged_to.saturating_sub(1)));
        let damaged = kept.lost - before.lost - purged;
        self.give_up(id, LossReason::Quarantined, damaged, (before.first, next.saturating_sub(1)));
        Ok(kept)
    }

    /// Brings what nobody had read in another database to the ends of its streams.
    pub(crate) fn bring(&mut self, aside: &dyn Medium) -> Result<(), String> {
        let old = Catalogue::read(aside).map_err(|error| format!("{error:?}"))?;
        if let (Some(meta), None) = (&old.meta, &self.catalogue.meta) {
            self.meta.gateway.clone_from(&meta.gateway);
        }
        let mut ids: Vec<(u32, u32)> = old.counters.keys().copied().collect();
        ids.extend(partitions(aside)?);
        ids.sort_unstable();
        ids.dedup();
        for id in ids {
            match old.streams.get(&id.0) {
                Some(entry) => self.bring_partition(aside, &old, id, &entry.name)?,
                None => self.report.notes.push(format!("blocks of stream {} are left: its name is lost", id.0)),
            }
        }
        Ok(())
    }

    fn bring_partition(
        &mut self,
        aside: &dyn Medium,
        old: &Catalogue,
        id: (u32, u32),
        name: &str,
    ) -> Result<(), String> {
        let counted = old.counters.get(&id).copied().unwrap_or_default();
        let unread = old.readers(id.0, id.1).iter().map(|&(_, _, holds_from)| holds_from).min();
        let from = unread.unwrap_or(0).max(counted.first);
        let to = (self.stream(name, id.1)?, id.1);
        let (mut end, mut brought, mut covered, mut failed) = (0, 0, 0, Ok(()));
        blocks(aside, old, id, from, &mut |found: Found| {
            // Of a block that was thinned, its first form may be in the file still.
            let Some(block) = found.block.ok().filter(|block| block.next.0 > from && block.first.0 >= end) else {
                return true;
            };
            end = block.next.0;
            let block = trim_block(block, from);
            brought += block.batch.rows() as u64;
            covered += span(block.batch.rows());
            failed = self.append(to, block);
            failed.is_ok()
        })?;
        failed?;
        if brought > 0 {
            *self.report.brought.entry(name.into()).or_default() += brought;
        }
        let expected = counted.stored.min(counted.next.saturating_sub(from));
        let lost = expected.saturating_sub(covered);
        if let Some(counters) = self.catalogue.counters.get_mut(&to) {
            counters.appended += lost;
            counters.lost += lost;
        }
        self.give_up(to, LossReason::Quarantined, lost, (from, counted.next.saturating_sub(1)));
        Ok(())
    }

    /// The id of a stream, made where there is none.
    fn stream(&mut self, name: &str, partition: u32) -> Result<u32, String> {
        let known = self.catalogue.streams.iter().find(|(_, entry)| entry.name == name);
        let id = known.map(|(&id, _)| id);
        let id = id.unwrap_or_else(|| self.catalogue.streams.keys().last().map_or(0, |last| last + 1));
        let partitions = self.catalogue.streams.get(&id).map_or(0, |entry| entry.partitions);
        if partitions <= partition {
            let entry = StreamEntry { name: name.into(), partitions: partition + 1 };
            self.out.put(Key::of(Kind::Stream, id), encode(&entry))?;
            self.catalogue.streams.insert(id, entry);
        }
        self.catalogue.counters.entry((id, partition)).or_default();
        Ok(id)
    }

    /// Appends a block as if it arrived now: what came when is in its wall clock.
    fn append(&mut self, id: (u32, u32), block: Block) -> Result<(), String> {
        let schema = self.schema(block.batch.schema())?;
        let mut runs = block.runs;
        for run in &mut runs {
            self.meta.number += 1;
            (run.commit, run.arrival) = (self.meta.number, self.meta.arrival);
        }
        let rows = block.batch.rows();
        let counters = self.catalogue.counters.entry(id).or_default();
        let first = counters.next;
        let decoded = Decoded { first, runs, pass: block.pass, batch: block.batch };
        let encoded = self.encoder.encode(&decoded, schema).map_err(|damage| damage.to_string())?;
        counters.next += span(rows);
        counters.appended += rows as u64;
        counters.stored += rows as u64;
        counters.bytes += stored_bytes(encoded.bytes.len());
        self.out.put(Key::new(Kind::Block, id.0, id.1, first), encoded.bytes)
    }

    fn schema(&mut self, schema: &Arc<Schema>) -> Result<u64, String> {
        let id = schema.id();
        if !self.catalogue.schemas.contains_key(&id) {
            self.out.put(Key::new(Kind::Schema, 0, 0, id), encode(&**schema))?;
            self.catalogue.schemas.insert(id, schema.clone());
        }
        Ok(id)
    }

    fn name(&self, (stream, partition): (u32, u32)) -> String {
        let name = self.catalogue.streams.get(&stream).map_or("(unknown)", |entry| &entry.name);
        format!("{name}/{partition}")
    }

    fn give_up(&mut self, id: (u32, u32), reason: LossReason, count: u64, offsets: (u64, u64)) {
        if count == 0 {
            return;
        }
        let stream = self.catalogue.streams.get(&id.0).map_or("(unknown)", |entry| &entry.name).to_string();
        let told = if reason == LossReason::Purged { &mut self.report.purged } else { &mut self.report.lost };
        *told.entry(stream.clone()).or_default() += count;
        self.ledger.add(&Loss {
            stream: stream.into(),
            partition: id.1,
            reason,
            stage: "store".into(),
            count,
            offsets: Some(offsets),
        });
    }

    /// Writes the ledger, the counters and what makes it a store; `wall` is when.
    pub(crate) fn finish(mut self, wall: i64, trusted: bool) -> Result<Repaired, String> {
        for batch in self.ledger.batches(Arc::new(streams::ledger()), wall) {
            let ledger = self.stream(streams::LEDGER, 0)?;
            self.note((ledger, 0), batch, wall, trusted)?;
        }
        for ((stream, reason), count) in self.ledger.totals() {
            *self.catalogue.losses.entry((stream.to_string(), reason_number(reason))).or_default() += count;
        }
        for ((stream, reason), count) in std::mem::take(&mut self.catalogue.losses) {
            let key = Key::new(Kind::Losses, 0, reason.min(REASONS.len() as u32), xxh3_64(stream.as_bytes()));
            self.out.put(key, encode(&LossTotal { stream, count }))?;
        }
        for (&(stream, partition), counters) in &self.catalogue.counters {
            self.out.put(Key::new(Kind::Counters, stream, partition, 0), encode(counters))?;
        }
        self.meta.format = FORMAT;
        self.out.put(Key::only(Kind::Meta), encode(&self.meta))?;
        self.out.finish()?;
        Ok(self.report)
    }

    fn note(&mut self, id: (u32, u32), batch: Arc<Batch>, wall: i64, trusted: bool) -> Result<(), String> {
        let rows = batch.rows() as u32;
        let run = crate::api::Run { commit: 0, arrival: 0, wall, trusted, stamped: Some(0), rows };
        let (first, next) = (crate::api::Position(0), crate::api::Position(u64::from(rows)));
        self.append(id, Block { first, next, runs: vec![run], pass: 0, batch })
    }
}
