//! What a turn commits, and the wait for room.

use super::asked::not_done;
use super::{Running, Sent, Since};
use crate::ask::{Answer, Asked, Reply};
use crate::handle::State;
use crate::mark::{self, Checkpoint, VERDICTS_MAX};
use crate::rows::Stamp;
use crate::start::Stop;
use std::sync::Arc;
use tidegate_record::{BATCH_BYTES_MAX, Batch, ROWS_MAX, Times};
use tidegate_store::{Append, Commit, Refusal, Snapshot};
use tokio_util::sync::CancellationToken;

impl Running {
    pub(super) fn checkpoint_due(&self) -> bool {
        self.since.force || self.mark.verdicts.len() >= VERDICTS_MAX
    }

    /// Adds a snapshot of everything as it is now to a commit that brings the read positions here.
    pub(super) fn checkpoint(&mut self, mut commit: Commit) -> Result<Commit, Stop> {
        let chain = &mut self.pipeline.chain;
        let checkpoint = Checkpoint {
            fingerprint: chain.fingerprint(),
            counts: chain.counts().to_vec(),
            operators: chain.save()?,
            digests: chain.digests(),
            notes: chain.notes(),
        };
        commit.reads = self.reads();
        commit.snapshot = Some(Snapshot { at: self.reads(), bytes: mark::encode(&checkpoint) });
        self.mark.verdicts.clear();
        self.since = Since { arrival: None, bytes: 0, force: false };
        self.pipeline.handle.update(|s| s.checkpoints += 1);
        Ok(commit)
    }

    /// Commits, waiting while the output stream is full; who asked for what it holds is answered when it is taken. A drain does
    /// not wait: what was not taken is worked up again after the next start.
    pub(super) async fn send(
        &mut self,
        mut commit: Commit,
        mut answered: Option<(Reply, Answer)>,
        drain: &CancellationToken,
    ) -> Result<Sent, Stop> {
        let mut put_off = None;
        commit.state = Some(mark::encode(&self.mark));
        loop {
            match self.pipeline.store.commit(commit) {
                Ok(_receipt) => {
                    answered.into_iter().for_each(|(reply, answer)| reply.say(Ok(answer)));
                    put_off.into_iter().for_each(|asked| self.pipeline.asks.put_off(asked));
                    return Ok(Sent::Taken);
                }
                Err(Refusal::Failed(error)) => return Err(error.into()),
                Err(Refusal::Full(refused, stream)) => {
                    commit = *refused;
                    let full = stream.as_deref().unwrap_or("the store").to_owned();
                    self.pipeline.handle.update(|s| {
                        s.state = State::Waiting;
                        s.reason = Some(format!("{full} is full"));
                    });
                    let asked = tokio::select! {
                        biased;
                        () = self.pipeline.store.room(stream.as_deref()) => None,
                        () = drain.cancelled() => return Ok(Sent::Abandoned),
                        asked = self.pipeline.asks.next(), if put_off.is_none() => Some(asked),
                    };
                    self.pipeline.handle.update(|s| {
                        s.state = State::Running;
                        s.reason = None;
                    });
                    match asked {
                        // Where the next one fell at its checkpoint, this one would be gone with the commit.
                        Some(asked) if asked.ask.lasts() && answered.is_some() => put_off = Some(asked),
                        Some(Asked { ask, reply }) => {
                            // The commit in hand brings the read positions to where the operators stand.
                            match self.serve(&ask, &mut commit) {
                                Ok(Ok(answer)) if ask.lasts() => answered = Some((reply, answer)),
                                Ok(done) => reply.say(done),
                                Err(stop) => {
                                    not_done(reply, &stop);
                                    return Err(stop);
                                }
                            }
                            commit.state = Some(mark::encode(&self.mark));
                        }
                        None => {}
                    }
                }
            }
        }
    }

    /// The last commit: a snapshot, so that the next start has nothing to replay; waits until it is durable.
    pub(super) async fn stop(&mut self) -> Result<(), Stop> {
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
pub(super) fn appends(to: &Arc<str>, outputs: &[(Arc<Batch>, Stamp)]) -> Vec<(Append, Times)> {
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
