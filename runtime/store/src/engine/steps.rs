//! The committer moved by hand, a step at a time, where a simulation decides what happens between two steps.

use super::Inner;
use super::committer::{Committer, Look};
use super::group::Group;
use super::ledger::Ledger;
use crate::api::Error;
use std::sync::Arc;
use tokio::time::Instant;

/// The committer of a store that has no thread for it. Dropped between two steps it is a process killed there.
pub struct Steps {
    committer: Committer,
    at: At,
}

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing is due.
    Nothing,
    /// What is staged became a group.
    Took,
    /// The group was written and is durable; nobody knows yet.
    Wrote,
    /// Receipts resolved, durable readers see it.
    Published,
    /// The group could not be written: the store is poisoned.
    Failed,
    /// The store is closed or poisoned: there will be no further group.
    Ended,
}

enum At {
    Rest,
    Taken(Group),
    Written(Group, Ledger),
    Ended,
}

impl Steps {
    pub(super) fn new(inner: Arc<Inner>) -> Result<Self, Error> {
        let mut committer = Committer::new(inner)?;
        committer.may_wait = false;
        Ok(Steps { committer, at: At::Rest })
    }

    /// Makes the next step of a group commit: take, write, publish.
    pub fn step(&mut self) -> Step {
        match std::mem::replace(&mut self.at, At::Rest) {
            At::Rest => self.take(),
            At::Taken(mut group) => match self.committer.write(&mut group) {
                Ok(ledger) => {
                    self.at = At::Written(group, ledger);
                    Step::Wrote
                }
                Err(reason) => {
                    self.committer.give_up(group, &reason);
                    Step::Failed
                }
            },
            At::Written(group, ledger) => {
                self.committer.publish(group, ledger);
                Step::Published
            }
            At::Ended => {
                self.at = At::Ended;
                Step::Ended
            }
        }
    }

    fn take(&mut self) -> Step {
        let inner = self.committer.inner.clone();
        let Ok(declared) = inner.declared() else { return Step::Nothing };
        let next_turn = || inner.lock().turns.pop_front();
        while let Some(turn) = next_turn() {
            turn(&mut self.committer);
        }
        let look = self.committer.look(&mut inner.lock(), declared, Instant::now());
        match look {
            Look::Due(group) => {
                self.at = At::Taken(group);
                Step::Took
            }
            Look::NotYet => Step::Nothing,
            Look::Over => {
                self.committer.end(Ok(()));
                self.at = At::Ended;
                Step::Ended
            }
        }
    }
}
