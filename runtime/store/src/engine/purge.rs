//! Giving up the oldest records of a partition because a person says so: whole blocks, by group commits like any other,
//! each with its entry in the ledger.

use super::Inner;
use super::committer::Committer;
use super::group::Group;
use crate::api::Error;

/// What is being purged.
pub(super) struct Purging {
    /// The partition, over all streams.
    pub(super) partition: usize,
    /// Blocks that end at or before this offset go.
    pub(super) before: u64,
    /// Also what a reader still needs.
    pub(super) held: bool,
    /// Records that have gone.
    pub(super) count: u64,
    /// There is nothing more to purge.
    pub(super) through: bool,
}

impl Purging {
    /// Blocks that end at or before this go, where readers need everything from `hold` on: one may have gone back since
    /// it was asked for.
    pub(super) fn end(&self, hold: u64) -> u64 {
        if self.held { self.before } else { self.before.min(hold) }
    }
}

impl Inner {
    /// Gives up what a partition holds before an offset, where every reader has read it or `held` says so; gives how
    /// many records that were.
    pub(super) fn purge(&self, partition: usize, before: u64, held: bool) -> Result<u64, Error> {
        self.turn(move |committer| committer.purge(partition, before, held))
    }
}

impl Committer {
    fn purge(&mut self, partition: usize, before: u64, held: bool) -> Result<u64, Error> {
        self.held_off("nothing was given up")?;
        self.may_purge(partition, before, held)?;
        self.purging = Some(Purging { partition, before, held, count: 0, through: false });
        let done = loop {
            match self.purge_some() {
                Ok(true) => break Ok(()),
                Ok(false) => {}
                Err(error) => break Err(error),
            }
        };
        let purged = self.purging.take().map_or(0, |purging| purging.count);
        done.map(|()| purged)
    }

    fn may_purge(&self, partition: usize, before: u64, held: bool) -> Result<(), Error> {
        let declared = self.inner.declared()?;
        let (stream, number) = declared.of(partition);
        let core = self.inner.lock();
        let holds = stream.readers.iter().zip(core.holds(stream, partition));
        match holds.filter(|(_, from)| *from < before && !held).min_by_key(|(_, from)| *from) {
            None => Ok(()),
            Some(((reader, _), from)) => Err(Error::Refused(format!(
                "{reader} needs {}/{number} from offset {from} on. Purge before {from}, or say --held to take it from \
                 that reader",
                stream.name
            ))),
        }
    }

    /// Makes one group commit, with whatever is staged; whether nothing is left to purge.
    fn purge_some(&mut self) -> Result<bool, Error> {
        let inner = self.inner.clone();
        let declared = inner.declared()?;
        let mut core = inner.lock();
        core.writable()?;
        inner.stage_ticks(&mut core);
        core.watch_clock(&*inner.options.clock);
        let group = Group::take(&mut core, declared);
        drop(core);
        self.commit(group);
        inner.lock().writable()?;
        let (through, count) = self.purging.as_ref().map_or((true, 0), |purging| (purging.through, purging.count));
        if !through {
            // One may have begun meanwhile.
            self.held_off(&format!("{count} records were given up until then"))?;
        }
        Ok(through)
    }

    /// An error while nothing is deleted.
    fn held_off(&self, so_far: &str) -> Result<(), Error> {
        if self.inner.lock().pins == 0 {
            return Ok(());
        }
        let why = "a backup or a check of the store is under way, and nothing is deleted until it is over";
        Err(Error::Refused(format!("{why}; {so_far}. Purge again then")))
    }
}
