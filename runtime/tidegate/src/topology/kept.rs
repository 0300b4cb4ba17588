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

    /// Lets go of all versions but these and those that are loaded instead of others.
    pub(super) fn only(&self, running: &[String]) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        let files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        let stem = |file: &Path| file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_string();
        let of =
            |extension: &'static str| files.iter().filter(move |file| file.extension() == Some(extension.as_ref()));
        let instead: Vec<String> =
            of("distrusted").filter_map(|file| Some(self.distrusted(&stem(file))?.good)).collect();
        for file in of("plugin").filter(|file| !running.contains(&stem(file)) && !instead.contains(&stem(file))) {
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
        let mut part = tempfile::NamedTempFile::new_in(&self.folder)?;
        part.write_all(bytes)?;
        part.as_file().sync_all()?;
        part.persist(file).map_err(|error| error.error)?;
        fs::File::open(&self.folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distrusted_version_has_another_loaded_in_its_place_until_it_is_trusted_or_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept { folder: folder.path().into() };
        let distrusted = Distrusted { tried: "new".into(), good: "old".into() };
        assert!(kept.distrust("p", &distrusted).is_err(), "there is nothing to load instead");
        kept.keep("old", b"old bytes");
        kept.keep("older", b"older bytes");
        kept.distrust("p", &distrusted).unwrap();
        assert_eq!((kept.distrusted("p"), kept.distrusted("q")), (Some(distrusted.clone()), None));
        kept.only(&[]);
        assert!(kept.version("old").exists() && !kept.version("older").exists());
        kept.trust("p").unwrap();
        kept.trust("p").unwrap();
        assert_eq!(kept.distrusted("p"), None);
        kept.again("p", Some(distrusted.clone())).unwrap();
        assert_eq!(kept.distrusted("p"), Some(distrusted));
        kept.again("p", None).unwrap();
        assert_eq!(kept.distrusted("p"), None);
    }

    #[test]
    fn a_copy_that_was_damaged_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept { folder: folder.path().into() };
        kept.keep("old", b"old bytes");
        fs::write(kept.version("old"), b"old bxtes").unwrap();
        kept.keep("old", b"old bytes");
        assert_eq!(fs::read(kept.version("old")).unwrap(), b"old bytes");
    }
}
