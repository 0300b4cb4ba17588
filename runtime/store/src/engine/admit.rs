//! Taking in a commit: everything is checked first, then it is staged as a whole.

use super::Inner;
use super::core::{Core, Cursor, StagedCommit};
use super::declare::Declared;
use crate::api::{Append, Commit, Committed, Error, Partition, Receipt, Refusal, Run, WhenFull};
use crate::block::BODY_BYTES_MAX;
use crate::route;
use std::sync::Arc;
use tidegate_record::{BATCH_BYTES_MAX, Batch, ROWS_MAX};
use tokio::sync::oneshot;

/// Most bytes in memory of a batch, whatever it holds: what a block can take.
pub const APPEND_BYTES_MAX: usize = BODY_BYTES_MAX / 2;
const _: () = assert!(BATCH_BYTES_MAX <= APPEND_BYTES_MAX, "a usual batch is taken");

/// A batch by partition.
type Split = Vec<(u32, Arc<Batch>)>;

/// A commit that is well formed: its batches split by partition, its cursors resolved.
struct Prepared {
    /// For each append: its stream and its partitions' batches.
    appends: Vec<(usize, Split)>,
    reads: Vec<(usize, u64)>,
    /// The snapshot's positions.
    at: Vec<(usize, u64)>,
}

impl Inner {
    pub(super) fn commit(&self, commit: Commit) -> Result<Receipt, Refusal> {
        let declared = self.declared().map_err(Refusal::Failed)?;
        let prepared = self.prepare(declared, &commit).map_err(Refusal::Failed)?;
        let mut core = self.lock();
        core.writable().map_err(Refusal::Failed)?;
        let generation = core.producers.get(&commit.session.producer).map(|p| p.generation);
        if generation != Some(commit.session.generation) {
            let (producer, generation) = (commit.session.producer, commit.session.generation);
            return Err(Refusal::Failed(Error::Stale { producer, generation }));
        }
        for &(stream, _) in &prepared.appends {
            if let Some(full) = self.full(&core, declared, Some(stream)) {
                return Err(Refusal::Full(Box::new(commit), full));
            }
        }
        let (receipt, resolved) = oneshot::channel();
        let touched: Vec<usize> = prepared.partitions(declared);
        let wake = self.stage(&mut core, declared, commit, prepared, receipt);
        drop(core);
        for partition in touched {
            declared.wakers[partition].staged.notify_waiters();
        }
        if wake {
            self.work.notify_all();
        }
        Ok(Box::pin(
            async move { resolved.await.unwrap_or_else(|_| Err(Error::Poisoned("the committer stopped".into()))) },
        ))
    }

    /// Whether an append to `stream` (or to any stream that may block) has to wait, and for what: a stream, or the
    /// whole store. What it asks is only whether there is room now, not how much: so whoever waits for room finds it.
    pub(super) fn full(&self, core: &Core, declared: &Declared, stream: Option<usize>) -> Option<Option<Arc<str>>> {
        if core.staged_bytes >= self.options.staged_bytes {
            return Some(None);
        }
        if let Some(index) = stream {
            let (stream, state) = (&declared.streams[index], &core.streams[index]);
            if stream.never_blocks {
                return None;
            }
            // One that is thinned waits for moments only: the committer is at it.
            let blocks = stream.retention.when_full != WhenFull::DropOldest;
            if blocks && state.bytes + state.staged >= stream.retention.max_bytes {
                return Some(Some(stream.name.clone()));
            }
        }
        self.disk_full(core).then_some(None)
    }

    fn prepare(&self, declared: &Declared, commit: &Commit) -> Result<Prepared, Error> {
        let mut prepared = Prepared { appends: Vec::new(), reads: Vec::new(), at: Vec::new() };
        for append in &commit.appends {
            let index = declared.position(&append.stream)?;
            check(declared, index, append)?;
            prepared.appends.push((index, route::split(&append.batch, declared.streams[index].partitions)));
        }
        let resolve = |(partition, at): &(Partition, crate::api::Position)| Ok((self.index(partition)?, at.0));
        prepared.reads = commit.reads.iter().map(resolve).collect::<Result<_, Error>>()?;
        if let Some(snapshot) = &commit.snapshot {
            prepared.at = snapshot.at.iter().map(resolve).collect::<Result<_, Error>>()?;
        }
        Ok(prepared)
    }

    /// Stages all of it; says whether the committer has to be woken.
    fn stage(
        &self,
        core: &mut Core,
        declared: &Declared,
        commit: Commit,
        prepared: Prepared,
        receipt: oneshot::Sender<Result<Committed, Error>>,
    ) -> bool {
        let stamp = core.stamp(&*self.options.clock);
        let mut positions = Vec::with_capacity(prepared.appends.len());
        for (place, (index, batches)) in prepared.appends.into_iter().enumerate() {
            let times = commit.times.get(&place).copied().unwrap_or_default();
            let (stamped, trusted) = core.stamped(times, &stamp);
            let stamp = Run { stamped, trusted, ..stamp };
            let stream = &declared.streams[index];
            let mut ranges = Vec::with_capacity(batches.len());
            for (number, batch) in batches {
                let estimate = (batch.memory_bytes() as f64 * core.streams[index].ratio) as u64 + 1;
                core.streams[index].staged += estimate;
                let (first, end) = core.stage(stream.base + number as usize, stamp, batch, estimate);
                ranges.push((Partition::new(stream.name.clone(), number), first..end));
            }
            positions.push(ranges);
        }
        let producer = core.producer(&commit.session.producer);
        for &(partition, position) in &prepared.reads {
            let before = producer.cursors.get(&partition).and_then(|c| c.durable);
            producer.cursors.insert(partition, Cursor { accepted: position, durable: before });
        }
        let state = commit.state.map(Arc::new);
        if let Some(state) = &state {
            producer.state = Some((stamp.commit, state.clone()));
        }
        let snapshot = commit.snapshot.map(Arc::new);
        if let Some(snapshot) = &snapshot {
            producer.snapshot = Some((stamp.commit, snapshot.clone()));
            producer.snapshot_at = prepared.at.into_iter().collect();
        }
        let held = state.as_ref().map_or(0, |s| s.len()) + snapshot.as_ref().map_or(0, |s| s.bytes.len());
        core.staged_bytes += held;
        core.staged.push(StagedCommit {
            producer: commit.session.producer,
            reads: prepared.reads,
            state,
            snapshot,
            losses: commit.losses,
            committed: Committed { number: stamp.commit, positions },
            receipt,
        });
        core.hurry |= commit.hurry;
        core.begin_waiting() || core.hurry || core.waiting_bytes >= self.options.commit_bytes
    }
}

impl Prepared {
    fn partitions(&self, declared: &Declared) -> Vec<usize> {
        let of = |(index, batches): &(usize, Split)| {
            let base = declared.streams[*index].base;
            batches.iter().map(|(number, _)| base + *number as usize).collect::<Vec<_>>()
        };
        self.appends.iter().flat_map(of).collect()
    }
}

fn check(declared: &Declared, index: usize, append: &Append) -> Result<(), Error> {
    let stream = &declared.streams[index];
    let batch = &append.batch;
    let refuse = |reason: String| Err(Error::Batch { stream: append.stream.clone(), reason });
    if index == declared.ledger {
        return refuse("the ledger is written by the store: commit losses instead".into());
    }
    if !Arc::ptr_eq(batch.schema(), &stream.schema) && **batch.schema() != *stream.schema {
        return refuse("it has other fields than the stream declares".into());
    }
    if batch.rows() == 0 || batch.rows() > ROWS_MAX {
        return refuse(format!("{} records are not 1 to {ROWS_MAX}", batch.rows()));
    }
    let bytes = batch.memory_bytes();
    if bytes > APPEND_BYTES_MAX {
        return refuse(format!("{} records of {bytes} bytes are over {APPEND_BYTES_MAX}", batch.rows()));
    }
    Ok(())
}
