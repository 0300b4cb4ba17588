//! A pair of connected terminals: a serial line without a wire, for demos and tests.

use std::io;
use std::path::PathBuf;
use tokio_serial::{SerialPort as _, SerialStream};

/// A serial line without a wire: what is written to `far` is read at `path`.
#[derive(Debug)]
pub struct Pty {
    /// The device's end.
    pub far: SerialStream,
    /// The gateway's end: a port to open.
    pub path: PathBuf,
    /// Keeps the line up while nobody has the port open.
    _near: SerialStream,
}

impl Pty {
    /// Makes a pair. Must be called within a tokio runtime.
    pub fn open() -> io::Result<Self> {
        let (far, mut near) = SerialStream::pair()?;
        near.set_exclusive(false)?;
        let path = near.name().ok_or_else(|| io::Error::other("the pseudo terminal has no name"))?;
        Ok(Pty { far, path: path.into(), _near: near })
    }
}
