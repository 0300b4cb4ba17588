//! A wall clock of its own for a child process, by Debian's faketime.

use std::path::PathBuf;
use tempfile::TempDir;

/// What a process started with its environment takes for the wall clock. Its boot clock is the machine's.
#[derive(Debug)]
pub struct WallClock {
    folder: TempDir,
}

impl WallClock {
    /// At this date (`1970-01-02 00:00:00`) when the process starts, and going on from there.
    pub fn at(date: &str) -> Self {
        let clock = WallClock { folder: tempfile::tempdir().expect("a folder") };
        clock.begin_at(date);
        clock
    }

    /// The same for the next process.
    pub fn begin_at(&self, date: &str) {
        self.write(&format!("@{date}\n"));
    }

    /// Sets it right, in a process that runs.
    pub fn set_right(&self) {
        self.write("+0\n");
    }

    /// What the process is to be started with.
    pub fn environment(&self) -> Vec<(String, String)> {
        [
            // The dynamic loader knows where this machine keeps its libraries.
            ("LD_PRELOAD", "/usr/$LIB/faketime/libfaketimeMT.so.1".into()),
            ("FAKETIME_TIMESTAMP_FILE", self.file().display().to_string()),
            ("FAKETIME_CACHE_DURATION", "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
        ]
        .map(|(name, value)| (name.to_string(), value))
        .to_vec()
    }

    /// Renamed into place: the process may read it at any time.
    fn write(&self, text: &str) {
        let beside = self.folder.path().join("next");
        std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, self.file())).expect("a file");
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("time")
    }
}
