//! What is done by the committer between two groups, while nobody else writes and all that was written is durable.

use super::Inner;
use super::committer::Committer;
use crate::api::Error;
use std::sync::{Arc, mpsc};

/// Something to do between two groups.
pub(super) type Turn = Box<dyn FnOnce(&mut Committer) + Send>;

/// Most turns waiting; there are few who ask.
const TURNS_MAX: usize = 8;

/// Holds the deleting off as long as it lives.
pub(super) struct Pin(Arc<Inner>);

impl Drop for Pin {
    fn drop(&mut self) {
        self.0.lock().pins -= 1;
    }
}

impl Inner {
    /// From now on nothing is deleted.
    pub(super) fn pin(self: &Arc<Self>) -> Pin {
        self.lock().pins += 1;
        Pin(self.clone())
    }

    /// Has the committer do something between two groups, and waits for it.
    pub(super) fn turn<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Committer) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        // Before streams are declared there is nobody to do it.
        self.declared()?;
        let (done, result) = mpsc::sync_channel(1);
        let mut core = self.lock();
        core.writable()?;
        if core.turns.len() >= TURNS_MAX {
            return Err(Error::Refused("others are at work on the store already: ask again later".into()));
        }
        core.turns.push_back(Box::new(move |committer| drop(done.send(work(committer)))));
        drop(core);
        self.work.notify_all();
        // The store may be closed or poisoned before it comes to it.
        result.recv().map_err(|_| Error::Closed)?
    }
}
