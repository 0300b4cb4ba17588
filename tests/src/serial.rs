//! A pair of pseudo-terminals: a serial port whose far end is the test.

use crate::process::Process;
use crate::wait::eventually;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// Longest socat may take to make the pair.
const START_MAX: Duration = Duration::from_secs(20);

/// Two ends of a serial line, kept by socat.
#[derive(Debug)]
pub struct SerialLine {
    folder: TempDir,
    socat: Process,
    /// Both ends stay open here: socat would end when the last user of one closes it.
    ends: Vec<File>,
}

impl SerialLine {
    /// A line that is plugged in.
    pub fn plugged() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let socat = spawn(&folder);
        let mut line = SerialLine { folder, socat, ends: Vec::new() };
        line.ready();
        line
    }

    /// The port the gateway opens.
    pub fn port(&self) -> PathBuf {
        self.folder.path().join("gateway")
    }

    /// Sends bytes to the gateway.
    pub fn send(&mut self, bytes: &[u8]) {
        self.ends[1].write_all(bytes).expect("a plugged line");
    }

    /// Pulls the plug: the port hangs up and is gone.
    pub fn unplug(&mut self) {
        self.ends.clear();
        // socat removes its links when it ends in an orderly way.
        self.socat.terminate(START_MAX);
        assert!(!self.port().exists(), "socat left its link");
    }

    /// Plugs it in again, under the same name.
    pub fn plug(&mut self) {
        self.socat = spawn(&self.folder);
        self.ready();
    }

    fn ready(&mut self) {
        let open = |name: &str| {
            let path = self.folder.path().join(name);
            eventually(START_MAX, "socat makes both ends", || {
                // O_NOCTTY: the test must not be hung up with the line.
                let options = File::options().read(true).write(true).custom_flags(libc::O_NOCTTY).clone();
                options.open(&path).map_err(|error| format!("{}: {error}", path.display()))
            })
        };
        self.ends = vec![open("gateway"), open("device")];
    }
}

fn spawn(folder: &TempDir) -> Process {
    let end = |name: &str| format!("pty,raw,echo=0,link={}", folder.path().join(name).display());
    let mut command = Command::new("socat");
    command.arg(end("gateway")).arg(end("device"));
    Process::spawn("socat", &mut command, &folder.path().join("log"))
}
