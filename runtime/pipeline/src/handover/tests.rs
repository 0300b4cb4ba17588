//! Versions of a plugin that take over from one another, in a chain without a store.

use super::*;
use crate::chain::Chain;
use crate::entry::Entry;
use crate::mark::Verdicts;
use crate::{PipelineOptions, WindowOptions};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tidegate_record::{BatchBuilder, Field, Scalar};
use tidegate_sandbox::{Engine, EngineOptions, Limits};
use tidegate_store::{Position, Run};

const SECOND: i64 = 1_000_000;

/// `plugins/deadband` with its text edited.
pub(crate) fn deadband(edits: &[(&str, &str)]) -> Arc<Plugin> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let text = std::fs::read_to_string(root.join("plugins/deadband/deadband.wat")).unwrap();
    let edited = edits.iter().fold(text, |text, (what, with)| {
        assert!(text.contains(what), "the plugin's text has no {what}");
        text.replace(what, with)
    });
    let engine = Engine::new(EngineOptions::default()).unwrap();
    engine.load_bytes(Path::new("deadband.wat"), edited.as_bytes(), &Limits::default()).unwrap()
}

pub(crate) const NUMBER: (&str, &str) = ("(i32.const 16) \"1.0.0\"", "(i32.const 16) \"2.0.0\"");

/// A second version, whose saved states are of version 2 and which reads both.
pub(crate) fn second() -> Arc<Plugin> {
    deadband(&[
        NUMBER,
        (
            "(func (export \"version\") (result i32) (i32.const 1))",
            "(func (export \"version\") (result i32) (i32.const 2))",
        ),
        ("(i32.ne (local.get $version) (i32.const 1))", "(i32.gt_u (local.get $version) (i32.const 2))"),
    ])
}

/// A chain of one operator.
pub(crate) struct Bench {
    pub chain: Chain,
    pub recipe: Recipe,
    given: u64,
}

impl Bench {
    pub fn new(plugin: Arc<Plugin>, params: &str, window: Option<WindowOptions>) -> Bench {
        let limits = Limits { call_time: Duration::from_millis(50), ..Limits::default() };
        let operator =
            OperatorOptions { params: params.into(), limits, window, max_keys: 1 << 20, ..OperatorOptions::of(plugin) };
        let options = PipelineOptions {
            name: "p".into(),
            from: vec!["in".into()],
            to: "out".into(),
            operators: vec![operator],
            checkpoint_interval: Duration::MAX,
            checkpoint_bytes: u64::MAX,
        };
        let input = Arc::new(Schema::new(vec![Field::new("temp", Scalar::Float)]).unwrap());
        let chain = Chain::build(&options, &input).unwrap();
        let recipe = chain.recipes(&options).remove(0);
        Bench { chain, recipe, given: 0 }
    }

    pub fn deadband() -> Bench {
        Bench::new(deadband(&[]), r#"{"band":0.5}"#, None)
    }

    /// What the chain makes of readings (device, seconds, temp), a line a record.
    pub fn process(&mut self, rows: &[(u32, i64, f64)]) -> Vec<String> {
        let mut builder = BatchBuilder::new(self.recipe.input.clone());
        for (device, seconds, temp) in rows {
            builder.float(0, *temp);
            builder.end_row(&format!("d{device}"), 1_700_000_000 * SECOND + seconds * SECOND).unwrap();
        }
        let batch = Arc::new(builder.finish());
        let first = self.given;
        self.given += rows.len() as u64;
        let run = Run { commit: 1, arrival: 0, wall: 0, trusted: true, stamped: None, rows: rows.len() as u32 };
        let (first, next) = (Position(first), Position(self.given));
        let entry = Entry { input: 0, first, next, run, era: None, batch };
        let outcome = self.chain.process(&entry, &Verdicts::default()).unwrap();
        let lines = outcome
            .batches
            .iter()
            .flat_map(|(batch, _)| (0..batch.rows()).map(|row| serde_json::to_string(&batch.row(row)).unwrap()));
        lines.collect()
    }

    pub fn swap(&mut self, plugin: Arc<Plugin>) -> Result<Swapped, String> {
        let handover = Handover::new(&self.recipe, plugin).unwrap();
        self.give(&handover)?;
        handover.take_in()?;
        self.switch(&handover)
    }

    fn give(&mut self, handover: &Handover) -> Result<(), String> {
        handover.give(self.chain.operator(0))
    }

    fn switch(&mut self, handover: &Handover) -> Result<Swapped, String> {
        handover.switch(1, self.chain.operator(0))
    }
}

#[test]
fn another_version_goes_on_from_the_state_of_the_one_before() {
    let mut bench = Bench::deadband();
    assert_eq!(bench.process(&[(1, 0, 1.0), (2, 0, 7.0)]).len(), 2);
    let swapped = bench.swap(second()).unwrap();
    assert_eq!((swapped.from.as_str(), swapped.to.as_str(), swapped.slots), ("deadband 1.0.0", "deadband 2.0.0", 2));
    assert_ne!(swapped.from_sha256, swapped.to_sha256);
    assert_eq!(bench.process(&[(1, 1, 1.2), (2, 1, 7.2), (3, 1, 1.0)]).len(), 1, "only the third device is new");
    let again = bench.swap(second()).unwrap();
    assert_eq!((again.from.as_str(), again.slots), ("deadband 2.0.0", 3));
    assert_eq!(bench.process(&[(1, 2, 1.2), (3, 2, 2.0)]).len(), 1);
}

#[test]
fn what_is_touched_while_states_are_carried_is_carried_too() {
    let mut bench = Bench::deadband();
    bench.process(&[(1, 0, 1.0), (2, 0, 2.0)]);
    let handover = Handover::new(&bench.recipe, second()).unwrap();
    bench.give(&handover).unwrap();
    assert_eq!(bench.process(&[(1, 1, 5.0), (3, 1, 3.0)]).len(), 2);
    assert_eq!(handover.take_in(), Ok(2), "those there were at first");
    bench.give(&handover).unwrap();
    assert_eq!(handover.take_in(), Ok(2), "those touched since");
    bench.switch(&handover).unwrap();
    assert_eq!(bench.process(&[(1, 2, 5.1), (2, 2, 2.1), (3, 2, 3.1)]), Vec::<String>::new());
    assert!(bench.switch(&handover).unwrap_err().contains("already"));
}

#[test]
fn of_two_handovers_at_a_time_the_one_that_began_first_is_refused() {
    let mut bench = Bench::deadband();
    bench.process(&[(1, 0, 1.0)]);
    let plugin = second();
    let [first, second] = [(); 2].map(|()| Handover::new(&bench.recipe, plugin.clone()).unwrap());
    bench.give(&first).unwrap();
    first.take_in().unwrap();
    bench.process(&[(1, 1, 5.0)]);
    bench.give(&second).unwrap();
    assert!(bench.switch(&first).unwrap_err().contains("try again"), "what was touched between them would be missing");
    second.take_in().unwrap();
    bench.switch(&second).unwrap();
    assert_eq!(bench.process(&[(1, 2, 5.1)]), Vec::<String>::new());
    let third = Handover::new(&bench.recipe, plugin.clone()).unwrap();
    bench.give(&third).unwrap();
    bench.swap(plugin.clone()).unwrap();
    assert!(bench.switch(&third).unwrap_err().contains("try again"), "it began with a version that is gone");
}

#[test]
fn open_windows_are_carried_and_a_swap_does_not_show_in_results() {
    let file = plugins().join("stats.wasm");
    let stats = Engine::new(EngineOptions::default()).unwrap().load(&file, &Limits::default()).unwrap();
    let window = WindowOptions { size: 10 * SECOND, lateness: 5 * SECOND, idle: 60 * SECOND };
    for seed in 0..20 {
        let mut rng = SmallRng::seed_from_u64(seed);
        let parts: Vec<Vec<(u32, i64, f64)>> = (0..30)
            .map(|part| {
                (0..20).map(|n| (rng.random_range(0..9), part * 3 + n / 7, rng.random_range(0.0..9.0))).collect()
            })
            .collect();
        let run = |disturb: bool, rng: &mut SmallRng| {
            let mut bench = Bench::new(stats.clone(), r#"{"fields":["temp"]}"#, Some(window));
            let (mut lines, mut under_way) = (Vec::new(), None);
            for part in &parts {
                if disturb && rng.random_bool(0.5) {
                    let handover =
                        under_way.take().unwrap_or_else(|| Handover::new(&bench.recipe, stats.clone()).unwrap());
                    bench.give(&handover).unwrap();
                    if rng.random_bool(0.5) {
                        handover.take_in().unwrap();
                        bench.switch(&handover).unwrap();
                    } else {
                        handover.take_in().unwrap();
                        under_way = Some(handover);
                    }
                }
                lines.extend(bench.process(part));
            }
            lines
        };
        let (quiet, disturbed) = (run(false, &mut rng), run(true, &mut rng));
        assert!(quiet.len() > 20, "{} windows closed", quiet.len());
        assert_eq!(disturbed, quiet, "seed {seed}");
    }
}

/// `target/plugins`, where `cargo xtask plugins` puts them.
fn plugins() -> PathBuf {
    std::env::current_exe().unwrap().ancestors().nth(3).unwrap().join("plugins")
}

#[test]
fn a_version_that_does_not_fit_or_refuses_the_state_leaves_the_old_one_running() {
    let mut bench = Bench::deadband();
    bench.process(&[(1, 0, 1.0)]);
    bench.swap(second()).unwrap();
    let other = [("(i32.const 0) \"deadband\"", "(i32.const 0) \"deadbeef\"")];
    let trap = [
        NUMBER,
        (
            "(param $data i32) (param i32) (result i32) (local $slot i32) (local $begin i32)",
            "(param $data i32) (param i32) (result i32) (local $slot i32) (local $begin i32) (local $none i32)",
        ),
        (
            "(if (i32.ne (local.get $version) (i32.const 1))",
            "(if (i32.eqz (local.get $none)) (then (unreachable))) (if (i32.ne (local.get $version) (i32.const 1))",
        ),
    ];
    let cases = [
        (deadband(&[]), "knows version 1 only"),
        (deadband(&other), "not another version of deadband 2.0.0"),
        (deadband(&trap), "unreachable"),
    ];
    for (plugin, why) in cases {
        let refused = bench.swap(plugin).unwrap_err();
        assert!(refused.contains(why), "{refused}");
        assert_eq!(bench.chain.plugin(0), "deadband 2.0.0");
        assert_eq!(bench.process(&[(1, 1, 1.2)]).len(), 0, "its state is as it was");
    }
}
