//! Plugins' files that change while the gateway runs.

use super::{Loaded, Versions, aside, label, load};
use crate::config::OnChange;
use crate::http::Canary;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;
use tidegate_sandbox::Plugin;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Between two looks at a file. What looks the same twice has been written to its end.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

impl Stamp {
    /// `None`: it is not there.
    fn of(file: &Path) -> Option<Stamp> {
        let meta = std::fs::metadata(file).ok()?;
        Some(Stamp { inode: meta.ino(), bytes: meta.len(), changed: (meta.mtime(), meta.mtime_nsec()) })
    }
}

/// A plugin's file.
pub(super) struct Watched {
    /// The operators that have it.
    operators: Vec<usize>,
    /// As it was last seen.
    last: Option<Stamp>,
    /// As it was when something was made of it.
    done: Option<Stamp>,
    /// What is being made of it. It may take long (a plugin that compiles, a pipeline that waits for room), and no other file waits
    /// for it.
    pub(super) work: Option<JoinHandle<()>>,
}

impl Watched {
    /// Whether it changed, is written to its end and was not looked at yet.
    fn is_news(&mut self, stamp: Option<Stamp>) -> bool {
        let same = std::mem::replace(&mut self.last, stamp) == stamp;
        let is_busy = self.work.as_ref().is_some_and(|work| !work.is_finished());
        same && stamp.is_some() && stamp != self.done && !is_busy
    }
}

impl Versions {
    /// Looks at the files until it is cancelled.
    pub(super) async fn watch(self, drain: CancellationToken) {
        let mut files = self.files();
        loop {
            tokio::select! {
                biased;
                () = drain.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            self.look(&mut files);
        }
    }

    /// The files of all operators.
    pub(super) fn files(&self) -> BTreeMap<String, Watched> {
        let mut files: BTreeMap<String, Watched> = BTreeMap::new();
        for (at, operator) in self.0.operators.iter().enumerate() {
            let name = operator.configured.plugin.clone();
            let new = || Watched { operators: Vec::new(), last: None, done: None, work: None };
            files.entry(name).or_insert_with(new).operators.push(at);
        }
        files
    }

    /// Begins to make what is configured of the files that changed.
    pub(super) fn look(&self, files: &mut BTreeMap<String, Watched>) {
        for (name, watched) in files {
            let stamp = Stamp::of(&load::file(&self.0.config, name));
            if watched.is_news(stamp) {
                watched.done = stamp;
                let (versions, name, operators) = (self.clone(), name.clone(), watched.operators.clone());
                watched.work = Some(tokio::spawn(async move { versions.changed(&name, &operators).await }));
            }
        }
    }

    /// Makes of a file what is configured, where it holds another version than what runs.
    pub(super) async fn changed(&self, name: &str, operators: &[usize]) {
        let distrusted = match self.0.kept.distrusted(name) {
            Ok(distrusted) => distrusted,
            // Where it was not known at the start that is said already.
            Err(error) => {
                let untold = operators.iter().filter(|&&at| self.0.operators[at].now().note.is_none());
                return untold.for_each(|&at| self.note(at, &error.to_string()));
            }
        };
        let is_distrusted = |new: &Plugin| distrusted.as_ref().is_some_and(|noted| noted.is_of(&new.sha256()));
        let mut others = Vec::new();
        for &at in operators {
            let (versions, file) = (self.clone(), name.to_string());
            match aside(move || versions.load(at, &file)).await {
                Ok(loaded) if loaded.plugin.hash() == self.0.operators[at].now().plugin.hash() => {
                    // What was said of its file holds no more, unless it runs for want of another.
                    if !is_distrusted(&loaded.plugin) {
                        self.0.operators[at].now().note = None;
                    }
                }
                Ok(loaded) => others.push((at, loaded)),
                Err(reason) => {
                    tracing::warn!(
                        plugin = name,
                        reason,
                        "a plugin's file changed and is not taken; what runs goes on"
                    );
                    self.note(at, &reason);
                    return;
                }
            }
        }
        let Some((_, Loaded { plugin: new, .. })) = others.first() else { return };
        if is_distrusted(new) {
            tracing::info!(plugin = name, "it was tried before, and is not tried again by itself");
            return;
        }
        let (version, hash) = (label(new), *new.hash());
        tracing::info!(plugin = name, version, "a plugin's file changed");
        match self.0.config.plugins.on_change {
            OnChange::Ignore => {}
            OnChange::Swap => {
                for (at, loaded) in others {
                    if let Err(reason) = self.swap_to(at, loaded).await {
                        self.note(at, &reason);
                    }
                }
            }
            OnChange::Canary => {
                let operators: Vec<usize> = others.into_iter().map(|(at, _)| at).collect();
                if let Err(reason) = self.canary(operators.clone(), Canary::default()).await {
                    tracing::warn!(
                        plugin = name,
                        reason,
                        "a plugin's file changed and is not tried; what runs goes on"
                    );
                    // It may have been swapped in meanwhile.
                    let others = operators.iter().filter(|&&at| self.0.operators[at].now().plugin.hash() != &hash);
                    others.for_each(|&at| self.note(at, &reason));
                }
            }
        }
    }

    /// An operator's file is not what it runs, and why.
    fn note(&self, at: usize, reason: &str) {
        self.0.operators[at].now().note = Some(format!("its file changed and is not taken: {reason}"));
    }
}
