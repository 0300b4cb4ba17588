//! The loop of a pipeline: read, process, commit, checkpoint. One thread.

use crate::chain::{BuildError, Chain};
use crate::entry::Entry;
use crate::handle::{Handle, State};
use crate::mark::{self, Checkpoint, Mark, VERDICTS_MAX};
use crate::merge::Merge;
use crate::recover::recover;
use crate::rows::Stamp;
use crate::{PipelineOptions, trouble};
use futures::FutureExt as _;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tidegate_record::{BATCH_BYTES_MAX, Batch, Clock, ROWS_MAX, Schema, Times};
use tidegate_sandbox::Halted;
use tidegate_store::{Append, Commit, Error, Partition, Position, Refusal, Session, Snapshot, Store};
use tokio::runtime::Handle as Tokio;
use tokio_util::sync::CancellationToken;

/// A pipeline that was built and has not begun.
pub struct Pipeline {
    options: PipelineOptions,
    producer: Arc<str>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    chain: Chain,
    handle: Handle,
}

/// Why a pipeline cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store does not give what it needs.
    #[error(transparent)]
    Store(#[from] Error),
    /// Its operators cannot be put together.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// What it saved cannot be gone on from.
    #[error("{0}")]
    Saved(String),
    /// A plugin is in quarantine.
    #[error("{0}")]
    Halted(String),
}

impl StartError {
    pub(crate) fn mark(why: String) -> Self {
        StartError::Saved(format!("its saved mark cannot be read: {why}"))
    }
    pub(crate) fn snapshot(why: String) -> Self {
        StartError::Saved(format!("its snapshot cannot be read: {why}"))
    }
    pub(crate) fn restore(plugin: String, operator: usize, why: String) -> Self {
        let operator = operator + 1;
        StartError::Saved(format!("operator {operator} ({plugin}) does not go on from its saved state: {why}"))
    }
    pub(crate) fn halted(halted: Halted) -> Self {
        StartError::Halted(halted.to_string())
    }
}

impl Pipeline {
    /// Configures the operators; `input` are the fields of the streams it reads.
    pub fn build(
        options: PipelineOptions,
        input: &Arc<Schema>,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, Handle), BuildError> {
        let chain = Chain::build(&options, input)?;
        let handle = Handle::default();
        let producer = format!("pipeline/{}", options.name).into();
        Ok((Pipeline { options, producer, store, clock, chain, handle: handle.clone() }, handle))
    }

    /// The fields of what it appends.
    pub fn schema(&self) -> &Arc<Schema> {
        self.chain.schema()
    }

    /// Recovers, then reads until `drain` is cancelled and everything there is has been processed, or until it fails.
    /// Blocks: give it a thread of its own. `tokio` is where it waits.
    pub fn run(self, tokio: &Tokio, drain: &CancellationToken) {
        tokio.block_on(self.work(drain));
    }

    /// The same as a future, for a simulation that has one thread for everything. It computes at length between two
    /// awaits.
    pub async fn work(self, drain: &CancellationToken) {
        let handle = self.handle.clone();
        let producer = self.producer.clone();
        // Nothing of it is used after a panic but the handle.
        let work = AssertUnwindSafe(async move { self.begin()?.run(drain).await });
        let reason = match work.catch_unwind().await {
            Ok(Ok(())) => return handle.update(|s| s.state = State::Stopped),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "a defect of the gateway (its log has the panic): restart it, and report the defect".into(),
        };
        tracing::error!(producer = &*producer, reason, "the pipeline stopped");
        handle.update(|s| {
            s.state = State::Failed;
            s.reason = Some(reason);
        });
    }

    fn begin(mut self) -> Result<Running, StartError> {
        let session = self.store.attach(&self.producer)?;
        let mut inputs = Vec::new();
        for stream in &self.options.from {
            inputs.extend(self.store.assigned(stream)?);
        }
        let recovered = recover(&session, &self.store, &inputs, &mut self.chain, &self.handle)?;
        let merge = Merge::new(
            self.store.clone(),
            &session,
            inputs.iter().cloned().zip(recovered.positions.iter().copied()).collect(),
        );
        tracing::info!(pipeline = &*self.options.name, replayed = self.handle.status().replayed, "pipeline begins");
        Ok(Running {
            labels: trouble::Counters::new(&self.options.name),
            inputs,
            merge,
            session,
            positions: recovered.positions,
            mark: recovered.mark,
            since: Since { arrival: None, bytes: 0, force: !recovered.has_snapshot },
            pipeline: self,
        })
    }
}

/// How long to rest where there seems to be something and nothing can be read: a quarantined block at the end.
const REST: Duration = Duration::from_millis(50);

/// What passed since the last snapshot.
struct Since {
    arrival: Option<i64>,
    bytes: u64,
    force: bool,
}

/// What became of a commit.
#[derive(PartialEq, Eq)]
enum Sent {
    Taken,
    Abandoned,
}

/// What a look at the inputs led to.
enum Turn {
    Worked,
    Nothing,
    Abandoned,
}

struct Running {
    pipeline: Pipeline,
    labels: trouble::Counters,
    inputs: Vec<Partition>,
    merge: Merge,
    session: Session,
    positions: Vec<Position>,
    mark: Mark,
    since: Since,
}

impl Running {
    async fn run(&mut self, drain: &CancellationToken) -> Result<(), StartError> {
        if self.since.force {
            // Recovery needs a place to replay from, before the first checkpoint is due.
            let commit = self.checkpoint(Commit::by(&self.session))?;
            if self.send(commit, drain).await? == Sent::Abandoned {
                return Ok(());
            }
        }
        self.pipeline.handle.update(|s| s.state = State::Running);
        let mut woken = false;
        loop {
            let draining = drain.is_cancelled();
            match self.turn(drain).await? {
                Turn::Worked => {
                    woken = false;
                    continue;
                }
                Turn::Abandoned => return Ok(()),
                Turn::Nothing if draining => return self.stop().await,
                Turn::Nothing => self.sound()?,
            }
            if let Some(due) = self.pipeline.chain.due() {
                self.pipeline.store.tick_at(&self.inputs[0], due);
            }
            let interval = self.pipeline.options.checkpoint_interval;
            // Woken for nothing: what is there cannot be read, and the next look finds the same.
            let rest = std::mem::take(&mut woken);
            if rest {
                tokio::time::sleep(REST).await;
            }
            let silent = tokio::select! {
                biased;
                () = self.merge.ready() => {
                    woken = true;
                    false
                }
                () = drain.cancelled() => false,
                // A silent input needs its checkpoint too: it is held back to the last one.
                () = tokio::time::sleep(interval), if self.since.arrival.is_some() => true,
            };
            if silent {
                let commit = self.checkpoint(Commit::by(&self.session))?;
                if self.send(commit, drain).await? == Sent::Abandoned {
                    return Ok(());
                }
            }
        }
    }

    /// A poisoned store brings nothing any more, and waking for it again and again would spin.
    fn sound(&self) -> Result<(), StartError> {
        match self.pipeline.store.health().poisoned {
            Some(why) => Err(Error::Poisoned(why.into()).into()),
            None => Ok(()),
        }
    }

    /// Processes up to a batch's worth of entries and commits.
    async fn turn(&mut self, drain: &CancellationToken) -> Result<Turn, StartError> {
        let (mut rows, mut bytes) = (0, 0);
        let (mut outputs, mut commit) = (Vec::new(), Commit::by(&self.session));
        while rows < ROWS_MAX && bytes < BATCH_BYTES_MAX {
            let Some(entry) = self.merge.next()? else { break };
            rows += entry.batch.rows().max(1);
            bytes += entry.batch.memory_bytes();
            self.entry(&entry, &mut commit, &mut outputs)?;
        }
        if rows == 0 {
            return Ok(Turn::Nothing);
        }
        commit.reads = self.reads();
        for (append, times) in appends(&self.pipeline.options.to, &outputs) {
            commit.append(append, times);
        }
        let out: usize = outputs.iter().map(|(batch, _)| batch.rows()).sum();
        self.labels.sent(out as u64);
        self.mark.counts = self.pipeline.chain.counts().to_vec();
        let newest = self.pipeline.chain.newest();
        self.pipeline.handle.update(|s| {
            s.records_out += out as u64;
            s.newest_event_time = newest;
        });
        let commit = if self.checkpoint_due() { self.checkpoint(commit)? } else { commit };
        Ok(match self.send(commit, drain).await? {
            Sent::Taken => Turn::Worked,
            Sent::Abandoned => Turn::Abandoned,
        })
    }

    /// Takes one entry through the operators.
    fn entry(
        &mut self,
        entry: &Entry,
        commit: &mut Commit,
        outputs: &mut Vec<(Arc<Batch>, Stamp)>,
    ) -> Result<(), StartError> {
        let nothing = mark::Verdicts::default();
        let outcome = self.pipeline.chain.process(entry, &nothing).map_err(StartError::halted)?;
        self.positions[entry.input] = entry.next;
        let arrival = entry.run.arrival;
        self.since.arrival.get_or_insert(arrival);
        self.since.bytes += entry.batch.memory_bytes() as u64;
        self.labels.received(entry.batch.rows() as u64);
        self.pipeline.handle.update(|s| {
            s.records_in += entry.batch.rows() as u64;
            s.arrival = arrival;
        });
        for (operator, trouble) in outcome.trouble {
            if let Some(verdict) = trouble.verdict() {
                self.mark.verdicts.note(entry, operator, verdict);
            }
            let report = trouble::Report {
                producer: &self.pipeline.producer,
                partition: self.merge.partition(entry.input),
                entry,
                plugin: self.pipeline.chain.plugin(operator),
                wall: self.pipeline.clock.wall(),
            };
            report.note(&trouble, commit);
            self.labels.trouble(&trouble);
            self.pipeline.handle.update(|s| trouble::count(s, &trouble));
        }
        outputs.extend(outcome.batches.into_iter().filter(|(batch, _)| batch.rows() > 0));
        let options = &self.pipeline.options;
        let interval = i64::try_from(options.checkpoint_interval.as_micros()).unwrap_or(i64::MAX);
        self.since.force |= self.since.arrival.is_some_and(|then| arrival.saturating_sub(then) >= interval)
            || self.since.bytes >= options.checkpoint_bytes;
        Ok(())
    }

    fn reads(&self) -> Vec<(Partition, Position)> {
        self.inputs.iter().cloned().zip(self.positions.iter().copied()).collect()
    }

    fn checkpoint_due(&self) -> bool {
        self.since.force || self.mark.verdicts.len() >= VERDICTS_MAX
    }

    /// Adds a snapshot of everything as it is now to a commit that brings the read positions here.
    fn checkpoint(&mut self, mut commit: Commit) -> Result<Commit, StartError> {
        let chain = &mut self.pipeline.chain;
        let checkpoint = Checkpoint {
            fingerprint: chain.fingerprint(),
            counts: chain.counts().to_vec(),
            operators: chain.save().map_err(StartError::halted)?,
        };
        commit.reads = self.reads();
        commit.snapshot = Some(Snapshot { at: self.reads(), bytes: mark::encode(&checkpoint) });
        self.mark.verdicts.clear();
        self.since = Since { arrival: None, bytes: 0, force: false };
        self.pipeline.handle.update(|s| s.checkpoints += 1);
        Ok(commit)
    }

    /// Commits, waiting while the output stream is full. A drain does not wait: what was not taken is worked up again
    /// after the next start.
    async fn send(&mut self, mut commit: Commit, drain: &CancellationToken) -> Result<Sent, StartError> {
        commit.state = Some(mark::encode(&self.mark));
        loop {
            match self.pipeline.store.commit(commit) {
                Ok(_receipt) => return Ok(Sent::Taken),
                Err(Refusal::Failed(error)) => return Err(error.into()),
                Err(Refusal::Full(refused, stream)) => {
                    let full = stream.as_deref().unwrap_or("the store").to_owned();
                    self.pipeline.handle.update(|s| {
                        s.state = State::Waiting;
                        s.reason = Some(format!("{full} is full"));
                    });
                    let room = tokio::select! {
                        biased;
                        () = self.pipeline.store.room(stream.as_deref()) => true,
                        () = drain.cancelled() => false,
                    };
                    if !room {
                        return Ok(Sent::Abandoned);
                    }
                    self.pipeline.handle.update(|s| {
                        s.state = State::Running;
                        s.reason = None;
                    });
                    commit = *refused;
                }
            }
        }
    }

    /// The last commit: a snapshot, so that the next start has nothing to replay; waits until it is durable.
    async fn stop(&mut self) -> Result<(), StartError> {
        let mut commit = self.checkpoint(Commit::by(&self.session))?;
        commit.state = Some(mark::encode(&self.mark));
        commit.hurry = true;
        match self.pipeline.store.commit(commit) {
            Ok(receipt) => {
                receipt.await?;
                Ok(())
            }
            Err(Refusal::Failed(error)) => Err(error.into()),
            // Full: the earlier commits stand, the next start replays from the snapshot before.
            Err(Refusal::Full(..)) => Ok(()),
        }
    }
}

/// Outputs joined to as few batches as fit; times of one clock in each.
fn appends(to: &Arc<str>, outputs: &[(Arc<Batch>, Stamp)]) -> Vec<(Append, Times)> {
    let mut groups: Vec<(Vec<Arc<Batch>>, Stamp)> = Vec::new();
    let (mut rows, mut bytes) = (usize::MAX, 0);
    let pieces = outputs.iter().flat_map(|(batch, stamp)| batch.clone().pieces().into_iter().map(|p| (p, *stamp)));
    for (part, stamp) in pieces {
        rows = rows.saturating_add(part.rows());
        bytes += part.memory_bytes();
        let another_clock = groups.last().is_some_and(|(_, last)| *last != stamp);
        if rows > ROWS_MAX || bytes > BATCH_BYTES_MAX || another_clock {
            groups.push((Vec::new(), stamp));
            (rows, bytes) = (part.rows(), part.memory_bytes());
        }
        if let Some((group, _)) = groups.last_mut() {
            group.push(part);
        }
    }
    let join = |(group, stamp): (Vec<Arc<Batch>>, Stamp)| {
        let append = Append { stream: to.clone(), batch: Batch::concat(&group)? };
        Some((append, stamp.map_or(Times::Brought, Times::Of)))
    };
    groups.into_iter().filter_map(join).collect()
}

#[cfg(test)]
mod tests;
