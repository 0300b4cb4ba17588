//! What a running pipeline is asked to do.

use super::{Running, Sent};
use crate::ask::{Answer, Ask, Asked, Reply};
use crate::start::Stop;
use tidegate_store::Commit;
use tokio_util::sync::CancellationToken;

impl Running {
    /// Does between two turns what was asked, and answers when that is taken in, where it lasts.
    pub(super) async fn asked(&mut self, Asked { ask, reply }: Asked, drain: &CancellationToken) -> Result<Sent, Stop> {
        let mut commit = Commit::by(&self.session);
        let answer = match self.serve(&ask, &mut commit) {
            Ok(Ok(answer)) if !ask.lasts() => {
                reply.say(Ok(answer));
                return Ok(Sent::Taken);
            }
            Ok(Ok(answer)) => answer,
            Ok(Err(reason)) => {
                reply.say(Err(reason));
                return Ok(Sent::Taken);
            }
            Err(stop) => {
                not_done(reply, &stop);
                return Err(stop);
            }
        };
        self.send(commit, Some((reply, answer)), drain).await
    }

    /// Does what was asked to the operators and notes it in the commit, which brings the read positions to where they
    /// stand. The inner error is a sentence, and nothing was done.
    pub(super) fn serve(&mut self, ask: &Ask, commit: &mut Commit) -> Result<Result<Answer, String>, Stop> {
        match *ask {
            Ask::HandOver { operator, ref to } => Ok(self.hand_over(operator, to)),
            Ask::Swap { operator, ref to } => self.swap(operator, to, commit),
            Ask::Shadow { operator, ref shadow } => Ok(self.shadow(operator, shadow.as_ref())),
            Ask::Release { operator } => match self.operator(operator) {
                Ok(index) => self.release(index, commit),
                Err(reason) => Ok(Err(reason)),
            },
        }
    }

    /// The index of an operator that people count from 1.
    pub(super) fn operator(&self, operator: usize) -> Result<usize, String> {
        let (name, count) = (&self.pipeline.options.name, self.pipeline.options.operators.len());
        let index = operator.checked_sub(1).filter(|index| *index < count);
        index.ok_or_else(|| format!("pipeline {name} has {count} operators: there is no operator {operator}"))
    }
}

/// Tells who asked that an operator fell at the checkpoint that was to be.
pub(super) fn not_done(reply: Reply, stop: &Stop) {
    if let Stop::Fell(fallen) = stop {
        let (operator, halted) = (fallen.operator + 1, &fallen.halted);
        reply.say(Err(format!("nothing was done: operator {operator} halted at the checkpoint: {halted}")));
    }
}
