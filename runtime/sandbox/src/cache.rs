//! Compiled plugins on disk.
//!
//! What lies here is native code that will run unsandboxed, so it is only ever ours: the folder belongs to this user
//! and nobody else may write to it; a file's name is a hash of the component, the engine's settings and our version;
//! and the file begins with a checksum of itself. A file that fails any of this is compiled anew. When a file was last used is
//! its time of change; what is on its way lies in a temporary file that is locked meanwhile, so what a crash left can be told.

mod tidy;

use crate::EngineError;
use crate::stats::CLOCK;
use sha2::{Digest, Sha256};
use std::fs::{self, DirBuilder, File};
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};
use tempfile::NamedTempFile;
use tidegate_record::Clock as _;

/// First bytes of a compiled plugin: a name and the format's version.
const MAGIC: &[u8; 8] = b"TGNATIV1";
/// How often a temporary file is made that somebody else tidies away.
const TRIES_MAX: usize = 8;
/// Magic and SHA-256 of what follows.
const HEADER_BYTES: usize = MAGIC.len() + 32;

/// A folder of compiled plugins.
#[derive(Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// Makes the folder where it is not there, and refuses it where others could write to it.
    pub(crate) fn open(folder: PathBuf) -> Result<Self, EngineError> {
        let refuse = |why: String| Err(EngineError::Cache { folder: folder.clone(), why });
        if let Err(error) = DirBuilder::new().recursive(true).mode(0o700).create(&folder) {
            return refuse(format!("cannot be made: {error}"));
        }
        let meta = match fs::symlink_metadata(&folder) {
            Ok(meta) => meta,
            Err(error) => return refuse(format!("cannot be read: {error}")),
        };
        // SAFETY: geteuid has no preconditions.
        let me = unsafe { libc::geteuid() };
        if !meta.is_dir() {
            return refuse("is not a folder (a link will not do)".into());
        }
        if meta.uid() != me {
            return refuse(format!("belongs to user {}, not to {me}: its files are run as native code", meta.uid()));
        }
        if meta.mode() & 0o022 != 0 {
            let mode = meta.mode() & 0o777;
            return refuse(format!(
                "may be written by others (mode {mode:o}): its files are run as native code; chmod 700"
            ));
        }
        Ok(Cache { folder })
    }

    /// The native code of a component, where it was kept.
    pub(crate) fn get(&self, key: &str) -> Option<Vec<u8>> {
        let mut file = File::open(self.file(key)).ok()?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).ok()?;
        let body = bytes.get(HEADER_BYTES..)?;
        let intact = bytes.starts_with(MAGIC) && bytes[MAGIC.len()..HEADER_BYTES] == Sha256::digest(body)[..];
        if !intact {
            tracing::warn!(file = %self.file(key).display(), "compiled plugin is damaged, compiling it again");
            return None;
        }
        // Where that is not allowed it only goes sooner.
        let _ = file.set_modified(UNIX_EPOCH + Duration::from_micros(CLOCK.wall().micros.max(0).unsigned_abs()));
        bytes.drain(..HEADER_BYTES);
        Some(bytes)
    }

    /// Keeps it, all or nothing.
    pub(crate) fn put(&self, key: &str, native: &[u8]) -> io::Result<()> {
        let mut file = self.temporary("new")?;
        file.write_all(MAGIC)?;
        file.write_all(&Sha256::digest(native))?;
        file.write_all(native)?;
        file.as_file().sync_all()?;
        file.persist(self.file(key)).map(drop).map_err(|error| error.error)
    }

    /// Files for a compiling child: its input, written, and its output, empty.
    pub(crate) fn scratch(&self, wasm: &[u8]) -> io::Result<(NamedTempFile, NamedTempFile)> {
        let mut input = self.temporary("wasm")?;
        input.write_all(wasm)?;
        Ok((input, self.temporary("cwasm")?))
    }

    fn file(&self, key: &str) -> PathBuf {
        self.folder.join(format!("{key}.native"))
    }

    /// A file nobody else has, whoever else compiles into this folder and whatever a crash left in it; locked as long as it is
    /// needed.
    fn temporary(&self, extension: &str) -> io::Result<NamedTempFile> {
        for _ in 0..TRIES_MAX {
            let file = tidy::temporary(&self.folder, extension)?;
            // Where files cannot be locked, nobody finds them unlocked either.
            let is_locked = !matches!(file.as_file().try_lock(), Err(fs::TryLockError::WouldBlock));
            if is_locked && file.path().exists() {
                return Ok(file);
            }
            // Who tidies up came between, and took it for one that a crash left.
        }
        Err(io::ErrorKind::WouldBlock.into())
    }
}

/// The name native code is kept under: it holds for one component, one set of engine settings, one of our versions.
pub(crate) fn key(wasm_hash: &[u8; 32], engine: &wasmtime::Engine) -> String {
    let mut hasher = Sha(Sha256::new());
    hasher.0.update(wasm_hash);
    hasher.0.update(env!("CARGO_PKG_VERSION"));
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hex(&hasher.0.finalize())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Feeds what is hashed to SHA-256.
struct Sha(Sha256);

impl Hasher for Sha {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}
