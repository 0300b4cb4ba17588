//! Calls that do not end well: the row at fault is found and told, the others and the next batch are as ever.

use crate::guest::{Guest, batch, says};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tidegate_record::ROWS_MAX;
use tidegate_sandbox::{FaultKind, Input, Limits, Runner};

/// The value of the rows at fault.
const BAD: f64 = 13.0;
/// Keeps everything but for batches with a bad row, which do what stands in between.
macro_rules! when_bad {
    ($what:literal) => {
        concat!(
            "(if (call $any (local.get $rows) (local.get $columns) (f64.const 13)) (then ",
            $what,
            ")) (call $keep_all (local.get $rows))"
        )
    };
}

/// Soon enough for a test, late enough that a busy machine does not end calls that are well.
fn quick() -> Limits {
    Limits { call_time: Duration::from_millis(100), ..Limits::default() }
}

/// Row 2 of 5 is at fault, the other four are kept, and so is the next batch.
fn check_costs_one_row(runner: &mut Runner, kind: FaultKind, parts: &[&str]) {
    let kept = runner.keep(Input::of(&batch(&[1.0, 2.0, BAD, 4.0, 5.0]))).expect("goes on");
    assert_eq!(kept.keep, [1, 1, 0, 1, 1]);
    assert_eq!(kept.faults.iter().map(|f| (f.row, f.fault.kind)).collect::<Vec<_>>(), [(2, kind)]);
    says(&kept.faults[0].fault, parts);
    let kept = runner.keep(Input::of(&batch(&[1.0; 300]))).expect("the next batch works");
    assert_eq!((kept.keep, kept.faults.len()), (vec![1; 300], 0));
}

#[test]
fn an_endless_loop_is_ended() {
    let mut runner = Guest::filter(when_bad!("(loop $forever (br $forever))")).runner_limited(&quick());
    check_costs_one_row(
        &mut runner,
        FaultKind::Deadline,
        &["plugin hostile 1.0.0: deadline: ran longer than call_time allows"],
    );
}

#[test]
fn an_endless_loop_of_bulk_operations_is_ended() {
    let what = when_bad!("(loop $forever (memory.fill (i32.const 0) (i32.const 0) (i32.const 65536)) (br $forever))");
    let mut runner = Guest::filter(what).runner_limited(&quick());
    check_costs_one_row(&mut runner, FaultKind::Deadline, &["deadline: ran longer than call_time allows"]);
}

#[test]
fn a_memory_bomb_meets_its_cap() {
    let what = when_bad!("(loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable");
    let mut runner = Guest::filter(what).runner();
    check_costs_one_row(
        &mut runner,
        FaultKind::Memory,
        &["plugin hostile 1.0.0: memory: asked for more memory than it may have"],
    );
    let peak = runner.stats().memory_bytes_peak.load(Relaxed);
    assert!(peak <= Limits::default().memory_bytes as u64, "{peak} bytes");
}

#[test]
fn a_recursion_without_end_meets_the_stack_cap() {
    let mut guest = Guest::filter(when_bad!("(drop (call $recurse (i32.const 1)))"));
    guest.core =
        "(func $recurse (param i32) (result i32) (i32.add (local.get 0) (call $recurse (local.get 0))))".into();
    check_costs_one_row(&mut guest.runner(), FaultKind::Trap, &["trap: call stack exhausted", "(in recurse)"]);
}

#[test]
fn an_access_out_of_bounds_is_a_trap() {
    let mut runner = Guest::filter(when_bad!("(drop (i32.load (i32.const 0x7fffffff)))")).runner();
    check_costs_one_row(&mut runner, FaultKind::Trap, &["trap: out of bounds memory access"]);
}

#[test]
fn a_loop_while_room_is_given_is_ended() {
    // The host asks for room for a batch before the guest's function runs.
    let mut guest = Guest::filter("(call $keep_all (local.get $rows))");
    guest.realloc = "(loop $forever (br_if $forever (i32.gt_u (local.get $size) (i32.const 1000))))";
    let mut runner = guest.runner_limited(&quick());
    let kept = runner.keep(Input::of(&batch(&[1.0; 200]))).expect("goes on in smaller calls");
    assert_eq!((kept.keep, kept.faults.len()), (vec![1; 200], 0));
    assert!(runner.stats().faults.load(Relaxed) > 0, "larger calls were tried");
}

#[test]
fn a_trap_costs_just_the_rows_that_trap() {
    let mut guest = Guest::filter(when_bad!("(call $boom)"));
    guest.core = "(func $boom unreachable)".into();
    let mut runner = guest.runner();
    let bad = [0, 7, 150, 151, 1022, 1023];
    let values: Vec<f64> = (0..1024).map(|row| if bad.contains(&row) { BAD } else { 1.0 }).collect();
    let kept = runner.keep(Input::of(&batch(&values))).expect("goes on");
    assert_eq!(kept.faults.iter().map(|f| f.row).collect::<Vec<_>>(), bad);
    let expected: Vec<u8> = (0..1024).map(|row| u8::from(!bad.contains(&row))).collect();
    assert_eq!(kept.keep, expected);
    for fault in &kept.faults {
        says(&fault.fault, &["plugin hostile 1.0.0: trap: wasm `unreachable` instruction executed (in boom)"]);
    }
}

#[test]
fn a_storm_with_good_records_in_between_is_quarantined_too_and_one_fault_in_twenty_is_not() {
    let feed = |every: usize, batches: usize| {
        let mut guest = Guest::filter(when_bad!("(call $boom)"));
        guest.core = "(func $boom unreachable)".into();
        let mut runner = guest.runner();
        let values: Vec<f64> = (0..60).map(|row| if row % every == 0 { BAD } else { 1.0 }).collect();
        (0..batches).try_for_each(|_| runner.keep(Input::of(&batch(&values))).map(drop))
    };
    let halted = feed(2, 40).expect_err("gives up");
    assert!(halted.storm && halted.row.is_some_and(|row| row % 2 == 0), "{halted:?}");
    says(
        &halted,
        &["plugin quarantined after more than one record in 10 faulted, over 1000 faults, last: plugin hostile"],
    );
    feed(20, 100).expect("goes on");
}

#[test]
fn a_plugin_that_always_traps_is_quarantined() {
    let limits = Limits { faults_max: 10, ..Limits::default() };
    let mut runner = Guest::filter("unreachable").runner_limited(&limits);
    let halted = runner.keep(Input::of(&batch(&[1.0; 4096]))).expect_err("gives up");
    assert_eq!(halted.calls, 10);
    says(
        &halted,
        &["plugin quarantined after 10 faulted calls in a row, last: plugin hostile 1.0.0: trap: wasm `unreachable`"],
    );
}

#[test]
fn a_plugin_that_leaks_is_given_a_fresh_instance() {
    // Room is never free again: 32 KiB a batch reach the cap of 1 MiB every thirty batches.
    let mut guest = Guest::filter("(call $keep_all (local.get $rows))");
    guest.forget = "";
    let limits = Limits { memory_bytes: 1 << 20, ..Limits::default() };
    let mut runner = guest.runner_limited(&limits);
    let batch = batch(&vec![1.0; ROWS_MAX]);
    for _ in 0..200 {
        assert_eq!(runner.keep(Input::of(&batch)).expect("goes on").faults, []);
    }
    assert_eq!(runner.stats().faults.load(Relaxed), 0, "replaced before it faulted");
    assert!(runner.stats().memory_bytes_peak.load(Relaxed) <= 1 << 20);
}

#[test]
fn what_a_guest_leaves_in_memory_dies_with_its_instance() {
    // After a fault nothing of the broken instance is seen again: its heap pointer, say.
    let mut guest = Guest::filter(when_bad!(
        "(global.set $free (i32.const -8)) (i32.store (i32.const 64) (i32.const -1)) unreachable"
    ));
    guest.forget = "";
    check_costs_one_row(&mut guest.runner(), FaultKind::Trap, &["unreachable"]);
}
