//! Files of our own (backups, exports, the swap of a compacted database), behind a small trait, so that tests can
//! lose what was not synced, tear it, and fail at any step.
//!
//! What a disk owes us, and no more: what was synced stays; a rename is all or nothing, and durable once its folder was
//! synced. So a file is written under another name, synced, renamed, and its folder synced: [`NewFile`] does that.

#[cfg(test)]
mod memory;

#[cfg(test)]
pub(crate) use memory::{Fault, MemoryFiles};

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// Room for what is written before it goes to the disk.
const BUFFER_BYTES: usize = 64 << 10;

/// What we ask of a file system.
pub trait Files: Send + Sync + 'static {
    /// Makes a file, or empties one that is there.
    fn create(&self, path: &Path) -> io::Result<Box<dyn Writing>>;
    /// Opens a file for reading from its beginning.
    fn open(&self, path: &Path) -> io::Result<Box<dyn Read + Send>>;
    /// Gives a file or a folder another name on the same file system. A file there is replaced.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Deletes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes a folder and those above it, where they are not there.
    fn make_folder(&self, path: &Path) -> io::Result<()>;
    /// Deletes a folder with all that is in it.
    fn remove_folder(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
    /// Whether there is a file or a folder of this name.
    fn exists(&self, path: &Path) -> bool;
}

/// A file being written.
pub trait Writing: Write + Send {
    /// Makes everything written so far durable.
    fn sync(&mut self) -> io::Result<()>;
}

/// The machine's file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl Files for Disk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Writing>> {
        let file = OpenOptions::new().create(true).truncate(true).write(true).open(path)?;
        Ok(Box::new(BufWriter::with_capacity(BUFFER_BYTES, file)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, File::open(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }
}

impl Writing for BufWriter<File> {
    fn sync(&mut self) -> io::Result<()> {
        self.flush()?;
        self.get_ref().sync_all()
    }
}

/// A file that is there whole or not at all: written beside its place under `NAME.part`, which goes when this is dropped
/// before [`NewFile::finish`].
pub struct NewFile<'f> {
    files: &'f dyn Files,
    path: PathBuf,
    part: PathBuf,
    writing: Option<Box<dyn Writing>>,
}

impl<'f> NewFile<'f> {
    /// Begins the file that will be at `path`.
    pub fn create(files: &'f dyn Files, path: &Path) -> io::Result<Self> {
        let name = path.file_name().ok_or_else(|| io::Error::other("that is no name of a file"))?;
        let mut part = name.to_os_string();
        part.push(".part");
        let part = path.with_file_name(part);
        let writing = Some(files.create(&part)?);
        Ok(NewFile { files, path: path.into(), part, writing })
    }

    /// Makes it durable and gives it its name.
    pub fn finish(mut self) -> io::Result<()> {
        let mut writing = self.writing.take().ok_or_else(closed)?;
        let named = writing.sync().and_then(|()| {
            drop(writing);
            self.files.rename(&self.part, &self.path)
        });
        if let Err(error) = named {
            // It is not there: the name may be used again.
            let _ = self.files.remove(&self.part);
            return Err(error);
        }
        self.files.sync_folder(&folder_of(&self.path))
    }
}

impl Write for NewFile<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writing.as_mut().ok_or_else(closed)?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writing.as_mut().ok_or_else(closed)?.flush()
    }
}

impl Drop for NewFile<'_> {
    fn drop(&mut self) {
        if self.writing.take().is_some() {
            let _ = self.files.remove(&self.part);
        }
    }
}

/// The folder a file is in.
pub(crate) fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.into(),
        _ => PathBuf::from("."),
    }
}

fn closed() -> io::Error {
    io::Error::other("the file is closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(files: &dyn Files, path: &str) -> Option<String> {
        let mut text = String::new();
        files.open(Path::new(path)).ok()?.read_to_string(&mut text).unwrap();
        Some(text)
    }

    fn write(files: &dyn Files, path: &str, text: &str) -> io::Result<()> {
        let mut file = NewFile::create(files, Path::new(path))?;
        file.write_all(text.as_bytes())?;
        file.finish()
    }

    #[test]
    fn a_new_file_is_there_whole_or_not_at_all_whenever_the_power_goes() {
        let steps = {
            let files = MemoryFiles::new(1);
            write(&files, "a", "new and longer").unwrap();
            files.steps()
        };
        assert!(steps >= 4, "create, write, sync, rename, sync of the folder: {steps}");
        for seed in 0..20 {
            for step in 0..=steps {
                let files = MemoryFiles::new(seed);
                write(&files, "a", "old").unwrap();
                files.fail_at(step, Fault::PowerCut);
                let written = write(&files, "a", "new and longer");
                files.power_cut();
                let found = text(&files, "a");
                if written.is_ok() {
                    assert_eq!(found.as_deref(), Some("new and longer"), "seed {seed}, step {step}");
                } else {
                    let whole = matches!(found.as_deref(), Some("old" | "new and longer"));
                    assert!(whole, "seed {seed}, step {step}: {found:?}");
                }
            }
        }
    }

    #[test]
    fn a_disk_that_fails_leaves_what_was_there_and_no_part() {
        for fault in [Fault::NoSpace, Fault::Io] {
            for step in 0..4 {
                let files = MemoryFiles::new(step);
                write(&files, "a", "old").unwrap();
                files.fail_at(step, fault);
                assert!(write(&files, "a", "new").is_err(), "{fault:?} at {step}");
                assert_eq!(text(&files, "a").as_deref(), Some("old"), "{fault:?} at {step}");
                assert_eq!(text(&files, "a.part"), None, "{fault:?} at {step}");
            }
        }
    }

    #[test]
    fn what_was_not_synced_may_be_lost_or_torn_and_what_was_is_not() {
        let mut found = std::collections::BTreeSet::new();
        for seed in 0..50 {
            let files = MemoryFiles::new(seed);
            let mut file = files.create(Path::new("a")).unwrap();
            file.write_all(b"kept").unwrap();
            file.sync().unwrap();
            files.sync_folder(Path::new(".")).unwrap();
            file.write_all(b"12345678").unwrap();
            files.power_cut();
            let text = text(&files, "a").unwrap();
            assert!("kept12345678".starts_with(&text[..4]), "{text}");
            found.insert(text.len());
            assert!(file.write_all(b"x").is_err(), "an open file does not outlive the power");
        }
        assert!(found.contains(&4) && found.contains(&12) && found.len() > 3, "{found:?}");
    }

    #[test]
    fn the_disk_does_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        write(&Disk, &path("a"), "old").unwrap();
        drop(NewFile::create(&Disk, Path::new(&path("a"))).unwrap());
        assert_eq!(text(&Disk, &path("a")).as_deref(), Some("old"), "given up before it was finished");
        write(&Disk, &path("a"), "new").unwrap();
        assert_eq!(text(&Disk, &path("a")).as_deref(), Some("new"));
        let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(names, [folder.path().join("a")]);
    }
}
