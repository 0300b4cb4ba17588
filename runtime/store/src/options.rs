//! How a store is set up: `[store]` of the configuration.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tidegate_record::{Clock, SystemClock};

/// Settings of a store.
#[derive(Clone)]
pub struct Options {
    /// The store's folder (sled only).
    pub path: PathBuf,
    /// The gateway's name: part of every record's identity.
    pub gateway: String,
    /// How long a group commit waits for company.
    pub commit_interval: Duration,
    /// So many encoded bytes waiting begin a commit at once.
    pub commit_bytes: u64,
    /// Most bytes the store may take on disk.
    pub max_bytes: u64,
    /// Bytes of the file system kept for draining; half of them are taken ahead.
    pub reserve: u64,
    /// Most bytes that may wait for a commit, in memory.
    pub staged_bytes: usize,
    /// Most bytes of each stream kept decoded in memory for readers that keep up.
    pub tail_bytes: usize,
    /// After so many bytes written the database is opened anew: what it wrote since is what it reads at its next open.
    pub renew_bytes: u64,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// What a new store's epoch is drawn from instead of the machine's randomness: for simulations, which must be the
    /// same every time. Two stores of one seed give the same identities.
    pub epoch_seed: Option<u64>,
}

impl Options {
    /// The defaults of the configuration reference.
    pub fn new(path: impl Into<PathBuf>, gateway: impl Into<String>) -> Self {
        Options {
            path: path.into(),
            gateway: gateway.into(),
            commit_interval: Duration::from_millis(200),
            commit_bytes: 64 << 10,
            max_bytes: 1 << 30,
            reserve: 64 << 20,
            staged_bytes: 16 << 20,
            tail_bytes: 4 << 20,
            renew_bytes: 64 << 20,
            clock: Arc::new(SystemClock::default()),
            epoch_seed: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("path", &self.path).field("gateway", &self.gateway).finish_non_exhaustive()
    }
}
