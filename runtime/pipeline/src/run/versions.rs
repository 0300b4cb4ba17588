//! Other versions of the operators' plugins: in their place, or beside them.

use super::Running;
use crate::ask::Answer;
use crate::handover::Handover;
use crate::shadow::Shadow;
use crate::start::Stop;
use tidegate_store::Commit;

impl Running {
    /// Gives away the states of an operator's plugin, for another version to take in.
    pub(super) fn hand_over(&mut self, operator: usize, to: &Handover) -> Result<Answer, String> {
        let index = self.operator(operator)?;
        let began = self.pipeline.clock.boot();
        let given = to.give(self.pipeline.chain.operator(index));
        to.stood(self.pipeline.clock.boot() - began);
        given.map(|()| Answer::HandedOver { operator })
    }

    /// Puts a version in its place. The commit becomes a checkpoint: what comes after it is the new version's, and no
    /// restart replays with it what the old one has worked on.
    pub(super) fn swap(
        &mut self,
        operator: usize,
        to: &Handover,
        commit: &mut Commit,
    ) -> Result<Result<Answer, String>, Stop> {
        let index = match self.operator(operator) {
            Ok(index) => index,
            Err(reason) => return Ok(Err(reason)),
        };
        let began = self.pipeline.clock.boot();
        let swapped = to.switch(operator, self.pipeline.chain.operator(index));
        let gap_us = to.stood(self.pipeline.clock.boot() - began);
        let mut swapped = match swapped {
            Ok(swapped) => swapped,
            Err(reason) => return Ok(Err(reason)),
        };
        swapped.gap_us = gap_us;
        self.pipeline.chain.swapped(index);
        let now = self.pipeline.chain.operator(index).runner().plugin().clone();
        let before = std::mem::replace(&mut self.pipeline.options.operators[index].plugin, now);
        self.mark.held = self.pipeline.chain.all_held();
        self.show_held();
        self.pipeline.handle.meter(self.pipeline.chain.meters());
        // It may hold the outputs of a turn that waits for room.
        let in_hand = std::mem::replace(commit, Commit::by(&self.session));
        *commit = match self.checkpoint(in_hand) {
            Ok(commit) => commit,
            Err(stop) => {
                // Another operator fell at it: what is built anew replays what the version before has worked on.
                self.pipeline.options.operators[index].plugin = before;
                return Err(stop);
            }
        };
        Ok(Ok(Answer::Swapped(swapped)))
    }

    /// Has a version run beside an operator; `None`: none any more.
    pub(super) fn shadow(&mut self, operator: usize, shadow: Option<&Shadow>) -> Result<Answer, String> {
        let index = self.operator(operator)?;
        match shadow {
            Some(shadow) => self.pipeline.chain.shadow(index, shadow)?,
            None => self.pipeline.chain.unshadow(index, "it was told to stop"),
        }
        Ok(Answer::Shadowed { operator })
    }
}
