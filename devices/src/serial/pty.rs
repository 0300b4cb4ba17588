//! A pair of connected terminals: a serial line without a wire, for demos and tests.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use tokio_serial::{SerialPort as _, SerialStream};

/// A serial line without a wire: what is written to `far` is read at `path`.
#[derive(Debug)]
pub struct Pty {
    /// The device's end.
    pub far: SerialStream,
    /// The gateway's end: a port to open.
    pub path: PathBuf,
    /// Keeps the line up while nobody has the port open. A plain file: a serial stream would lock the port.
    _near: File,
}

impl Pty {
    /// Makes a pair. Must be called within a tokio runtime.
    pub fn open() -> io::Result<Self> {
        let (far, mut near) = SerialStream::pair()?;
        near.set_exclusive(false)?;
        let path: PathBuf = near.name().ok_or_else(|| io::Error::other("the pseudo terminal has no name"))?.into();
        let near = File::options().read(true).write(true).custom_flags(libc::O_NOCTTY).open(&path)?;
        Ok(Pty { far, path, _near: near })
    }
}
