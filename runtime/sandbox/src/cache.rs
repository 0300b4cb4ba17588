//! Compiled plugins on disk.
//!
//! What lies here is native code that will run unsandboxed, so it is only ever ours: the folder belongs to this user
//! and nobody else may write to it; a file's name is a hash of the component, the engine's settings and our version;
//! and the file begins with a checksum of itself. A file that fails any of this is compiled anew.

use crate::EngineError;
use sha2::{Digest, Sha256};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// First bytes of a compiled plugin: a name and the format's version.
const MAGIC: &[u8; 8] = b"TGNATIV1";
/// Magic and SHA-256 of what follows.
const HEADER_BYTES: usize = MAGIC.len() + 32;

/// A folder of compiled plugins.
#[derive(Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
}

/// A file that is removed when dropped.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
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
        let mut bytes = fs::read(self.file(key)).ok()?;
        let body = bytes.get(HEADER_BYTES..)?;
        let intact = bytes.starts_with(MAGIC) && bytes[MAGIC.len()..HEADER_BYTES] == Sha256::digest(body)[..];
        if !intact {
            tracing::warn!(file = %self.file(key).display(), "compiled plugin is damaged, compiling it again");
            return None;
        }
        bytes.drain(..HEADER_BYTES);
        Some(bytes)
    }

    /// Keeps it, all or nothing.
    pub(crate) fn put(&self, key: &str, native: &[u8]) -> io::Result<()> {
        let temporary = self.temporary("new");
        let mut file = create(temporary.path())?;
        file.write_all(MAGIC)?;
        file.write_all(&Sha256::digest(native))?;
        file.write_all(native)?;
        file.sync_all()?;
        fs::rename(temporary.path(), self.file(key))
    }

    /// Files for a compiling child: its input, written, and the name of its output.
    pub(crate) fn scratch(&self, wasm: &[u8]) -> io::Result<(Scratch, Scratch)> {
        let input = self.temporary("wasm");
        create(input.path())?.write_all(wasm)?;
        Ok((input, self.temporary("cwasm")))
    }

    fn file(&self, key: &str) -> PathBuf {
        self.folder.join(format!("{key}.native"))
    }

    fn temporary(&self, extension: &str) -> Scratch {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Scratch(self.folder.join(format!("tmp-{}-{count}.{extension}", std::process::id())))
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

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}
