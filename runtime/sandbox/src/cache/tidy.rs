//! What is let go of: the folder lies on a card, and every version that was ever tried would stay there.

use super::Cache;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use tempfile::NamedTempFile;

/// What names of temporary files begin with, and how many letters and digits follow.
const TEMPORARY: &str = "tmp-";
const RANDOM_BYTES: usize = 16;
/// How they end.
const EXTENSIONS: [&str; 3] = ["new", "wasm", "cwasm"];

/// Most compiled plugins that are kept though nobody runs them: those used last, for who goes back and forth between versions,
/// and for a `check` of what is yet to come.
const SPARE_MAX: usize = 8;
/// Most bytes of these.
const SPARE_BYTES_MAX: u64 = 64 << 20;

impl Cache {
    /// Removes what a crash left, and compiled plugins but those of `needed` and a few that were used last. Files that are
    /// not named as ours are not touched.
    pub(crate) fn tidy(&self, needed: &[String]) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        let mut spare: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for file in entries.flatten().map(|entry| entry.path()) {
            if is_temporary(&file) {
                remove_unlocked(&file);
            } else if let Some(key) = key_of(&file)
                && !needed.iter().any(|needed| needed == key)
                && let Ok(meta) = fs::metadata(&file)
            {
                spare.push((meta.modified().unwrap_or(SystemTime::UNIX_EPOCH), meta.len(), file));
            }
        }
        spare.sort_by(|a, b| b.cmp(a));
        let mut bytes = 0;
        for (index, (_, len, file)) in spare.iter().enumerate() {
            bytes += len;
            if index >= SPARE_MAX || bytes > SPARE_BYTES_MAX {
                let _ = fs::remove_file(file);
            }
        }
    }
}

/// A temporary file, which is removed when this is dropped.
pub(super) fn temporary(folder: &Path, extension: &str) -> io::Result<NamedTempFile> {
    let suffix = format!(".{extension}");
    tempfile::Builder::new().prefix(TEMPORARY).rand_bytes(RANDOM_BYTES).suffix(&suffix).tempfile_in(folder)
}

fn is_temporary(file: &Path) -> bool {
    let name = file.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix(TEMPORARY));
    let parts = name.and_then(|name| name.split_once('.'));
    parts.is_some_and(|(random, extension)| {
        EXTENSIONS.contains(&extension)
            && random.len() == RANDOM_BYTES
            && random.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

/// What the name of a compiled plugin says.
fn key_of(file: &Path) -> Option<&str> {
    let key = file.file_name()?.to_str()?.strip_suffix(".native")?;
    (key.len() == 64 && key.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(key)
}

/// Nobody has it locked: who made it is gone.
fn remove_unlocked(file: &Path) {
    if File::open(file).is_ok_and(|open| open.try_lock().is_ok()) {
        let _ = fs::remove_file(file);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::time::Duration;

    fn cache() -> (tempfile::TempDir, Cache) {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Cache::open(folder.path().join("cache")).expect("ours");
        (folder, cache)
    }

    fn names(cache: &Cache) -> BTreeSet<String> {
        let entries = fs::read_dir(&cache.folder).expect("it is there");
        entries.map(|entry| entry.expect("one").file_name().to_string_lossy().into_owned()).collect()
    }

    fn key(number: u64) -> String {
        format!("{number:064x}")
    }

    /// Compiled plugins 0, 1, 2 ..., the first used last.
    fn fill(cache: &Cache, count: u64, bytes: u64) {
        for number in 0..count {
            cache.put(&key(number), b"native").expect("room");
            let file = File::options().write(true).open(cache.file(&key(number))).expect("it is there");
            file.set_len(bytes).expect("sparse");
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000 - number)).expect("ours");
        }
    }

    #[test]
    fn what_is_needed_and_a_few_used_last_stay() {
        let (_folder, cache) = cache();
        fill(&cache, 20, 100);
        cache.tidy(&[key(15), key(2)]);
        let stay = (0..=8).chain([15]).map(|number| format!("{}.native", key(number)));
        assert_eq!(names(&cache), stay.collect());
    }

    #[test]
    fn what_is_used_again_counts_as_used_last() {
        let (_folder, cache) = cache();
        fill(&cache, 8, 100);
        cache.put(&key(99), b"native").expect("room");
        let file = File::options().write(true).open(cache.file(&key(99))).expect("it is there");
        file.set_modified(SystemTime::UNIX_EPOCH).expect("ours");
        assert_eq!(cache.get(&key(99)).as_deref(), Some(&b"native"[..]));
        cache.tidy(&[]);
        assert!(cache.file(&key(99)).exists() && !cache.file(&key(7)).exists());
    }

    #[test]
    fn few_large_ones_stay() {
        let (_folder, cache) = cache();
        fill(&cache, 5, 30 << 20);
        cache.tidy(&[]);
        assert_eq!(names(&cache), [0, 1].map(|number| format!("{}.native", key(number))).into());
    }

    #[test]
    fn what_a_crash_left_goes_and_what_is_on_its_way_and_what_is_not_ours_stays() {
        let (_folder, cache) = cache();
        let (input, output) = cache.scratch(b"wasm").expect("room");
        let others = ["notes.txt", "tmp-mine.wasm", "theirs.native", "tmp-1.txt"];
        let left = EXTENSIONS.map(|extension| format!("tmp-0123456789abcXYZ.{extension}"));
        for name in left.iter().map(String::as_str).chain(others) {
            fs::write(cache.folder.join(name), "x").expect("room");
        }
        cache.tidy(&[]);
        let name = |path: &Path| path.file_name().expect("a name").to_string_lossy().into_owned();
        let stay = others.map(String::from).into_iter().chain([name(input.path()), name(output.path())]);
        assert_eq!(names(&cache), stay.collect());
        drop((input, output));
        assert_eq!(names(&cache), others.map(String::from).into());
    }
}
