//! Keys and their files: PEM, as OpenSSL writes them too.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Most bytes of a key's file: a key takes some 120.
const KEY_BYTES_MAX: u64 = 4096;
/// Others may write to it.
const OTHERS_WRITE: u32 = 0o022;
/// Others may do anything with it.
const OTHERS: u32 = 0o077;
/// What keeps a folder's files from being renamed by who does not own them.
const STICKY: u32 = 0o1000;

/// What a key is called: a hash of its public half.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId(pub(super) [u8; 12]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Why a key's file is not used.
#[derive(Debug, thiserror::Error)]
#[error("key {}: {why}", file.display())]
pub struct KeyError {
    /// The file.
    pub file: PathBuf,
    /// What is wrong and what to do.
    pub why: String,
}

/// The half of a key that verifies.
#[derive(Debug, Clone)]
pub struct PublicKey {
    key: wasmsign2::PublicKey,
    id: KeyId,
}

impl PublicKey {
    /// Reads a `.pub` file. One that others may write to, or whose folder they may write to, is refused: they would
    /// say whose plugins run here.
    pub fn read(file: &Path) -> Result<PublicKey, KeyError> {
        let refuse = |why: String| Err(KeyError { file: file.into(), why });
        let folder = match file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            Some(folder) => folder,
            None => Path::new("."),
        };
        match std::fs::metadata(folder) {
            Ok(meta) if meta.mode() & 0o002 != 0 && meta.mode() & STICKY == 0 => {
                return refuse(format!("anybody may replace it: chmod o-w {}", folder.display()));
            }
            Ok(_) => {}
            Err(error) => return refuse(format!("its folder cannot be read: {error}")),
        }
        let text = read(file, OTHERS_WRITE, "whoever may write to it decides whose plugins run here: chmod 644")?;
        match wasmsign2::PublicKey::from_pem(&text) {
            Ok(key) => Ok(PublicKey::of(key)),
            Err(_) => refuse("is no Ed25519 public key in PEM: `tidegate plugin keygen` makes one (NAME.pub)".into()),
        }
    }

    fn of(key: wasmsign2::PublicKey) -> PublicKey {
        let key = key.attach_default_key_id();
        let id = key.key_id().and_then(|id| id.as_slice().try_into().ok()).unwrap_or_default();
        PublicKey { key, id: KeyId(id) }
    }

    /// What it is called.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Whether one of the signatures at the front of these bytes is by this key and over all that follows.
    pub(super) fn verifies(&self, mut bytes: &[u8]) -> bool {
        self.key.verify(&mut bytes, None).is_ok()
    }
}

/// The half of a key that signs. Its `Debug` shows nothing.
pub struct SecretKey {
    pub(super) key: wasmsign2::SecretKey,
    public: PublicKey,
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({})", self.public.id)
    }
}

impl SecretKey {
    /// A new key, at random.
    pub fn generate() -> SecretKey {
        let pair = wasmsign2::KeyPair::generate();
        SecretKey { key: pair.sk, public: PublicKey::of(pair.pk) }
    }

    /// Reads a `.key` file, which nobody else may read or write.
    pub fn read(file: &Path) -> Result<SecretKey, KeyError> {
        let text = read(file, OTHERS, "others may read or write it: chmod 600")?;
        let key = wasmsign2::SecretKey::from_pem(&text).map_err(|_| {
            let why = "is no Ed25519 secret key in PEM: `tidegate plugin keygen` makes one (NAME.key)".into();
            KeyError { file: file.into(), why }
        })?;
        let public = wasmsign2::PublicKey { pk: key.sk.public_key(), key_id: None };
        Ok(SecretKey { key, public: PublicKey::of(public) })
    }

    /// Its other half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Writes both halves to files that are not there yet; the secret one for this user alone.
    pub fn write(&self, secret: &Path, public: &Path) -> Result<(), KeyError> {
        create(secret, 0o600, &self.key.to_pem())?;
        create(public, 0o644, &self.public.key.to_pem()).inspect_err(|_| drop(std::fs::remove_file(secret)))
    }
}

fn create(file: &Path, mode: u32, text: &str) -> Result<(), KeyError> {
    let fails = |error: io::Error| KeyError {
        file: file.into(),
        why: match error.kind() {
            io::ErrorKind::AlreadyExists => "is there already, and a key is not written over: give another name".into(),
            _ => format!("cannot be written: {error}"),
        },
    };
    let mut opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(file).map_err(fails)?;
    opened.write_all(text.as_bytes()).and_then(|()| opened.sync_all()).map_err(fails)
}

/// The text of a file of this user's (or root's) whose mode has none of `denied`. The file looked at is the file read.
fn read(file: &Path, denied: u32, remedy: &str) -> Result<String, KeyError> {
    let refuse = |why: String| KeyError { file: file.into(), why };
    let cannot = |error: io::Error| refuse(format!("cannot be read: {error}"));
    let opened = File::open(file).map_err(cannot)?;
    let meta = opened.metadata().map_err(cannot)?;
    // SAFETY: geteuid has no preconditions.
    let me = unsafe { libc::geteuid() };
    if !meta.is_file() {
        return Err(refuse("is not a file".into()));
    }
    if meta.uid() != me && meta.uid() != 0 {
        return Err(refuse(format!("belongs to user {}, neither to {me} nor to root: chown it", meta.uid())));
    }
    if meta.mode() & denied != 0 {
        return Err(refuse(format!("{remedy} (its mode is {:o})", meta.mode() & 0o777)));
    }
    let mut text = String::new();
    opened.take(KEY_BYTES_MAX).read_to_string(&mut text).map_err(cannot)?;
    Ok(text)
}
