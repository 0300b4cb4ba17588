//! The disk a folder is on, as the kernel counts its writes.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// `/sys/…/stat` counts in these, whatever the device's own sectors are.
const SECTOR_BYTES: u64 = 512;
/// Sectors written: the seventh number of `stat`.
const SECTORS_WRITTEN: usize = 6;
/// Most layers (LVM, encryption) between a file system and its disk.
const LAYERS_MAX: usize = 8;

/// A whole disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// `mmcblk0`.
    pub name: String,
    folder: PathBuf,
}

impl Device {
    /// The disk under the file system of `folder`. `sys` is `/sys`, but in tests.
    pub fn of(folder: &Path, sys: &Path) -> Result<Self, String> {
        let dev = fs::metadata(folder).map_err(|error| format!("{}: {error}", folder.display()))?.dev();
        Device::numbered((libc::major(dev), libc::minor(dev)), sys)
    }

    /// The disk that is, or holds, the block device with these numbers.
    pub fn numbered((major, minor): (u32, u32), sys: &Path) -> Result<Self, String> {
        let link = sys.join(format!("dev/block/{major}:{minor}"));
        let unknown = |_| {
            format!(
                "{} is not there: the store's file system is on no block device of its own (overlay, tmpfs, network)",
                link.display()
            )
        };
        let mut at = fs::canonicalize(&link).map_err(unknown)?;
        for _ in 0..LAYERS_MAX {
            if at.join("partition").exists() {
                at = at.parent().map(Path::to_path_buf).unwrap_or(at);
            }
            // A layer over one device; over several, its own count is the best there is.
            let below: Vec<_> = fs::read_dir(at.join("slaves")).into_iter().flatten().flatten().collect();
            let [one] = &below[..] else { break };
            let Ok(next) = fs::canonicalize(one.path()) else { break };
            at = next;
        }
        let name = at.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Device { name, folder: at })
    }

    /// Bytes written to it since the machine started.
    pub fn written(&self) -> Result<u64, String> {
        let path = self.folder.join("stat");
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let sectors = text.split_ascii_whitespace().nth(SECTORS_WRITTEN).and_then(|n| n.parse::<u64>().ok());
        let sectors = sectors.ok_or_else(|| format!("{}: no count of sectors written in {text:?}", path.display()))?;
        Ok(sectors.saturating_mul(SECTOR_BYTES))
    }

    /// What an eMMC says of itself: at most so many hundredths of its life are used. 110: it is past its life.
    pub fn life_used(&self) -> Option<u8> {
        let text = fs::read_to_string(self.folder.join("device/life_time")).ok()?;
        let tenths =
            text.split_ascii_whitespace().filter_map(|n| u8::from_str_radix(n.trim_start_matches("0x"), 16).ok());
        // 0 is an answer of those that do not know.
        tenths.filter(|tenths| (1..=11).contains(tenths)).max().map(|tenths| tenths * 10)
    }
}

/// Bytes this process has had written to a disk. `proc` is `/proc/self`, but in tests.
pub(super) fn written_by_process(proc: &Path) -> Result<u64, String> {
    let path = proc.join("io");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let line = text.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|n| n.parse().ok()).ok_or_else(|| format!("{}: no write_bytes in it", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use tempfile::TempDir;

    /// Disk mmcblk0 (179:0) with partition 2 (179:2), and dm-0 (253:0) on that partition.
    fn tree() -> TempDir {
        let sys = tempfile::tempdir().unwrap();
        let at = |path: &str| sys.path().join(path);
        for folder in ["dev/block", "devices/mmcblk0/device", "devices/mmcblk0/mmcblk0p2", "devices/dm-0/slaves"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        fs::write(at("devices/mmcblk0/stat"), "   10 0 80 5 40 2 1000 7 0 12 12 0 0 0 0 3 1\n").unwrap();
        fs::write(at("devices/mmcblk0/device/life_time"), "0x02 0x03\n").unwrap();
        fs::write(at("devices/mmcblk0/mmcblk0p2/partition"), "2\n").unwrap();
        fs::write(at("devices/mmcblk0/mmcblk0p2/stat"), "1 0 8 5 4 2 500 7 0 12 12\n").unwrap();
        symlink("../../devices/mmcblk0", at("dev/block/179:0")).unwrap();
        symlink("../../devices/mmcblk0/mmcblk0p2", at("dev/block/179:2")).unwrap();
        symlink("../../devices/dm-0", at("dev/block/253:0")).unwrap();
        symlink("../../mmcblk0/mmcblk0p2", at("devices/dm-0/slaves/mmcblk0p2")).unwrap();
        sys
    }

    #[test]
    fn a_partition_and_what_is_layered_on_it_are_counted_as_their_whole_disk() {
        let sys = tree();
        for numbers in [(179, 0), (179, 2), (253, 0)] {
            let device = Device::numbered(numbers, sys.path()).unwrap();
            assert_eq!(
                (device.name.as_str(), device.written(), device.life_used()),
                ("mmcblk0", Ok(512_000), Some(30))
            );
        }
    }

    #[test]
    fn what_the_kernel_does_not_say_is_said_to_be_unknown() {
        let sys = tree();
        let error = Device::numbered((0, 42), sys.path()).unwrap_err();
        assert!(error.contains("dev/block/0:42") && error.contains("no block device of its own"), "{error}");
        let device = Device::numbered((179, 0), sys.path()).unwrap();
        fs::write(sys.path().join("devices/mmcblk0/stat"), "1 2 3\n").unwrap();
        fs::write(sys.path().join("devices/mmcblk0/device/life_time"), "0x00 0x00\n").unwrap();
        assert!(device.written().unwrap_err().contains("no count of sectors written"));
        assert_eq!(device.life_used(), None);
        assert!(written_by_process(sys.path()).unwrap_err().contains("io"));
    }

    #[test]
    fn what_this_process_writes_is_read_from_the_kernel() {
        let io = tempfile::tempdir().unwrap();
        fs::write(io.path().join("io"), "rchar: 9\nwchar: 8\nwrite_bytes: 4096\ncancelled_write_bytes: 1\n").unwrap();
        assert_eq!(written_by_process(io.path()), Ok(4096));
        assert!(written_by_process(Path::new("/proc/self")).is_ok());
    }
}
