//! Thinning: a backlog near its cap becomes coarser instead of being dropped.
//!
//! Blocks no reader is at work on are decoded, joined to one record a device and span of event time, and put in their
//! place with a higher pass, all in the group that deletes them and notes in the ledger how many records fewer there
//! are. So a crash leaves either the old or the new.
//!
//! **Identity.** A new record takes an offset that a record of a lower pass has at that moment, and its own pass is
//! higher than that of any it stands for. The pass at an offset only ever grows, so no two records have the same.

use super::committer::Committer;
use super::group::{BLOCK_MEMORY_MAX, Group};
use super::ledger::Ledger;
use super::read;
use super::retention::Head;
use super::sweep::{Bounds, Fine, Found};
use crate::api::{Block, Loss, LossReason, Run, Thin, WhenFull};
use crate::block::Decoded;
use crate::coarse::Coarser;
use crate::medium::{WriteSet, stored_bytes};
use std::ops::Range;
use std::sync::{Arc, PoisonError};
use tidegate_record::Batch;

/// Most records joined to at once, in memory.
const JOINED_MAX: usize = 1 << 16;
/// A pass that leaves more than this percentage of the records is not worth its writing.
const WORTH_PERCENT: usize = 75;

/// Records of one kind of clock, joined.
struct Stretch {
    /// Of the last run; its rows are those of the batch.
    run: Run,
    batch: Batch,
}

impl Committer {
    /// Makes the oldest part of a partition coarser, a bounded part of it: at most `left` entries are deleted for it. True
    /// where there may be more to do.
    pub(super) fn thin(
        &mut self,
        index: usize,
        left: &mut usize,
        group: &mut Group,
        set: &mut WriteSet,
        ledger: &mut Ledger,
    ) -> Result<bool, String> {
        let inner = self.inner.clone();
        let declared = inner.declared().map_err(|e| e.to_string())?;
        let (stream, number) = declared.of(index);
        let WhenFull::Thin(thin) = stream.retention.when_full else { return Ok(false) };
        let partition = &mut group.partitions[index];
        let core = inner.lock();
        let at_work = core.at_work(stream, index, &partition.holds);
        let end = core.partitions[index].counters.next;
        drop(core);
        // Nobody knows yet what its readers were at work on.
        let Some(at_work) = at_work else { return Ok(false) };
        let bounds = Bounds {
            first: partition.counters.first,
            end,
            keys: *left,
            at_work: &at_work,
            quarantine: &partition.quarantine,
        };
        let key = |offset| declared.block_key(index, offset);
        let found = self.sweeps[index].look(&*inner.medium, &key, &bounds, partition.counters.bytes)?;
        let (pass, fine) = match found {
            Found::Blocks(pass, fine) => (pass, fine),
            Found::More => return Ok(true),
            Found::Nothing => {
                self.sweeps[index].exhaust();
                return Ok(true);
            }
        };
        let (heads, stretches) = self.join(index, &thin, pass, fine);
        let range = heads[0].first..heads[heads.len() - 1].next;
        let originals: u64 = heads.iter().map(|head| head.rows).sum();
        let stay: u64 = stretches.iter().map(|stretch| stretch.batch.rows() as u64).sum();
        let bytes: u64 = heads.iter().map(|head| head.bytes).sum();
        let worth = stay * 100 <= originals * WORTH_PERCENT as u64 && stay > 0;
        if !worth {
            self.sweeps[index].pass_by(pass, range.end, bytes);
            return Ok(true);
        }
        if !inner.lock().begin_thinning(stream, index, &partition.holds, &range) {
            return Ok(true);
        }
        for head in &heads {
            partition.delete(head, key(head.first), set);
            *left = left.saturating_sub(usize::from(head.parts));
        }
        let written = self.put_coarse(index, pass, &heads, stretches, set)?;
        let now: u64 = written.iter().map(|head| head.bytes).sum();
        partition.counters.stored += stay;
        partition.counters.bytes += now;
        partition.counters.lost += originals - stay;
        self.sweeps[index].done(pass, range.end, bytes, now);
        self.heads[index].replaced(&range, written);
        ledger.add(&Loss {
            stream: stream.name.clone(),
            partition: number,
            reason: LossReason::Thinned,
            stage: Arc::from("store"),
            count: originals - stay,
            offsets: Some((range.start, range.end - 1)),
        });
        Ok(true)
    }

    /// Joins the records of as many of these blocks as go together: those of one schema, up to a bound. At least one
    /// block is among the heads given.
    fn join(&self, index: usize, thin: &Thin, pass: u8, fine: Vec<Fine>) -> (Vec<Head>, Vec<Stretch>) {
        let mut heads: Vec<Head> = Vec::new();
        let mut stretches = Vec::new();
        let mut open: Option<(Run, Coarser)> = None;
        let schemas = self.inner.schemas.read().unwrap_or_else(PoisonError::into_inner).clone();
        for Fine { head, bytes } in fine {
            let joined = open.as_ref().map_or(0, |(_, coarser)| coarser.rows())
                + stretches.iter().map(|s: &Stretch| s.batch.rows()).sum::<usize>();
            let block = match read::decode(&bytes, head.first, |id| schemas.get(&id).cloned()) {
                Ok(block) => block,
                Err(damage) => {
                    self.quarantine(index, head.first, &damage);
                    if heads.is_empty() {
                        heads.push(head);
                        return (heads, Vec::new());
                    }
                    break;
                }
            };
            let other = open.as_ref().is_some_and(|(_, c)| head.rows > 0 && c.schema() != block.batch.schema());
            if !heads.is_empty() && (joined >= JOINED_MAX || other) {
                break;
            }
            heads.push(head);
            for (run, batch) in runs(&block) {
                match &mut open {
                    Some((last, coarser)) if self.inner.is_of_one_clock(last, &run) => {
                        coarser.add(&batch);
                        *last = run;
                    }
                    _ => {
                        stretches.extend(open.take().and_then(close));
                        let mut coarser = Coarser::new(batch.schema().clone(), thin.span(pass), thin.value);
                        coarser.add(&batch);
                        open = Some((run, coarser));
                    }
                }
            }
        }
        stretches.extend(open.and_then(close));
        (heads, stretches)
    }

    /// Puts the joined records at the offsets of the blocks they stand for.
    fn put_coarse(
        &mut self,
        index: usize,
        pass: u8,
        heads: &[Head],
        stretches: Vec<Stretch>,
        set: &mut WriteSet,
    ) -> Result<Vec<Head>, String> {
        let inner = self.inner.clone();
        let declared = inner.declared().map_err(|e| e.to_string())?;
        let mut places = places(heads).into_iter();
        let mut place = places.next().unwrap_or(0..0);
        let mut written = Vec::new();
        for Stretch { run, batch } in stretches {
            let mut from = 0;
            while from < batch.rows() {
                if place.is_empty() {
                    place = places.next().ok_or("coarser records are more than they stand for")?;
                }
                let room = usize::try_from(place.end - place.start).unwrap_or(usize::MAX);
                let rows = (batch.rows() - from).min(room).min(self.rows_max[index]).max(1);
                let part = fitting(&batch, from, rows);
                let (first, rows) = (place.start, part.rows());
                let run = Run { rows: rows as u32, ..run };
                let block = Decoded { first, runs: vec![run], pass, batch: part };
                let encoded = self.encoder.encode(&block, batch.schema().id());
                let encoded = encoded.map_err(|damage| format!("coarser records do not encode: {damage}"))?;
                let bytes = stored_bytes(encoded.bytes.len());
                let parts = set.put(declared.block_key(index, first), encoded.bytes);
                let next = first + rows as u64;
                written.push(Head { first, next, rows: rows as u64, arrival: run.arrival, bytes, parts });
                (from, place.start) = (from + rows, next);
            }
        }
        Ok(written)
    }

    /// A block that does not decode is deleted and counted with the next group.
    fn quarantine(&self, index: usize, first: u64, damage: &str) {
        let partition = self.inner.name(index);
        tracing::error!(%partition, first, damage, "a block failed its check and is quarantined");
        let mut core = self.inner.lock();
        core.partitions[index].quarantine.insert(first);
        core.begin_waiting();
    }
}

/// A block's records by run.
fn runs(block: &Block) -> impl Iterator<Item = (Run, Batch)> {
    let mut from = 0;
    block.runs.iter().filter(|run| run.rows > 0).map(move |run| {
        let to = from + run.rows as usize;
        let batch = block.batch.slice(from..to);
        from = to;
        (*run, batch)
    })
}

/// Up to `rows` records from row `from` on: fewer where they are large.
fn fitting(batch: &Batch, from: usize, mut rows: usize) -> Arc<Batch> {
    loop {
        let part = batch.slice(from..from + rows).compact_devices();
        if rows == 1 || part.memory_bytes() <= BLOCK_MEMORY_MAX {
            return Arc::new(part);
        }
        rows /= 2;
    }
}

fn close((run, coarser): (Run, Coarser)) -> Option<Stretch> {
    coarser.finish().map(|batch| Stretch { run, batch })
}

/// The offsets that records of these blocks have, neighbours as one.
fn places(heads: &[Head]) -> Vec<Range<u64>> {
    let mut places: Vec<Range<u64>> = Vec::new();
    for head in heads.iter().filter(|head| head.rows > 0) {
        match places.last_mut().filter(|place| place.end == head.first) {
            Some(place) => place.end = head.first + head.rows,
            None => places.push(head.first..head.first + head.rows),
        }
    }
    places
}
