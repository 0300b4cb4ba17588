//! The embedded store over a medium: streams, group commits, retention, readers.
//!
//! What is taken in is *staged* in [`core::Core`] under one short lock: numbered, stamped, given its offsets, visible to
//! staged readers. One committer thread takes everything staged, encodes it and writes it to the medium as one atomic
//! set, and only when that is durable publishes it: receipts, durable readers, counters. The lock is never held over
//! I/O, and the committer is the only writer, so what it reads between two writes stands still.
//!
//! Lock order: the core is the only lock taken while another may be; nothing is locked while it is held.

mod admit;
mod backup;
mod check;
mod clocks;
mod committer;
mod core;
mod declare;
mod forward;
mod group;
mod health;
mod ledger;
mod load;
mod publish;
mod purge;
mod read;
mod readers;
mod retention;
mod room;
mod steps;
mod sweep;
mod tail;
mod thin;
mod turn;
mod wait;

use self::core::Core;
use crate::api::{
    Block, Commit, Dating, Error, Health, Partition, Position, Reach, Receipt, Refusal, Session, Snapshot, Store,
    StreamSpec, Visibility,
};
use crate::medium::Medium;
use crate::metrics::Meters;
use crate::options::Options;
use crate::verify::Report;
pub(crate) use clocks::Clocks;
use declare::Declared;
pub(crate) use forward::forward_store;
use futures::future::BoxFuture;
pub(crate) use ledger::Ledger;
pub(crate) use load::{LoadError, read_meta};
pub(crate) use read::{decode as decode_block, trim as trim_block};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;
pub use steps::{Step, Steps};
pub(crate) use tail::{Gone, gone};
use tidegate_record::{Identity, Schema};
use tokio::sync::{Notify, watch};

/// The embedded store. Dropped without [`Store::close`] it commits what is staged and waits for it.
pub struct Engine {
    inner: Arc<Inner>,
    committer: Mutex<Drive>,
}

/// What moves the committer.
enum Drive {
    /// A thread, once streams are declared.
    Thread(Option<JoinHandle<()>>),
    /// Whoever holds the [`Steps`].
    Hand,
}

pub(crate) struct Inner {
    medium: Arc<dyn Medium>,
    options: Options,
    identity: Identity,
    catalogue: load::Catalogue,
    declared: OnceLock<Declared>,
    schemas: RwLock<HashMap<u64, Arc<Schema>>>,
    core: Mutex<Core>,
    /// Wakes the committer.
    work: Condvar,
    /// Wakes whoever waits for room.
    room: Notify,
    /// How the committer ended.
    ended: watch::Sender<Option<Result<(), Error>>>,
    meters: Meters,
    /// Microseconds a group commit waits for company.
    commit_interval: AtomicU64,
    /// Bytes of keys and values given to the medium.
    written: AtomicU64,
}

impl Engine {
    /// A store on `medium`; what is there is loaded, and an empty one is made a store. `notes` say what was repaired.
    pub(crate) fn open(
        medium: Arc<dyn Medium>,
        options: Options,
        gaps: Option<u64>,
        notes: Vec<String>,
    ) -> Result<Self, load::LoadError> {
        let inner = load::load(medium, options, gaps, notes)?;
        Ok(Engine { inner: Arc::new(inner), committer: Mutex::new(Drive::Thread(None)) })
    }

    /// Declares streams as [`Store::declare`] does, on a store whose commits are made by hand.
    pub(crate) fn declare_by_hand(&self, streams: Vec<StreamSpec>) -> Result<Steps, Error> {
        self.inner.declare(streams)?;
        *self.drive() = Drive::Hand;
        Steps::new(self.inner.clone())
    }

    fn drive(&self) -> MutexGuard<'_, Drive> {
        self.committer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine {
    /// Group commits wait so long for company from now on.
    pub fn set_commit_interval(&self, interval: Duration) {
        self.inner.commit_interval.store(interval.as_micros() as u64, Ordering::Relaxed);
        self.inner.work.notify_all();
    }
}

impl Inner {
    fn commit_interval(&self) -> Duration {
        Duration::from_micros(self.commit_interval.load(Ordering::Relaxed))
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn declared(&self) -> Result<&Declared, Error> {
        self.declared.get().ok_or_else(|| Error::NoStream("(none is declared yet)".into()))
    }

    /// The number of a partition over all streams.
    fn index(&self, partition: &Partition) -> Result<usize, Error> {
        let stream = self.declared()?.stream(&partition.stream)?;
        if partition.number < stream.partitions {
            Ok(stream.base + partition.number as usize)
        } else {
            Err(Error::NoStream(partition.to_string().into()))
        }
    }

    /// Refuses writes from now on and tells everyone who waits.
    fn poison(&self, reason: &str) {
        let mut core = self.lock();
        if core.poisoned.is_some() {
            return;
        }
        tracing::error!(reason, "the store is poisoned and refuses writes until a restart");
        core.poisoned = Some(reason.into());
        let staged = std::mem::take(&mut core.staged);
        drop(core);
        group::fail(staged, reason);
        self.wake_everyone();
    }

    fn wake_everyone(&self) {
        if let Some(declared) = self.declared.get() {
            for wakers in &declared.wakers {
                wakers.staged.notify_waiters();
                wakers.durable.notify_waiters();
            }
        }
        self.room.notify_waiters();
        self.work.notify_all();
    }
}

impl Store for Engine {
    fn identity(&self) -> Identity {
        self.inner.identity.clone()
    }

    fn declare(&self, streams: Vec<StreamSpec>) -> Result<(), Error> {
        self.inner.declare(streams)?;
        *self.drive() = Drive::Thread(Some(committer::start(self.inner.clone())?));
        Ok(())
    }

    fn attach(&self, producer: &str) -> Result<Session, Error> {
        let mut core = self.inner.lock();
        core.writable()?;
        let producer: Arc<str> = producer.into();
        let state = core.producer(&producer);
        state.generation += 1;
        Ok(Session { generation: state.generation, producer })
    }

    fn assigned(&self, stream: &str) -> Result<Vec<Partition>, Error> {
        let stream = self.inner.declared()?.stream(stream)?;
        Ok((0..stream.partitions).map(|number| Partition::new(stream.name.clone(), number)).collect())
    }

    fn commit(&self, commit: Commit) -> Result<Receipt, Refusal> {
        self.inner.commit(commit)
    }

    fn room(&self, stream: Option<&str>) -> BoxFuture<'static, ()> {
        wait::room(self.inner.clone(), stream)
    }

    fn read(&self, partition: &Partition, at: Position, visibility: Visibility) -> Result<Option<Block>, Error> {
        self.inner.read(self.inner.index(partition)?, at.0, visibility)
    }

    fn appended(&self, partition: &Partition, at: Position, visibility: Visibility) -> BoxFuture<'static, ()> {
        wait::appended(self.inner.clone(), partition, at.0, visibility)
    }

    fn frontier(&self) -> u64 {
        self.inner.lock().number
    }

    fn reaching(&self, reader: &Session, partition: &Partition, range: Range<Position>) -> Reach {
        let (Ok(index), Ok(declared)) = (self.inner.index(partition), self.inner.declared()) else {
            // A partition that is not there has nothing that could change.
            return Reach::Granted;
        };
        self.inner.lock().reaching(declared.of(index).0, reader, index, range.start.0..range.end.0)
    }

    fn cursor(&self, producer: &str, partition: &Partition) -> Result<Option<Position>, Error> {
        let index = self.inner.index(partition)?;
        let core = self.inner.lock();
        let cursor = core.producers.get(producer).and_then(|p| p.cursors.get(&index));
        Ok(cursor.map(|cursor| Position(cursor.accepted)))
    }

    fn start(&self, partition: &Partition) -> Result<Position, Error> {
        let index = self.inner.index(partition)?;
        Ok(Position(self.inner.lock().partitions[index].floor))
    }

    fn state(&self, producer: &str) -> Result<Option<Vec<u8>>, Error> {
        self.inner.state(producer)
    }

    fn snapshot(&self, producer: &str) -> Result<Option<Snapshot>, Error> {
        self.inner.snapshot(producer)
    }

    fn tick_at(&self, partition: &Partition, arrival: i64) {
        if let Ok(index) = self.inner.index(partition) {
            self.inner.lock().tick_at(index, arrival);
            self.inner.work.notify_all();
        }
    }

    fn arrival_now(&self) -> i64 {
        self.inner.lock().arrival.now(&*self.inner.options.clock)
    }

    fn dating(&self, commit: u64) -> Option<Dating> {
        self.inner.lock().clocks.dating(commit)
    }

    fn last_wall(&self) -> Option<i64> {
        self.inner.lock().clocks.left()
    }

    fn health(&self) -> Health {
        self.inner.health()
    }

    fn backup(&self, out: &mut dyn std::io::Write) -> Result<(), Error> {
        self.inner.backup(out)
    }

    fn verify(&self, going_on: &mut dyn FnMut() -> bool) -> Result<Report, Error> {
        self.inner.verify(going_on)
    }

    fn purge(&self, partition: &Partition, before: Position, held: bool) -> Result<u64, Error> {
        self.inner.purge(self.inner.index(partition)?, before.0, held)
    }

    fn close(&self) -> BoxFuture<'static, Result<(), Error>> {
        let running = !matches!(*self.drive(), Drive::Thread(None));
        wait::close(self.inner.clone(), running)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.inner.lock().closing = true;
        self.inner.work.notify_all();
        let committer = std::mem::replace(&mut *self.drive(), Drive::Hand);
        match committer {
            // A panic of the committer has poisoned the store and was reported.
            Drive::Thread(Some(thread)) => drop(thread.join()),
            Drive::Thread(None) | Drive::Hand => self.inner.medium.release(),
        }
    }
}
