//! What a plugin may import: linked where it is granted, bounded, and the same when a call is done again.

use crate::guest::{Guest, batch, says};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tidegate_sandbox::{Arrival, ConfigureError, FaultKind, Grant, Grants, Input, Limits, LogLimits, Runner};

/// A line of eight bytes, said as often as a call has to.
const SAY: &str = "(func $say (call $log (i32.const 1) (i32.const 1024) (i32.const 8)))
    (func $often (param $times i32) (loop $more (call $say)
      (br_if $more (local.tee $times (i32.sub (local.get $times) (i32.const 1))))))";

fn granted() -> Limits {
    let log = LogLimits { minute_lines: 1000, ..LogLimits::default() };
    Limits { grants: Grants::all(), log, call_time: Duration::from_millis(100), ..Limits::default() }
}

fn talker(rows: &'static str) -> Guest {
    let mut guest = Guest { imports: &[Grant::Log], core: SAY.into(), ..Guest::filter(rows) };
    guest.image.put(b"one line");
    guest
}

/// Lines passed on and dropped.
fn lines(runner: &Runner) -> (u64, u64) {
    (runner.stats().log_lines.load(Relaxed), runner.stats().log_dropped.load(Relaxed))
}

#[test]
fn what_was_not_granted_is_refused_with_the_remedy() {
    let refused = |imports, grants| {
        let limits = Limits { grants, ..Limits::default() };
        let guest = Guest { imports, ..Guest::filter("(call $keep_all (local.get $rows))") };
        guest.load_limited(&limits).map(|plugin| plugin.imports().to_vec())
    };
    let both: &[Grant] = &[Grant::Log, Grant::Clock];
    let error = refused(both, Grants::default()).expect_err("nothing is granted");
    says(
        error,
        &[
            "plugin hostile.wat: imports tidegate:plugin/log@1.0.0 and tidegate:plugin/clock@1.0.0, which is not granted: \
           write grant = [\"log\", \"clock\"] beside it if it may have that",
        ],
    );
    let error = refused(both, Grants { log: true, ..Grants::default() }).expect_err("the clock is not granted");
    says(error, &["imports tidegate:plugin/clock@1.0.0, which is not granted: write grant = [\"clock\"]"]);
    assert_eq!(refused(both, Grants::all()).expect("all is granted"), both);
    assert_eq!(refused(&[], Grants::all()).expect("it may have more than it wants"), []);
}

#[test]
fn functions_of_other_types_than_the_contract_are_refused() {
    let text = Guest { imports: &[Grant::Clock], ..Guest::filter("(call $keep_all (local.get $rows))") }.text();
    let text = text.replace("(result s64)", "(result u64)");
    let error = crate::guest::engine().load_bytes("clock.wat".as_ref(), text.as_bytes(), &granted());
    says(
        error.expect_err("another type"),
        &["imports functions or types other than those of the contract: ", "sdk/wit"],
    );
}

#[test]
fn lines_over_a_calls_bound_are_dropped_and_counted() {
    let mut runner =
        talker("(call $often (i32.const 20)) (call $keep_all (local.get $rows))").runner_limited(&granted());
    runner.keep(Input::of(&batch(&[1.0; 5]))).expect("runs");
    assert_eq!(lines(&runner), (16, 4));
    let limits = Limits { log: LogLimits { call_bytes: 20, ..LogLimits::default() }, ..granted() };
    let mut runner = talker("(call $often (i32.const 20)) (call $keep_all (local.get $rows))").runner_limited(&limits);
    runner.keep(Input::of(&batch(&[1.0; 5]))).expect("runs");
    assert_eq!(lines(&runner), (3, 17), "eight, eight and four bytes");
}

#[test]
fn lines_over_a_minutes_bound_are_dropped_and_counted() {
    let limits = Limits { log: LogLimits { minute_lines: 5, ..LogLimits::default() }, ..granted() };
    let mut runner = talker("(call $often (i32.const 3)) (call $keep_all (local.get $rows))").runner_limited(&limits);
    for _ in 0..1000 {
        runner.keep(Input::of(&batch(&[1.0; 5]))).expect("runs");
    }
    let (passed, dropped) = lines(&runner);
    assert_eq!(passed + dropped, 3000);
    // A minute may turn meanwhile, and on a slow machine another.
    assert!([5, 10, 15].contains(&passed), "{passed}");
}

#[test]
fn a_plugin_that_only_logs_is_ended_like_any_endless_loop() {
    let rows = "(if (call $any (local.get $rows) (local.get $columns) (f64.const 13)) (then
        (loop $forever (call $log (i32.const 3) (i32.const 0) (i32.const 65536)) (br $forever))))
        (call $keep_all (local.get $rows))";
    let mut runner = talker(rows).runner_limited(&granted());
    let kept = runner.keep(Input::of(&batch(&[1.0, 13.0, 2.0]))).expect("goes on");
    assert_eq!(kept.keep, [1, 0, 1]);
    assert_eq!(kept.faults[0].fault.kind, FaultKind::Deadline);
    assert_eq!(lines(&runner).0, 1, "a message of 64 KiB is a call's last");
}

#[test]
fn a_line_is_said_once_however_often_its_record_is_tried() {
    // Says a line for a batch with 7 in it, and traps at 13.
    let rows = "(if (call $any (local.get $rows) (local.get $columns) (f64.const 7)) (then (call $say)))
        (if (call $any (local.get $rows) (local.get $columns) (f64.const 13)) (then unreachable))
        (call $keep_all (local.get $rows))";
    let guest = Guest { state: true, slots: true, ..talker(rows) };
    let mut runner = Guest {
        save: Some(
            "(i64.store (i32.const 128) (i64.const 0)) (i32.store (i32.const 144) (i32.const 128))
            (i32.store (i32.const 148) (i32.const 2)) (i64.store (i32.const 152) (i64.const 136)) (i32.const 144)",
        ),
        ..guest
    }
    .runner_limited(&granted());
    let kept = runner.keep(Input::with_slots(&batch(&[7.0, 1.0, 13.0, 1.0, 13.0, 1.0]), &[0; 6])).expect("goes on");
    assert_eq!(kept.keep, [1, 1, 0, 1, 0, 1]);
    assert_eq!(lines(&runner), (1, 0));
}

#[test]
fn a_text_outside_of_its_memory_is_a_fault() {
    let rows = "(call $log (i32.const 1) (i32.const -8) (i32.const 100)) (call $keep_all (local.get $rows))";
    let mut runner = talker(rows).runner_limited(&granted());
    let kept = runner.keep(Input::of(&batch(&[1.0]))).expect("goes on");
    assert_eq!((kept.keep, kept.faults.len()), (vec![0], 1));
    let rows = "(call $log (i32.const 9) (i32.const 1024) (i32.const 8)) (call $keep_all (local.get $rows))";
    let mut runner = talker(rows).runner_limited(&granted());
    says(&runner.keep(Input::of(&batch(&[1.0]))).expect("goes on").faults[0].fault, &["plugin hostile 1.0.0: "]);
}

/// Adds what the clock says to its state at every call, traps at 13.
fn summer() -> Guest {
    let mut guest = Guest {
        imports: &[Grant::Clock],
        core: "(global $sum (mut i64) (i64.const 0))".into(),
        state: true,
        slots: true,
        ..Guest::filter(
            "(global.set $sum (i64.add (global.get $sum) (call $arrival)))
             (if (call $any (local.get $rows) (local.get $columns) (f64.const 13)) (then unreachable))
             (call $keep_all (local.get $rows))",
        )
    };
    guest.save = Some(
        "(i64.store (i32.const 128) (i64.const 0x800000000)) (i64.store (i32.const 136) (global.get $sum))
         (i64.store (i32.const 144) (i64.const 0x200000080)) (i64.store (i32.const 152) (i64.const 0x800000088))
         (i32.const 144)",
    );
    guest.load = "(global.set $sum (i64.load (local.get $data))) (i32.store8 (i32.const 96) (i32.const 0))
                  (i32.const 96)";
    guest
}

#[test]
fn a_call_done_again_sees_the_clock_it_saw() {
    let mut runner = summer().runner_limited(&granted());
    let mut add = |clock, value| {
        runner.at(Arrival { clock, wall: None });
        runner.keep(Input::with_slots(&batch(&[value]), &[0])).expect("goes on").keep
    };
    assert_eq!([add(5, 1.0), add(70, 1.0), add(900, 13.0), add(1000, 1.0)], [[1], [1], [0], [1]]);
    let states = runner.save(&[0]).expect("saves");
    assert_eq!(states.at(0), 1075i64.to_le_bytes(), "the call that trapped left nothing, the others their own times");
}

#[test]
fn a_date_is_there_where_the_clock_was_trusted() {
    let rows = "(call $wall (i32.const 128)) (call $keep_all
        (i32.mul (local.get $rows) (i32.eqz (i32.eqz (i64.eq (i64.load (i32.const 136)) (i64.const 42))))))
        (i32.store8 (i32.load (i32.const 64)) (i32.load8_u (i32.const 128))) drop
        (i32.store (i32.const 68) (local.get $rows)) (i32.const 64)";
    let mut runner = Guest { imports: &[Grant::Clock], ..Guest::filter(rows) }.runner_limited(&granted());
    for (wall, kept) in [(Some(42), 1), (None, 0)] {
        runner.at(Arrival { clock: 1, wall });
        assert_eq!(runner.keep(Input::of(&batch(&[1.0]))).expect("runs").keep, [kept]);
    }
}

#[test]
fn the_clock_says_nothing_where_no_batch_is_at_hand() {
    let guest = Guest { configure: "(drop (call $arrival))".into(), ..summer() };
    let plugin = guest.load_limited(&granted()).expect("loads");
    let error = Runner::new(plugin, "{}", &crate::guest::schema(), &granted()).err().expect("no batch");
    let ConfigureError::Fault(fault) = error else { panic!("{error}") };
    says(fault, &["plugin hostile 1.0.0: bad_reply: asked for the clock where no batch is at hand"]);
}

#[test]
fn what_was_said_while_it_was_configured_is_passed_on_however_the_first_call_ends() {
    let rows = "(if (call $any (local.get $rows) (local.get $columns) (f64.const 13)) (then (unreachable)))
        (call $keep_all (local.get $rows))";
    let mut guest = talker(rows);
    guest.configure = format!("(call $say) {}", guest.configure);
    let mut runner = guest.runner_limited(&granted());
    runner.keep(Input::of(&batch(&[1.0, 13.0, 1.0]))).expect("one record faults");
    assert_eq!(lines(&runner), (1, 0));
}

#[test]
fn what_a_guest_said_last_before_it_trapped_is_part_of_the_fault() {
    let fault = |rows| {
        let kept = talker(rows).runner_limited(&granted()).keep(Input::of(&batch(&[1.0]))).expect("goes on");
        kept.faults[0].fault.message.clone()
    };
    let trap = "wasm `unreachable` instruction executed";
    let error = fault("(call $log (i32.const 3) (i32.const 1024) (i32.const 8)) unreachable");
    assert_eq!(error, format!("{trap}; it said: one line"));
    let remark = fault("(call $log (i32.const 1) (i32.const 1024) (i32.const 8)) unreachable");
    assert_eq!(remark, trap, "only an error is about the trap");
}
