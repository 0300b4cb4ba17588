//! The store in memory, with gaps between its positions: it keeps the trait honest and tests fast.

use crate::api::{Error, StreamSpec};
use crate::engine::{Engine, Steps};
use crate::keys::{KEY_BYTES, Key};
use crate::medium::{Medium, WriteSet};
use crate::options::Options;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A store on a [`MemoryDisk`]. Positions jump by amounts drawn from a seed, as a trait that fits Kafka allows.
pub struct MemoryStore {
    engine: Engine,
    disk: MemoryDisk,
}

impl MemoryStore {
    /// A fresh store.
    pub fn new(options: Options, seed: u64) -> Self {
        MemoryStore::on(MemoryDisk::default(), options, seed)
    }

    /// A store on what an earlier one left on `disk`: all that was durable, nothing else.
    pub fn on(disk: MemoryDisk, options: Options, seed: u64) -> Self {
        let medium = Arc::new(Plugged { disk: disk.clone(), plug: disk.plug_in() });
        let engine = Engine::open(medium, options, Some(seed), Vec::new())
            .unwrap_or_else(|error| unreachable!("only a store writes to a memory disk: {error:?}"));
        MemoryStore { engine, disk }
    }

    /// Declares its streams ([`Store::declare`]) and has no thread: group commits are made by the steps of what is
    /// returned.
    ///
    /// [`Store::declare`]: crate::Store::declare
    pub fn declare_by_hand(&self, streams: Vec<StreamSpec>) -> Result<Steps, Error> {
        self.engine.declare_by_hand(streams)
    }

    /// Where it keeps what is durable.
    pub fn disk(&self) -> MemoryDisk {
        self.disk.clone()
    }
}

crate::engine::forward_store!(MemoryStore, engine);
impl MemoryStore {}

/// What survives a [`MemoryStore`].
#[derive(Clone, Default)]
pub struct MemoryDisk {
    inner: Arc<Mutex<Disk>>,
}

#[derive(Default)]
struct Disk {
    entries: BTreeMap<Key, Vec<u8>>,
    bytes: u64,
    /// Counts plug-ins; a store writes only while its own is the latest.
    plug: u64,
    /// What becomes of the next write.
    trouble: Option<Trouble>,
    /// Most bytes it takes.
    capacity: Option<u64>,
}

/// What becomes of a write to a [`MemoryDisk`] that does not go well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The power is cut in the middle of it. A write is all or nothing: it is there afterwards, or it is not.
    PowerCut {
        /// Whether it is.
        written: bool,
    },
    /// It fails, as a worn card's does, and nothing of it is there.
    Io,
}

impl fmt::Debug for MemoryDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryDisk").field("bytes", &self.lock().bytes).finish_non_exhaustive()
    }
}

impl MemoryDisk {
    /// Cuts the power: nothing more is written by the store that is running on it, which is poisoned at its next
    /// write. Open another with [`MemoryStore::on`]. Trouble that was to come does not come to that one.
    pub fn power_cut(&self) {
        let mut disk = self.lock();
        disk.plug += 1;
        disk.trouble = None;
    }

    /// The next write comes to grief.
    pub fn trouble(&self, trouble: Trouble) {
        self.lock().trouble = Some(trouble);
    }

    /// Limits how much it takes: a write beyond fails, and what is free is known.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.lock().capacity = bytes;
    }

    /// Every byte on it: each key, the length of its value, its value.
    pub fn image(&self) -> Vec<u8> {
        let disk = self.lock();
        let mut image = Vec::with_capacity(disk.bytes as usize + disk.entries.len() * (KEY_BYTES + 8));
        for (key, value) in &disk.entries {
            image.extend_from_slice(&key.bytes());
            image.extend_from_slice(&(value.len() as u64).to_be_bytes());
            image.extend_from_slice(value);
        }
        image
    }

    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn plug_in(&self) -> u64 {
        let mut disk = self.lock();
        disk.plug += 1;
        disk.plug
    }
}

/// A disk as one store sees it.
pub(crate) struct Plugged {
    disk: MemoryDisk,
    plug: u64,
}

#[cfg(test)]
impl Plugged {
    /// Into a disk of its own.
    pub(crate) fn fresh() -> Self {
        Plugged::into(MemoryDisk::default())
    }

    /// Into a disk that another store may have left.
    pub(crate) fn into(disk: MemoryDisk) -> Self {
        Plugged { plug: disk.plug_in(), disk }
    }
}

impl Medium for Plugged {
    fn write(&self, set: &WriteSet) -> Result<(), String> {
        let mut disk = self.disk.lock();
        if disk.plug != self.plug {
            return Err("the power was cut".into());
        }
        let trouble = disk.trouble.take();
        match trouble {
            Some(Trouble::PowerCut { .. }) => disk.plug += 1,
            Some(Trouble::Io) => return Err("Input/output error (os error 5)".into()),
            None => {}
        }
        if trouble == Some(Trouble::PowerCut { written: false }) {
            return Err("the power was cut".into());
        }
        let added: usize = set.puts.iter().map(|(_, value)| value.len()).sum();
        if disk.capacity.is_some_and(|capacity| disk.bytes + added as u64 > capacity) {
            return Err("No space left on device (os error 28)".into());
        }
        for key in &set.deletes {
            let gone = disk.entries.remove(key).map_or(0, |value| value.len());
            disk.bytes -= gone as u64;
        }
        for (key, value) in &set.puts {
            disk.bytes += value.len() as u64;
            let gone = disk.entries.insert(*key, value.clone()).map_or(0, |value| value.len());
            disk.bytes -= gone as u64;
        }
        match trouble {
            Some(_) => Err("the power was cut".into()),
            None => Ok(()),
        }
    }

    fn scan(&self, from: Key, to: Key, visit: &mut dyn FnMut(Key, &[u8]) -> bool) -> Result<(), String> {
        if from > to {
            return Ok(());
        }
        let disk = self.disk.lock();
        for (key, value) in disk.entries.range(from..=to) {
            if !visit(*key, value) {
                break;
            }
        }
        Ok(())
    }

    fn last(&self, from: Key, to: Key) -> Result<Option<Key>, String> {
        if from > to {
            return Ok(None);
        }
        Ok(self.disk.lock().entries.range(from..=to).next_back().map(|(key, _)| *key))
    }

    fn disk_bytes(&self) -> u64 {
        self.disk.lock().bytes
    }

    fn disk_free(&self) -> Option<u64> {
        let disk = self.disk.lock();
        disk.capacity.map(|capacity| capacity.saturating_sub(disk.bytes))
    }

    fn release(&self) {}
}
