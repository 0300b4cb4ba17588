//! A store on disk that no gateway has open, for tools.

use super::files::Folder;
use super::medium::SledMedium;
use super::rebuild::Scratch;
use super::{Failure, guarded, open_db};
use crate::api::{Block, Dating, Error, Partition};
use crate::engine::Clocks;
use crate::keys::{Key, Kind};
use crate::medium::{Medium as _, WriteSet, value};
use crate::pack::Writer;
use crate::tools::{self, Catalogue, Listing};
use crate::values::{decode, encode, seal, unseal};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use tidegate_record::Identity;

/// A store's folder, locked, with its database open and no engine on it: no entry of it changes unless it is told to (sled
/// itself cuts its log at the first place that does not read).
pub struct Offline {
    folder: Arc<Folder>,
    medium: Arc<SledMedium>,
    catalogue: Catalogue,
    clocks: Clocks,
    /// Where the database is that was salvaged, until this is dropped.
    _scratch: Option<Scratch>,
}

impl Offline {
    /// Opens the store in `path`. A gateway that has it open is an error that says so.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let refuse = |reason: String| Error::Open { path: path.display().to_string(), reason };
        let folder = existing(path).map_err(refuse)?;
        let medium = guarded(|| SledMedium::new(open_db(&folder)?, folder.clone()).map_err(Failure::Refused));
        let medium = Arc::new(medium.map_err(|failure| refuse(words(failure)))?);
        let catalogue = guarded(|| Catalogue::read(&*medium).map_err(Failure::from));
        let catalogue = catalogue.map_err(|failure| refuse(words(failure)))?;
        let clocks = guarded(|| Clocks::read(&*medium, 0).map_err(Failure::Broken));
        let clocks = clocks.map_err(|failure| refuse(words(failure)))?;
        Ok(Offline { folder, medium, catalogue, clocks, _scratch: None })
    }

    /// Opens what can be read of a database that was set aside (`streams.broken-1`): a copy, made beside it for as long as
    /// this lives.
    pub fn open_aside(path: &Path, name: &str) -> Result<Self, Error> {
        let refuse = |reason: String| Error::Open { path: path.display().to_string(), reason };
        let folder = lock(path).map_err(refuse)?;
        let aside = folder.checked_aside(name).map_err(refuse)?;
        let scratch = Scratch::of(&folder, &aside).map_err(refuse)?;
        let medium = scratch.medium.clone();
        let catalogue = Catalogue::read(&*medium).map_err(|error| refuse(words(error.into())))?;
        let clocks = Clocks::read(&*medium, 0).map_err(|reason| refuse(words(Failure::Broken(reason))))?;
        Ok(Offline { folder, medium, catalogue, clocks, _scratch: Some(scratch) })
    }

    /// Gateway and epoch.
    pub fn identity(&self) -> Identity {
        self.catalogue.identity()
    }

    /// What is known of the wall clock as it was at a commit.
    pub fn dating(&self, commit: u64) -> Option<Dating> {
        self.clocks.dating(commit)
    }

    /// What is in it, in numbers.
    pub fn listing(&self) -> Listing {
        Listing::offline(&self.catalogue, self.medium.disk_bytes(), self.folder.aside())
    }

    /// Writes everything in it to `out`, as a pack that [`super::restore`] takes.
    pub fn backup(&self, out: &mut dyn Write) -> Result<(), Error> {
        let failed = |reason: String| Error::Read { what: "the store for a backup".into(), reason };
        let written = |error: std::io::Error| failed(error.to_string());
        let mut pack = Writer::begin(out, &self.identity()).map_err(written)?;
        for kind in Kind::ALL {
            let (from, to) = Key::all(kind);
            let mut packed = Ok(());
            let scanned = self.medium.scan(from, to, &mut |key, value| {
                packed = pack.entry(key, value);
                packed.is_ok()
            });
            scanned.map_err(failed)?;
            packed.map_err(written)?;
        }
        pack.finish().map_err(written).map(drop)
    }

    /// Where a sink stands in a partition.
    pub fn sink(&self, sink: &str, stream: &str, partition: u32) -> Result<SinkStands, Error> {
        let failed = |reason: String| sink_error(sink, stream, partition, reason);
        let id = self.catalogue.stream(stream).map_err(failed)?;
        let name = format!("sink/{sink}");
        let cursors = self.catalogue.cursors.get(&(id, partition)).into_iter().flatten();
        let found = cursors.map(|(id, at)| (*id, *at)).find(|(id, _)| self.catalogue.producers.get(id) == Some(&name));
        let (producer, _) = found.ok_or_else(|| failed("it has read nothing there yet".into()))?;
        // It may have been moved since the catalogue was read.
        let key = Key::new(Kind::Cursor, id, partition, u64::from(producer));
        let cursor = value(&*self.medium, key).map_err(failed)?.ok_or_else(|| failed("its cursor is gone".into()))?;
        let first = self.catalogue.counters.get(&(id, partition)).map_or(0, |counters| counters.first);
        let state = value(&*self.medium, Key::of(Kind::State, producer)).map_err(failed)?;
        // One that is damaged is nobody's: what was delivered ahead of the cursor comes again.
        let state = state.and_then(|sealed| unseal(sealed).ok());
        Ok(SinkStands { at: decode(&cursor).map_err(failed)?, first, state })
    }

    /// Puts a sink somewhere else, with the small state that goes with it.
    pub fn move_sink(&self, sink: &str, (stream, partition): (&str, u32), at: u64, state: &[u8]) -> Result<(), Error> {
        let failed = |reason: String| sink_error(sink, stream, partition, reason);
        let id = self.catalogue.stream(stream).map_err(failed)?;
        let name = format!("sink/{sink}");
        let known = self.catalogue.producers.iter().find(|(_, known)| **known == name);
        let (&producer, _) = known.ok_or_else(|| failed("it has read nothing there yet".into()))?;
        let mut set = WriteSet::default();
        set.put(Key::new(Kind::Cursor, id, partition, u64::from(producer)), encode(&at));
        let key = Key::of(Kind::State, producer);
        let last = self.medium.last(key, key.last_part()).map_err(failed)?;
        set.replace(key, seal(state), last.map_or(0, |last| last.part + 1));
        self.medium.write(&set).map_err(failed)
    }

    /// The offset of the first record of a partition that arrived at or after a time, microseconds since the epoch by
    /// the wall clock; the end, where there is none.
    pub fn offset_at(&self, stream: &str, partition: u32, time: i64) -> Result<u64, Error> {
        let failed = |reason: String| Error::Read { what: format!("stream {stream:?}"), reason };
        let id = self.catalogue.stream(stream).map_err(failed)?;
        let counters = self.catalogue.counters.get(&(id, partition)).copied().unwrap_or_default();
        let mut found = None;
        tools::blocks(&*self.medium, &self.catalogue, (id, partition), counters.first, &mut |block| {
            let Ok(block) = block.block else { return true };
            let mut at = block.first.0;
            for run in &block.runs {
                if run.wall >= time {
                    found = Some(at);
                    return false;
                }
                at += u64::from(run.rows);
            }
            true
        })
        .map_err(failed)?;
        Ok(found.unwrap_or(counters.next))
    }

    /// Visits the blocks of a stream from an offset on, partition by partition, until `visit` says false. A block that
    /// is damaged is visited as what is wrong with it.
    pub fn blocks(
        &self,
        stream: &str,
        at: u64,
        visit: &mut dyn FnMut(&Partition, Result<Block, String>) -> bool,
    ) -> Result<(), Error> {
        let failed = |reason: String| Error::Read { what: format!("stream {stream:?}"), reason };
        let id = self.catalogue.stream(stream).map_err(failed)?;
        for (number, counters) in self.catalogue.partitions(id) {
            let partition = Partition::new(stream, number);
            let mut on = true;
            let at = at.max(counters.first);
            tools::blocks(&*self.medium, &self.catalogue, (id, number), at, &mut |found| {
                let damaged = |reason| format!("{partition}: the block at {} is damaged: {reason}", found.key.offset);
                on = visit(&partition, found.block.map_err(damaged));
                on
            })
            .map_err(failed)?;
            if !on {
                break;
            }
        }
        Ok(())
    }
}

/// Where a sink stands in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkStands {
    /// Its cursor.
    pub at: u64,
    /// The oldest offset that is stored.
    pub first: u64,
    /// Its small state.
    pub state: Option<Vec<u8>>,
}

fn sink_error(sink: &str, stream: &str, partition: u32, reason: String) -> Error {
    Error::Read { what: format!("sink {sink:?} on {stream}/{partition}"), reason }
}

/// Locks a folder that has a store in it.
pub(super) fn existing(path: &Path) -> Result<Arc<Folder>, String> {
    let none = || "there is no store in this folder. Give the folder that store.path names".to_string();
    // A folder where no store ever was is left as it is.
    if !path.join("lock").exists() && !path.join("streams").exists() {
        return Err(none());
    }
    let folder = lock(path)?;
    if folder.streams().is_dir() { Ok(folder) } else { Err(none()) }
}

/// Locks a folder for work on it, whatever is in it.
pub(super) fn lock(path: &Path) -> Result<Arc<Folder>, String> {
    if !path.is_dir() {
        return Err("there is no such folder. Give the folder that store.path names".into());
    }
    let folder = Folder::lock(path)?;
    folder.recover()?;
    folder.delete_torn_snapshots()?;
    Ok(Arc::new(folder))
}

pub(super) fn words(failure: Failure) -> String {
    match failure {
        Failure::Refused(reason) => reason,
        Failure::Broken(reason) => {
            format!("it does not open: {reason}. A gateway sets it aside and begins a fresh one")
        }
    }
}
