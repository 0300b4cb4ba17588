//! The store on sled 0.34.7: what we assume of it, and what keeps those assumptions true.
//!
//! - One tree, one `apply_batch` a group commit: all of it or nothing after a crash.
//! - sled's `flush` ends in `sync_file_range`, which no power cut respects: every group is followed by an fdatasync of
//!   the `db` file, and its directories are fsynced once at open. Nothing flushes in the background.
//! - Values stay within [`PART_BYTES`](crate::medium::PART_BYTES): larger ones go to files that sled never syncs.
//! - A torn snapshot (`snap.*.generating`) blocks the open; it is only ever an optimisation, and is deleted first.
//! - An open may fail or panic on what a power cut left. That database is set aside, reported, and a fresh one begins
//!   under a new epoch: the gateway comes up. A folder that is locked, read-only, full or of another format is *not*
//!   broken and is refused instead.
//! - After a failed write, flush or fdatasync nothing is written any more: what the disk then holds is not known.

mod files;
mod medium;
mod offline;
mod rebuild;
mod room;
mod salvage;
mod swap;
#[cfg(test)]
mod tests;

use crate::api::Error;
use crate::engine::{Engine, LoadError};
use crate::medium::Medium as _;
use crate::options::Options;
use crate::verify::{self, Report};
use files::Folder;
pub use files::free_bytes;
use medium::SledMedium;
pub use offline::{Offline, SinkStands};
pub use rebuild::{Compacted, compact, purge, repair, restore};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// sled's page cache. Its resident memory grows with it; reads that matter are served from the tails.
const CACHE_BYTES: u64 = 8 << 20;
/// How long sled's own lock may linger after an earlier store in this process was closed: its threads may still be writing,
/// to a card that is slow.
const LINGER: Duration = Duration::from_secs(60);
const LINGER_STEP: Duration = Duration::from_millis(10);

/// The store on disk.
pub struct SledStore {
    engine: Engine,
}

crate::engine::forward_store!(SledStore, engine);
/// Why one attempt to open failed.
enum Failure {
    Refused(String),
    Broken(String),
}

/// Opens the store in `options.path`, making one where there is none. Blocks on the disk.
pub fn open(options: Options) -> Result<SledStore, Error> {
    let refuse = |reason: String| Error::Open { path: options.path.display().to_string(), reason };
    let folder = Arc::new(Folder::lock(&options.path).map_err(refuse)?);
    folder.recover().map_err(refuse)?;
    let mut notes = Vec::new();
    match attempt(&folder, &options, &mut notes) {
        Ok(engine) => Ok(SledStore { engine }),
        Err(Failure::Refused(reason)) => Err(refuse(reason)),
        Err(Failure::Broken(reason)) => {
            let aside = folder.set_aside().map_err(refuse)?;
            tracing::error!(reason, aside = %aside.display(), "the store did not open and was set aside; a fresh one begins");
            notes.push(format!("the store did not open ({reason}) and was set aside as {}", aside.display()));
            match attempt(&folder, &options, &mut notes) {
                Ok(engine) => Ok(SledStore { engine }),
                Err(Failure::Refused(reason) | Failure::Broken(reason)) => Err(refuse(reason)),
            }
        }
    }
}

/// Looks over the store in `path`, while no gateway has it open; no entry of it is changed. What does not open or cannot
/// be read is a problem of the report.
pub fn verify(path: &Path) -> Result<Report, Error> {
    let refuse = |reason: String| Error::Open { path: path.display().to_string(), reason };
    let folder = offline::existing(path).map_err(refuse)?;
    let unreadable = |problem: String| Ok(Report { problems: vec![problem], ..Report::default() });
    let opened = guarded(|| SledMedium::new(open_db(&folder)?, folder.clone()).map_err(Failure::Refused));
    let medium = match opened {
        Ok(medium) => medium,
        Err(Failure::Refused(reason)) => return Err(refuse(reason)),
        Err(Failure::Broken(reason)) => {
            return unreadable(format!("it does not open: {reason}. A gateway sets it aside and begins a fresh one"));
        }
    };
    let looked = guarded(|| verify::verify(&medium).map_err(Failure::from));
    medium.release();
    match looked {
        Ok(report) => Ok(report),
        Err(Failure::Refused(reason)) => Err(refuse(reason)),
        Err(Failure::Broken(reason)) => {
            unreadable(format!("it opens and cannot be read to its end: {reason}. Check the disk"))
        }
    }
}

fn attempt(folder: &Arc<Folder>, options: &Options, notes: &mut Vec<String>) -> Result<Engine, Failure> {
    for torn in folder.delete_torn_snapshots().map_err(Failure::Refused)? {
        notes.push(format!("a torn snapshot was deleted: {torn}"));
    }
    guarded(|| {
        let db = open_db(folder)?;
        folder.sync().map_err(Failure::Refused)?;
        let medium = Arc::new(SledMedium::new(db, folder.clone()).map_err(Failure::Refused)?);
        Engine::open(medium, options.clone(), None, notes.clone()).map_err(Failure::from)
    })
}

/// Work on a database that may panic on what a power cut left.
fn guarded<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    let done = catch_unwind(AssertUnwindSafe(work));
    done.unwrap_or_else(|panic| Err(Failure::Broken(medium::panic_message(&*panic))))
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Format(found) => Failure::Refused(format!(
                "it is of format {found} and this version reads formats 1 to {}. Run the version that made it, or give \
                 this one another store.path",
                crate::values::FORMAT
            )),
            LoadError::Broken(reason) => Failure::Broken(reason),
            LoadError::Refused(reason) => Failure::Refused(reason),
        }
    }
}

fn open_db(folder: &Folder) -> Result<sled::Db, Failure> {
    open_at(&folder.streams())
}

fn open_at(path: &Path) -> Result<sled::Db, Failure> {
    let config = sled::Config::new().path(path).cache_capacity(CACHE_BYTES).flush_every_ms(None);
    let mut waited = Duration::ZERO;
    loop {
        match config.open() {
            Ok(db) => return Ok(db),
            // Our own lock is held, so only the remains of an earlier store in this very process can hold sled's.
            Err(error) if is_lock(&error) && waited < LINGER => {
                std::thread::sleep(LINGER_STEP);
                waited += LINGER_STEP;
            }
            Err(error) => return Err(failure(&error)),
        }
    }
}

fn is_lock(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(e) if e.to_string().contains("could not acquire lock"))
}

/// Whether an error speaks of the database or of the machine.
fn failure(error: &sled::Error) -> Failure {
    use std::io::ErrorKind;
    match error {
        sled::Error::Io(e)
            if is_lock(error)
                || matches!(
                    e.kind(),
                    ErrorKind::PermissionDenied
                        | ErrorKind::ReadOnlyFilesystem
                        | ErrorKind::StorageFull
                        | ErrorKind::QuotaExceeded
                        | ErrorKind::OutOfMemory
                ) =>
        {
            Failure::Refused(error.to_string())
        }
        _ => Failure::Broken(error.to_string()),
    }
}
