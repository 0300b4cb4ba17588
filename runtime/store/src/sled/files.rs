//! The store's folder: its lock, its files, what the file system says of it.

use super::swap;
use crate::files::Disk;
use crate::values::{SEAL_BYTES, seal, unseal};
use std::ffi::CString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Where the database is, inside the store's folder.
const STREAMS: &str = "streams";
/// Where it is noted how far the database has come.
const TAIL: &str = "tail";
/// Where what is salvaged is gathered, for as long as that takes.
const SCRATCH: &str = "streams.scratch";
/// Free bytes that opening gets by with: sled writes a snapshot of its page table.
const NEEDED_TO_OPEN: u64 = 4 << 20;
/// Most databases set aside that are kept: what breaks so often needs a person.
const BROKEN_MAX: u32 = 8;

/// The store's folder, locked against every other process as long as this lives.
///
/// ```text
/// lock                 flock, held while the store is open
/// streams/             the sled database
/// tail                 how far the database has come, written when that is durable (see [`Folder::note_tail`])
/// streams.broken-N/    databases that did not open
/// streams.salvaged-N/  those of them whose records were brought back
/// streams.new/         a database being rewritten; streams.old/ the one before, for a moment (see [`swap`])
/// ```
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
    tail: OnceLock<File>,
}

impl Folder {
    /// Makes the folder where there is none, locks it and checks that it can be written.
    pub(super) fn lock(path: &Path) -> Result<Self, String> {
        let cannot = |what: &str, error: &std::io::Error| {
            format!("{what}: {error}. Give it a folder this process may write, on a disk with room")
        };
        fs::create_dir_all(path).map_err(|e| cannot("the folder cannot be made", &e))?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(path.join("lock"));
        let lock = lock.map_err(|e| cannot("its lock file cannot be opened", &e))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err("another process has it open. Stop that one, or give this one another store.path".into());
            }
            Err(TryLockError::Error(e)) => return Err(cannot("it cannot be locked", &e)),
        }
        let folder = Folder { path: path.to_path_buf(), _lock: lock, tail: OnceLock::new() };
        folder.give_back_when_full();
        folder.probe().map_err(|e| cannot("it cannot be written", &e))?;
        Ok(folder)
    }

    /// Gives back what the database took ahead where nothing else is left to open it with.
    fn give_back_when_full(&self) {
        if self.free().is_some_and(|free| free < NEEDED_TO_OPEN)
            && let Ok(db) = OpenOptions::new().write(true).open(self.streams().join("db"))
        {
            // Cut where it ends, a file loses what it was given beyond. Where that fails the probe says what is wrong.
            let _ = db.metadata().and_then(|meta| db.set_len(meta.len()));
        }
    }

    /// Keeps bytes beside the database: their number, their checksum, they themselves, written over those before. A
    /// file is not synced that often: after a power cut it may be older than the database, or torn, and then it says
    /// less or nothing. It never says more than the database held.
    pub(super) fn note_tail(&self, bytes: &[u8]) -> Result<(), String> {
        let file = match self.tail.get() {
            Some(file) => file,
            None => {
                let file = OpenOptions::new().create(true).truncate(false).write(true).open(self.path.join(TAIL));
                let file = file.map_err(|e| format!("{TAIL}: {e}"))?;
                self.tail.get_or_init(|| file)
            }
        };
        let mut written = (bytes.len() as u32).to_le_bytes().to_vec();
        written.extend(seal(bytes));
        file.write_all_at(&written, 0).map_err(|e| format!("{TAIL}: {e}"))
    }

    /// What was kept last, in words where there is nothing whole.
    pub(super) fn tail(&self) -> Result<Vec<u8>, String> {
        Folder::unsealed(&fs::read(self.path.join(TAIL)).map_err(|e| format!("{TAIL}: {e}"))?)
    }

    /// What the bytes of the file hold.
    pub(super) fn unsealed(bytes: &[u8]) -> Result<Vec<u8>, String> {
        let (len, sealed) = bytes.split_first_chunk::<4>().ok_or("it is cut short")?;
        let end = (u32::from_le_bytes(*len) as usize).saturating_add(SEAL_BYTES);
        unseal(sealed.get(..end).ok_or("it is cut short")?.to_vec())
    }

    /// Writes, syncs and deletes a file, so that a read-only or full disk is known before a database is blamed for it.
    fn probe(&self) -> std::io::Result<()> {
        let path = self.path.join("probe");
        let mut file = File::create(&path)?;
        file.write_all(&[0; 4096])?;
        file.sync_all()?;
        drop(file);
        fs::remove_file(&path)
    }

    pub(super) fn streams(&self) -> PathBuf {
        self.path.join(STREAMS)
    }

    /// Deletes snapshots that were being written when the power went; gives their names.
    pub(super) fn delete_torn_snapshots(&self) -> Result<Vec<String>, String> {
        let mut deleted = Vec::new();
        let Ok(entries) = fs::read_dir(self.streams()) else { return Ok(deleted) };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("snap.") && name.ends_with(".generating") {
                fs::remove_file(entry.path()).map_err(|e| format!("{name} cannot be deleted: {e}"))?;
                deleted.push(name);
            }
        }
        Ok(deleted)
    }

    /// Makes names durable: every file of the database, its directories, the folder and the folder's parent.
    pub(super) fn sync(&self) -> Result<(), String> {
        Folder::sync_database(&self.streams())?;
        let parent = self.path.canonicalize().ok().and_then(|path| path.parent().map(Path::to_path_buf));
        [self.path.clone()].into_iter().chain(parent).try_for_each(|path| sync_one(&path))
    }

    /// Makes every file of a database and its directories durable.
    pub(super) fn sync_database(path: &Path) -> Result<(), String> {
        let paths = [path.join("conf"), path.join("db"), path.join("blobs"), path.to_path_buf()];
        paths.iter().try_for_each(|path| sync_one(path))
    }

    /// Ends what a crash broke off.
    pub(super) fn recover(&self) -> Result<(), String> {
        swap::recover(&Disk, &self.path).map_err(|e| format!("a rewrite that was broken off cannot be undone: {e}"))?;
        self.forget_scratch();
        Ok(())
    }

    /// Where a new database is made.
    pub(super) fn begin_new(&self) -> Result<PathBuf, String> {
        self.empty("streams.new")
    }

    /// Where what is salvaged is gathered.
    pub(super) fn begin_scratch(&self) -> Result<PathBuf, String> {
        self.empty(SCRATCH)
    }

    fn empty(&self, name: &str) -> Result<PathBuf, String> {
        let path = self.path.join(name);
        match fs::remove_dir_all(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(format!("{name} cannot be deleted: {e}")),
            _ => Ok(path),
        }
    }

    /// Puts the new database, which is finished and synced, in its place.
    pub(super) fn swap(&self) -> Result<(), String> {
        swap::swap(&Disk, &self.path).map_err(|e| format!("the new database cannot be put in its place: {e}"))
    }

    /// Gives a new database up. What cannot be deleted now goes at the next open.
    pub(super) fn forget_new(&self) {
        drop(fs::remove_dir_all(self.path.join("streams.new")));
    }

    /// Deletes what was gathered.
    pub(super) fn forget_scratch(&self) {
        drop(fs::remove_dir_all(self.path.join(SCRATCH)));
    }

    /// A database that was set aside, by its name.
    pub(super) fn checked_aside(&self, name: &str) -> Result<PathBuf, String> {
        if self.aside().iter().any(|known| known == name) {
            return Ok(self.path.join(name));
        }
        let known = self.aside().join(", ");
        Err(format!("{name:?} is no database that was set aside. There are: {known}"))
    }

    /// Renames a database that was set aside, for what is in it is brought back.
    pub(super) fn mark_salvaged(&self, aside: &Path) -> Result<(), String> {
        let named = |n: u32| self.path.join(format!("{STREAMS}.salvaged-{n}"));
        let free = (1..=u32::MAX).map(named).find(|path| !path.exists());
        let free = free.ok_or("there is no name left for it")?;
        fs::rename(aside, &free).map_err(|e| format!("{} cannot be renamed: {e}", aside.display()))?;
        sync_one(&self.path)
    }

    /// Renames the database aside.
    pub(super) fn set_aside(&self) -> Result<PathBuf, String> {
        let aside = |n: u32| self.path.join(format!("{STREAMS}.broken-{n}"));
        let free = (1..=BROKEN_MAX).map(aside).find(|path| !path.exists()).ok_or_else(|| {
            format!("it does not open, and {BROKEN_MAX} databases were set aside already. Check the disk, delete them")
        })?;
        let cannot = |e: std::io::Error| format!("it does not open and cannot be set aside: {e}");
        // The tail tells of this database: it goes with it, and first.
        match fs::rename(self.path.join(TAIL), self.streams().join(TAIL)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(cannot(error)),
            _ => {}
        }
        fs::rename(self.streams(), &free).map_err(cannot)?;
        File::open(&self.path).and_then(|folder| folder.sync_all()).map_err(|e| e.to_string())?;
        Ok(free)
    }

    /// The databases that were set aside, by name.
    pub(super) fn aside(&self) -> Vec<String> {
        let name = |n: u32| format!("{STREAMS}.broken-{n}");
        (1..=BROKEN_MAX).map(name).filter(|name| self.path.join(name).exists()).collect()
    }

    /// Bytes of the database's files.
    pub(super) fn bytes(&self) -> u64 {
        let of = |path: PathBuf| -> u64 {
            let files = fs::read_dir(path).into_iter().flatten().flatten();
            files.filter_map(|file| file.metadata().ok()).filter(|m| m.is_file()).map(|m| m.len()).sum()
        };
        of(self.streams()) + of(self.streams().join("blobs"))
    }

    /// Bytes free on the file system for processes like this one.
    pub(super) fn free(&self) -> Option<u64> {
        free_at(&self.path)
    }
}

fn sync_one(path: &Path) -> Result<(), String> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|e| format!("{}: {e}", path.display()))
}

#[cfg(test)]
thread_local! {
    /// What a test has the file system say.
    pub(super) static PRETENDED_FREE: std::cell::Cell<Option<u64>> = const { std::cell::Cell::new(None) };
}

/// Bytes free for processes like this one on the file system of a folder.
fn free_at(path: &Path) -> Option<u64> {
    #[cfg(test)]
    if let Some(free) = PRETENDED_FREE.get() {
        return Some(free);
    }
    let path = CString::new(path.as_os_str().as_bytes()).ok()?;
    let mut stat = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: `path` ends in NUL and lives through the call; `stat` is read only after the call filled it.
    let stat = unsafe {
        if libc::statvfs(path.as_ptr(), stat.as_mut_ptr()) != 0 {
            return None;
        }
        stat.assume_init()
    };
    Some(stat.f_bavail * stat.f_frsize)
}

/// Bytes free for processes like this one on the file system where a folder is, or would be made.
pub fn free_bytes(path: &Path) -> Option<u64> {
    let path = std::path::absolute(path).ok()?;
    free_at(path.ancestors().find(|folder| folder.is_dir())?)
}
