//! Several inputs in one order that replay gives again: commit, then input.

use crate::entry::{self, Entry};
use std::collections::VecDeque;
use std::sync::Arc;
use tidegate_store::{Error, Partition, Position, Store, Visibility};

/// The inputs of a pipeline and what is read of them ahead.
pub(crate) struct Merge {
    store: Arc<dyn Store>,
    inputs: Vec<Input>,
}

struct Input {
    partition: Partition,
    /// Where the next block is read.
    at: Position,
    ahead: VecDeque<Entry>,
}

impl Merge {
    /// Reads each partition from its position.
    pub fn new(store: Arc<dyn Store>, inputs: Vec<(Partition, Position)>) -> Self {
        let inputs = inputs.into_iter().map(|(partition, at)| Input { partition, at, ahead: VecDeque::new() });
        Merge { store, inputs: inputs.collect() }
    }

    /// The input with this number.
    pub fn partition(&self, input: usize) -> &Partition {
        &self.inputs[input].partition
    }

    /// The next entry of all inputs; `None` when there is none now.
    ///
    /// An entry is given only once no input can still bring one of an earlier commit: the frontier is taken before the
    /// inputs are read.
    pub fn next(&mut self) -> Result<Option<Entry>, Error> {
        let frontier = self.store.frontier();
        for (number, input) in self.inputs.iter_mut().enumerate() {
            if input.ahead.is_empty()
                && let Some(block) = self.store.read(&input.partition, input.at, Visibility::Staged)?
            {
                input.at = block.next;
                entry::cut(number, block, &mut input.ahead);
            }
        }
        let commits = self.inputs.iter().filter_map(|i| i.ahead.front().map(|e| (e.run.commit, e.input)));
        let Some((commit, input)) = commits.min() else { return Ok(None) };
        let every_input_known = commit <= frontier || self.inputs.iter().all(|i| !i.ahead.is_empty());
        if every_input_known {
            return Ok(self.inputs[input].ahead.pop_front());
        }
        self.next()
    }

    /// Resolves when [`Merge::next`] is worth calling again.
    pub async fn ready(&self) {
        let waits = self.inputs.iter().map(|i| self.store.appended(&i.partition, i.at, Visibility::Staged));
        futures::future::select_all(waits).await;
    }
}
