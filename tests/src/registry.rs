//! A real OCI registry: Debian's docker-registry.

use crate::process::{Process, free_port};
use crate::wait::eventually;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// Longest a start may take.
const START_MAX: Duration = Duration::from_secs(20);

/// A registry with its blobs on disk.
#[derive(Debug)]
pub struct Registry {
    address: SocketAddr,
    folder: TempDir,
    process: Process,
}

impl Registry {
    /// Starts one on a free port.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let config = folder.path().join("registry.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: warn}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: {address}}}\n",
            folder.path().join("store").display()
        );
        std::fs::write(&config, text).expect("a configuration");
        let mut command = Command::new("docker-registry");
        let process = Process::spawn("docker-registry", command.arg("serve").arg(config), &folder.path().join("log"));
        eventually(START_MAX, "the registry listens", || TcpStream::connect(address).map_err(|e| e.to_string()));
        Registry { address, folder, process }
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The file that holds a blob, by its SHA-256 in hexadecimal.
    pub fn blob(&self, sha256: &str) -> PathBuf {
        let blobs = self.folder.path().join("store/docker/registry/v2/blobs/sha256");
        blobs.join(&sha256[..2]).join(sha256).join("data")
    }

    /// Ends it.
    pub fn stop(mut self) {
        self.process.kill();
    }
}
