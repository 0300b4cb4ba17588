//! Whether the disk has room for a second copy of what is stored, before anything is touched.

use super::files::Folder;
use crate::keys::{KEY_BYTES, Key, Kind};
use crate::medium::Medium;
use crate::values::{Counters, decode};
use std::path::Path;

/// sled's file takes about so many times what is in it.
const FILE_TO_STORED: u64 = 2;
/// What a database takes with next to nothing in it, and some to spare.
const LEAST_BYTES: u64 = 8 << 20;

/// Room for a database of so many bytes of keys and values.
pub(super) fn for_stored(bytes: u64) -> u64 {
    bytes.saturating_mul(FILE_TO_STORED).saturating_add(LEAST_BYTES)
}

/// Room to write anew what is in a database; what is counted is believed as far as its file goes.
pub(super) fn for_database(folder: &Folder, medium: &dyn Medium) -> Result<u64, String> {
    let mut stored: u64 = 0;
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Block) {
        let (from, to) = Key::all(kind);
        medium.scan(from, to, &mut |_, value| {
            stored = stored.saturating_add((KEY_BYTES + value.len()) as u64);
            if kind == Kind::Counters
                && let Ok(counters) = decode::<Counters>(value)
            {
                stored = stored.saturating_add(counters.bytes);
            }
            true
        })?;
    }
    Ok(for_stored(stored.min(folder.bytes())))
}

/// Room to read what can be read of a database that was set aside, and to bring it back.
pub(super) fn for_aside(aside: &Path) -> u64 {
    let file = std::fs::metadata(aside.join("db")).map_or(0, |file| file.len());
    // Once to gather it, once to write it; the file itself is at its largest what is in it.
    file.saturating_mul(2).saturating_add(2 * LEAST_BYTES)
}

/// An error where the file system of the folder has less free than is needed.
pub(super) fn check(folder: &Folder, needed: u64) -> Result<(), String> {
    match folder.free() {
        Some(free) if free < needed => Err(format!(
            "this writes a second copy of what is stored, for which about {} are needed on its file system, and {} are \
             free. Nothing was touched. Free some space, or copy the folder to a larger disk and do it there",
            mib(needed),
            mib(free)
        )),
        _ => Ok(()),
    }
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}
