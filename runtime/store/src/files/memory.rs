//! Files in memory, on a disk that forgets: for tests of everything that writes files of its own.

use super::{Files, Writing, folder_of};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Cursor, ErrorKind, Read, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What goes wrong at a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The disk is full: this step fails, a later one may not.
    NoSpace,
    /// An error of the device: this step fails, and after one of a sync nothing of that file is durable any more.
    Io,
    /// Nothing works from here on; [`MemoryFiles::power_cut`] says what is left.
    PowerCut,
}

/// A file system in memory. Every write, sync, rename and delete is a step that can be made to fail; a power cut loses
/// or tears what was not synced, drawn from a seed. Cloned, it is the same one.
#[derive(Clone)]
pub struct MemoryFiles {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    /// As processes see it.
    names: BTreeMap<PathBuf, usize>,
    /// As it would be after a power cut, but for what the cut lets through.
    durable_names: BTreeMap<PathBuf, usize>,
    folders: BTreeSet<PathBuf>,
    durable_folders: BTreeSet<PathBuf>,
    /// What was done to folders and is not durable yet, in order.
    pending: Vec<Change>,
    contents: Vec<Content>,
    steps: u64,
    fault: Option<(u64, Fault)>,
    dead: bool,
    /// Counts power cuts: files opened before one are gone.
    boot: u64,
    rng: StdRng,
}

/// What was done to a folder, with all that is in it.
#[derive(Clone)]
enum Change {
    Made(PathBuf),
    Renamed(PathBuf, PathBuf),
    Removed(PathBuf),
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>, folders: &mut BTreeSet<PathBuf>) {
        match self {
            Change::Made(path) => folders.extend(path.ancestors().map(Path::to_path_buf)),
            Change::Removed(path) => {
                names.retain(|name, _| !name.starts_with(path));
                folders.retain(|name| !name.starts_with(path));
            }
            Change::Renamed(from, to) => {
                let moved = |path: &PathBuf| match path.strip_prefix(from) {
                    Ok(rest) if rest.as_os_str().is_empty() => to.clone(),
                    Ok(rest) => to.join(rest),
                    Err(_) => path.clone(),
                };
                *names = names.iter().map(|(path, content)| (moved(path), *content)).collect();
                *folders = folders.iter().map(moved).collect();
            }
        }
    }

    /// Whether syncing `folder` makes it durable.
    fn is_in(&self, folder: &Path) -> bool {
        let (Change::Made(path) | Change::Renamed(_, path) | Change::Removed(path)) = self;
        plain(&folder_of(path)) == folder
    }
}

#[derive(Default)]
struct Content {
    bytes: Vec<u8>,
    synced: usize,
    /// A sync failed: the disk may have dropped what it says it wrote.
    failed: bool,
}

impl fmt::Debug for MemoryFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryFiles").field("names", &self.lock().names.keys()).finish_non_exhaustive()
    }
}

impl MemoryFiles {
    /// An empty file system.
    pub fn new(seed: u64) -> Self {
        let inner = Inner {
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            folders: BTreeSet::from([PathBuf::new()]),
            durable_folders: BTreeSet::from([PathBuf::new()]),
            pending: Vec::new(),
            contents: Vec::new(),
            steps: 0,
            fault: None,
            dead: false,
            boot: 0,
            rng: StdRng::seed_from_u64(seed),
        };
        MemoryFiles { inner: Arc::new(Mutex::new(inner)) }
    }

    /// Steps taken so far.
    pub fn steps(&self) -> u64 {
        self.lock().steps
    }

    /// Fails the step that comes after `steps` further ones.
    pub fn fail_at(&self, steps: u64, fault: Fault) {
        let mut inner = self.lock();
        inner.fault = Some((inner.steps + steps, fault));
    }

    /// Cuts the power and brings it back: what was synced is there, of everything else a part. Renames reach the disk in
    /// their order, as far as they did.
    pub fn power_cut(&self) {
        let mut inner = self.lock();
        let inner = &mut *inner;
        inner.boot += 1;
        (inner.dead, inner.fault) = (false, None);
        if inner.rng.random_bool(0.5) {
            let done = inner.rng.random_range(0..=inner.pending.len());
            for change in &inner.pending[..done] {
                change.apply(&mut inner.durable_names, &mut inner.durable_folders);
            }
            inner.names = inner.durable_names.clone();
            inner.folders = inner.durable_folders.clone();
        } else {
            inner.durable_names = inner.names.clone();
            inner.durable_folders = inner.folders.clone();
        }
        inner.pending.clear();
        for content in &mut inner.contents {
            let keep = match inner.rng.random_range(0..3) {
                0 => content.synced,
                1 => content.bytes.len(),
                _ => inner.rng.random_range(content.synced..=content.bytes.len()),
            };
            content.bytes.truncate(keep);
            // A block that was allocated and never written.
            if keep > content.synced && inner.rng.random_bool(0.3) {
                content.bytes[content.synced..].fill(0);
            }
            (content.synced, content.failed) = (keep, false);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.names, &mut self.folders);
        self.pending.push(change);
    }

    /// One step; fails where it was told to.
    fn step(&mut self) -> io::Result<()> {
        let now = self.steps;
        self.steps += 1;
        if self.dead {
            return Err(io::Error::other("the power was cut"));
        }
        match self.fault.take_if(|(at, _)| *at == now) {
            None => Ok(()),
            Some((_, Fault::NoSpace)) => Err(ErrorKind::StorageFull.into()),
            Some((_, Fault::Io)) => Err(io::Error::from_raw_os_error(libc::EIO)),
            Some((_, Fault::PowerCut)) => {
                self.dead = true;
                Err(io::Error::other("the power was cut"))
            }
        }
    }
}

/// The path without `.`.
fn plain(path: &Path) -> PathBuf {
    path.components().filter(|component| !matches!(component, Component::CurDir)).collect()
}

impl Files for MemoryFiles {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Writing>> {
        let path = plain(path);
        let mut inner = self.lock();
        inner.step()?;
        if !inner.folders.contains(&plain(&folder_of(&path))) {
            return Err(ErrorKind::NotFound.into());
        }
        inner.contents.push(Content::default());
        let content = inner.contents.len() - 1;
        inner.names.insert(path, content);
        Ok(Box::new(Open { files: self.clone(), content, boot: inner.boot }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        let inner = self.lock();
        let content = inner.names.get(&plain(path)).ok_or(ErrorKind::NotFound)?;
        Ok(Box::new(Cursor::new(inner.contents[*content].bytes.clone())))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (plain(from), plain(to));
        let mut inner = self.lock();
        inner.step()?;
        if let Some(content) = inner.names.remove(&from) {
            inner.names.insert(to, content);
            return Ok(());
        }
        if !inner.folders.contains(&from) {
            return Err(ErrorKind::NotFound.into());
        }
        inner.change(Change::Renamed(from, to));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.lock();
        inner.step()?;
        inner.names.remove(&plain(path)).map(drop).ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.lock();
        inner.step()?;
        inner.change(Change::Made(plain(path)));
        Ok(())
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.lock();
        inner.step()?;
        inner.change(Change::Removed(plain(path)));
        Ok(())
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.lock();
        inner.step()?;
        let inner = &mut *inner;
        let folder = plain(path);
        let (durable, pending) = inner.pending.drain(..).partition(|change| change.is_in(&folder));
        inner.pending = pending;
        let durable: Vec<Change> = durable;
        durable.iter().for_each(|change| change.apply(&mut inner.durable_names, &mut inner.durable_folders));
        let inside = |name: &PathBuf| plain(&folder_of(name)) == folder;
        inner.durable_names.retain(|name, _| !inside(name));
        let now: Vec<_> = inner.names.iter().filter(|(name, _)| inside(name)).map(|(n, c)| (n.clone(), *c)).collect();
        inner.durable_names.extend(now);
        Ok(())
    }

    fn exists(&self, path: &Path) -> bool {
        let (inner, path) = (self.lock(), plain(path));
        inner.names.contains_key(&path) || inner.folders.contains(&path)
    }
}

/// An open file.
struct Open {
    files: MemoryFiles,
    content: usize,
    boot: u64,
}

impl Open {
    fn step(&self) -> io::Result<MutexGuard<'_, Inner>> {
        let mut inner = self.files.lock();
        if inner.boot != self.boot {
            return Err(io::Error::other("the power was cut"));
        }
        inner.step()?;
        Ok(inner)
    }
}

impl Write for Open {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.step()?.contents[self.content].bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Writing for Open {
    fn sync(&mut self) -> io::Result<()> {
        let stepped = self.step().map(drop);
        let mut inner = self.files.lock();
        let content = &mut inner.contents[self.content];
        content.failed |= stepped.is_err();
        stepped?;
        // After a failed sync a second one says yes and has written nothing.
        if !content.failed {
            content.synced = content.bytes.len();
        }
        Ok(())
    }
}
