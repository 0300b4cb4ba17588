//! Shadows beside a deadband that drops what lies within 0.5 of what it kept last.

use super::*;
use crate::WindowOptions;
use crate::handover::tests::{Bench, NUMBER, deadband, second};
use tidegate_sandbox::{Engine, EngineOptions, Limits, Plugin};

const BOUNDS: Bounds = Bounds { records: None, differ: 0.0, slower: 1e9, faults: 0 };

fn beside(bench: &mut Bench, plugin: Arc<Plugin>, bounds: Bounds) -> Shadow {
    let shadow = Shadow::new(bench.recipe.operator(1, plugin).unwrap(), bounds);
    bench.chain.shadow(0, &shadow).unwrap();
    shadow
}

/// Waits for the end of a shadow or the verdict on it.
fn settled(shadow: &Shadow) -> Verdict {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(shadow.settled())
}

fn failed(verdict: Verdict) -> String {
    match verdict {
        Verdict::Failed(reason) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_version_that_does_the_same_shows_no_difference_and_passes() {
    let mut bench = Bench::deadband();
    bench.process(&[(1, 0, 1.0)]);
    let shadow = beside(&mut bench, second(), Bounds { records: Some(100), ..BOUNDS });
    assert_eq!(shadow.verdict(), None);
    for second in 1..=50 {
        bench.process(&[(1, second, 1.2), (2, second, second as f64)]);
    }
    assert_eq!(settled(&shadow), Verdict::Passed);
    let report = shadow.report();
    assert_eq!((report.records, report.compared, report.differ, report.faults), (100, 100, 0, 0));
    assert_eq!((report.state, report.plugin.as_str()), (ShadowState::Running, "deadband 2.0.0"));
    assert_eq!((report.fuel_per_record, report.live_fuel_per_record), (None, None), "nobody counts it");
}

#[test]
fn what_another_version_keeps_or_drops_is_told_and_the_output_is_the_live_ones() {
    let (mut alone, mut bench) = (Bench::deadband(), Bench::deadband());
    // It keeps whatever has a value.
    let keeps =
        deadband(&[NUMBER, ("(local.get $slot)))) (global.get $band)))))", "(local.get $slot)))) (f64.const -1)))))")]);
    let shadow = beside(&mut bench, keeps, BOUNDS);
    for second in 0..5 {
        let rows = [(1, second, 1.0), (2, second, second as f64)];
        assert_eq!(bench.process(&rows), alone.process(&rows));
    }
    bench.chain.unshadow(0, "enough");
    assert_eq!(settled(&shadow), Verdict::Stopped("enough".into()));
    let report = shadow.report();
    assert_eq!((report.compared, report.differ, report.state), (10, 4, ShadowState::Stopped));
    assert_eq!(report.differences[0], "d1 at 2023-11-14T22:13:21.000000Z: only the shadow has it");
}

#[test]
fn one_that_was_told_to_stop_does_not_pass_by_what_it_is_still_to_work_off() {
    let mut operator = Bench::deadband().recipe.operator(1, second()).unwrap();
    let mut books = Books::new(&mut *operator, Bounds { records: Some(100), ..BOUNDS });
    let entry = || Noted {
        records: 100,
        found: compare::Found { compared: 1, ..Default::default() },
        faults: (0, 0),
        spent: Default::default(),
    };
    books.stop("enough");
    books.note(entry());
    assert_eq!((books.verdict(), books.stopped()), (None, Some("enough".into())));
    books.end(None);
    assert_eq!((books.verdict(), books.stopped()), (Some(Verdict::Stopped("enough".into())), Some("enough".into())));
}

#[test]
fn a_shadow_that_traps_or_never_ends_harms_nobody() {
    const BEGIN: &str = "(memory.fill (local.get $mask) (i32.const 0) (local.get $rows))";
    let trap = deadband(&[NUMBER, (BEGIN, "(if (local.get $rows) (then unreachable))")]);
    let forever = deadband(&[NUMBER, (BEGIN, "(loop $for_ever (br $for_ever))")]);
    for (plugin, why) in [(trap, "unreachable"), (forever, "deadline")] {
        let (mut alone, mut bench) = (Bench::deadband(), Bench::deadband());
        let shadow = beside(&mut bench, plugin, Bounds { records: Some(1_000_000), faults: 1_000_000, ..BOUNDS });
        for second in 0..200 {
            let rows = [(1, second, 1.0), (2, second, second as f64)];
            assert_eq!(bench.process(&rows), alone.process(&rows));
        }
        let reason = failed(settled(&shadow));
        assert!(reason.contains(why), "{reason}");
        assert_eq!(bench.chain.plugin(0), "deadband 1.0.0");
    }
}

#[test]
fn bounds_on_differences_and_faults_fail_it() {
    let keeps =
        deadband(&[NUMBER, ("(local.get $slot)))) (global.get $band)))))", "(local.get $slot)))) (f64.const -1)))))")]);
    let verdict = |differ: f64| {
        let mut bench = Bench::deadband();
        let shadow = beside(&mut bench, keeps.clone(), Bounds { records: Some(10), differ, ..BOUNDS });
        (0..10).for_each(|second| drop(bench.process(&[(1, second, 1.0)])));
        settled(&shadow)
    };
    assert_eq!(verdict(0.9), Verdict::Passed);
    assert!(failed(verdict(0.8)).starts_with("9 of 10 results differ, over the bound of 0.8; the first: d1 at "));
}

/// `entries` entries of 100 records, every tenth of which has 5 windows finished, at so many nanoseconds for each.
fn judged(entries: u64, own: u64, live: u64) -> Option<Verdict> {
    let mut operator = Bench::deadband().recipe.operator(1, second()).unwrap();
    let mut books = Books::new(&mut *operator, Bounds { records: Some(100 * entries), slower: 2.0, ..BOUNDS });
    for entry in 0..entries {
        let windows = if entry % 10 == 9 { 5 } else { 0 };
        let spent = |ns| Spent { records_ns: 10_000, windows, windows_ns: windows * ns, fuel: None };
        let found = compare::Found { compared: 1, ..Default::default() };
        books.note(Noted { records: 100, found, faults: (0, 0), spent: (spent(own), spent(live)) });
    }
    books.verdict()
}

#[test]
fn windows_that_cost_more_to_finish_are_seen_though_few_entries_have_any() {
    let why = "it takes 9000 ns a window it finishes, over 2 × the 3000 of the live one";
    assert_eq!(judged(100, 9_000, 3_000), Some(Verdict::Failed(why.into())));
    assert_eq!(judged(100, 5_000, 3_000), Some(Verdict::Passed));
    assert_eq!(judged(70, 9_000, 3_000), Some(Verdict::Passed), "what a first call costs says nothing");
}

#[test]
fn an_aggregate_says_apart_what_its_finished_windows_cost() {
    let engine = Engine::new(EngineOptions::default()).unwrap();
    let plugins = std::env::current_exe().unwrap().ancestors().nth(3).unwrap().join("plugins");
    let stats = engine.load(&plugins.join("stats.wasm"), &Limits::default()).unwrap();
    let window = WindowOptions { size: 10_000_000, lateness: 0, idle: 60_000_000 };
    let mut bench = Bench::new(stats, r#"{"fields":["temp"]}"#, Some(window));
    bench.process(&[(1, 0, 1.0), (2, 0, 1.0)]);
    let before = Spent::of(bench.chain.operator(0));
    assert_eq!((before.windows, before.windows_ns), (0, 0));
    assert_eq!(bench.process(&[(1, 20, 1.0), (2, 20, 1.0), (1, 40, 1.0)]).len(), 3);
    let spent = Spent::of(bench.chain.operator(0)).since(before);
    assert_eq!(spent.windows, 3);
    assert!(spent.records_ns > 0 && spent.windows_ns > 0, "{spent:?}");
}
