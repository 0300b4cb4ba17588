//! Versions that run beside an operator: shadows, and canaries, which take its place when they kept to their bounds.
//!
//! They end with the gateway. What a canary's file holds is distrusted from its beginning until it took the operator's place.

use super::{Loaded, Shared, Versions, aside, label, load};
use crate::http::{Canary, Shadow as Asked};
use futures::future::join_all;
use serde_json::{Value, json};
use std::io::Write as _;
use std::sync::{Arc, PoisonError};
use tidegate_pipeline::{Ask, Bounds, Shadow, Verdict};
use tidegate_sandbox::Plugin;

/// What runs or ran beside an operator.
pub(super) struct Beside {
    shadow: Shadow,
    is_canary: bool,
    outcome: Option<Outcome>,
}

/// What became of a canary, in a sentence.
#[derive(Debug, Clone)]
enum Outcome {
    /// It took the operator's place.
    Promoted(String),
    /// It did not, because of what it did or because of its file.
    SentAway(String),
    /// It did not: it was ended before there was a verdict.
    Stopped(String),
}

impl Outcome {
    /// On `/metrics` and in the status.
    fn word(&self) -> &'static str {
        match self {
            Outcome::Promoted(_) => "promoted",
            Outcome::SentAway(_) => "sent_away",
            Outcome::Stopped(_) => "stopped",
        }
    }

    fn told(&self) -> &str {
        let (Outcome::Promoted(told) | Outcome::SentAway(told) | Outcome::Stopped(told)) = self;
        told
    }

    fn is_promoted(&self) -> bool {
        matches!(self, Outcome::Promoted(_))
    }
}

impl From<Result<String, String>> for Outcome {
    fn from(promoted: Result<String, String>) -> Outcome {
        promoted.map_or_else(Outcome::SentAway, Outcome::Promoted)
    }
}

impl Beside {
    pub(super) fn status(&self) -> Value {
        let role = if self.is_canary { "canary" } else { "shadow" };
        let (outcome, became) = (self.outcome.as_ref().map(Outcome::told), self.outcome.as_ref().map(Outcome::word));
        let promoted = self.outcome.as_ref().map(Outcome::is_promoted);
        let report = self.shadow.report();
        json!({ "role": role, "report": report, "outcome": outcome, "became": became, "promoted": promoted })
    }
}

/// A version on trial beside an operator.
struct Candidate {
    at: usize,
    plugin: Arc<Plugin>,
    /// Whether it is what the operator's own file held.
    is_own: bool,
    shadow: Shadow,
}

impl Versions {
    /// Has a plugin run beside an operator.
    pub(super) async fn shadow(&self, at: usize, asked: Asked) -> Result<Value, String> {
        let Asked { name, slower } = asked;
        let Loaded { plugin, .. } = self.load_named(at, &name).await?;
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
        let mut tried = Vec::new();
        for &at in &operators {
            let Loaded { plugin, .. } = self.load_named(at, &name).await?;
            tried.push((at, plugin));
        }
        // What runs changes no more until what a start loads is noted, and the trial has begun.
        let _starts = self.0.operators[first].starts.lock().await;
        tried.iter().try_for_each(|(at, plugin)| self.may_be_tried(*at, &name, plugin))?;
        let before = self.0.kept.before(&own).map_err(|error| error.to_string())?;
        if name == own {
            let (versions, candidate) = (self.clone(), tried[0].1.clone());
            aside(move || versions.distrust(first, &candidate)).await?;
        }
        let mut candidates: Vec<Candidate> = Vec::new();
        for (at, plugin) in tried {
            match self.begin(at, plugin.clone(), bounds, true).await {
                Ok(shadow) => candidates.push(Candidate { at, plugin, is_own: name == own, shadow }),
                Err(reason) => {
                    // Nothing was tried, and all is as it was.
                    let versions = self.clone();
                    let again = aside(move || versions.again(&own, before)).await;
                    for begun in candidates {
                        self.conclude(&begun, &Outcome::Stopped(format!("not tried everywhere: {reason}"))).await;
                    }
                    return Err(again.err().map_or(reason.clone(), |unsure| format!("{reason}; {unsure}")));
                }
            }
        }
        let versions = self.clone();
        let told = self.told(first, &own, &operators);
        tokio::spawn(async move { versions.judge(name, own, candidates).await });
        Ok(told)
    }

    /// Whether a version may take the place of what an operator runs, and a start may load that meanwhile.
    fn may_be_tried(&self, at: usize, name: &str, plugin: &Plugin) -> Result<(), String> {
        let (operator, called) = (&self.0.operators[at], &plugin.about().name);
        let now = operator.now().plugin.clone();
        if plugin.hash() == now.hash() {
            return Err(format!("{name} is the version that runs: put the new one into plugins.dir first"));
        }
        if *called != now.about().name {
            let remedy = "it may run as a shadow; to take the place it has to be built under the same name";
            return Err(format!("{name} calls itself {called}, not {}: {remedy}", now.about().name));
        }
        // A start loads one version for all that have the plugin: what runs here would be loaded over another's state.
        let mut others = self.0.operators.iter().filter(|o| o.configured.plugin == operator.configured.plugin);
        match others.find(|other| other.now().plugin.hash() != now.hash()) {
            None => Ok(()),
            Some(other) => Err(format!(
                "operator {} of pipeline {} runs another version of {} than operator {} of pipeline {}, and a restart would \
                 load one for both: `tidegate plugin swap` them to one version first",
                other.number, other.pipeline, operator.configured.plugin, operator.number, operator.pipeline
            )),
        }
    }

    /// What runs beside an operator, and who else gets the canary's file at the next start though it is not tried there.
    fn told(&self, at: usize, own: &str, tried: &[usize]) -> Value {
        let others = self.0.operators.iter().enumerate();
        let others = others.filter(|(at, operator)| operator.configured.plugin == own && !tried.contains(at));
        let others: Vec<String> =
            others.map(|(_, operator)| format!("{} {}", operator.pipeline, operator.number)).collect();
        let mut told = self.0.operators[at].status();
        told["not_tried"] = json!(others);
        told
    }

    /// A start loads what runs, and not what the operator's file holds, until this has taken its place.
    fn distrust(&self, at: usize, tried: &Plugin) -> Result<(), String> {
        let operator = &self.0.operators[at];
        let (name, good) = (&operator.configured.plugin, operator.now().plugin.sha256());
        let unsure = |error| format!("a restart would load the canary's file, tried or not ({error}): it is not tried");
        let _keeping = self.0.keeping.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.kept.distrust(name, &tried.sha256(), &good).map_err(unsure)
    }

    async fn load_named(&self, at: usize, name: &str) -> Result<Loaded, String> {
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
    async fn judge(&self, name: String, own: String, candidates: Vec<Candidate>) {
        let verdicts = join_all(candidates.iter().map(|candidate| candidate.shadow.settled())).await;
        let outcomes = match verdicts.iter().find(|verdict| **verdict != Verdict::Passed) {
            Some(Verdict::Failed(why)) => vec![Outcome::SentAway(format!("sent away: {why}")); candidates.len()],
            Some(Verdict::Stopped(why)) => {
                vec![Outcome::Stopped(format!("stopped before there was a verdict: {why}")); candidates.len()]
            }
            Some(Verdict::Passed) | None => {
                self.promote(&name, &own, &candidates).await.into_iter().map(Outcome::from).collect()
            }
        };
        for (candidate, outcome) in candidates.iter().zip(&outcomes) {
            self.conclude(candidate, outcome).await;
        }
        let word = outcomes.iter().find(|outcome| !outcome.is_promoted()).map_or("promoted", Outcome::word);
        metrics::counter!("tidegate_plugin_canaries_total", "outcome" => word).increment(1);
    }

    /// Notes what became of a canary; the operator is as it was where it did not take its place.
    async fn conclude(&self, candidate: &Candidate, outcome: &Outcome) {
        let Candidate { at, plugin: tried, is_own, shadow } = candidate;
        let operator = &self.0.operators[*at];
        let _turn = operator.turn.lock().await;
        let is_there = operator.now().beside.as_ref().is_some_and(|beside| beside.shadow.is(shadow));
        if is_there && !outcome.is_promoted() {
            drop(operator.handle.ask(Ask::Shadow { operator: operator.number, shadow: None }).await);
        }
        let (pipeline, number) = (&operator.pipeline, operator.number);
        match outcome {
            Outcome::Promoted(told) => {
                tracing::info!(pipeline, operator = number, told, "a canary took the operator's place")
            }
            Outcome::SentAway(why) | Outcome::Stopped(why) => {
                tracing::warn!(pipeline, operator = number, why, "a canary did not take the operator's place");
            }
        }
        let name = &operator.configured.plugin;
        let distrusted = self.0.kept.distrusted(name).ok().flatten();
        if !outcome.is_promoted() && is_there && *is_own && distrusted.is_some_and(|noted| noted.is_of(&tried.sha256()))
        {
            operator.now().note = Some(load::not_taken(name, &tried.sha256()));
        }
        if let Some(beside) = operator.now().beside.as_mut().filter(|_| is_there) {
            beside.outcome = Some(outcome.clone());
        }
    }

    /// The version that passed takes its place in all operators; its file first, so that a restart loads the same. An
    /// outcome each.
    async fn promote(&self, name: &str, own: &str, candidates: &[Candidate]) -> Vec<Result<String, String>> {
        if name != own {
            let (versions, name, own) = (self.clone(), name.to_string(), own.to_string());
            let (at, tried) = (candidates[0].at, candidates[0].plugin.clone());
            let _starts = self.0.operators[at].starts.lock().await;
            // Until it is in place, a start loads what runs now: the file as it is may have been sent away, or is half replaced.
            let replace = move || {
                versions.distrust(at, &tried)?;
                versions.replace_file(at, &name, &own, &tried)
            };
            if let Err(reason) = aside(replace).await {
                return vec![Err(format!("passed, but: {reason}")); candidates.len()];
            }
        }
        let mut outcomes = Vec::with_capacity(candidates.len());
        for candidate in candidates {
            outcomes.push(self.promote_one(own, candidate).await);
        }
        outcomes
    }

    async fn promote_one(&self, own: &str, candidate: &Candidate) -> Result<String, String> {
        let Candidate { at, plugin: tried, shadow, .. } = candidate;
        let loaded = self.load_named(*at, own).await?;
        if let Some(why) = shadow.stopped() {
            return Err(format!("passed, but was stopped before it took its place: {why}"));
        }
        if loaded.plugin.hash() != tried.hash() {
            return Err(format!("passed, but the file of {own} changed meanwhile: the old version goes on"));
        }
        let swapped = self.swap_to(*at, loaded).await.map_err(|why| format!("passed, but: {why}"))?;
        Ok(format!("took its place: {} after {}, a gap of {} us", swapped.to, swapped.from, swapped.gap_us))
    }

    /// Writes what was tried over the file of the operator's plugin, all or nothing.
    fn replace_file(&self, at: usize, name: &str, own: &str, tried: &Plugin) -> Result<(), String> {
        let Shared { config, engine, operators, .. } = &*self.0;
        let (from, to) = (load::file(config, name), load::file(config, own));
        let failed = |error: std::io::Error| {
            format!("{} cannot take the place of {}: {error}; the old version goes on", from.display(), to.display())
        };
        let bytes = std::fs::read(&from).map_err(failed)?;
        // The very bytes that are written are those that were tried.
        let read = engine.load_bytes(&from, &bytes, &operators[at].recipe.options.limits);
        if read.map_err(|error| error.to_string())?.hash() != tried.hash() {
            return Err(format!("{} changed meanwhile: the old version goes on", from.display()));
        }
        let write = || {
            let mut temporary = tempfile::NamedTempFile::new_in(&config.plugins.dir)?;
            temporary.write_all(&bytes)?;
            temporary.as_file().sync_all()?;
            std::fs::set_permissions(temporary.path(), std::fs::metadata(&to)?.permissions())?;
            temporary.persist(&to).map_err(|error| error.error)?;
            std::fs::File::open(&config.plugins.dir)?.sync_all()
        };
        write().map_err(failed)
    }
}
