//! The committer: one thread that waits for work, makes a group of everything staged, writes it, publishes it.

use super::Inner;
use super::core::Core;
use super::declare::Declared;
use super::group::Group;
use super::purge::Purging;
use super::retention::Heads;
use super::sweep::Sweeps;
use crate::api::Error;
use crate::block::Encoder;
use crate::keys::{Key, Kind};
use crate::medium::value;
use crate::values::{Counters, Meta, decode};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tidegate_record::ROWS_MAX;
use tokio::time::Instant;

/// How often retention is looked at when nothing is committed.
const RETENTION_INTERVAL: Duration = Duration::from_secs(1);
/// Longest sleep while a tick is asked for: a manual clock moves without telling.
const TICK_INTERVAL: Duration = Duration::from_millis(50);

/// What only the committer knows.
pub(super) struct Committer {
    pub(super) inner: Arc<Inner>,
    pub(super) encoder: Encoder,
    /// The oldest blocks, by partition.
    pub(super) heads: Vec<Heads>,
    /// What was made coarser, by partition.
    pub(super) sweeps: Vec<Sweeps>,
    /// What a person is giving up.
    pub(super) purging: Option<Purging>,
    /// How many records fit a block, by partition: what the last one showed.
    pub(super) rows_max: Vec<usize>,
    looked_at: Instant,
    /// As in the stored `Meta`.
    pub(super) number: u64,
    /// A group was written since the tail was noted.
    pub(super) wrote: bool,
    /// Bytes that had been written when the medium was renewed last.
    renewed: u64,
    /// It may sleep until the disk has room; one that is moved by hand has no thread of its own for that.
    pub(super) may_wait: bool,
}

/// What a look at what is staged comes to.
pub(super) enum Look {
    Due(Group),
    NotYet,
    /// Closed and nothing staged, or poisoned.
    Over,
}

pub(super) fn start(inner: Arc<Inner>) -> Result<JoinHandle<()>, Error> {
    let committer = Committer::new(inner.clone())?;
    std::thread::Builder::new()
        .name("store-committer".into())
        .spawn(move || committer.run())
        .map_err(|e| failed(&inner, format!("the committer thread does not start: {e}")))
}

fn failed(inner: &Inner, reason: String) -> Error {
    Error::Open { path: inner.options.path.display().to_string(), reason }
}

impl Committer {
    pub(super) fn new(inner: Arc<Inner>) -> Result<Self, Error> {
        let encoder = Encoder::new().map_err(|e| failed(&inner, format!("no compressor: {e}")))?;
        let heads: Vec<Heads> = inner.declared()?.wakers.iter().map(|_| Heads::default()).collect();
        let rows_max = vec![ROWS_MAX; heads.len()];
        let sweeps = heads.iter().map(|_| Sweeps::default()).collect();
        let number = inner.lock().number;
        Ok(Committer {
            inner,
            number,
            wrote: false,
            renewed: 0,
            encoder,
            heads,
            sweeps,
            purging: None,
            rows_max,
            looked_at: Instant::now(),
            may_wait: true,
        })
    }

    fn run(mut self) {
        let result = catch_unwind(AssertUnwindSafe(|| self.work()))
            .unwrap_or_else(|_| Err("the committer panicked; its message is in the log".into()));
        self.end(result);
    }

    /// Lets go of the medium and tells whoever waits how it ended.
    pub(super) fn end(&self, result: Result<(), String>) {
        let inner = &self.inner;
        if let Err(reason) = &result {
            inner.poison(reason);
        }
        // Whoever waits for a turn hears that there is none.
        let turns = std::mem::take(&mut inner.lock().turns);
        drop(turns);
        inner.medium.release();
        let reason = inner.lock().poisoned.clone();
        inner.ended.send_replace(Some(reason.map_or(Ok(()), |reason| Err(Error::Poisoned(reason)))));
    }

    /// Commits group after group until the store is closed. An error poisons it.
    fn work(&mut self) -> Result<(), String> {
        while let Some(group) = self.next_group()? {
            self.commit(group);
            self.renew()?;
        }
        Ok(())
    }

    /// Renews the medium where enough was written to it, and holds that it is what it was.
    fn renew(&mut self) -> Result<(), String> {
        let inner = &self.inner;
        let written = inner.written.load(Relaxed);
        let core = inner.lock();
        // Opening takes some space of the disk, which draining needs more.
        let tight = core.disk_free.is_some_and(|free| free < inner.options.reserve);
        if tight || core.poisoned.is_some() || written - self.renewed < inner.options.renew_bytes {
            return Ok(());
        }
        drop(core);
        self.renewed = written;
        inner.medium.renew()?;
        let meta = value(&*inner.medium, Key::only(Kind::Meta))?.ok_or("it was opened anew, and is empty")?;
        let number = decode::<Meta>(&meta)?.number;
        if number != self.number {
            return Err(format!("it was opened anew and found as of commit {number} instead of {}", self.number));
        }
        // Two groups may bear one number: the ends tell them apart.
        let declared = inner.declared().map_err(|error| error.to_string())?;
        for index in 0..declared.wakers.len() {
            let (stream, partition) = declared.of(index);
            let found = value(&*inner.medium, Key::new(Kind::Counters, stream.id, partition, 0))?;
            let found = found.map(|bytes| decode::<Counters>(&bytes)).transpose()?.unwrap_or_default().next;
            let end = inner.lock().partitions[index].counters.next;
            if found != end {
                let name = &stream.name;
                return Err(format!("it was opened anew and {name}/{partition} ends at {found} instead of {end}"));
            }
        }
        Ok(())
    }

    /// Waits for a group that is due. `None` when the store is closed and nothing is staged.
    fn next_group(&mut self) -> Result<Option<Group>, String> {
        let inner = self.inner.clone();
        let declared = inner.declared().map_err(|e| e.to_string())?;
        let mut core = inner.lock();
        loop {
            while let Some(turn) = core.turns.pop_front() {
                drop(core);
                turn(self);
                core = inner.lock();
            }
            let now = Instant::now();
            match self.look(&mut core, declared, now) {
                Look::Due(group) => return Ok(Some(group)),
                Look::Over => return Ok(None),
                Look::NotYet => core = self.wait(core, now),
            }
        }
    }

    /// Takes a group if one is due.
    pub(super) fn look(&mut self, core: &mut Core, declared: &Declared, now: Instant) -> Look {
        if core.poisoned.is_some() {
            return Look::Over;
        }
        self.inner.stage_ticks(core);
        if core.closing && core.waiting_since.is_none() {
            return Look::Over;
        }
        if core.closing || core.due(now, &self.inner) || now >= self.looked_at + RETENTION_INTERVAL {
            self.looked_at = now;
            core.watch_clock(&*self.inner.options.clock);
            return Look::Due(Group::take(core, declared));
        }
        Look::NotYet
    }

    fn wait<'a>(&self, core: MutexGuard<'a, Core>, now: Instant) -> MutexGuard<'a, Core> {
        let mut until = self.looked_at + RETENTION_INTERVAL;
        if let Some(since) = core.waiting_since {
            until = until.min(since + self.inner.commit_interval());
        }
        let mut longest = until.saturating_duration_since(now);
        if let Some(tick) = core.next_tick() {
            let left = tick.saturating_sub(core.arrival.now(&*self.inner.options.clock)).max(0);
            longest = longest.min(Duration::from_micros(left as u64)).min(TICK_INTERVAL);
        }
        let waited = self.inner.work.wait_timeout(core, longest.max(Duration::from_millis(1)));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Core {
    fn due(&self, now: Instant, inner: &Inner) -> bool {
        self.waiting_since.is_some_and(|since| {
            self.hurry || self.waiting_bytes >= inner.options.commit_bytes || now >= since + inner.commit_interval()
        })
    }
}

impl Inner {
    /// Writes the ticks whose time has come.
    pub(super) fn stage_ticks(&self, core: &mut Core) {
        let Ok(declared) = self.declared() else { return };
        let now = core.arrival.now(&*self.options.clock);
        for partition in 0..core.partitions.len() {
            if core.partitions[partition].ticks.first().is_some_and(|&tick| tick <= now) {
                let stamp = core.stamp(&*self.options.clock);
                let schema = declared.of(partition).0.schema.clone();
                core.stage(partition, stamp, Arc::new(tidegate_record::Batch::empty(schema)), 0);
                core.begin_waiting();
                declared.wakers[partition].staged.notify_waiters();
            }
        }
    }
}
