//! Versions that run beside an operator: shadows, and canaries, which take its place when they kept to their bounds.
//!
//! They end with the gateway. What a canary's file holds is distrusted from its beginning until it took the operator's place.

use super::{Distrusted, Versions, aside, hex, label};
use crate::http::{Canary, Shadow as Asked};
use futures::future::join_all;
use serde_json::{Value, json};
use std::io::Write as _;
use std::sync::Arc;
use tidegate_pipeline::{Ask, Bounds, Shadow, Verdict};
use tidegate_sandbox::Plugin;

/// What runs or ran beside an operator.
pub(super) struct Beside {
    shadow: Shadow,
    is_canary: bool,
    /// What became of a canary.
    outcome: Option<String>,
}

impl Beside {
    pub(super) fn status(&self) -> Value {
        let role = if self.is_canary { "canary" } else { "shadow" };
        json!({ "role": role, "report": self.shadow.report(), "outcome": self.outcome })
    }
}

impl Versions {
    /// Has a plugin run beside an operator.
    pub(super) async fn shadow(&self, at: usize, asked: Asked) -> Result<Value, String> {
        let Asked { name, slower } = asked;
        let plugin = self.load_named(at, &name).await?;
        let bounds = Bounds { records: None, differ: 1.0, slower, faults: u64::MAX };
        self.begin(at, plugin, bounds, false).await?;
        Ok(self.0.operators[at].status())
    }

    /// Nothing runs beside an operator any more.
    pub(super) async fn unshadow(&self, at: usize) -> Result<Value, String> {
        let operator = &self.0.operators[at];
        operator.handle.ask(Ask::Shadow { operator: operator.number, shadow: None }).await?;
        Ok(operator.status())
    }

    /// Has a version run beside operators of one plugin, and lets it take its place in all of them when it kept to its
    /// bounds in all. Answers when it has begun.
    pub(super) async fn canary(&self, operators: Vec<usize>, asked: Canary) -> Result<Value, String> {
        let Some(&first) = operators.first() else { return Err("no operator has this plugin".into()) };
        let own = self.0.operators[first].configured.plugin.clone();
        let name = asked.name.clone().unwrap_or_else(|| own.clone());
        let bounds =
            Bounds { records: Some(asked.records), differ: asked.differ, slower: asked.slower, faults: asked.faults };
        let mut candidates = Vec::new();
        for &at in &operators {
            let plugin = self.load_named(at, &name).await?;
            if plugin.hash() == self.0.operators[at].now().plugin.hash() {
                return Err(format!("{name} is the version that runs: put the new one into plugins.dir first"));
            }
            candidates.push((at, plugin.clone(), self.begin(at, plugin, bounds, true).await?));
        }
        if name == own {
            let (tried, at) = (candidates[0].1.clone(), first);
            let versions = self.clone();
            aside(move || versions.distrust(at, &tried)).await?;
        }
        let versions = self.clone();
        tokio::spawn(async move { versions.judge(name, own, candidates).await });
        Ok(self.0.operators[first].status())
    }

    /// A start loads what runs, and not what the operator's file holds, until this has taken its place.
    fn distrust(&self, at: usize, tried: &Plugin) -> Result<(), String> {
        let operator = &self.0.operators[at];
        let name = &operator.configured.plugin;
        let distrusted = Distrusted { tried: hex(tried.hash()), good: hex(operator.now().plugin.hash()) };
        if let Err(error) = self.0.kept.distrust(name, &distrusted) {
            tracing::warn!(plugin = name, %error, "a restart would load the canary's file, tried or not");
        }
        Ok(())
    }

    async fn load_named(&self, at: usize, name: &str) -> Result<Arc<Plugin>, String> {
        if !tidegate_record::valid_name(name) {
            return Err(format!("{name:?} is no plugin name: it is a file name in plugins.dir without .wasm"));
        }
        let (versions, name) = (self.clone(), name.to_string());
        aside(move || versions.load(at, &name)).await
    }

    async fn begin(&self, at: usize, plugin: Arc<Plugin>, bounds: Bounds, is_canary: bool) -> Result<Shadow, String> {
        let operator = &self.0.operators[at];
        let _turn = operator.turn.lock().await;
        let (handle, recipe, number) = (operator.handle.clone(), operator.recipe.clone(), operator.number);
        let tokio = tokio::runtime::Handle::current();
        let beside = label(&plugin);
        let begin = move || tokio.block_on(tidegate_pipeline::shadow(&handle, number, &recipe, plugin, bounds));
        let shadow = aside(begin).await?;
        let pipeline = &operator.pipeline;
        tracing::info!(pipeline, operator = number, beside, is_canary, "a plugin runs beside an operator");
        operator.now().beside = Some(Beside { shadow: shadow.clone(), is_canary, outcome: None });
        Ok(shadow)
    }

    /// Waits for the verdicts on a version, then puts it in place or sends it away.
    async fn judge(&self, name: String, own: String, candidates: Vec<(usize, Arc<Plugin>, Shadow)>) {
        let settle = candidates.iter().map(|(at, _, shadow)| async move { (*at, shadow.settled().await) });
        let verdicts = join_all(settle).await;
        let failed = verdicts.iter().find(|(_, verdict)| *verdict != Verdict::Passed);
        let outcome = match failed {
            Some((_, Verdict::Failed(why))) => Err(format!("sent away: {why}")),
            Some(_) => Err("stopped before there was a verdict".to_string()),
            None => self.promote(&name, &own, &candidates).await,
        };
        for (at, _, shadow) in &candidates {
            self.conclude(*at, shadow, &outcome).await;
        }
        let word = if outcome.is_ok() { "promoted" } else { "sent_away" };
        metrics::counter!("tidegate_plugin_canaries_total", "outcome" => word).increment(1);
    }

    /// Notes what became of a canary; the operator is as it was where it did not take its place.
    async fn conclude(&self, at: usize, shadow: &Shadow, outcome: &Result<String, String>) {
        let operator = &self.0.operators[at];
        let _turn = operator.turn.lock().await;
        let is_there = operator.now().beside.as_ref().is_some_and(|beside| beside.shadow.is(shadow));
        if is_there && outcome.is_err() {
            drop(operator.handle.ask(Ask::Shadow { operator: operator.number, shadow: None }).await);
        }
        let (pipeline, number) = (&operator.pipeline, operator.number);
        match outcome {
            Ok(told) => tracing::info!(pipeline, operator = number, told, "a canary took the operator's place"),
            Err(why) => tracing::warn!(pipeline, operator = number, why, "a canary did not take the operator's place"),
        }
        let name = &operator.configured.plugin;
        if outcome.is_err() && is_there {
            let running = hex(operator.now().plugin.hash());
            let distrusted = self.0.kept.distrusted(name).filter(|distrusted| distrusted.good == running);
            operator.now().note = distrusted.map(|distrusted| distrusted.note(name));
        }
        if let Some(beside) = operator.now().beside.as_mut().filter(|_| is_there) {
            beside.outcome = Some(outcome.clone().unwrap_or_else(|why| why));
        }
    }

    /// The version that passed takes its place in all operators; its file first, so that a restart loads the same.
    async fn promote(
        &self,
        name: &str,
        own: &str,
        candidates: &[(usize, Arc<Plugin>, Shadow)],
    ) -> Result<String, String> {
        if name != own {
            let (versions, name, own) = (self.clone(), name.to_string(), own.to_string());
            aside(move || versions.replace_file(&name, &own)).await?;
        }
        let mut told = Vec::new();
        for (at, tried, _) in candidates {
            let plugin = self.load_named(*at, own).await?;
            if plugin.hash() != tried.hash() {
                return Err(format!("passed, but the file of {own} changed meanwhile: the old version goes on"));
            }
            let swapped = self.swap_to(*at, plugin).await.map_err(|why| format!("passed, but: {why}"))?;
            told.push(format!("{} after {}, a gap of {} us", swapped.to, swapped.from, swapped.gap_us));
        }
        Ok(format!("took its place: {}", told.join("; ")))
    }

    /// Copies a plugin's file over that of another, all or nothing.
    fn replace_file(&self, name: &str, own: &str) -> Result<(), String> {
        let config = &self.0.config;
        let (from, to) = (super::plan::file(config, name), super::plan::file(config, own));
        let copy = || {
            let mut temporary = tempfile::NamedTempFile::new_in(&config.plugins.dir)?;
            temporary.write_all(&std::fs::read(&from)?)?;
            temporary.as_file().sync_all()?;
            std::fs::set_permissions(temporary.path(), std::fs::metadata(&to)?.permissions())?;
            temporary.persist(&to).map_err(|error| error.error)?;
            std::fs::File::open(&config.plugins.dir)?.sync_all()
        };
        let failed = |error: std::io::Error| {
            format!("{} cannot take the place of {}: {error}; the old version goes on", from.display(), to.display())
        };
        copy().map_err(failed)
    }
}
