//! Saved states: what is lost with an instance comes back, and what lies or is too much stops the plugin.

use crate::guest::{Guest, Image, batch, says};
use std::time::Duration;
use tidegate_record::Blobs;
use tidegate_sandbox::{Halted, Input, Kind, Limits, StateError};

/// Keeps every other record, by a count it saves as eight bytes; traps at 13.
fn counter() -> Guest {
    let mut guest = Guest::filter(
        "(local $row i32) (local $at i32) (local $answer i32)
         (local.set $answer (call $keep_all (local.get $rows)))
         (local.set $at (i32.load offset=4 (local.get $columns)))
         (block $done (loop $next
           (br_if $done (i32.eq (local.get $row) (local.get $rows)))
           ;; It counts first: the count of an instance that trapped is wrong.
           (global.set $count (i64.add (global.get $count) (i64.const 1)))
           (if (f64.eq (f64.load (local.get $at)) (f64.const 13)) (then unreachable))
           (i64.store8 (i32.add (i32.load (i32.const 64)) (local.get $row))
             (i64.and (global.get $count) (i64.const 1)))
           (local.set $at (i32.add (local.get $at) (i32.const 8)))
           (local.set $row (i32.add (local.get $row) (i32.const 1)))
           (br $next)))
         (local.get $answer)",
    );
    guest.core = "(global $count (mut i64) (i64.const 0))".into();
    guest.state = true;
    guest.slots = true;
    // Of slot 0 alone: offsets 0 and 8 at 128, the data at 136.
    guest.save = Some(
        "(i64.store (i32.const 128) (i64.const 0x800000000)) (i64.store (i32.const 136) (global.get $count))
         (i64.store (i32.const 144) (i64.const 0x200000080)) (i64.store (i32.const 152) (i64.const 0x800000088))
         (i32.const 144)",
    );
    guest.load = "(global.set $count (i64.load (local.get $data))) (i32.store8 (i32.const 96) (i32.const 0))
                  (i32.const 96)";
    guest
}

#[test]
fn records_that_trap_leave_no_trace_in_the_state() {
    let (mut hurt, mut whole) = (counter().runner(), counter().runner());
    for round in 0..50 {
        let mut values: Vec<f64> = (0..37).map(f64::from).filter(|&value| value != 13.0).collect();
        let expected = whole.keep(Input::with_slots(&batch(&values), &[0; 36])).expect("runs").keep;
        let bad = round % 37;
        values.insert(bad, 13.0);
        let mut kept = hurt.keep(Input::with_slots(&batch(&values), &[0; 37])).expect("goes on");
        assert_eq!(kept.faults.iter().map(|f| f.row as usize).collect::<Vec<_>>(), [bad]);
        assert_eq!(kept.keep.remove(bad), 0);
        assert_eq!(kept.keep, expected, "round {round}: as if the bad record had never been there");
    }
    assert_eq!(hurt.save(&[0]), whole.save(&[0]));
}

/// A filter with state whose every `save` answers what `reply` puts into the image.
fn saving(reply: impl FnOnce(&mut Image) -> u32) -> Guest {
    let mut guest = Guest::answering(Kind::Filter, reply);
    guest.rows = Some("(call $keep_all (local.get $rows))");
    guest.state = true;
    guest.slots = true;
    guest.memory = "180";
    guest
}

fn save(guest: Guest) -> Halted {
    let limits = Limits { faults_max: 20, ..Limits::default() };
    let mut runner = guest.runner_limited(&limits);
    let kept = runner.keep(Input::with_slots(&batch(&[1.0, 2.0]), &[0, 1])).expect("runs");
    assert_eq!(kept.keep, [1, 1]);
    runner.save(&[0, 1]).expect_err("cannot be saved")
}

#[test]
fn states_that_lie_about_themselves_are_not_kept() {
    let halted = save(saving(|image| image.blobs(&[0, 1, 2, 3], b"abc")));
    says(halted, &["plugin quarantined", "plugin hostile 1.0.0: bad_reply: 3 saved states for 1 slots"]);
    let halted = save(saving(|image| image.blobs(&[0, 9], b"ab")));
    says(halted, &["bad_reply: offsets of saved states do not describe its data"]);
}

#[test]
fn a_save_that_took_too_long_is_tried_again_and_one_that_lies_is_not() {
    for (reply, calls) in [("(loop $on (br $on)) (i32.const 0)", 3), ("unreachable", 1)] {
        let mut guest = counter();
        guest.save = Some(reply);
        let limits = Limits { call_time: Duration::from_millis(20), ..Limits::default() };
        let mut runner = guest.runner_limited(&limits);
        runner.keep(Input::with_slots(&batch(&[1.0]), &[0])).expect("runs");
        let halted = runner.save(&[0]).expect_err("cannot be saved");
        assert_eq!((halted.calls, halted.slot), (calls, Some(0)), "{halted}");
    }
}

#[test]
fn states_beyond_the_cap_are_not_kept() {
    // One slot of 10 MiB, read from the guest's own memory.
    let halted = save(saving(|image| {
        let offsets = image.words(&[0, 10 << 20]);
        image.words(&[offsets, 2, 0, 10 << 20])
    }));
    says(halted, &["plugin quarantined", "bad_reply: answered more than output_bytes (8388608) allows"]);
}

#[test]
fn a_refusal_to_load_is_told_with_both_versions() {
    let mut guest = counter();
    guest.load = "(i32.store (i32.const 96) (i32.const 1)) (i32.store (i32.const 100) (i32.const 160))
                  (i32.store (i32.const 104) (i32.const 7)) (i64.store (i32.const 160) (i64.const 0x646c6f206f6f74))
                  (i32.const 96)";
    let mut states = Blobs::default();
    states.push(&[0; 8]);
    let refused = guest.runner().load(9, &[0], &states).expect_err("refused");
    assert!(matches!(refused, StateError::Refused { version: 9, expected: 1, .. }), "{refused}");
    says(refused, &["plugin hostile 1.0.0 (state version 1) refuses the saved states of version 9: too old"]);
}

#[test]
fn a_plugin_that_traps_on_its_saved_states_is_halted() {
    let mut guest = counter();
    guest.load = "unreachable";
    let mut states = Blobs::default();
    states.push(&[0; 8]);
    let halted = guest.runner().load(1, &[0], &states).expect_err("traps");
    says(halted, &["plugin quarantined after 3 faulted calls in a row", "trap: wasm `unreachable`"]);
}
