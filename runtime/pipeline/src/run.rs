//! The loop of a pipeline: read, process, commit, checkpoint. One thread.

mod asked;
mod commit;
mod versions;

use crate::ask::Asked;
use crate::entry::Entry;
use crate::handle::State;
use crate::mark::{self, Mark};
use crate::merge::Merge;
use crate::recover::Recovered;
use crate::rows::Stamp;
use crate::start::{Pipeline, StartError};
use crate::trouble;
use std::sync::Arc;
use std::time::Duration;
use tidegate_record::{BATCH_BYTES_MAX, Batch, ROWS_MAX};
use tidegate_store::{Commit, Error, Partition, Position, Session};
use tokio_util::sync::CancellationToken;

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
}

/// What ended a rest.
enum Woken {
    Input,
    Drain,
    /// Nothing came for as long as a checkpoint may wait.
    Silent,
    Asked(Asked),
}

impl Running {
    pub fn new(
        pipeline: Pipeline,
        session: Session,
        inputs: Vec<Partition>,
        merge: Merge,
        recovered: Recovered,
    ) -> Self {
        let Recovered { positions, mark, has_snapshot } = recovered;
        let since = Since { arrival: None, bytes: 0, force: !has_snapshot };
        let labels = trouble::Counters::new(&pipeline.options.name);
        Running { pipeline, labels, inputs, merge, session, positions, mark, since }
    }

    /// Reads until `drain` is cancelled and everything there is has been processed.
    pub async fn run(&mut self, drain: &CancellationToken) -> Result<(), StartError> {
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
            if let Some(asked) = self.pipeline.asks.now()
                && self.asked(asked, drain).await? == Sent::Abandoned
            {
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
                Woken::Drain => continue,
                Woken::Asked(asked) => self.asked(asked, drain).await?,
                Woken::Silent => {
                    let commit = self.checkpoint(Commit::by(&self.session))?;
                    self.send(commit, drain).await?
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
        tokio::select! {
            biased;
            asked = self.pipeline.asks.next() => Woken::Asked(asked),
            () = self.merge.ready() => Woken::Input,
            () = drain.cancelled() => Woken::Drain,
            // A silent input needs its checkpoint too: it is held back to the last one.
            () = tokio::time::sleep(interval), if self.since.arrival.is_some() => Woken::Silent,
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
        let (mut rows, mut bytes, began) = (0, 0, self.pipeline.clock.boot());
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
        for (append, times) in commit::appends(&self.pipeline.options.to, &outputs) {
            commit.append(append, times);
        }
        let out: usize = outputs.iter().map(|(batch, _)| batch.rows()).sum();
        self.labels.sent(out as u64);
        self.mark.counts = self.pipeline.chain.counts().to_vec();
        let newest = self.pipeline.chain.newest();
        let worked = (self.pipeline.clock.boot() - began).max(0) as u64;
        self.labels.worked(worked);
        self.pipeline.handle.update(|s| {
            s.records_out += out as u64;
            s.work_us += worked;
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
}

#[cfg(test)]
mod tests;
