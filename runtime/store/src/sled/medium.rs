//! sled as a medium.

use super::files::Folder;
use super::{Failure, guarded, open_db};
use crate::keys::Key;
use crate::medium::{Medium, PART_BYTES, WriteSet};
use std::any::Any;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

/// How often more what is written or visited is asked for. sled puts what is used last in one of 256 queues and looks at
/// a queue, and at what of the cache has to go, once 64 uses are in it: pages that are used once or twice pile up, 16,384
/// of them, hundreds of megabytes. A page holds eight values and more, so it brings its queue to 64 by itself.
const USES: usize = 8;
/// Values below it are too small to be worth that.
const USED_BYTES_MIN: usize = 1024;

/// The open database; gone once released.
pub(super) struct SledMedium {
    open: RwLock<Option<Open>>,
}

struct Open {
    db: sled::Db,
    /// The data file, for fdatasync and for space ahead.
    file: File,
    folder: Arc<Folder>,
}

impl SledMedium {
    pub(super) fn new(db: sled::Db, folder: Arc<Folder>) -> Result<Self, String> {
        SledMedium::at(db, &folder.streams(), folder)
    }

    /// A database elsewhere in the store's folder.
    pub(super) fn at(db: sled::Db, path: &Path, folder: Arc<Folder>) -> Result<Self, String> {
        Ok(SledMedium { open: RwLock::new(Some(SledMedium::opened(db, path, folder)?)) })
    }

    fn opened(db: sled::Db, path: &Path, folder: Arc<Folder>) -> Result<Open, String> {
        let path = path.join("db");
        let file = File::options().read(true).write(true).open(&path);
        let file = file.map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(Open { db, file, folder })
    }

    /// Runs `work` on the database; a panic inside sled is an error like others.
    fn with<T>(&self, work: impl FnOnce(&Open) -> Result<T, String>) -> Result<T, String> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        let open = open.as_ref().ok_or("the store is closed")?;
        catch_unwind(AssertUnwindSafe(|| work(open))).unwrap_or_else(|panic| Err(panic_message(&*panic)))
    }
}

impl Open {
    /// Makes sled see to its cache (see [`USES`]).
    fn use_up(&self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let times = if value.len() < USED_BYTES_MIN { 0 } else { USES };
        (0..times).try_for_each(|_| self.db.get(key).map(drop)).map_err(|e| e.to_string())
    }
}

impl Medium for SledMedium {
    fn write(&self, set: &WriteSet) -> Result<(), String> {
        self.with(|open| {
            let mut batch = sled::Batch::default();
            for key in &set.deletes {
                batch.remove(&key.bytes());
            }
            for (key, value) in &set.puts {
                assert!(value.len() <= PART_BYTES, "values are split before they come here");
                batch.insert(&key.bytes(), value.as_slice());
            }
            open.db.apply_batch(batch).map_err(|e| format!("writing: {e}"))?;
            for (key, value) in &set.puts {
                open.use_up(&key.bytes(), value)?;
            }
            open.db.flush().map_err(|e| format!("flushing: {e}"))?;
            open.file.sync_data().map_err(|e| format!("fdatasync: {e}"))
        })
    }

    fn scan(&self, from: Key, to: Key, visit: &mut dyn FnMut(Key, &[u8]) -> bool) -> Result<(), String> {
        if from > to {
            return Ok(());
        }
        self.with(|open| {
            for entry in open.db.range(from.bytes()..=to.bytes()) {
                let (key, value) = entry.map_err(|e| e.to_string())?;
                open.use_up(&key, &value)?;
                if !visit(decode(&key)?, &value) {
                    break;
                }
            }
            Ok(())
        })
    }

    fn last(&self, from: Key, to: Key) -> Result<Option<Key>, String> {
        if from > to {
            return Ok(None);
        }
        self.with(|open| match open.db.range(from.bytes()..=to.bytes()).next_back() {
            Some(entry) => decode(&entry.map_err(|e| e.to_string())?.0).map(Some),
            None => Ok(None),
        })
    }

    fn disk_bytes(&self) -> u64 {
        self.with(|open| Ok(open.folder.bytes())).unwrap_or(0)
    }

    fn disk_free(&self) -> Option<u64> {
        let free = |open: &Open| Ok(open.folder.free().map(|free| free + ahead(&open.file).1));
        self.with(free).ok().flatten()
    }

    /// What sled appends goes there first, so the space stays the store's on a disk that others fill.
    fn take_ahead(&self, bytes: u64) {
        let take = |open: &Open| {
            let (end, ahead) = ahead(&open.file);
            if ahead < bytes - bytes / 4 {
                // SAFETY: the descriptor is open through the call, which touches no memory of ours.
                // Some file systems cannot, and a full one has none to give: then there is that much less.
                unsafe { libc::fallocate(open.file.as_raw_fd(), libc::FALLOC_FL_KEEP_SIZE, end as i64, bytes as i64) };
            }
            Ok(())
        };
        // A released medium needs no space.
        let _ = self.with(take);
    }

    fn note_tail(&self, bytes: &[u8]) {
        // Without it a database that falls behind is not found out: no reason to stop.
        let _ = self.with(|open| open.folder.note_tail(bytes));
    }

    fn tail(&self) -> Option<Vec<u8>> {
        self.with(|open| open.folder.tail()).ok()
    }

    /// sled writes down where its pages are only when it is opened, and then reads all of its log that is younger: with
    /// hours of backlog a start after a power cut would take as long as reading it takes.
    fn renew(&self) -> Result<(), String> {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        let Some(Open { db, file, folder }) = open.take() else { return Ok(()) };
        drop((db, file));
        let renewed = guarded(|| {
            let db = open_db(&folder)?;
            folder.sync().map_err(Failure::Refused)?;
            SledMedium::opened(db, &folder.streams(), folder.clone()).map_err(Failure::Refused)
        });
        let (Failure::Refused(reason) | Failure::Broken(reason)) = match renewed {
            Ok(renewed) => {
                *open = Some(renewed);
                return Ok(());
            }
            Err(failure) => failure,
        };
        Err(format!("it was closed to be opened anew, and does not open: {reason}"))
    }

    fn release(&self) {
        drop(self.open.write().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// Where a file ends, and how many bytes it has been given beyond.
fn ahead(file: &File) -> (u64, u64) {
    file.metadata().map_or((0, 0), |meta| (meta.len(), (meta.blocks() * 512).saturating_sub(meta.len())))
}

fn decode(key: &[u8]) -> Result<Key, String> {
    Key::decode(key).ok_or_else(|| format!("a key that is none of ours: {key:02x?}"))
}

/// What a panic said.
pub(super) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_string());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("sled panicked: {}", text.unwrap_or_else(|| "without a message".into()))
}
