//! The loop of a pipeline: read, process, commit, checkpoint. One thread.

mod asked;
mod commit;
mod fallen;
mod versions;

use crate::ask::Asked;
use crate::entry::Entry;
use crate::handle::State;
use crate::mark::{self, Mark};
use crate::merge::Merge;
use crate::operator::Trouble;
use crate::rows::Stamp;
use crate::start::{Pipeline, StartError, Stop};
use crate::trouble;
use fallen::Tried;
use std::sync::Arc;
use std::time::Duration;
use tidegate_record::{BATCH_BYTES_MAX, Batch, ROWS_MAX};
use tidegate_store::{Commit, Error, Partition, Position, Session};
use tokio_util::sync::CancellationToken;

/// How long to rest where there seems to be something and nothing can be read: a quarantined block at the end.
const REST: Duration = Duration::from_millis(50);

/// A fault is logged at most so often, microseconds; each is in the dead letters.
const FAULT_LOG_INTERVAL: i64 = 60_000_000;

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

/// A pipeline at work.
pub(crate) struct Running {
    pipeline: Pipeline,
    labels: trouble::Counters,
    inputs: Vec<Partition>,
    merge: Merge,
    session: Session,
    positions: Vec<Position>,
    mark: Mark,
    since: Since,
    /// For each operator, when it was last tried again by itself, and how long that had taken.
    tried: Vec<Option<Tried>>,
    /// The first entry of the turn in hand.
    first: Option<Entry>,
    /// The boot clock when a fault was last logged.
    logged: Option<i64>,
}

/// What the entries of a turn came to.
struct Work {
    commit: Commit,
    outputs: Vec<(Arc<Batch>, Stamp)>,
    records: u64,
    trouble: Vec<(usize, Trouble)>,
    /// The first fault, in a sentence.
    fault: Option<String>,
}

/// What ended a rest.
enum Woken {
    Input,
    Drain,
    /// Nothing came for as long as a checkpoint may wait.
    Silent,
    /// A plugin in quarantine is to be tried again.
    Release,
    Asked(Asked),
}

impl Running {
    /// Before it has recovered.
    pub fn new(pipeline: Pipeline, session: Session, inputs: Vec<Partition>) -> Self {
        Running {
            labels: trouble::Counters::new(&pipeline.options.name),
            tried: vec![None; pipeline.options.operators.len()],
            merge: Merge::new(pipeline.store.clone(), &session, Vec::new()),
            pipeline,
            session,
            inputs,
            positions: Vec::new(),
            mark: Mark::default(),
            since: Since { arrival: None, bytes: 0, force: true },
            first: None,
            logged: None,
        }
    }

    /// Recovers, then reads until `drain` is cancelled and everything there is has been processed.
    pub async fn run(&mut self, drain: &CancellationToken) -> Result<(), StartError> {
        let mut recovered = match self.doubted(drain).await {
            Ok(Sent::Taken) => self.recover(),
            Ok(Sent::Abandoned) => return Ok(()),
            Err(stop) => Err(stop),
        };
        loop {
            let (stop, replaying) = match recovered {
                Ok(()) => match self.work(drain).await {
                    Ok(()) => return Ok(()),
                    Err(stop) => (stop, false),
                },
                Err(stop) => (stop, true),
            };
            let fallen = match stop {
                Stop::Failed(error) => return Err(error),
                Stop::Fell(fallen) => *fallen,
            };
            match self.fell(&fallen, replaying, drain).await? {
                Some(again) => recovered = again,
                None => return Ok(()),
            }
        }
    }

    /// The loop, until there is no more or an operator halts.
    async fn work(&mut self, drain: &CancellationToken) -> Result<(), Stop> {
        if self.since.force {
            // Recovery needs a place to replay from, before the first checkpoint is due.
            let commit = self.checkpoint(Commit::by(&self.session))?;
            if self.send(commit, None, drain).await? == Sent::Abandoned {
                return Ok(());
            }
        }
        self.pipeline.handle.update(|s| {
            s.state = State::Running;
            s.reason = None;
        });
        let mut woken = false;
        loop {
            if let Some(asked) = self.pipeline.asks.now()
                && self.asked(asked, drain).await? == Sent::Abandoned
            {
                return Ok(());
            }
            if self.try_again(drain).await? == Sent::Abandoned {
                return Ok(());
            }
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
            // Woken for nothing: what is there cannot be read, and the next look finds the same.
            if std::mem::take(&mut woken) {
                tokio::time::sleep(REST).await;
            }
            let sent = match self.rest(drain).await {
                Woken::Input => {
                    woken = true;
                    continue;
                }
                Woken::Drain | Woken::Release => continue,
                Woken::Asked(asked) => self.asked(asked, drain).await?,
                Woken::Silent => {
                    let commit = self.checkpoint(Commit::by(&self.session))?;
                    self.send(commit, None, drain).await?
                }
            };
            if sent == Sent::Abandoned {
                return Ok(());
            }
        }
    }

    /// Waits until there is something to do.
    async fn rest(&mut self, drain: &CancellationToken) -> Woken {
        let interval = self.pipeline.options.checkpoint_interval;
        let release = self.mark.held.iter().filter_map(|held| held.shown.release_at).min();
        let release = release.map(|at| at.saturating_sub(self.pipeline.store.arrival_now()).max(0).unsigned_abs());
        tokio::select! {
            biased;
            asked = self.pipeline.asks.next() => Woken::Asked(asked),
            () = self.merge.ready() => Woken::Input,
            () = drain.cancelled() => Woken::Drain,
            // A silent input needs its checkpoint too: it is held back to the last one.
            () = tokio::time::sleep(interval), if self.since.arrival.is_some() => Woken::Silent,
            () = tokio::time::sleep(Duration::from_micros(release.unwrap_or(0))), if release.is_some() => Woken::Release,
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
    async fn turn(&mut self, drain: &CancellationToken) -> Result<Turn, Stop> {
        let (mut rows, mut bytes, began) = (0, 0, self.pipeline.clock.boot());
        let (commit, outputs) = (Commit::by(&self.session), Vec::new());
        let mut work = Work { commit, outputs, records: 0, trouble: Vec::new(), fault: None };
        self.first = None;
        while rows < ROWS_MAX && bytes < BATCH_BYTES_MAX {
            let Some(entry) = self.merge.next()? else { break };
            self.first.get_or_insert_with(|| entry.clone());
            rows += entry.batch.rows().max(1);
            bytes += entry.batch.memory_bytes();
            self.entry(&entry, &mut work)?;
        }
        if rows == 0 {
            return Ok(Turn::Nothing);
        }
        self.mark.counts = self.pipeline.chain.counts().to_vec();
        self.mark.digests = self.pipeline.chain.digests();
        self.tell(&work);
        let Work { mut commit, outputs, .. } = work;
        commit.reads = self.reads();
        for (append, times) in commit::appends(&self.pipeline.options.to, &outputs) {
            commit.append(append, times);
        }
        let worked = (self.pipeline.clock.boot() - began).max(0) as u64;
        self.labels.worked(worked);
        self.pipeline.handle.update(|s| s.work_us += worked);
        let commit = if self.checkpoint_due() { self.checkpoint(commit)? } else { commit };
        Ok(match self.send(commit, None, drain).await? {
            Sent::Taken => {
                self.first = None;
                Turn::Worked
            }
            Sent::Abandoned => Turn::Abandoned,
        })
    }

    /// Takes one entry through the operators.
    fn entry(&mut self, entry: &Entry, work: &mut Work) -> Result<(), Stop> {
        let outcome = self.pipeline.chain.process(entry, &mark::Verdicts::default())?;
        self.positions[entry.input] = entry.next;
        let arrival = entry.run.arrival;
        self.since.arrival.get_or_insert(arrival);
        self.since.bytes += entry.batch.memory_bytes() as u64;
        work.records += entry.batch.rows() as u64;
        for (operator, trouble) in outcome.trouble {
            if let Some(verdict) = trouble.verdict() {
                self.mark.verdicts.note(entry, operator, verdict);
            }
            let report = trouble::Report {
                producer: &self.pipeline.producer,
                partition: self.merge.partition(entry.input),
                entry,
                plugin: self.pipeline.chain.plugin(operator),
                operator,
                held: self.pipeline.chain.held(operator).map(|held| &held.shown),
                wall: self.pipeline.clock.wall(),
            };
            report.note(&trouble, &mut work.commit);
            work.fault = work.fault.take().or_else(|| report.first(&trouble));
            work.trouble.push((operator, trouble));
        }
        work.outputs.extend(outcome.batches.into_iter().filter(|(batch, _)| batch.rows() > 0));
        let options = &self.pipeline.options;
        let interval = i64::try_from(options.checkpoint_interval.as_micros()).unwrap_or(i64::MAX);
        self.since.force |= self.since.arrival.is_some_and(|then| arrival.saturating_sub(then) >= interval)
            || self.since.bytes >= options.checkpoint_bytes;
        self.pipeline.handle.update(|s| s.arrival = arrival);
        Ok(())
    }

    /// Status, metrics and the log, of a turn that came to its end.
    fn tell(&mut self, work: &Work) {
        let out: usize = work.outputs.iter().map(|(batch, _)| batch.rows()).sum();
        self.labels.received(work.records);
        self.labels.sent(out as u64);
        work.trouble.iter().for_each(|(_, trouble)| self.labels.trouble(trouble));
        let newest = self.pipeline.chain.newest();
        self.pipeline.handle.update(|s| {
            s.records_in += work.records;
            s.records_out += out as u64;
            s.newest_event_time = newest;
            work.trouble.iter().for_each(|(operator, trouble)| trouble::count(s, *operator, trouble));
            if work.fault.is_some() {
                s.last_fault.clone_from(&work.fault);
            }
        });
        let now = self.pipeline.clock.boot();
        if let Some(fault) = &work.fault
            && self.logged.is_none_or(|then| now.saturating_sub(then) >= FAULT_LOG_INTERVAL)
        {
            self.logged = Some(now);
            let (producer, faults) = (&*self.pipeline.producer, self.pipeline.handle.status().faults);
            tracing::warn!(producer, faults, "a plugin faulted: {fault}");
        }
    }

    fn reads(&self) -> Vec<(Partition, Position)> {
        self.inputs.iter().cloned().zip(self.positions.iter().copied()).collect()
    }
}

#[cfg(test)]
mod tests;
