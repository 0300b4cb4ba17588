//! A disk whose power can be cut, and a disk that is small.
//!
//! ```text
//! ext4            where the gateway's store is: its page cache is what a power cut takes
//!   loop device   with direct I/O: what ext4 submits is in the image below, or not yet
//!     image       a file on XFS, copied by FICLONE: one instant of it
//!       XFS       on a loop device over a file without a name
//! ```
//!
//! What a cut keeps is what ext4 had written to its device when the copy was made: data that was only in memory, sizes
//! and names that were not in the journal yet are gone, and the journal is replayed at the next mount. FICLONE waits for
//! writes under way and takes none in while it copies, so each of them is in the copy or is not. What a cut does *not*
//! show is a drive with a volatile cache that loses or reorders writes it has completed: to this disk every completed
//! write is on the platter, whether a flush followed or not. A store that fsyncs too little is found (it is ext4 that has
//! not written yet), a file system that flushes too little is not.

use super::loops::{Mount, own_namespace};
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// `FICLONE` of linux/fs.h.
const FICLONE: libc::c_ulong = 0x4004_9409;
/// `EXT4_IOC_SHUTDOWN` of linux/ext4.h, and its way that keeps nothing of the journal that is not on the device.
const SHUTDOWN: libc::c_ulong = 0x8004_587D;
const NOTHING_LOGGED: u32 = 2;
/// Sectors and ext4 blocks: direct I/O to an image that shares its blocks with a copy has this grain.
const GRAIN: u32 = 4096;
/// mkfs.xfs makes none below 300 MiB; the file is sparse.
const SHELF_BYTES: u64 = 4 << 30;

/// ext4 at a folder, whose power can be cut. Everything of it goes when it is dropped.
#[derive(Debug)]
pub struct Disk {
    point: PathBuf,
    /// `None` only between two mounts.
    mounted: Option<Mount>,
    image: PathBuf,
    images: u32,
    // Dropped after what is mounted from it.
    _shelf: Mount,
    folder: TempDir,
}

/// What was on a [`Disk`] at one instant.
#[derive(Debug)]
pub struct Cut {
    image: PathBuf,
}

impl Disk {
    /// A fresh ext4 of so many bytes, mounted at `point`, which is made.
    pub fn at(point: &Path, bytes: u64) -> Result<Self, String> {
        own_namespace()?;
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let shelf = shelf(folder.path())?;
        let image = folder.path().join("shelf/disk-0");
        sparse(&image, bytes)?;
        make("mkfs.ext4", &["-q", "-F", "-b", &GRAIN.to_string(), "-m", "0"], &image)?;
        fs::create_dir_all(point).map_err(|error| at(point, error))?;
        let mut disk = Disk { point: point.into(), mounted: None, image, images: 1, _shelf: shelf, folder };
        disk.mount()?;
        Ok(disk)
    }

    /// Where it is mounted.
    pub fn point(&self) -> &Path {
        &self.point
    }

    /// Cuts the power, as far as the disk is concerned: what it holds at this instant.
    pub fn cut(&mut self) -> Result<Cut, String> {
        let copy = self.folder.path().join(format!("shelf/disk-{}", self.images));
        self.images += 1;
        let (from, to) = (open(&self.image)?, File::create_new(&copy).map_err(|error| at(&copy, error))?);
        // SAFETY: both descriptors are open through the call, which touches no memory of ours.
        match unsafe { libc::ioctl(to.as_raw_fd(), FICLONE, from.as_raw_fd()) } {
            0 => Ok(Cut { image: copy }),
            _ => Err(at(&copy, std::io::Error::last_os_error())),
        }
    }

    /// Comes back from a cut: unmounts what went on after it, and mounts what was there at it. Nobody may use the disk.
    pub fn recover(&mut self, cut: Cut) -> Result<(), String> {
        if let Some(mounted) = self.mounted.take() {
            mounted.unmount()?;
        }
        fs::remove_file(&self.image).map_err(|error| at(&self.image, error))?;
        self.image = cut.image;
        self.mount()
    }

    /// The card dies: from now on the file system answers with errors.
    pub fn die(&self) -> Result<(), String> {
        let root = File::open(&self.point).map_err(|error| at(&self.point, error))?;
        let how = NOTHING_LOGGED;
        // SAFETY: the descriptor is open through the call, and the kernel reads one u32.
        match unsafe { libc::ioctl(root.as_raw_fd(), SHUTDOWN, &raw const how) } {
            0 => Ok(()),
            _ => Err(at(&self.point, std::io::Error::last_os_error())),
        }
    }

    /// Unmounts it, as soon as nobody uses it, and mounts it again.
    pub fn mount_again(&mut self, read_only: bool) -> Result<(), String> {
        if let Some(mounted) = self.mounted.take() {
            mounted.unmount()?;
        }
        self.mount()?;
        self.mounted.as_ref().filter(|_| read_only).map_or(Ok(()), Mount::make_read_only)
    }

    fn mount(&mut self) -> Result<(), String> {
        self.mounted = Some(Mount::image(&open(&self.image)?, "ext4", &self.point, GRAIN)?);
        Ok(())
    }
}

/// XFS that can copy files by reference, mounted at `folder/shelf`. Its image has no name any more.
fn shelf(folder: &Path) -> Result<Mount, String> {
    let (image, point) = (folder.join("shelf.image"), folder.join("shelf"));
    sparse(&image, SHELF_BYTES)?;
    make("mkfs.xfs", &["-q", "-m", "reflink=1"], &image)?;
    let file = open(&image)?;
    fs::remove_file(&image).and_then(|()| fs::create_dir(&point)).map_err(|error| at(&point, error))?;
    Mount::image(&file, "xfs", &point, 0)
}

fn sparse(path: &Path, bytes: u64) -> Result<(), String> {
    File::create_new(path).and_then(|file| file.set_len(bytes)).map_err(|error| at(path, error))
}

fn open(path: &Path) -> Result<File, String> {
    File::options().read(true).write(true).open(path).map_err(|error| at(path, error))
}

fn make(program: &str, arguments: &[&str], image: &Path) -> Result<(), String> {
    let in_sbin = PathBuf::from("/usr/sbin").join(program);
    let path = if in_sbin.exists() { in_sbin } else { program.into() };
    let made = Command::new(path).args(arguments).arg(image).output();
    let made = made.map_err(|error| format!("{program} does not start ({error}): run `cargo xtask setup`"))?;
    match made.status.success() {
        true => Ok(()),
        false => Err(format!("{program}: {}", String::from_utf8_lossy(&made.stderr))),
    }
}

fn at(path: &Path, error: std::io::Error) -> String {
    format!("{}: {error}", path.display())
}
