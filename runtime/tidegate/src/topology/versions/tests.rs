//! Versions of a pipeline of one `deadband`, whose file is replaced at the worst moment.

use super::*;
use crate::config::parse;
use crate::topology::plan::{Plan, plan};
use crate::topology::spawn_pipeline;
use std::fs;
use std::path::Path;
use tempfile::TempDir;
use tidegate_pipeline::Pipeline;
use tidegate_record::{Clock, SystemClock};
use tidegate_sandbox::EngineOptions;
use tidegate_store::{MemoryStore, Options as StoreOptions, Store};

const CONFIG: &str = r#"
[gateway]
name = "test"
[store]
path = "${FOLDER}/store"
[plugins]
dir = "${FOLDER}"
cache_dir = "${FOLDER}/cache"
[streams.readings]
fields = { temp = "f64" }
[streams.out]
[pipelines.p]
from = ["readings"]
to = "out"
[[pipelines.p.operators]]
filter = "deadband"
params = { band = 0.5 }
"#;

/// A folder of plugins and what is made of it.
struct Site {
    folder: TempDir,
    config: Config,
    engine: Engine,
}

/// A pipeline that runs until this is dropped, and the versions of its operators.
struct Running {
    versions: Versions,
    _drain: tokio_util::sync::DropGuard,
}

/// `plugins/deadband` of another number: another version.
fn deadband(number: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let text = fs::read_to_string(root.join("plugins/deadband/deadband.wat")).unwrap();
    assert!(text.contains("(i32.const 16) \"1.0.0\""));
    text.replace("(i32.const 16) \"1.0.0\"", &format!("(i32.const 16) \"{number}\""))
}

impl Site {
    /// With version 1.0.0.
    fn new() -> Site {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("cache")).unwrap();
        let path = folder.path().display().to_string();
        let variables = |name: &str| (name == "FOLDER").then(|| path.clone());
        let config = parse(Path::new("/gateway.toml"), CONFIG, &variables).unwrap_or_else(|e| panic!("{e}"));
        let site = Site { folder, config, engine: Engine::new(EngineOptions::default()).unwrap() };
        site.put(&deadband("1.0.0"));
        site
    }

    fn put(&self, text: &str) {
        fs::write(self.folder.path().join("deadband.wat"), text).unwrap();
    }

    fn plan(&self) -> Plan {
        plan(&self.config, &self.engine).unwrap_or_else(|problems| panic!("{}", problems.join("\n")))
    }

    fn kept(&self) -> Kept {
        Kept::of(&self.config)
    }

    /// What is kept of the version an operator runs.
    fn kept_of(&self, sha256: &str) -> Option<String> {
        fs::read_to_string(self.folder.path().join(format!("cache/{sha256}.plugin"))).ok()
    }

    /// Begins what was planned.
    fn start(&self, plan: Plan) -> Running {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let options = StoreOptions { clock: clock.clone(), ..StoreOptions::new("", "test") };
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(options, 1));
        store.declare(plan.streams).unwrap();
        self.kept().keep_all(plan.versions);
        let (options, input) = plan.pipelines.into_iter().next().unwrap();
        let (pipeline, handle) = Pipeline::build(options, &input, store, clock).unwrap();
        let operators = vec![("p".to_string(), handle, pipeline.recipes())];
        let versions = Versions::new(&self.config, self.engine.clone(), self.kept(), operators);
        let drain = CancellationToken::new();
        spawn_pipeline("p", pipeline, &drain).unwrap();
        Running { versions, _drain: drain.drop_guard() }
    }
}

impl Running {
    fn shown(&self, figure: &str) -> String {
        let status = self.versions.status("p");
        status[0][figure].as_str().unwrap_or_default().to_string()
    }
}

#[tokio::test]
async fn a_start_keeps_the_bytes_it_loaded_though_the_file_was_replaced_meanwhile() {
    let site = Site::new();
    let plan = site.plan();
    site.put(&deadband("2.0.0"));
    let running = site.start(plan);
    assert_eq!(running.shown("plugin"), "deadband 1.0.0");
    assert_eq!(site.kept_of(&running.shown("sha256")), Some(deadband("1.0.0")));
    // So the other can be tried: what a restart loads is sure.
    running.versions.changed("deadband", &[0]).await;
    assert_eq!(running.shown("note"), "");
    let canary = Change::Canary(crate::http::Canary::default());
    let begun = running.versions.change("p", 1, canary).await.unwrap();
    assert_eq!(begun["beside"]["report"]["plugin"], "deadband 2.0.0");
}

#[tokio::test]
async fn a_swap_keeps_the_bytes_it_loaded_though_the_file_was_replaced_meanwhile() {
    let site = Site::new();
    let running = site.start(site.plan());
    site.put(&deadband("2.0.0"));
    let loaded = running.versions.load(0, "deadband").unwrap();
    site.put(&deadband("3.0.0"));
    running.versions.swap_to(0, loaded).await.unwrap();
    assert_eq!(running.shown("plugin"), "deadband 2.0.0");
    assert_eq!(site.kept_of(&running.shown("sha256")), Some(deadband("2.0.0")));
}

#[tokio::test]
async fn a_changed_file_that_cannot_be_tried_is_told_of_until_another_is_there() {
    let mut site = Site::new();
    site.config.plugins.on_change = OnChange::Canary;
    let mut plan = site.plan();
    // As on a disk that was full at the start.
    plan.versions.clear();
    let running = site.start(plan);
    site.put(&deadband("2.0.0"));
    running.versions.changed("deadband", &[0]).await;
    let why = "its file changed and is not taken: a restart would load the canary's file, tried or not";
    assert!(running.shown("note").starts_with(why), "{}", running.shown("note"));
    let reasons = running.versions.reasons();
    assert!(reasons[0].reason.starts_with(&format!("operator 1: {why}")), "{}", reasons[0].reason);
    site.put(&deadband("1.0.0"));
    running.versions.changed("deadband", &[0]).await;
    assert_eq!((running.shown("note").as_str(), running.versions.reasons().len()), ("", 0));
}
