//! Putting a rewritten database in the place of the one before, so that a crash at any point leaves one of the two.
//!
//! The new database is written and synced as `streams.new`. Then two renames, each made durable before the next step:
//! `streams` → `streams.old`, `streams.new` → `streams`; and `streams.old` is deleted. What a crash leaves says how far it
//! came: while `streams` is there, `streams.new` is not finished and goes; where only `streams.old` and `streams.new`
//! are there, `streams.new` was finished and takes its place.

use crate::files::Files;
use std::io;
use std::path::Path;

const NOW: &str = "streams";
const NEW: &str = "streams.new";
const OLD: &str = "streams.old";

/// Puts `streams.new`, which is finished and synced, in the place of `streams`, where there is one.
pub(super) fn swap(files: &dyn Files, folder: &Path) -> io::Result<()> {
    if files.exists(&folder.join(NOW)) {
        files.rename(&folder.join(NOW), &folder.join(OLD))?;
        files.sync_folder(folder)?;
    }
    files.rename(&folder.join(NEW), &folder.join(NOW))?;
    files.sync_folder(folder)?;
    clear(files, folder, OLD)
}

/// Ends what a crash broke off. Before anything is opened.
pub(super) fn recover(files: &dyn Files, folder: &Path) -> io::Result<()> {
    let there = |name: &str| files.exists(&folder.join(name));
    if !there(NOW) && there(OLD) {
        let finished = if there(NEW) { NEW } else { OLD };
        files.rename(&folder.join(finished), &folder.join(NOW))?;
        files.sync_folder(folder)?;
    }
    clear(files, folder, NEW)?;
    clear(files, folder, OLD)
}

fn clear(files: &dyn Files, folder: &Path, name: &str) -> io::Result<()> {
    if !files.exists(&folder.join(name)) {
        return Ok(());
    }
    files.remove_folder(&folder.join(name))?;
    files.sync_folder(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::{Fault, MemoryFiles};
    use std::io::Read as _;

    fn put(files: &dyn Files, folder: &str, text: &str) {
        files.make_folder(Path::new(folder)).unwrap();
        let path = Path::new(folder).join("db");
        let mut file = files.create(&path).unwrap();
        io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        file.sync().unwrap();
        files.sync_folder(Path::new(folder)).unwrap();
        files.sync_folder(Path::new("store")).unwrap();
    }

    fn found(files: &dyn Files) -> String {
        let mut text = String::new();
        files.open(Path::new("store/streams/db")).unwrap().read_to_string(&mut text).unwrap();
        text
    }

    fn made(seed: u64) -> MemoryFiles {
        let files = MemoryFiles::new(seed);
        files.make_folder(Path::new("store")).unwrap();
        files.sync_folder(Path::new("")).unwrap();
        put(&files, "store/streams", "old");
        put(&files, "store/streams.new", "new");
        files
    }

    #[test]
    fn whenever_the_power_goes_one_database_is_there_whole() {
        let steps = {
            let files = made(0);
            let before = files.steps();
            swap(&files, Path::new("store")).unwrap();
            files.steps() - before
        };
        assert_eq!(steps, 6, "two renames, a delete, each with its sync");
        let mut left = std::collections::BTreeSet::new();
        for seed in 0..40 {
            for step in 0..=steps {
                let files = made(seed);
                files.fail_at(step, Fault::PowerCut);
                let swapped = swap(&files, Path::new("store"));
                files.power_cut();
                // The power may go while that is put right, too.
                files.fail_at(seed % 3, Fault::PowerCut);
                let _ = recover(&files, Path::new("store"));
                files.power_cut();
                recover(&files, Path::new("store")).unwrap();
                let text = found(&files);
                assert!(text == "new" || (text == "old" && swapped.is_err()), "seed {seed}, step {step}: {text}");
                for name in [NEW, OLD] {
                    assert!(!files.exists(&Path::new("store").join(name)), "seed {seed}, step {step}: {name} is left");
                }
                left.insert(text);
            }
        }
        assert_eq!(left.len(), 2, "both ends were seen");
    }

    #[test]
    fn a_disk_that_fails_leaves_a_database_to_open() {
        for fault in [Fault::Io, Fault::NoSpace] {
            for step in 0..6 {
                let files = made(step);
                files.fail_at(step, fault);
                assert!(swap(&files, Path::new("store")).is_err(), "{fault:?} at {step}");
                recover(&files, Path::new("store")).unwrap();
                assert!(["old", "new"].contains(&found(&files).as_str()), "{fault:?} at {step}");
            }
        }
    }
}
