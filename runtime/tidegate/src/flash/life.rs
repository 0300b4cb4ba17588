//! How much a device has taken in all, over restarts of the gateway and of the machine.

use serde::{Deserialize, Serialize};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use tidegate_store::files::{Disk, NewFile};

/// The name of the file in the store's folder.
const FILE: &str = "flash.json";

/// The count of a device's writes, kept in a file beside the streams.
#[derive(Debug)]
pub struct Life {
    path: PathBuf,
    kept: Kept,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    /// The disk it is the count of: another one begins at 0.
    device: String,
    /// Bytes seen written to it.
    written: u64,
    /// The kernel's count when it was last looked at, and the start of the machine it counts from.
    counted: u64,
    boot: String,
}

impl Life {
    /// What is kept in `folder` of `device`. What was written before the first look of all is not known; what was written
    /// while the gateway was off is counted, unless the machine was off or started in between.
    pub fn open(folder: &Path, device: &str, boot: &str, counted: u64) -> Self {
        let path = folder.join(FILE);
        let kept = fs::read(&path).ok().and_then(|bytes| serde_json::from_slice::<Kept>(&bytes).ok());
        let kept = kept.filter(|kept| kept.device == device).unwrap_or_else(|| Kept {
            device: device.into(),
            written: 0,
            counted,
            boot: boot.into(),
        });
        let mut life = Life { path, kept };
        if life.kept.boot != boot {
            (life.kept.boot, life.kept.counted) = (boot.into(), 0);
        }
        life.count(counted);
        life
    }

    /// The kernel's count is so much now; gives all that is known to have been written.
    pub fn count(&mut self, counted: u64) -> u64 {
        let more = counted.checked_sub(self.kept.counted).unwrap_or(counted);
        self.kept.written = self.kept.written.saturating_add(more);
        self.kept.counted = counted;
        self.kept.written
    }

    /// Keeps it. A power cut takes what came since the last time, nothing else.
    pub fn keep(&self) -> Result<(), String> {
        let bytes = serde_json::to_vec(&self.kept).map_err(|error| error.to_string())?;
        let failed = |error: std::io::Error| format!("{}: {error}", self.path.display());
        let mut file = NewFile::create(&Disk, &self.path).map_err(failed)?;
        file.write_all(&bytes).and_then(|()| file.finish()).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_goes_on_over_restarts_of_the_gateway_and_of_the_machine() {
        let folder = tempfile::tempdir().unwrap();
        let mut life = Life::open(folder.path(), "mmcblk0", "boot-1", 1_000);
        assert_eq!(life.count(1_500), 500, "what came before the first look is not known");
        life.keep().unwrap();
        // The gateway was off for 200 bytes.
        let mut life = Life::open(folder.path(), "mmcblk0", "boot-1", 1_700);
        assert_eq!(life.count(1_800), 800);
        life.keep().unwrap();
        // The machine starts and counts from 0.
        let mut life = Life::open(folder.path(), "mmcblk0", "boot-2", 100);
        assert_eq!(life.count(150), 950);
        life.keep().unwrap();
        assert_eq!(Life::open(folder.path(), "sda", "boot-2", 100).count(110), 10, "another disk");
    }

    #[test]
    fn a_file_that_cannot_be_read_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), "{\"device\":").unwrap();
        assert_eq!(Life::open(folder.path(), "sda", "b", 5).count(7), 2);
    }
}
