//! Versions of plugins that ran, kept for a start that must not take what a plugin's file holds by then: a version that was
//! sent away, or not tried to its end.
//!
//! In the folder of compiled plugins, which only the gateway may write to: `SHA256.plugin` is the file of a version, and
//! `NAME.distrusted` says which version of a plugin is not to be loaded, and which one instead.

use super::plan;
use crate::config::Config;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// What names of files that are being written begin with.
const PART: &str = "tmp-";

/// The versions kept.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    folder: PathBuf,
}

/// A version that is not to be loaded. Hashes are SHA-256 of components.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Distrusted {
    /// That version.
    pub tried: String,
    /// What is loaded instead.
    pub good: String,
}

impl Kept {
    pub(super) fn of(config: &Config) -> Kept {
        Kept { folder: plan::cache_dir(config) }
    }

    /// Claims the folder as long as what this gives lives; `None`: another gateway has it, and what that one keeps is not to be
    /// let go of.
    pub(super) fn claim(&self) -> Option<fs::File> {
        let file = fs::File::options().create(true).truncate(false).write(true).open(self.folder.join("claim")).ok()?;
        file.try_lock().is_ok().then_some(file)
    }

    /// What is not to be loaded of a plugin.
    pub(super) fn distrusted(&self, name: &str) -> Option<Distrusted> {
        serde_json::from_slice(&fs::read(self.note(name)).ok()?).ok()
    }

    /// Keeps what a start loaded.
    pub(super) fn keep_all(&self, versions: BTreeMap<String, Vec<u8>>) {
        versions.into_iter().for_each(|(sha256, bytes)| self.keep(&sha256, &bytes));
    }

    /// Keeps a version: `bytes` are what it was loaded from, and not its file read again, which may hold another by now.
    pub(super) fn keep(&self, sha256: &str, bytes: &[u8]) {
        let file = self.version(sha256);
        let is_there = fs::read(&file).is_ok_and(|kept| kept == bytes);
        if !is_there && let Err(error) = self.write(&file, bytes) {
            tracing::warn!(sha256, %error, "a version that runs is not kept: no canary is tried against it");
        }
    }

    /// From now on a start does not load a version, but another that is kept.
    pub(super) fn distrust(&self, name: &str, distrusted: &Distrusted) -> io::Result<()> {
        if !self.version(&distrusted.good).exists() {
            return Err(io::Error::other("the version that runs could not be kept; the log says why"));
        }
        self.write(&self.note(name), &serde_json::to_vec(distrusted)?)
    }

    /// A plugin's file is loaded again, whatever it holds; durable when this returns.
    pub(super) fn trust(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.note(name)) {
            Ok(()) => fs::File::open(&self.folder)?.sync_all(),
            // Nothing is distrusted.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// What was distrusted of a plugin before is so again.
    pub(super) fn again(&self, name: &str, before: Option<Distrusted>) -> Result<(), String> {
        let done = before.map_or_else(|| self.trust(name), |distrusted| self.distrust(name, &distrusted));
        done.map_err(|error| format!("it is not sure what a restart loads of {name}: {error}"))
    }

    /// Lets go of notes on plugins that there are none of any more, and of all versions but these and those that are loaded
    /// instead of others. Files that are not named as ours are not touched.
    pub(super) fn only(&self, running: &[String], is_there: impl Fn(&str) -> bool) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        let files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        let stem = |file: &Path| file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_string();
        let of = |extension: &'static str| {
            let files = files.iter().filter(move |file| file.extension() == Some(extension.as_ref()));
            files.map(|file| (stem(file), file))
        };
        let mut instead = Vec::new();
        for (name, file) in of("distrusted") {
            match self.distrusted(&name) {
                Some(distrusted) if is_there(&name) => instead.push(distrusted.good),
                Some(_) => drop(fs::remove_file(file)),
                None => {}
            }
        }
        let is_hash = |stem: &str| stem.len() == 64 && stem.bytes().all(|byte| byte.is_ascii_hexdigit());
        for (version, file) in of("plugin").filter(|(stem, _)| is_hash(stem)) {
            if !running.contains(&version) && !instead.contains(&version) {
                let _ = fs::remove_file(file);
            }
        }
        // Written by who is gone: what is being written is locked.
        let parts = of("part").filter(|(stem, _)| stem.starts_with(PART));
        for (_, file) in parts.filter(|(_, file)| fs::File::open(file).is_ok_and(|open| open.try_lock().is_ok())) {
            let _ = fs::remove_file(file);
        }
    }

    /// The file of a version, which is there if it was kept.
    pub(super) fn version(&self, sha256: &str) -> PathBuf {
        self.folder.join(format!("{sha256}.plugin"))
    }

    fn note(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.distrusted"))
    }

    /// All or nothing.
    fn write(&self, file: &Path, bytes: &[u8]) -> io::Result<()> {
        // Only its owner may read and write it; several may be written at once.
        let mut part = tempfile::Builder::new().prefix(PART).suffix(".part").tempfile_in(&self.folder)?;
        // Where files cannot be locked, nobody finds them unlocked either.
        let _ = part.as_file().try_lock();
        part.write_all(bytes)?;
        part.as_file().sync_all()?;
        part.persist(file).map_err(|error| error.error)?;
        fs::File::open(&self.folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept() -> (tempfile::TempDir, Kept, String, String) {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept { folder: folder.path().into() };
        let (old, older) = ("01".repeat(32), "00".repeat(32));
        kept.keep(&old, b"old bytes");
        kept.keep(&older, b"older bytes");
        (folder, kept, old, older)
    }

    #[test]
    fn a_distrusted_version_has_another_kept_in_its_place_until_it_is_trusted() {
        let (_folder, kept, old, older) = kept();
        let nothing = Distrusted { tried: "new".into(), good: "02".repeat(32) };
        assert!(kept.distrust("p", &nothing).is_err(), "there is nothing to load instead");
        let distrusted = Distrusted { tried: "new".into(), good: old.clone() };
        kept.distrust("p", &distrusted).unwrap();
        assert_eq!((kept.distrusted("p"), kept.distrusted("q")), (Some(distrusted.clone()), None));
        kept.only(&[], |_| true);
        assert!(kept.version(&old).exists() && !kept.version(&older).exists());
        kept.trust("p").unwrap();
        kept.trust("p").unwrap();
        assert_eq!(kept.distrusted("p"), None);
        kept.again("p", Some(distrusted.clone())).unwrap();
        assert_eq!(kept.distrusted("p"), Some(distrusted));
        kept.again("p", None).unwrap();
        assert_eq!(kept.distrusted("p"), None);
    }

    #[test]
    fn a_note_on_a_plugin_that_is_gone_goes_with_its_version_and_what_is_not_ours_stays() {
        let (folder, kept, old, older) = kept();
        for (name, good) in [("there", &old), ("gone", &older)] {
            kept.distrust(name, &Distrusted { tried: "new".into(), good: good.clone() }).unwrap();
        }
        let others = ["my.plugin", "my.distrusted", "draft.part"].map(|name| folder.path().join(name));
        others.iter().for_each(|file| fs::write(file, "mine").unwrap());
        let left = folder.path().join("tmp-AbC123.part");
        fs::write(&left, "half").unwrap();
        kept.only(&[], |name| name == "there");
        assert_eq!((kept.distrusted("there").is_some(), kept.distrusted("gone")), (true, None));
        assert!(kept.version(&old).exists() && !kept.version(&older).exists() && !left.exists());
        assert!(others.iter().all(|file| file.exists()));
    }

    #[test]
    fn one_gateway_at_a_time_lets_go_of_what_a_folder_holds() {
        let (_folder, kept, ..) = kept();
        let claim = kept.claim().unwrap();
        assert!(kept.claim().is_none());
        drop(claim);
        assert!(kept.claim().is_some());
    }

    #[test]
    fn a_copy_that_was_damaged_is_made_again() {
        let (_folder, kept, old, _) = kept();
        fs::write(kept.version(&old), b"old bxtes").unwrap();
        kept.keep(&old, b"old bytes");
        assert_eq!(fs::read(kept.version(&old)).unwrap(), b"old bytes");
    }
}
