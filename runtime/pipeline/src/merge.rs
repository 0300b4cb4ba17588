//! Several inputs in one order that replay gives again: commit, then input.

use crate::entry::{self, Entry};
use std::collections::VecDeque;
use std::sync::Arc;
use tidegate_store::{Block, Error, Partition, Position, Reach, Session, Store, Visibility};

/// The inputs of a pipeline and what is read of them ahead.
pub(crate) struct Merge {
    store: Arc<dyn Store>,
    session: Session,
    inputs: Vec<Input>,
}

struct Input {
    partition: Partition,
    /// Where the next block is read.
    at: Position,
    /// Nothing is read from here on.
    end: Position,
    ahead: VecDeque<Entry>,
}

/// What a read came to.
enum Reading {
    Block(Block),
    /// There is nothing now.
    Nothing,
    /// What is there is being made coarser at this moment.
    Changing,
}

impl Merge {
    /// Reads each partition from its position.
    pub fn new(store: Arc<dyn Store>, session: &Session, inputs: Vec<(Partition, Position)>) -> Self {
        Merge::up_to(store, session, inputs.into_iter().map(|(partition, at)| (partition, at, Position(u64::MAX))))
    }

    /// Reads each partition from a position until one is reached.
    pub fn up_to(
        store: Arc<dyn Store>,
        session: &Session,
        inputs: impl Iterator<Item = (Partition, Position, Position)>,
    ) -> Self {
        let input = |(partition, at, end)| Input { partition, at, end, ahead: VecDeque::new() };
        Merge { store, session: session.clone(), inputs: inputs.map(input).collect() }
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
            if !input.ahead.is_empty() || input.at >= input.end {
                continue;
            }
            match read(&*self.store, &self.session, &input.partition, input.at)? {
                Reading::Block(block) => {
                    input.at = block.next;
                    entry::cut(number, block, &*self.store, &mut input.ahead);
                }
                Reading::Nothing => {}
                // It may bring an earlier commit than the others do.
                Reading::Changing => return Ok(None),
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

/// Reads a block that is not made coarser any more: what is computed from it must come out again at a replay.
fn read(store: &dyn Store, session: &Session, partition: &Partition, at: Position) -> Result<Reading, Error> {
    // Twice: the first may be what was there before.
    for _ in 0..2 {
        let Some(block) = store.read(partition, at, Visibility::Staged)? else { return Ok(Reading::Nothing) };
        if store.reaching(session, partition, block.first..block.next) == Reach::Granted {
            return Ok(Reading::Block(block));
        }
    }
    Ok(Reading::Changing)
}
