//! Reading: staged entries and the tail from memory, everything older from the medium, checked.

use super::Inner;
use super::core::PartitionState;
use crate::api::{Block, Error, Partition, Position, Run, Snapshot, Visibility};
use crate::block::{self, Decoded};
use crate::keys::{Key, Kind};
use crate::medium::{first, value};
use crate::values;
use std::sync::{Arc, PoisonError};
use tidegate_record::Schema;

/// How often a read begins again because blocks went away under it. Each turn something else must have changed.
const TURNS_MAX: usize = 1000;

/// Where a position is to be read.
enum Place {
    Here(Block),
    /// On the medium, below the durable end given.
    Medium(u64),
    Nowhere,
}

impl Inner {
    pub(super) fn read(&self, partition: usize, at: u64, visibility: Visibility) -> Result<Option<Block>, Error> {
        let mut at = at;
        for _ in 0..TURNS_MAX {
            let core = self.lock();
            let state = &core.partitions[partition];
            at = at.max(state.floor);
            let place = place(state, at, visibility);
            let poisoned = core.poisoned.clone();
            drop(core);
            match (place, poisoned) {
                (Place::Here(block), _) => return Ok(Some(trim(block, at))),
                (Place::Nowhere, Some(reason)) => return Err(Error::Poisoned(reason)),
                (Place::Nowhere, None) => return Ok(None),
                (Place::Medium(durable), _) => match self.read_medium(partition, at, durable)? {
                    Found::Block(block) => return Ok(Some(trim(block, at))),
                    Found::Nothing => {
                        self.lock().partitions[partition].nothing = at..durable;
                        at = durable;
                    }
                    Found::Changed => {}
                },
            }
        }
        Err(self.read_error(partition, at, "blocks went away faster than they could be read"))
    }

    /// The block at or after `at` and before `durable`.
    fn read_medium(&self, partition: usize, at: u64, durable: u64) -> Result<Found, Error> {
        let failed = |reason: String| self.read_error(partition, at, &reason);
        let declared = self.declared()?;
        let key = |first| declared.block_key(partition, first);
        let before = self.medium.last(key(0), key(at).last_part()).map_err(failed)?.map(|k| k.offset);
        if let Some(first) = before {
            let bytes = value(&*self.medium, key(first)).map_err(failed)?;
            let reaches = |bytes: &[u8]| first == at || block::peek(bytes).map_or(true, |p| p.next() > at);
            if let Some(bytes) = bytes.filter(|bytes| reaches(bytes)) {
                match self.decode(&bytes, first) {
                    Ok(block) if block.next.0 > at => return Ok(Found::Block(block)),
                    Ok(_) => {}
                    Err(damage) if self.confirm(partition, first, &damage)? => return Ok(Found::Changed),
                    // It is known to be bad: what comes behind it.
                    Err(_) => {}
                }
            }
        }
        let mut from = key(at.saturating_add(1));
        loop {
            let Some(next) = first(&*self.medium, from, key(durable)).map_err(failed)? else {
                return Ok(Found::Nothing);
            };
            if next.offset >= durable {
                return Ok(Found::Nothing);
            }
            let Some(bytes) = value(&*self.medium, next.part(0)).map_err(failed)? else { return Ok(Found::Changed) };
            match self.decode(&bytes, next.offset) {
                Ok(block) => return Ok(Found::Block(block)),
                Err(damage) if self.confirm(partition, next.offset, &damage)? => return Ok(Found::Changed),
                Err(_) => from = key(next.offset.saturating_add(1)),
            }
        }
    }

    fn decode(&self, bytes: &[u8], first: u64) -> Result<Block, String> {
        let schemas = self.schemas.read().unwrap_or_else(PoisonError::into_inner).clone();
        decode(bytes, first, |id| schemas.get(&id).cloned())
    }

    /// A block did not decode. It may just have been deleted while it was read: then everything is looked at again
    /// (true). Else it is quarantined, once, and skipped (false).
    fn confirm(&self, partition: usize, first: u64, damage: &str) -> Result<bool, Error> {
        let key = self.declared()?.block_key(partition, first);
        let again = value(&*self.medium, key).map_err(|reason| self.read_error(partition, first, &reason))?;
        let changed = again.is_none_or(|bytes| self.decode(&bytes, first).is_ok());
        let mut core = self.lock();
        let state = &mut core.partitions[partition];
        if state.quarantine.contains(&first) {
            return Ok(false);
        }
        if changed || first < state.floor {
            return Ok(true);
        }
        tracing::error!(partition = %self.name(partition), first, damage, "a block failed its check and is quarantined");
        state.quarantine.insert(first);
        core.begin_waiting();
        drop(core);
        self.work.notify_all();
        Ok(false)
    }

    pub(super) fn name(&self, partition: usize) -> Partition {
        match self.declared() {
            Ok(declared) => {
                let (stream, number) = declared.of(partition);
                Partition::new(stream.name.clone(), number)
            }
            Err(_) => Partition::new("?", partition as u32),
        }
    }

    pub(super) fn read_error(&self, partition: usize, at: u64, reason: &str) -> Error {
        Error::Read { what: format!("{} at {at}", self.name(partition)), reason: reason.into() }
    }

    /// A producer's small state, the latest that was taken in.
    pub(super) fn state(&self, producer: &str) -> Result<Option<Vec<u8>>, Error> {
        self.kept(
            producer,
            "state",
            |p| p.state.as_ref().map(|(_, state)| state.to_vec()),
            |id| self.sealed(Key::of(Kind::State, id)),
        )
    }

    /// A producer's snapshot, the latest that was taken in.
    pub(super) fn snapshot(&self, producer: &str) -> Result<Option<Snapshot>, Error> {
        self.kept(
            producer,
            "snapshot",
            |p| p.snapshot.as_ref().map(|(_, s)| Snapshot::clone(s)),
            |id| {
                let Some(bytes) = self.sealed(Key::of(Kind::Snapshot, id))? else { return Ok(None) };
                let at = value(&*self.medium, Key::of(Kind::SnapshotAt, id))?.ok_or("its positions are missing")?;
                let at: Vec<(u32, u32, u64)> = values::decode(&at)?;
                let streams = &self.declared().map_err(|e| e.to_string())?.streams;
                let named = at.into_iter().filter_map(|(id, number, at)| {
                    let stream = streams.iter().find(|s| s.id == id)?;
                    Some((Partition::new(stream.name.clone(), number), Position(at)))
                });
                Ok(Some(Snapshot { at: named.collect(), bytes }))
            },
        )
    }

    /// What is staged of a producer's value, else what is stored. A stored one may be replaced while it is read: then
    /// its check fails, and the new one is found staged.
    fn kept<T>(
        &self,
        producer: &str,
        what: &str,
        staged: impl Fn(&super::core::Producer) -> Option<T>,
        stored: impl Fn(u32) -> Result<Option<T>, String>,
    ) -> Result<Option<T>, Error> {
        let mut last = String::new();
        for _ in 0..TURNS_MAX {
            let core = self.lock();
            let Some(state) = core.producers.get(producer) else { return Ok(None) };
            if let Some(value) = staged(state) {
                return Ok(Some(value));
            }
            let id = state.id;
            drop(core);
            match stored(id) {
                Ok(value) => return Ok(value),
                Err(reason) if reason == last => break,
                Err(reason) => last = reason,
            }
        }
        Err(Error::Read { what: format!("the {what} of {producer}"), reason: last })
    }

    fn sealed(&self, key: Key) -> Result<Option<Vec<u8>>, String> {
        value(&*self.medium, key)?.map(values::unseal).transpose()
    }
}

/// What the medium has.
enum Found {
    Block(Block),
    Nothing,
    Changed,
}

/// The block of these bytes, which are stored under `first`.
pub(crate) fn decode(bytes: &[u8], first: u64, schema: impl Fn(u64) -> Option<Arc<Schema>>) -> Result<Block, String> {
    let Decoded { first: found, runs, pass, batch } =
        block::decode(bytes, schema).map_err(|damage| damage.to_string())?;
    if found != first {
        return Err(format!("it says it begins at {found}"));
    }
    let next = first.checked_add(block::span(batch.rows())).ok_or("its offsets are out of range")?;
    Ok(Block { first: Position(first), next: Position(next), runs, pass, batch })
}

fn place(state: &PartitionState, at: u64, visibility: Visibility) -> Place {
    let durable = state.durable();
    if at >= durable {
        let staged = (visibility == Visibility::Staged)
            .then(|| state.staged.get(state.staged.partition_point(|entry| entry.end() <= at)))
            .flatten();
        return staged.map_or(Place::Nowhere, |entry| Place::Here(entry.block()));
    }
    match state.tail.front() {
        Some(front) if at >= front.first.0 => {
            let index = state.tail.partition_point(|block| block.next.0 <= at);
            // Behind the tail's last block there is nothing durable; the staged may have jumped over a gap.
            state.tail.get(index).map_or(Place::Medium(durable), |block| Place::Here(block.clone()))
        }
        _ => Place::Medium(durable),
    }
}

/// The block from `at` on.
pub(crate) fn trim(block: Block, at: u64) -> Block {
    if at <= block.first.0 || block.batch.rows() == 0 {
        return block;
    }
    let skip = (at - block.first.0) as usize;
    let mut left = skip as u32;
    let mut runs = Vec::with_capacity(block.runs.len());
    for run in block.runs {
        let cut = left.min(run.rows);
        left -= cut;
        if run.rows > cut {
            runs.push(Run { rows: run.rows - cut, ..run });
        }
    }
    let batch = Arc::new(block.batch.slice(skip..block.batch.rows()));
    Block { first: Position(at), next: block.next, runs, pass: block.pass, batch }
}
