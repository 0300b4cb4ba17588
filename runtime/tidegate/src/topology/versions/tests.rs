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
[pipelines.q]
from = ["readings"]
to = "out"
[[pipelines.q.operators]]
filter = "another"
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
        Site::of(CONFIG)
    }

    fn of(config: &str) -> Site {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("cache")).unwrap();
        let path = folder.path().display().to_string();
        let variables = |name: &str| (name == "FOLDER").then(|| path.clone());
        let config = parse(Path::new("/gateway.toml"), config, &variables).unwrap_or_else(|e| panic!("{e}"));
        let site = Site { folder, config, engine: Engine::new(EngineOptions::default()).unwrap() };
        site.put(&deadband("1.0.0"));
        fs::write(site.folder.path().join("another.wat"), deadband("1.0.0")).unwrap();
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
        fs::read_to_string(self.folder.path().join(format!("store/plugin-versions/{sha256}.plugin"))).ok()
    }

    /// What was planned, before it begins.
    fn built(&self, plan: Plan) -> (Versions, Vec<(String, Pipeline)>) {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let options = StoreOptions { clock: clock.clone(), ..StoreOptions::new("", "test") };
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(options, 1));
        store.declare(plan.streams).unwrap();
        self.kept().keep_all(plan.versions);
        let (mut operators, mut built) = (Vec::new(), Vec::new());
        for (options, input) in plan.pipelines {
            let name = options.name.to_string();
            let (pipeline, handle) = Pipeline::build(options, &input, store.clone(), clock.clone()).unwrap();
            operators.push((name.clone(), handle, pipeline.recipes()));
            built.push((name, pipeline));
        }
        let versions = Versions::new(&self.config, self.engine.clone(), self.kept(), (operators, plan.notes));
        (versions, built)
    }

    /// Begins what was planned.
    fn start(&self, plan: Plan) -> Running {
        let (versions, built) = self.built(plan);
        begin(versions, built)
    }
}

fn begin(versions: Versions, built: Vec<(String, Pipeline)>) -> Running {
    let drain = CancellationToken::new();
    built.into_iter().for_each(|(name, pipeline)| drop(spawn_pipeline(&name, pipeline, &drain).unwrap()));
    Running { versions, _drain: drain.drop_guard() }
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

#[tokio::test]
async fn a_file_that_never_comes_to_its_end_holds_up_no_other() {
    let mut site = Site::new();
    site.config.plugins.on_change = OnChange::Swap;
    let running = site.start(site.plan());
    let mut files = running.versions.files();
    let another = site.folder.path().join("another.wat");
    fs::remove_file(&another).unwrap();
    let path = std::ffi::CString::new(another.to_str().unwrap()).unwrap();
    // SAFETY: `path` is a string that ends with 0. Nobody ever writes to it: who reads waits for ever.
    assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
    site.put(&deadband("2.0.0"));
    // What looks the same twice has been written to its end.
    (0..2).for_each(|_| running.versions.look(&mut files));
    files.get_mut("deadband").unwrap().work.take().unwrap().await.unwrap();
    assert_eq!(running.shown("plugin"), "deadband 2.0.0");
    assert!(!files["another"].work.as_ref().unwrap().is_finished());
}

#[tokio::test]
async fn a_file_that_is_swapped_in_is_not_tried_though_the_swap_waits_long() {
    let mut site = Site::new();
    site.config.plugins.on_change = OnChange::Canary;
    // The pipelines do nothing yet of what they are asked.
    let (versions, built) = site.built(site.plan());
    site.put(&deadband("2.0.0"));
    let swap = tokio::spawn(versions.change("p", 1, Change::Swap));
    while versions.0.operators[0].starts.try_lock().is_ok() {
        tokio::task::yield_now().await;
    }
    let watch = versions.clone();
    let mut looked = tokio::spawn(async move { watch.changed("deadband", &[0]).await });
    let waits = tokio::time::timeout(std::time::Duration::from_millis(500), &mut looked).await;
    assert!(waits.is_err(), "it is not known yet what runs");
    let running = begin(versions, built);
    swap.await.unwrap().unwrap();
    looked.await.unwrap();
    assert_eq!((running.shown("plugin").as_str(), running.shown("note").as_str()), ("deadband 2.0.0", ""));
    assert_eq!(site.kept().distrusted("deadband").unwrap(), None, "a restart loads what runs");
    assert_eq!(running.versions.status("p")[0]["beside"], Value::Null);
}

#[tokio::test]
async fn nothing_is_tried_where_a_restart_would_load_it_over_the_state_of_another_version() {
    let site = Site::of(&CONFIG.replace("filter = \"another\"", "filter = \"deadband\""));
    let running = site.start(site.plan());
    site.put(&deadband("2.0.0"));
    running.versions.change("q", 1, Change::Swap).await.unwrap();
    let canary = Change::Canary(crate::http::Canary::default());
    let refused = running.versions.change("p", 1, canary).await.unwrap_err();
    assert!(refused.starts_with("operator 1 of pipeline q runs another version of deadband than"), "{refused}");
    assert_eq!(site.kept().distrusted("deadband").unwrap(), None);
}

/// The hash of what a start would load.
fn loads(plan: &Plan) -> String {
    plan.pipelines[0].0.operators[0].plugin.sha256()
}

#[tokio::test]
async fn what_ran_last_is_loaded_where_a_file_holds_half_of_what_was_tried() {
    let site = Site::new();
    let first = loads(&site.plan());
    drop(site.start(site.plan()));
    site.put(&deadband("2.0.0"));
    site.kept().distrust("deadband", &loads(&site.plan()), &first).unwrap();
    site.put(&deadband("2.0.0")[..300]);
    let plan = site.plan();
    assert_eq!(loads(&plan), first);
    let told = "deadband.wat: ";
    assert!(
        plan.warnings[0].contains(told) && plan.warnings[0].contains("What ran last goes on"),
        "{:?}",
        plan.warnings
    );
    let running = site.start(plan);
    assert!(running.shown("note").contains("What ran last goes on"), "{}", running.shown("note"));

    // A third one in its place is what ran last from then on.
    site.put(&deadband("3.0.0"));
    let plan = site.plan();
    let third = loads(&plan);
    assert_eq!((third != first, plan.warnings.len()), (true, 0));
    assert_eq!(site.start(plan).shown("note"), "");
    site.put("torn");
    assert_eq!(loads(&site.plan()), third);
    // The first one again, which was never sent away.
    site.put(&deadband("1.0.0"));
    let plan = site.plan();
    assert_eq!((loads(&plan), plan.warnings.len()), (first, 0));
    assert_eq!(site.start(plan).shown("note"), "");
}

#[tokio::test]
async fn a_plugin_stands_where_nobody_can_read_what_was_sent_away() {
    let site = Site::new();
    drop(site.start(site.plan()));
    fs::write(site.folder.path().join("store/plugin-versions/deadband.distrusted"), "torn").unwrap();
    let plan = site.plan();
    let doubt = plan.pipelines[0].0.operators[0].doubt.clone().unwrap();
    assert!(doubt.contains("is not known") && doubt.contains("deadband.distrusted cannot be read"), "{doubt}");
    let running = site.start(plan);
    running.versions.changed("deadband", &[0]).await;
    assert_eq!(running.shown("note"), doubt);
    let release = tidegate_pipeline::Ask::Release { operator: 1 };
    running.versions.0.operators[0].handle.ask(release).await.unwrap();
    let canary = Change::Canary(crate::http::Canary::default());
    site.put(&deadband("2.0.0"));
    let refused = running.versions.change("p", 1, canary).await.unwrap_err();
    assert!(refused.contains("cannot be read"), "{refused}");
    running.versions.change("p", 1, Change::Swap).await.unwrap();
    assert_eq!(site.plan().pipelines[0].0.operators[0].doubt, None);
}

#[tokio::test]
async fn what_was_sent_away_stands_where_what_ran_before_does_not_load_any_more() {
    let site = Site::new();
    let plan = site.plan();
    let [good] = &plan.versions.keys().cloned().collect::<Vec<_>>()[..] else { panic!("one version") };
    site.kept().keep_all(plan.versions);
    site.put(&deadband("2.0.0"));
    let tried = site.plan().pipelines[0].0.operators[0].plugin.sha256();
    site.kept().distrust("deadband", &tried, good).unwrap();
    let plan = site.plan();
    assert_eq!((plan.pipelines[0].0.operators[0].plugin.sha256(), plan.warnings.len()), (good.clone(), 1));
    assert!(plan.warnings[0].contains("what ran before goes on"), "{:?}", plan.warnings);

    fs::write(site.folder.path().join(format!("store/plugin-versions/{good}.plugin")), "torn").unwrap();
    let plan = site.plan();
    assert_eq!(plan.pipelines[0].0.operators[0].plugin.about().version, "2.0.0");
    let told = "pipelines.p, operator 1: the file of deadband holds version ";
    assert!(plan.warnings.len() == 1 && plan.warnings[0].starts_with(told), "{:?}", plan.warnings);
    let on_one_line = !plan.warnings[0].contains("\n") && !plan.warnings[0].contains("  ");
    assert!(on_one_line && plan.warnings[0].contains(&format!("what ran before, {good:.12}, does not load any more")));
    let running = site.start(plan);
    let reasons = running.versions.reasons();
    assert!(reasons[0].reason.contains("release it to have it run"), "{}", reasons[0].reason);
    // Its file is looked at, and is what it runs.
    running.versions.changed("deadband", &[0]).await;
    assert_eq!(running.versions.reasons()[0].reason, reasons[0].reason);
    let refused = running.versions.change("p", 1, Change::Swap).await.unwrap_err();
    assert!(refused.contains("in quarantine: the file of deadband holds version"), "{refused}");
}
