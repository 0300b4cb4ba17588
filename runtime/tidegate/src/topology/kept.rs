//! Versions of plugins that ran, kept for a start that must not take what a plugin's file holds by then: a version that was
//! sent away, or not tried to its end.
//!
//! In a folder of the store, which one gateway at a time has: `SHA256.plugin` is the file of a version, and `NAME.distrusted`
//! says which versions of a plugin are not to be loaded, and which one instead: what ran last.

use super::plan;
use crate::config::Config;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// What names of files that are being written begin with.
const PART: &str = "tmp-";
/// Most versions of a plugin that are distrusted at a time; the one tried first is forgotten.
const TRIED_MAX: usize = 8;

/// The versions kept.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    folder: PathBuf,
}

/// Versions that are not to be loaded. Hashes are SHA-256 of components.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Distrusted {
    /// Those versions, the last one tried at the end.
    pub tried: Vec<String>,
    /// What is loaded instead.
    pub good: String,
}

impl Distrusted {
    /// Whether it is about a version.
    pub(super) fn is_of(&self, sha256: &str) -> bool {
        self.tried.iter().any(|tried| tried == sha256)
    }
}

/// A note as it lay there, whatever it says.
pub(super) struct Note(Option<Vec<u8>>);

impl Kept {
    pub(super) fn of(config: &Config) -> Kept {
        Kept { folder: config.store.path.join("plugin-versions") }
    }

    /// What is not to be loaded of a plugin. The error: that cannot be told, and what lies there is not nothing.
    pub(super) fn distrusted(&self, name: &str) -> io::Result<Option<Distrusted>> {
        let Note(Some(bytes)) = self.before(name)? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| self.unreadable(name, error.into()))
    }

    /// What was noted of a plugin, to be put back.
    pub(super) fn before(&self, name: &str) -> io::Result<Note> {
        match fs::read(self.note(name)) {
            Ok(bytes) => Ok(Note(Some(bytes))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Note(None)),
            Err(error) => Err(self.unreadable(name, error)),
        }
    }

    fn unreadable(&self, name: &str, error: io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("{} cannot be read: {error}", self.note(name).display()))
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

    /// From now on a start does not load a version (nor those that it did not load before), but another that is kept.
    pub(super) fn distrust(&self, name: &str, tried: &str, good: &str) -> io::Result<()> {
        let before = self.distrusted(name)?.map_or(Vec::new(), |before| before.tried);
        let mut all: Vec<String> = before.into_iter().filter(|other| other != tried && other != good).collect();
        all.push(tried.into());
        let tried = all.split_off(all.len().saturating_sub(TRIED_MAX));
        self.put(name, &Distrusted { tried, good: good.into() })
    }

    /// From now on a start loads a version: it is distrusted no more, and goes in place of those that still are. Durable when
    /// this returns.
    pub(super) fn trust(&self, name: &str, sha256: &str) -> io::Result<()> {
        // A note nobody can read says nothing of others.
        let before = self.distrusted(name).ok().flatten().map_or(Vec::new(), |before| before.tried);
        let tried: Vec<String> = before.into_iter().filter(|other| other != sha256).collect();
        if tried.is_empty() { self.forget(name) } else { self.put(name, &Distrusted { tried, good: sha256.into() }) }
    }

    /// What was noted of a plugin before is so again.
    pub(super) fn again(&self, name: &str, Note(before): Note) -> Result<(), String> {
        let done = before.map_or_else(|| self.forget(name), |bytes| self.write(&self.note(name), &bytes));
        done.map_err(|error| format!("it is not sure what a restart loads of {name}: {error}"))
    }

    fn put(&self, name: &str, distrusted: &Distrusted) -> io::Result<()> {
        if !self.version(&distrusted.good).exists() {
            return Err(io::Error::other("the version to be loaded could not be kept; the log says why"));
        }
        self.write(&self.note(name), &serde_json::to_vec(distrusted)?)
    }

    fn forget(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.note(name)) {
            Ok(()) => fs::File::open(&self.folder)?.sync_all(),
            // Nothing is distrusted.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
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
        let (mut instead, mut is_sure) = (Vec::new(), true);
        for (name, file) in of("distrusted") {
            match self.distrusted(&name) {
                Ok(Some(distrusted)) if is_there(&name) => instead.push(distrusted.good),
                Ok(Some(_)) => drop(fs::remove_file(file)),
                Ok(None) => {}
                // It may name any of them.
                Err(_) => is_sure &= !is_there(&name),
            }
        }
        let is_hash = |stem: &str| stem.len() == 64 && stem.bytes().all(|byte| byte.is_ascii_hexdigit());
        for (version, file) in of("plugin").filter(|(stem, _)| is_sure && is_hash(stem)) {
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
        plan::private_folder(&self.folder)?;
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
        let kept = Kept { folder: folder.path().join("versions") };
        let (old, older) = ("01".repeat(32), "00".repeat(32));
        kept.keep(&old, b"old bytes");
        kept.keep(&older, b"older bytes");
        (folder, kept, old, older)
    }

    fn distrusted(tried: &[&str], good: &str) -> Option<Distrusted> {
        Some(Distrusted { tried: tried.iter().map(|tried| tried.to_string()).collect(), good: good.into() })
    }

    #[test]
    fn a_distrusted_version_has_another_kept_in_its_place_until_it_is_trusted() {
        let (_folder, kept, old, older) = kept();
        assert!(kept.distrust("p", "new", &"02".repeat(32)).is_err(), "there is nothing to load instead");
        kept.distrust("p", "new", &old).unwrap();
        assert_eq!(kept.distrusted("p").unwrap(), distrusted(&["new"], &old));
        assert_eq!(kept.distrusted("q").unwrap(), None);
        kept.only(&[], |_| true);
        assert!(kept.version(&old).exists() && !kept.version(&older).exists());
        let before = kept.before("p").unwrap();
        (0..2).for_each(|_| kept.trust("p", "new").unwrap());
        assert_eq!(kept.distrusted("p").unwrap(), None);
        kept.again("p", before).unwrap();
        assert_eq!(kept.distrusted("p").unwrap(), distrusted(&["new"], &old));
        kept.again("p", Note(None)).unwrap();
        assert_eq!(kept.distrusted("p").unwrap(), None);
    }

    #[test]
    fn what_was_distrusted_stays_so_when_another_is_and_when_another_is_trusted() {
        let (_folder, kept, old, older) = kept();
        kept.distrust("p", "second", &older).unwrap();
        kept.distrust("p", "third", &older).unwrap();
        assert_eq!(kept.distrusted("p").unwrap(), distrusted(&["second", "third"], &older));
        // Its place takes what runs now.
        kept.trust("p", &old).unwrap();
        assert_eq!(kept.distrusted("p").unwrap(), distrusted(&["second", "third"], &old));
        kept.trust("p", "third").unwrap_err();
        (0..20).for_each(|number| kept.distrust("p", &number.to_string(), &old).unwrap());
        let tried = kept.distrusted("p").unwrap().unwrap().tried;
        assert_eq!((tried.len(), tried[0].as_str(), tried[7].as_str()), (TRIED_MAX, "12", "19"));
    }

    #[test]
    fn a_note_nobody_can_read_is_not_none() {
        let (_folder, kept, old, older) = kept();
        fs::write(kept.note("p"), "torn").unwrap();
        let told = kept.distrusted("p").unwrap_err().to_string();
        assert!(told.contains("p.distrusted cannot be read: "), "{told}");
        kept.distrust("p", "new", &old).unwrap_err();
        kept.only(&[], |_| true);
        assert!(kept.version(&old).exists() && kept.version(&older).exists(), "it may name any of them");
        let before = kept.before("p").unwrap();
        kept.trust("p", &old).unwrap();
        assert_eq!(kept.distrusted("p").unwrap(), None);
        kept.again("p", before).unwrap();
        assert_eq!(fs::read(kept.note("p")).unwrap(), b"torn");
    }

    #[test]
    fn a_note_on_a_plugin_that_is_gone_goes_with_its_version_and_what_is_not_ours_stays() {
        let (_folder, kept, old, older) = kept();
        for (name, good) in [("there", &old), ("gone", &older)] {
            kept.distrust(name, "new", good).unwrap();
        }
        let others = ["my.plugin", "my.distrusted", "draft.part"].map(|name| kept.folder.join(name));
        others.iter().for_each(|file| fs::write(file, "mine").unwrap());
        let left = kept.folder.join("tmp-AbC123.part");
        fs::write(&left, "half").unwrap();
        kept.only(&[], |name| name == "there");
        assert!(kept.distrusted("there").unwrap().is_some() && kept.distrusted("gone").unwrap().is_none());
        assert!(kept.version(&old).exists() && !kept.version(&older).exists() && !left.exists());
        assert!(others.iter().all(|file| file.exists()));
    }

    #[test]
    fn a_copy_that_was_damaged_is_made_again() {
        let (_folder, kept, old, _) = kept();
        fs::write(kept.version(&old), b"old bxtes").unwrap();
        kept.keep(&old, b"old bytes");
        assert_eq!(fs::read(kept.version(&old)).unwrap(), b"old bytes");
    }
}
