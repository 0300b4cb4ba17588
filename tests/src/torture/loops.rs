//! Loop devices and mounts that nothing leaves behind.
//!
//! The thread that mounts has a mount namespace of its own, and every loop device clears itself at its last close: when
//! the thread or the process ends, however it ends, the kernel unmounts and detaches everything.

use crate::wait::poll;
use std::ffi::CString;
use std::fs::File;
use std::io::Error;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// `LOOP_CTL_GET_FREE` and `LOOP_CONFIGURE` of linux/loop.h.
const GET_FREE: libc::c_ulong = 0x4C82;
const CONFIGURE: libc::c_ulong = 0x4C0A;
const AUTOCLEAR: u32 = 4;
const DIRECT_IO: u32 = 16;
/// How often another process may snatch a free device before we have it.
const RACES_MAX: usize = 50;
/// Longest a file system may be busy after the last process on it was killed.
const BUSY_MAX: Duration = Duration::from_secs(20);

/// `struct loop_config` of linux/loop.h; what is not named here stays zero.
#[repr(C)]
struct Config {
    fd: u32,
    block_size: u32,
    /// `struct loop_info64`, whose flags are its 14th word.
    info: [u32; 58],
    reserved: [u64; 8],
}

const FLAGS_WORD: usize = 13;

/// Gives the calling thread, and what it starts from now on, mounts of their own. Needs root.
pub fn own_namespace() -> Result<(), String> {
    // SAFETY: neither call touches memory but the strings, which live through it.
    let done = unsafe {
        if libc::geteuid() != 0 {
            return Err("disks of its own need loop devices and mounts, and those need root: run it as root".into());
        }
        let private = libc::MS_REC | libc::MS_PRIVATE;
        libc::unshare(libc::CLONE_NEWNS) == 0
            && libc::mount(c"none".as_ptr(), c"/".as_ptr(), std::ptr::null(), private, std::ptr::null()) == 0
    };
    let error = Error::last_os_error();
    if done { Ok(()) } else { Err(format!("no mount namespace of its own ({error}): run it where root may mount")) }
}

/// A mounted file system; unmounted when dropped.
#[derive(Debug)]
pub struct Mount {
    point: PathBuf,
}

impl Mount {
    /// Mounts the image `file`, a file system of `kind`, at `point`. Its sectors have `sector` bytes.
    pub fn image(file: &File, kind: &str, point: &Path, sector: u32) -> Result<Self, String> {
        let (device, _open) = attach(file, sector)?;
        let text = |bytes: &[u8]| CString::new(bytes).map_err(|error| error.to_string());
        let (source, target) = (text(device.as_os_str().as_bytes())?, text(point.as_os_str().as_bytes())?);
        let name = text(kind.as_bytes())?;
        // SAFETY: the strings end in NUL and live through the call; there are no options.
        let result = unsafe { libc::mount(source.as_ptr(), target.as_ptr(), name.as_ptr(), 0, std::ptr::null()) };
        let error = Error::last_os_error();
        match result {
            0 => Ok(Mount { point: point.into() }),
            _ => {
                Err(format!("the {kind} image on {} does not mount at {}: {error}", device.display(), point.display()))
            }
        }
    }

    /// Nothing can be written to it any more.
    pub fn make_read_only(&self) -> Result<(), String> {
        let target = CString::new(self.point.as_os_str().as_bytes()).map_err(|error| error.to_string())?;
        let (none, how) = (std::ptr::null(), libc::MS_REMOUNT | libc::MS_RDONLY);
        // SAFETY: the string ends in NUL and lives through the call; a remount takes no source, kind or options.
        match unsafe { libc::mount(none, target.as_ptr(), none, how, std::ptr::null()) } {
            0 => Ok(()),
            _ => Err(format!("{} does not become read-only: {}", self.point.display(), Error::last_os_error())),
        }
    }

    /// Unmounts it, as soon as nobody uses it any more.
    pub fn unmount(self) -> Result<(), String> {
        let result = unmount(&self.point);
        std::mem::forget(self);
        result
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if let Err(error) = unmount(&self.point) {
            eprintln!("{error}; it goes with this process");
        }
    }
}

fn unmount(point: &Path) -> Result<(), String> {
    let target = CString::new(point.as_os_str().as_bytes()).map_err(|error| error.to_string())?;
    // SAFETY: the string ends in NUL and lives through the call.
    poll(BUSY_MAX, || match unsafe { libc::umount2(target.as_ptr(), 0) } {
        0 => Ok(()),
        _ => Err(format!("{} does not unmount: {}", point.display(), Error::last_os_error())),
    })
}

/// A free loop device over `file`, with direct I/O where the file system below can. It is detached at its last close.
fn attach(file: &File, sector: u32) -> Result<(PathBuf, File), String> {
    let say = |what: &str, error: Error| format!("{what}: {error}. Loop devices are needed: `modprobe loop`, as root");
    let control = File::options().read(true).write(true).open("/dev/loop-control");
    let control = control.map_err(|error| say("/dev/loop-control", error))?;
    let mut last = String::new();
    for round in 0..RACES_MAX {
        // SAFETY: this request takes no argument.
        let number = unsafe { libc::ioctl(control.as_raw_fd(), GET_FREE) };
        if number < 0 {
            return Err(say("no loop device is free", Error::last_os_error()));
        }
        let path = PathBuf::from(format!("/dev/loop{number}"));
        let device = File::options().read(true).write(true).open(&path);
        let device = device.map_err(|error| say(&path.display().to_string(), error))?;
        let direct = if round % 2 == 0 { DIRECT_IO } else { 0 };
        let mut config = Config { fd: file.as_raw_fd() as u32, block_size: sector, info: [0; 58], reserved: [0; 8] };
        config.info[FLAGS_WORD] = AUTOCLEAR | direct;
        // SAFETY: `config` has the layout of struct loop_config and lives through the call.
        match unsafe { libc::ioctl(device.as_raw_fd(), CONFIGURE, &raw const config) } {
            0 => return Ok((path, device)),
            _ => last = say(&path.display().to_string(), Error::last_os_error()),
        }
    }
    Err(last)
}
