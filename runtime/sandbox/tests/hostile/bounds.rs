//! Every limit is an option that holds where it is set, is named by the fault, and is counted.

use crate::guest::{Guest, batch, says, schema};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tidegate_record::{Scalar, Values};
use tidegate_sandbox::{Bound, Halted, Input, Kind, Limits, Runner, TICK};

/// One row meets `bound`, and that is told and counted; small limits are in `limits`.
fn check(bound: Bound, guest: Guest, limits: Limits) -> Runner {
    let kind = guest.kind;
    let mut runner = guest.runner_limited(&limits);
    let (batch, slots) = (batch(&[1.0]), [0]);
    let input = Input::with_slots(&batch, &slots);
    let faults = match kind {
        Kind::Transform => runner.apply(input).expect("goes on").faults,
        _ => runner.keep(input).expect("goes on").faults,
    };
    assert_eq!(faults.iter().map(|f| (f.row, f.fault.bound)).collect::<Vec<_>>(), [(0, Some(bound))]);
    met(&runner, bound);
    runner
}

fn met(runner: &Runner, bound: Bound) {
    for other in Bound::ALL {
        let count = runner.stats().bounds[other as usize].load(Relaxed);
        assert_eq!(count > 0, other == bound, "{other}: {count}");
    }
}

fn with(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    change(&mut limits);
    limits
}

#[test]
fn a_loop_without_end_is_ended_within_twice_its_limit() {
    let call_time = Duration::from_millis(100);
    let runner = check(Bound::Time, Guest::filter("(loop $l (br $l)) unreachable"), with(|l| l.call_time = call_time));
    // In beats of the clock it is ended by, so that a busy machine, which is late for both, does not show.
    let (seen, limit) = (runner.stats().ticks_peak.load(Relaxed), call_time.as_micros() / TICK.as_micros());
    assert!(seen >= limit as u64 && seen <= 2 * limit as u64, "{seen} beats where {limit} are the limit");
}

#[test]
fn a_limit_of_fuel_is_refused_where_none_is_counted() {
    let plugin = Guest::filter("(call $keep_all (local.get $rows))").load().expect("loads");
    assert!(!plugin.counts_fuel());
    let error = Runner::new(plugin, "{}", &schema(), &with(|l| l.call_fuel = Some(1_000_000))).err().expect("refused");
    says(error, &["hostile 1.0.0: call_fuel is a limit only of an engine that counts fuel: fuel = true"]);
}

#[test]
fn memory_meets_its_limit() {
    let grow = "(if (i32.eq (memory.grow (i32.const 8)) (i32.const -1)) (then unreachable)) (call $keep_all (local.get $rows))";
    check(Bound::Memory, Guest::filter(grow), with(|l| l.memory_bytes = 1 << 19));
    let mut runner = Guest::filter(grow).runner_limited(&with(|l| l.memory_bytes = 1 << 20));
    assert_eq!(runner.keep(Input::of(&batch(&[1.0]))).expect("fits").faults, []);
}

#[test]
fn tables_meet_their_limit() {
    let grow = "(if (i32.eq (table.grow (ref.null func) (i32.const 2000)) (i32.const -1)) (then unreachable))
                (call $keep_all (local.get $rows))";
    let guest = || Guest { core: "(table 10 funcref)".into(), ..Guest::filter(grow) };
    check(Bound::Elements, guest(), with(|l| l.table_elements = 2000));
    let mut runner = guest().runner_limited(&with(|l| l.table_elements = 2010));
    assert_eq!(runner.keep(Input::of(&batch(&[1.0]))).expect("fits").faults, []);
}

#[test]
fn a_stack_too_deep_is_told_as_such() {
    let core = "(func $deep (param i32) (result i32) (i32.add (local.get 0) (call $deep (local.get 0))))".to_string();
    check(Bound::Stack, Guest { core, ..Guest::filter("(call $deep (i32.const 1))") }, Limits::default());
}

#[test]
fn instances_and_memories_meet_their_limits() {
    let refused = |limits: Limits| Guest::filter("unreachable").load_limited(&limits).expect_err("too many");
    says(refused(with(|l| l.instances = 1)), &["memory: resource limit exceeded: instance count too high at 2"]);
    let two = || Guest { core: "(memory 1)".into(), ..Guest::filter("(call $keep_all (local.get $rows))") };
    let error = two().load_limited(&with(|l| l.memories = 1)).expect_err("too many");
    says(error, &["memory: resource limit exceeded: memory count too high at 2"]);
    two().load_limited(&with(|l| l.memories = 2)).expect("not too many");
}

#[test]
fn an_answer_meets_its_limit_in_bytes() {
    let guest = Guest::answering(Kind::Filter, |image| image.words(&[0, 100 << 10, 0, 0]));
    check(Bound::Output, guest, with(|l| l.output_bytes = 64 << 10));
}

/// A transform that makes so many records of each batch, all of one stretch of its memory.
fn multiplier(records: u32) -> Guest {
    let mut guest = Guest::answering(Kind::Transform, |image| {
        let column = image.words(&[0, 1 << 17, records, 0, 0, 0, 0, 0]);
        image.words(&[1, 1 << 17, records, column, 1, 0, 0])
    });
    guest.emits = &[("made", Scalar::Float)];
    guest.memory = "140";
    guest
}

#[test]
fn a_million_records_of_one_meet_their_limit() {
    let limits = || with(|l| l.output_bytes = 64 << 20);
    check(Bound::Records, multiplier(1_000_000), limits());
    let mut runner = multiplier(65_536).runner_limited(&limits());
    assert_eq!(runner.apply(Input::of(&batch(&[1.0]))).expect("fits").origin.len(), 65_536);
}

#[test]
fn what_a_batch_makes_in_many_calls_has_a_limit_too() {
    // A thousand records of each call, which it keeps to one row by asking for memory that it cannot have.
    let mut guest = multiplier(1000);
    guest.rows = Some(
        "(if (i32.gt_u (local.get $rows) (i32.const 1)) (then (drop (memory.grow (i32.const 60000))) unreachable))
         (i32.const {reply})",
    );
    let mut runner = guest.runner_limited(&with(|l| l.output_records = 1000));
    let made = runner.apply(Input::of(&batch(&[1.0; 20]))).expect("goes on");
    assert_eq!((made.origin.len(), made.faults.len()), (8000, 12));
    assert!(made.faults.iter().all(|f| f.row >= 8 && f.fault.bound == Some(Bound::Records)), "{:?}", made.faults);
    let made = runner.apply(Input::of(&batch(&[1.0; 8]))).expect("the next batch has its own");
    assert_eq!((made.origin.len(), made.faults.len()), (8000, 0));
}

#[test]
fn calls_become_smaller_where_only_together_they_make_too_much() {
    // As it stands: a row of its own for each given.
    let mut guest = Guest::answering(Kind::Transform, |image| image.table(None, &[]));
    guest.emits = &[];
    let mut runner = guest.runner_limited(&with(|l| l.output_records = 10));
    let made = runner.apply(Input::of(&batch(&[1.0; 64]))).expect("goes on");
    assert_eq!((made.origin.len(), made.faults.len()), (64, 0));
    let faults = runner.stats().faults.load(Relaxed);
    assert!(faults > 0);
    assert_eq!(runner.apply(Input::of(&batch(&[1.0; 64]))).expect("goes on").origin.len(), 64);
    assert_eq!(runner.stats().faults.load(Relaxed), faults, "it was learned");
}

/// A filter whose every slot's state is so many bytes, of which few lie in its memory.
fn hoarder(bytes: u32) -> Guest {
    // Offsets 0, n, 2n … at 128 KiB, as many as slots were asked for; the data is whatever lies at 0.
    let mut guest = Guest::filter("(call $keep_all (local.get $rows))");
    guest.state = true;
    guest.slots = true;
    guest.memory = "100";
    guest.core = format!("(global $each i32 (i32.const {bytes}))");
    guest.save = Some(
        "(local $at i32)
         (loop $next
           (i32.store (i32.add (i32.const 131072) (i32.mul (local.get $at) (i32.const 4)))
             (i32.mul (local.get $at) (global.get $each)))
           (local.set $at (i32.add (local.get $at) (i32.const 1)))
           (br_if $next (i32.le_u (local.get $at) (local.get $count))))
         (i32.store (i32.const 96) (i32.const 131072))
         (i32.store (i32.const 100) (i32.add (local.get $count) (i32.const 1)))
         (i32.store (i32.const 104) (i32.const 0))
         (i32.store (i32.const 108) (i32.mul (local.get $count) (global.get $each)))
         (i32.const 96)",
    );
    guest
}

fn saved(guest: Guest, slots: &[u32], limits: Limits) -> (Runner, Result<(), Halted>) {
    let mut runner = guest.runner_limited(&limits);
    let kept = runner.keep(Input::with_slots(&batch(&vec![1.0; slots.len()]), slots));
    let saved = kept.and_then(|_| runner.save(slots)).map(drop);
    (runner, saved)
}

#[test]
fn a_slots_state_meets_its_limit_and_the_slot_is_named() {
    let (runner, done) = saved(hoarder(1000), &[0, 1, 2], with(|l| l.state_slot_bytes = 1000));
    done.expect("fits");
    assert_eq!(runner.stats().state_bytes.load(Relaxed), 3000);
    let (runner, halted) = saved(hoarder(1001), &[5, 6, 7], with(|l| l.state_slot_bytes = 1000));
    let halted = halted.expect_err("too much");
    met(&runner, Bound::SlotState);
    assert_eq!((halted.slot, halted.last.bound), (Some(5), Some(Bound::SlotState)));
    let named = halted.named(|slot| (slot == 5).then_some("d0005"));
    says(named, &["bad_reply: device \"d0005\": its state takes 1001 bytes, more than state_slot_bytes (1000) allows"]);
}

#[test]
fn the_states_of_all_slots_meet_their_limit() {
    let limits = || with(|l| l.state_bytes = 30_000);
    let (_, done) = saved(hoarder(1000), &(0..30).collect::<Vec<_>>(), limits());
    done.expect("fits");
    let (runner, halted) = saved(hoarder(1000), &(0..31).collect::<Vec<_>>(), limits());
    met(&runner, Bound::State);
    let remedy = "take 31000 bytes, more than state_bytes (30000): raise it, or lower max_keys";
    says(halted.expect_err("too much"), &[remedy]);
}

#[test]
fn states_that_shrink_make_room_for_others() {
    let mut runner = hoarder(1000).runner_limited(&with(|l| l.state_bytes = 3_000));
    for round in 0..20 {
        let slots = [round % 3, (round + 1) % 3];
        runner.keep(Input::with_slots(&batch(&[1.0, 2.0]), &slots)).expect("runs");
        runner.save(&slots).expect("the slots are three, however often they are saved");
    }
}

#[test]
fn a_nan_has_one_form_however_a_guest_writes_it() {
    let odd = [f64::from_bits(0x7ff4_0000_0000_0001), f64::from_bits(0xfff8_0000_dead_beef), -f64::NAN];
    let mut guest = Guest::answering(Kind::Transform, |image| {
        let column = image.floats(&odd, None);
        image.table(Some(&[0, 0, 0]), &[column])
    });
    guest.emits = &[("made", Scalar::Float)];
    let made = guest.runner().apply(Input::of(&batch(&[1.0]))).expect("runs");
    let Values::Floats(values) = &made.columns[0].values else { panic!("floats") };
    assert_eq!(values.iter().map(|v| v.to_bits()).collect::<Vec<_>>(), [f64::NAN.to_bits(); 3]);
}
