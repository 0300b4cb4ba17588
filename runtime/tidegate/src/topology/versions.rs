//! Which version of its plugin each operator runs, and how it comes to another.
//!
//! A version is only ever read from its file in `plugins.dir`, so what is swapped in is what a restart loads. It is
//! compiled and configured beside the running one, on a thread of its own.

mod beside;
mod forms;
mod watch;

use super::PIPELINE_STACK_BYTES;
use super::kept::{Kept, Note};
use super::load::{self, Loaded};
use super::plan::Notes;
use crate::config::{Config, OnChange, OperatorConfig};
use crate::http::{Change, Versions as Changes};
use crate::readiness::{Reason, Severity};
use beside::Beside;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tidegate_pipeline::{Handle, Recipe, Swapped};
use tidegate_sandbox::{Engine, Plugin};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// The plugins of all operators. Cheap to clone.
#[derive(Clone)]
pub(super) struct Versions(Arc<Shared>);

struct Shared {
    config: Config,
    engine: Engine,
    operators: Vec<Operator>,
    kept: Kept,
    /// Held while what is kept changes, so that a version that is to run is not let go of.
    keeping: Mutex<()>,
}

/// An operator of a running pipeline.
struct Operator {
    pipeline: String,
    /// From 1.
    number: usize,
    configured: OperatorConfig,
    recipe: Recipe,
    handle: Handle,
    /// Of all operators that have its plugin: held by who changes what a start loads of that, until what runs is so, too. It may
    /// be long, and `turn` is only ever taken after it.
    starts: Arc<tokio::sync::Mutex<()>>,
    /// Held by who changes its version: one after the other.
    turn: tokio::sync::Mutex<()>,
    now: Mutex<Now>,
}

/// What it runs now.
struct Now {
    plugin: Arc<Plugin>,
    beside: Option<Beside>,
    /// What a person should know of its version.
    note: Option<String>,
}

impl Versions {
    /// Of operators that are yet to be added.
    pub(super) fn new(
        config: &Config,
        engine: Engine,
        kept: Kept,
        (pipelines, mut notes): (Vec<(String, Handle, Vec<Recipe>)>, Notes),
    ) -> Versions {
        let configured = |name: &str, index: usize| {
            let pipeline = config.pipelines.iter().find(|pipeline| pipeline.name == name)?;
            pipeline.operators.get(index).cloned()
        };
        let (mut operators, mut starts) = (Vec::new(), BTreeMap::<String, Arc<tokio::sync::Mutex<()>>>::new());
        for (pipeline, handle, recipes) in pipelines {
            for (index, recipe) in recipes.into_iter().enumerate() {
                let Some(configured) = configured(&pipeline, index) else { continue };
                let plugin = recipe.options.plugin.clone();
                let doubt = recipe.options.doubt.clone();
                if doubt.is_none() {
                    runs_at_start(&kept, &configured.plugin, &plugin);
                }
                let note = doubt.or_else(|| notes.remove(&(pipeline.clone(), index + 1)));
                let starts = starts.entry(configured.plugin.clone()).or_default().clone();
                let now = Now { plugin, beside: None, note };
                operators.push(Operator {
                    pipeline: pipeline.clone(),
                    number: index + 1,
                    configured,
                    recipe,
                    handle: handle.clone(),
                    starts,
                    turn: tokio::sync::Mutex::default(),
                    now: Mutex::new(now),
                });
            }
        }
        Versions(Arc::new(Shared { config: config.clone(), engine, operators, kept, keeping: Mutex::default() }))
    }

    /// The operators of a pipeline, for its status.
    pub(super) fn status(&self, pipeline: &str) -> Value {
        self.0.operators.iter().filter(|operator| operator.pipeline == pipeline).map(Operator::status).collect()
    }

    /// What is not well with them.
    pub(super) fn reasons(&self) -> Vec<Reason> {
        let reason = |operator: &Operator| {
            let (component, note) = (format!("pipeline/{}", operator.pipeline), operator.now().note.clone()?);
            Some(Reason {
                severity: Severity::Warning,
                component,
                reason: format!("operator {}: {note}", operator.number),
            })
        };
        self.0.operators.iter().filter_map(reason).collect()
    }

    /// Looks after the plugins' files, as it is configured, until it is cancelled.
    pub(super) async fn look_after(self, drain: CancellationToken) {
        let versions = self.clone();
        let tidy = move || {
            versions.tidy();
            Ok(())
        };
        drop(aside(tidy).await);
        if self.0.config.plugins.on_change != OnChange::Ignore {
            self.watch(drain).await;
        }
    }

    fn find(&self, pipeline: &str, operator: usize) -> Result<usize, String> {
        let found = self.0.operators.iter().position(|o| o.pipeline == pipeline && o.number == operator);
        found.ok_or_else(|| {
            let known: Vec<_> = self.0.operators.iter().map(|o| format!("{} {}", o.pipeline, o.number)).collect();
            format!("there is no operator {operator} of a pipeline {pipeline:?}; there are {}", known.join(", "))
        })
    }

    /// The plugin in a file of `plugins.dir`, granted what the operator is. Computes at length.
    fn load(&self, at: usize, name: &str) -> Result<Loaded, String> {
        let Shared { config, engine, operators, .. } = &*self.0;
        let Operator { configured, recipe, .. } = &operators[at];
        let named = OperatorConfig { plugin: name.into(), ..configured.clone() };
        load::from_folder(config, engine, &named, &recipe.options.limits)
    }

    /// Lets go of what neither runs nor a start may need: kept versions, and compiled plugins but those used last. A note on a
    /// file stays as long as the file, configured or not.
    fn tidy(&self) {
        let Shared { config, engine, operators, kept, keeping } = &*self.0;
        let _keeping = keeping.lock().unwrap_or_else(PoisonError::into_inner);
        let running: Vec<Arc<Plugin>> = operators.iter().map(|operator| operator.now().plugin.clone()).collect();
        let is_there = |name: &str| {
            load::file(config, name).exists() || operators.iter().any(|operator| operator.configured.plugin == name)
        };
        kept.only(&running.iter().map(|plugin| plugin.sha256()).collect::<Vec<_>>(), is_there);
        engine.forget_all_but(&running);
    }

    /// A version is what a start loads of a plugin from now on: it is kept, and let go of by nobody meanwhile.
    fn trust(&self, name: &str, next: &Plugin, bytes: &[u8]) -> std::io::Result<()> {
        let _keeping = self.0.keeping.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.kept.keep(&next.sha256(), bytes);
        self.0.kept.trust(name, &next.sha256())
    }

    /// What a start loads of a plugin is what it was before.
    fn again(&self, name: &str, before: Note) -> Result<(), String> {
        let _keeping = self.0.keeping.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.kept.again(name, before)
    }

    /// A version runs from now on, and is kept.
    fn runs(&self, at: usize, next: Arc<Plugin>, bytes: &[u8]) {
        let Shared { operators, kept, keeping, .. } = &*self.0;
        let keeping = keeping.lock().unwrap_or_else(PoisonError::into_inner);
        kept.keep(&next.sha256(), bytes);
        let mut now = operators[at].now();
        (now.plugin, now.note) = (next, None);
        drop((now, keeping));
        self.tidy();
    }

    /// What the operator's file holds takes the place of what runs.
    async fn swap(&self, at: usize) -> Result<Swapped, String> {
        let versions = self.clone();
        let name = self.0.operators[at].configured.plugin.clone();
        let loaded = aside(move || versions.load(at, &name)).await?;
        self.swap_to(at, loaded).await
    }

    /// A version takes the place of what runs.
    async fn swap_to(&self, at: usize, loaded: Loaded) -> Result<Swapped, String> {
        let operator = &self.0.operators[at];
        let (_starts, _turn) = (operator.starts.lock().await, operator.turn.lock().await);
        let (handle, recipe, number) = (operator.handle.clone(), operator.recipe.clone(), operator.number);
        let (tokio, Loaded { plugin: next, bytes, .. }) = (tokio::runtime::Handle::current(), loaded);
        let versions = self.clone();
        let swap = move || {
            let (operator, kept) = (&versions.0.operators[at], &versions.0.kept);
            let name = &operator.configured.plugin;
            // Before the switch: no start may load what was before over a snapshot of what runs then.
            let unsure = |error| format!("it is not sure what a restart would load ({error}): {name} is not swapped");
            let before = kept.before(name).map_err(unsure)?;
            versions.trust(name, &next, &bytes).map_err(unsure)?;
            let swapped = tokio.block_on(tidegate_pipeline::swap(&handle, number, &recipe, next.clone()));
            let Ok(swapped) = swapped else {
                versions.again(name, before).unwrap_or_else(|reason| {
                    tracing::warn!(plugin = name, reason, "a plugin's file is distrusted no more")
                });
                return swapped;
            };
            versions.runs(at, next, &bytes);
            Ok(swapped)
        };
        let swapped = aside(swap).await;
        let pipeline = operator.pipeline.clone();
        match &swapped {
            Ok(swapped) => {
                let gap = swapped.gap_us as f64 / 1e6;
                metrics::histogram!("tidegate_plugin_swap_gap_seconds", "pipeline" => pipeline.clone()).record(gap);
                let Swapped { from, to, slots, gap_us, .. } = swapped;
                tracing::info!(pipeline, operator = number, from, to, slots, gap_us, "a plugin was swapped");
            }
            Err(reason) => tracing::warn!(pipeline, operator = number, reason, "a plugin was not swapped"),
        }
        let outcome = if swapped.is_ok() { "done" } else { "refused" };
        metrics::counter!("tidegate_plugin_swaps_total", "pipeline" => pipeline, "outcome" => outcome).increment(1);
        swapped
    }
}

impl Changes for Versions {
    fn change(&self, pipeline: &str, operator: usize, change: Change) -> BoxFuture<'static, Result<Value, String>> {
        let (versions, at) = (self.clone(), self.find(pipeline, operator));
        let work = async move {
            let at = at?;
            match change {
                Change::Swap => versions.swap(at).await.map(|swapped| json!(swapped)),
                Change::Shadow(asked) => versions.shadow(at, asked).await,
                Change::Unshadow => versions.unshadow(at).await,
                Change::Canary(asked) => versions.canary(vec![at], asked).await,
            }
        };
        // It goes on when whoever asked is gone: half of it would be nothing.
        async move { tokio::spawn(work).await.map_err(|error| error.to_string())? }.boxed()
    }
}

impl Operator {
    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn status(&self) -> Value {
        let now = self.now();
        json!({
            "operator": self.number,
            "name": self.configured.plugin,
            "plugin": label(&now.plugin),
            "sha256": now.plugin.sha256(),
            "note": now.note,
            "beside": now.beside.as_ref().map(Beside::status),
        })
    }
}

/// A start loaded a version from a plugin's file: should that not load the next time, this is what ran last.
fn runs_at_start(kept: &Kept, name: &str, plugin: &Plugin) {
    let sha256 = plugin.sha256();
    let noted = kept.distrusted(name).ok().flatten();
    if noted.is_some_and(|noted| noted.good != sha256 && !noted.is_of(&sha256))
        && let Err(error) = kept.trust(name, &sha256)
    {
        tracing::warn!(plugin = name, %error, "it is not noted that this version ran");
    }
}

/// Runs what computes at length on a thread of its own, with room for a guest's stack.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> Result<T, String> + Send + 'static) -> Result<T, String> {
    let (done, outcome) = oneshot::channel();
    let thread = std::thread::Builder::new().name("plugin-version".into()).stack_size(PIPELINE_STACK_BYTES);
    let started = thread.spawn(move || drop(done.send(work())));
    started.map_err(|error| format!("no thread for it: {error}"))?;
    outcome.await.map_err(|_| "it met a defect of the gateway (its log has the panic): report it".to_string())?
}

fn label(plugin: &Plugin) -> String {
    format!("{} {}", plugin.about().name, plugin.about().version)
}

#[cfg(test)]
mod tests;
