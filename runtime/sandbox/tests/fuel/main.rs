//! An engine that counts fuel, in a process of its own: a process has one engine.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "the plugins of other tests, of which these need some")]
#[path = "../hostile/guest.rs"]
mod guest;

use guest::{Guest, batch, says, schema};
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tidegate_sandbox::{Bound, Engine, EngineOptions, FaultKind, Input, Kind, Limits, RowFault, Runner, Window};

/// The value of a record that takes a million steps and more.
const HEAVY: f64 = 13.0;

/// Five steps a turn, a million turns where any record is heavy.
const HEAVY_WORK: &str = "(if (call $any (local.get $rows) (local.get $columns) (f64.const 13))
                            (then (call $work (i32.const 1000000))))
                          (call $keep_all (local.get $rows))";
const WORK: &str = "(func $work (param i32)
                      (loop $l (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))";

/// A filter that does `rows`, and has `$work`.
fn working(rows: &'static str) -> Guest {
    Guest { core: WORK.into(), ..Guest::filter(rows) }
}

fn engine() -> Engine {
    Engine::new(EngineOptions { fuel: true, ..EngineOptions::default() }).expect("an engine")
}

fn running(guest: Guest, limits: &Limits) -> Runner {
    let plugin = engine().load_bytes(Path::new("hostile.wat"), guest.text().as_bytes(), limits).expect("loads");
    assert!(plugin.counts_fuel());
    Runner::new(plugin, "{}", &schema(), limits).expect("configures")
}

/// Long enough that no busy machine ends a call before its fuel does.
fn limited(call_fuel: Option<u64>) -> Limits {
    Limits { call_fuel, call_time: Duration::from_secs(60), ..Limits::default() }
}

/// The rows set aside of `values` given in batches of `size`.
fn set_aside(runner: &mut Runner, values: &[f64], size: usize) -> Vec<(usize, RowFault)> {
    let batches = values.chunks(size).enumerate();
    let faults = batches.flat_map(|(at, some)| {
        let kept = runner.keep(Input::of(&batch(some))).expect("goes on");
        kept.faults.into_iter().map(move |fault| (at * size + fault.row as usize, fault))
    });
    faults.collect()
}

#[test]
fn the_same_calls_take_the_same_fuel() {
    let fuel_of = |rows: usize| {
        let mut runner = running(Guest::filter("(call $keep_all (local.get $rows))"), &limited(None));
        let batch = batch(&vec![1.0; rows]);
        let mut seen = 0;
        let each: Vec<u64> = (0..3)
            .map(|_| {
                runner.keep(Input::of(&batch)).expect("runs");
                let fuel = runner.stats().fuel.load(Relaxed);
                fuel - std::mem::replace(&mut seen, fuel)
            })
            .collect();
        assert_eq!(runner.stats().fuel_per_record(), seen / (3 * rows as u64));
        each
    };
    let (few, many) = (fuel_of(10), fuel_of(1000));
    assert!(few[0] > 0 && few.iter().all(|&fuel| fuel == few[0]), "{few:?}");
    assert_eq!(few, fuel_of(10));
    // It fills a byte a record, and a byte filled is a step; room in memory is found by shifts, whatever is asked for.
    assert_eq!(many[0] - few[0], 990);
}

#[test]
fn a_record_that_takes_more_than_its_fuel_costs_itself_and_is_named() {
    let mut runner = running(working(HEAVY_WORK), &limited(Some(1_000_000)));
    let kept = runner.keep(Input::of(&batch(&[1.0, 2.0, HEAVY, 4.0, 5.0]))).expect("goes on");
    assert_eq!(kept.keep, [1, 1, 0, 1, 1]);
    let found: Vec<_> = kept.faults.iter().map(|f| (f.row, f.fault.kind, f.fault.bound)).collect();
    assert_eq!(found, [(2, FaultKind::Fuel, Some(Bound::Fuel))]);
    let told = "plugin hostile 1.0.0: fuel: took more fuel than call_fuel allows (in work)";
    says(&kept.faults[0].fault, &[told]);
    for bound in Bound::ALL {
        assert_eq!(runner.stats().bounds[bound as usize].load(Relaxed) > 0, bound == Bound::Fuel, "{bound}");
    }
    let kept = runner.keep(Input::of(&batch(&[1.0; 300]))).expect("the next batch works");
    assert_eq!((kept.keep, kept.faults.len()), (vec![1; 300], 0));
    let mut unlimited = running(working(HEAVY_WORK), &limited(None));
    assert_eq!(unlimited.keep(Input::of(&batch(&[HEAVY]))).expect("runs").keep, [1]);
    assert!(unlimited.stats().fuel.load(Relaxed) > 5_000_000);
}

#[test]
fn which_records_are_at_fault_does_not_depend_on_where_they_are_cut() {
    let heavy = [0, 7, 8, 150, 399];
    let values: Vec<f64> = (0..400).map(|row| if heavy.contains(&row) { HEAVY } else { 1.0 }).collect();
    for size in [400, 64, 7, 1] {
        let mut runner = running(working(HEAVY_WORK), &limited(Some(10_000)));
        let found: Vec<usize> = set_aside(&mut runner, &values, size).iter().map(|(row, _)| *row).collect();
        assert_eq!(found, heavy, "in batches of {size}");
    }
}

#[test]
fn calls_become_smaller_where_only_together_they_take_too_much() {
    // A hundred turns a record.
    let guest = || {
        let rows = "(call $work (i32.mul (local.get $rows) (i32.const 100))) (call $keep_all (local.get $rows))";
        running(working(rows), &limited(Some(5_000)))
    };
    let mut runner = guest();
    assert_eq!(set_aside(&mut runner, &[1.0; 64], 64), []);
    let faults = runner.stats().faults.load(Relaxed);
    assert!(faults > 0, "larger calls were tried");
    assert_eq!(set_aside(&mut runner, &[1.0; 64], 64), []);
    assert_eq!(runner.stats().faults.load(Relaxed), faults, "it was learned");
    assert_eq!(set_aside(&mut guest(), &[1.0; 64], 5), []);
}

#[test]
fn a_loop_without_end_is_ended_by_its_fuel() {
    let mut runner = running(Guest::filter("(loop $l (br $l)) unreachable"), &limited(Some(1_000_000)));
    let found = set_aside(&mut runner, &[1.0], 1);
    assert_eq!(found.iter().map(|(row, f)| (*row, f.fault.bound)).collect::<Vec<_>>(), [(0, Some(Bound::Fuel))]);
}

#[test]
fn bulk_operations_take_fuel_by_their_bytes() {
    let fill =
        "(memory.fill (i32.const 0) (i32.const 0) (i32.const 60)) (memory.copy (i32.const 65536) (i32.const 65536)
                (i32.const 50000)) (call $keep_all (local.get $rows))";
    let found = |fuel| {
        let mut runner = running(Guest::filter(fill), &limited(Some(fuel)));
        set_aside(&mut runner, &[1.0], 1).into_iter().map(|(_, f)| f.fault.bound).collect::<Vec<_>>()
    };
    assert_eq!((found(50_000), found(51_000)), (vec![Some(Bound::Fuel)], vec![]));
}

#[test]
fn what_is_no_records_doing_has_no_limit_of_fuel() {
    let mut guest = working(
        "(if (call $any (local.get $rows) (local.get $columns) (f64.const 13)) (then unreachable))
         (call $keep_all (local.get $rows))",
    );
    let work = "(call $work (i32.const 100000))";
    guest.configure = work.into();
    (guest.state, guest.slots) = (true, true);
    guest.load = "(call $work (i32.const 100000)) (i32.store8 (i32.const 96) (i32.const 0)) (i32.const 96)";
    // A blob a slot: offsets 0 and 1, and a byte.
    guest.reply = guest.image.blobs(&[0, 1], &[7]);
    let mut runner = running(guest, &limited(Some(10_000)));
    let mut fuel = 0;
    // Each fault takes an instance that is configured, and loads what was saved.
    for _ in 0..3 {
        let kept = runner.keep(Input::with_slots(&batch(&[1.0, HEAVY, 3.0]), &[0, 0, 0])).expect("goes on");
        let kinds: Vec<_> = kept.faults.iter().map(|f| (f.row, f.fault.kind)).collect();
        assert_eq!((kept.keep, kinds), (vec![1, 0, 1], vec![(1, FaultKind::Trap)]));
        runner.save(&[0]).expect("saves");
        fuel = runner.stats().fuel.load(Relaxed);
    }
    assert!(fuel < 10_000, "{fuel}: what starts an instance is nobody's cost");
}

#[test]
fn rows_of_windows_are_held_to_it_too() {
    let mut guest = Guest::answering(Kind::Aggregate, |image| image.words(&[0, 0]));
    guest.core = WORK.into();
    guest.rows = Some("(call $work (i32.const 100000)) (i32.const {reply})");
    let mut runner = running(guest, &limited(Some(10_000)));
    let faults = runner.update(Input::with_slots(&batch(&[1.0]), &[0])).expect("goes on");
    assert_eq!(faults.iter().map(|f| f.fault.bound).collect::<Vec<_>>(), [Some(Bound::Fuel)]);
}

#[test]
fn merging_and_finishing_windows_is_no_records_doing() {
    let mut guest = Guest::answering(Kind::Aggregate, |image| image.words(&[0, 0]));
    guest.core = WORK.into();
    guest.windows = "(call $work (i32.const 100000))";
    let mut runner = running(guest, &limited(Some(10_000)));
    assert_eq!(runner.update(Input::with_slots(&batch(&[1.0]), &[0])).expect("runs"), []);
    assert_eq!(runner.merge(&[1], &[0]).expect("merges"), []);
    let finished = runner.finish(&[Window { slot: 1, start: 0, end: 1 }]).expect("finishes");
    assert_eq!(finished.faults, []);
    assert!(runner.stats().fuel.load(Relaxed) > 200_000, "it is counted all the same");
}

#[test]
fn what_passed_passes_again_at_replay() {
    let mut runner = running(working(HEAVY_WORK), &limited(Some(10_000)));
    runner.replays(true);
    assert_eq!(set_aside(&mut runner, &[1.0, HEAVY], 2), []);
    runner.replays(false);
    assert_eq!(set_aside(&mut runner, &[1.0, HEAVY], 2).len(), 1);
}

#[test]
fn a_process_whose_engine_counts_has_none_that_does_not() {
    engine();
    let error = Engine::new(EngineOptions::default()).expect_err("there is one engine");
    says(error, &["this process's WebAssembly engine has fuel = true, not false"]);
}
