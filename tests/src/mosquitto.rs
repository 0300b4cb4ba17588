//! A real MQTT broker.

use crate::process::{Process, free_port};
use crate::wait::eventually;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// Longest a start may take.
const START_MAX: Duration = Duration::from_secs(20);

/// mosquitto with sessions on disk and no limit on what it queues.
#[derive(Debug)]
pub struct Mosquitto {
    port: u16,
    folder: TempDir,
    process: Process,
}

impl Mosquitto {
    /// Starts a broker on a free port.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let port = free_port();
        // `user root`: started as root it would become another user, who may not write here.
        let config = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\nuser root\npersistence true\npersistence_location {}/\n\
             max_queued_messages 0\nmax_inflight_messages 1024\nset_tcp_nodelay true\n\
             log_dest file {}\nlog_type all\n",
            folder.path().display(),
            folder.path().join("packets").display(),
        );
        std::fs::write(folder.path().join("mosquitto.conf"), config).expect("a configuration");
        let process = spawn(folder.path().to_path_buf());
        let broker = Mosquitto { port, folder, process };
        broker.ready();
        broker
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// `mqtt://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("mqtt://{}", self.addr())
    }

    /// Stops it in an orderly way (sessions and what they have not acknowledged go to disk) and starts it again.
    pub fn restart(&mut self) {
        self.process.terminate(START_MAX);
        self.process = spawn(self.folder.path().to_path_buf());
        self.ready();
    }

    /// How many publishes it has sent to a client again (with the DUP flag), by its own log.
    pub fn redeliveries(&self, client_id: &str) -> u64 {
        let log = File::open(self.folder.path().join("packets")).expect("the log of packets");
        let again = format!("Sending PUBLISH to {client_id} (d1,");
        let lines = BufReader::new(log).lines().map(|line| line.expect("lines of text"));
        lines.filter(|line| line.contains(&again)).count() as u64
    }

    fn ready(&self) {
        eventually(START_MAX, "mosquitto listens", || TcpStream::connect(self.addr()).map_err(|e| e.to_string()));
    }
}

fn spawn(folder: PathBuf) -> Process {
    let program = if PathBuf::from("/usr/sbin/mosquitto").exists() { "/usr/sbin/mosquitto" } else { "mosquitto" };
    let mut command = Command::new(program);
    command.arg("-c").arg(folder.join("mosquitto.conf"));
    Process::spawn("mosquitto", &mut command, &folder.join("log"))
}
