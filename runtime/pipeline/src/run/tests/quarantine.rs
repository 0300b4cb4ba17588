//! Plugins that fault in a storm, give up, and are put back; and plugins that do not give the same twice.

use super::*;
use crate::quarantine::At;
use crate::{Answer, Status};
use guest::Guest;

/// The sandbox's own plugins that misbehave.
#[allow(dead_code)]
#[path = "../../../../sandbox/tests/hostile/guest.rs"]
mod guest;

/// The value that `odd` traps at.
const BAD: f64 = 13.0;

/// Keeps every other record, by a count that it saves where `state` says; traps at 13.
fn odd(state: bool) -> Guest {
    let mut guest = Guest::filter(
        "(local $row i32) (local $at i32) (local $answer i32)
         (local.set $answer (call $keep_all (local.get $rows)))
         (local.set $at (i32.load offset=4 (local.get $columns)))
         (block $done (loop $next
           (br_if $done (i32.eq (local.get $row) (local.get $rows)))
           (global.set $count (i64.add (global.get $count) (i64.const 1)))
           (if (f64.eq (f64.load (local.get $at)) (f64.const 13)) (then (call $boom)))
           (i64.store8 (i32.add (i32.load (i32.const 64)) (local.get $row))
             (i64.and (global.get $count) (i64.const 1)))
           (local.set $at (i32.add (local.get $at) (i32.const 8)))
           (local.set $row (i32.add (local.get $row) (i32.const 1)))
           (br $next)))
         (local.get $answer)",
    );
    guest.core = "(global $count (mut i64) (i64.const 0)) (func $boom unreachable)".into();
    guest.state = state;
    guest.slots = state;
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

/// An operator that gives up after ten faulted calls.
fn hostile(guest: Guest, on_quarantine: OnQuarantine) -> OperatorOptions {
    let limits = Limits { faults_max: 10, ..Limits::default() };
    let plugin = guest.load_limited(&limits).unwrap();
    OperatorOptions { limits, on_quarantine, ..OperatorOptions::of(plugin) }
}

impl Bench {
    /// Works up what there is, past plugins that give up.
    pub(super) fn go(&self, running: &mut Running) {
        let drain = CancellationToken::new();
        self.tokio.block_on(async {
            running.try_again(&drain).await.unwrap();
            loop {
                match running.turn(&drain).await {
                    Ok(Turn::Worked) => {}
                    Ok(_) => break,
                    Err(Stop::Fell(fallen)) => {
                        running.fell(&fallen, false, &drain).await.unwrap().expect("it goes on").unwrap();
                    }
                    Err(Stop::Failed(error)) => panic!("{error}"),
                }
            }
        });
    }

    /// Puts the first operator back, for good.
    fn release(&self, running: &mut Running) {
        let mut commit = Commit::by(&running.session);
        let answer = running.serve(&Ask::Release { operator: 1 }, &mut commit).unwrap();
        assert_eq!(answer, Ok(Answer::Released { operator: 1, plugin: "hostile 1.0.0".into() }));
        self.tokio.block_on(running.send(commit, None, &CancellationToken::new())).unwrap();
        self.flush();
    }

    /// Records of a kind in the ledger's totals.
    fn lost(&self, reason: tidegate_store::LossReason) -> u64 {
        let losses = self.store.health().losses;
        losses.iter().filter(|(_, other, _)| *other == reason).map(|(_, _, count)| count).sum()
    }
}

/// Good parts, parts with one bad record, and from part 20 on some that are bad throughout.
fn parts() -> Vec<Vec<(u8, i64, f64)>> {
    let value = |part: i64, row: i64| match part {
        20..24 => BAD,
        _ if part % 7 == 3 && row == part % 11 => BAD,
        _ => 20.0 + row as f64,
    };
    let part = |part: i64| (0..17).map(|row| (1, (part * 17 + row) * SECOND, value(part, row))).collect();
    (0..40).map(part).collect()
}

#[test]
fn a_quarantine_and_its_release_survive_kills_and_power_cuts_exactly() {
    for policy in [OnQuarantine::DeadLetter, OnQuarantine::Bypass] {
        let operators = vec![hostile(odd(true), policy)];
        let run = |disturb: bool, seed: u64| {
            let mut rng = SmallRng::seed_from_u64(seed);
            let mut bench = Bench::new(operators.clone());
            let mut running = Some(bench.begin());
            for (number, part) in parts().iter().enumerate() {
                bench.clock.advance(rng.random_range(0..4) * SECOND);
                bench.append(part);
                if rng.random_bool(0.7) {
                    bench.go(running.as_mut().unwrap());
                }
                if number == 30 {
                    bench.go(running.as_mut().unwrap());
                    bench.flush();
                    bench.release(running.as_mut().unwrap());
                }
                if disturb && rng.random_bool(0.4) {
                    drop(running.take());
                    if rng.random_bool(0.5) {
                        bench.power_cut();
                    }
                    running = Some(bench.begin());
                    let notes = running.as_ref().unwrap().pipeline.handle.status().notes;
                    assert_eq!(notes, Vec::<String>::new(), "seed {seed}");
                }
            }
            bench.go(running.as_mut().unwrap());
            bench.flush();
            let status = running.unwrap().pipeline.handle.status();
            assert_eq!(status.quarantined, [], "seed {seed}");
            let letters = bench.lines(streams::DEAD_LETTERS).len() as u64;
            let letter = |line: String| line.contains(r#""stage":"quarantine""#).then_some(line);
            let aside: Vec<_> = bench.lines(streams::DEAD_LETTERS).into_iter().filter_map(letter).collect();
            (bench.lines("out"), aside.len(), letters, bench.lost(tidegate_store::LossReason::Fault))
        };
        let expected = run(false, 0);
        let (out, aside, letters, lost) = &expected;
        // Parts 20 to 30, a whole entry each.
        let (given, single) = (29 * 17, [3, 10, 17, 31, 38].len());
        match policy {
            OnQuarantine::DeadLetter => {
                assert_eq!((*aside, *letters, *lost), (11 * 17, (11 * 17 + single) as u64, (11 * 17 + single) as u64));
                assert_eq!(out.len(), (given - single).div_ceil(2));
            }
            _ => {
                assert_eq!((*aside, *letters, *lost), (0, single as u64, single as u64));
                assert_eq!(out.len(), (given - single).div_ceil(2) + 11 * 17);
            }
        }
        for seed in 0..8 {
            assert_eq!(run(true, seed), expected, "seed {seed}");
        }
    }
}

#[test]
fn a_pipeline_that_halts_says_everything_and_goes_on_when_it_is_released() {
    let bench = Bench::new(vec![hostile(odd(true), OnQuarantine::Halt)]);
    bench.append(&[(1, 0, 20.0), (1, 0, 20.0), (1, 0, 20.0)]);
    bench.append(&[(1, 1, BAD); 20]);
    beside(&bench, async |handle, _| {
        let stands = |s: &Status| s.state == State::Quarantined;
        until(&handle, stands).await;
        let status = handle.status();
        let reason = status.reason.unwrap();
        for part in [
            "operator 1 (hostile 1.0.0) is in quarantine since readings/0@",
            "(device d1): 10 faulted calls in a row, last: plugin hostile 1.0.0: trap: ",
            "(in boom)",
        ] {
            assert!(reason.contains(part), "{part:?} in {reason:?}");
        }
        let refused = handle.ask(Ask::Release { operator: 2 }).await.unwrap_err();
        assert!(refused.contains("pipeline p has 1 operators"), "{refused}");
        // The record is there still: it halts again.
        let before = handle.status().checkpoints;
        let released = handle.ask(Ask::Release { operator: 1 }).await;
        assert_eq!(released, Ok(Answer::Released { operator: 1, plugin: "hostile 1.0.0".into() }));
        until(&handle, stands).await;
        assert_eq!((handle.status().records_in, handle.status().checkpoints), (0, before));
    });
    // Another file, for which that value is good, goes on where the other stood.
    let bench = Bench { operators: vec![hostile(mended(), OnQuarantine::Halt)], ..bench };
    let mut running = bench.begin();
    bench.go(&mut running);
    bench.flush();
    assert_eq!(bench.lines("out").len(), 12, "every other one of 23");
}

/// The same to which no value is bad.
fn mended() -> Guest {
    let mut guest = odd(true);
    guest.core = guest.core.replace("unreachable", "");
    guest
}

#[test]
fn a_better_version_is_swapped_in_where_a_pipeline_stands() {
    let bench = Bench::new(vec![hostile(odd(true), OnQuarantine::Halt)]);
    bench.append(&[(1, 0, 20.0), (1, 0, 20.0), (1, 0, 20.0)]);
    let mut running = bench.begin();
    bench.go(&mut running);
    drop(running);
    bench.append(&[(1, 1, BAD); 20]);
    let options = hostile(mended(), OnQuarantine::Halt);
    let (plugin, recipe) = (options.plugin.clone(), crate::Recipe { options, input: readings() });
    beside(&bench, async |handle, _| {
        until(&handle, |s| s.state == State::Quarantined).await;
        let swapped = crate::swap(&handle, 1, &recipe, plugin).await.unwrap();
        assert_eq!((swapped.operator, swapped.slots), (1, 1));
        until(&handle, |s| s.records_in == 20 && s.state == State::Running).await;
        assert_eq!(handle.status().quarantined, []);
    });
    bench.flush();
    assert_eq!(bench.lines("out").len(), 12, "every other one of 23");
}

/// A pipeline whose output is full before the last hundred records, and the recipe of its only operator.
fn without_room() -> (Bench, crate::Recipe) {
    let mut bench = Bench::new(vec![hostile(mended(), OnQuarantine::Halt)]);
    bench.store = open_with(&bench.disk, &bench.clock, &bench.operators, 8 << 10);
    let mut rng = SmallRng::seed_from_u64(1);
    let noise: Vec<_> = (0..4000).map(|n| (1, n, rng.random_range(20.0..21.0))).collect();
    bench.append(&noise);
    let mut running = bench.begin();
    bench.go(&mut running);
    drop(running);
    bench.append(&noise[..100]);
    let recipe = crate::Recipe { options: bench.operators[0].clone(), input: readings() };
    (bench, recipe)
}

#[test]
fn what_waits_for_room_is_not_lost_by_a_swap() {
    let (bench, recipe) = without_room();
    let plugin = recipe.options.plugin.clone();
    let sink = bench.store.attach("sink/s").unwrap();
    beside(&bench, async |handle, _| {
        until(&handle, |s| s.state == State::Waiting).await;
        let room = async {
            until(&handle, |s| s.state == State::Waiting).await;
            let out = Partition::new("out", 0);
            let mut commit = Commit::by(&sink);
            let end = bench.store.health().partitions.iter().find(|p| p.partition == out).unwrap().durable;
            commit.reads = vec![(out, end)];
            commit.hurry = true;
            let Ok(receipt) = bench.store.commit(commit) else { panic!("refused") };
            receipt.await.unwrap();
        };
        let (swapped, ()) = futures::join!(crate::swap(&handle, 1, &recipe, plugin), room);
        assert_eq!(swapped.unwrap().slots, 1);
        until(&handle, |s| s.records_in == 100 && s.state == State::Running).await;
    });
    bench.flush();
    let out = bench.store.health().partitions.into_iter().find(|p| &*p.partition.stream == "out").unwrap();
    assert_eq!(out.appended, 2050);
}

#[test]
fn what_changes_nothing_that_lasts_is_answered_while_there_is_no_room() {
    let (bench, recipe) = without_room();
    let plugin = recipe.options.plugin.clone();
    beside(&bench, async |handle, _| {
        until(&handle, |s| s.state == State::Waiting).await;
        let to = crate::handover::Handover::new(&recipe, plugin).unwrap();
        let given = handle.ask(Ask::HandOver { operator: 1, to: to.clone() }).await;
        assert_eq!(given, Ok(Answer::HandedOver { operator: 1 }));
        to.take_in().unwrap();
        let swap = handle.ask(Ask::Swap { operator: 1, to });
        let stop = handle.ask(Ask::Shadow { operator: 1, shadow: None });
        futures::pin_mut!(swap, stop);
        match futures::future::select(swap, stop).await {
            futures::future::Either::Right((stopped, _)) => {
                assert_eq!(stopped, Ok(Answer::Shadowed { operator: 1 }), "though a swap waits for room");
            }
            futures::future::Either::Left((swapped, _)) => panic!("there is no room: {swapped:?}"),
        }
        until(&handle, |s| s.state == State::Waiting).await;
    });
}

#[test]
fn a_version_that_was_sent_away_works_on_nothing_before_it_is_released() {
    let why = "it was sent away";
    // Time does not make it better.
    let release_after = Some(Duration::from_micros(1));
    let doubt = Some(why.into());
    let doubted = OperatorOptions { doubt, release_after, ..hostile(mended(), OnQuarantine::DeadLetter) };
    let bench = Bench::new(vec![doubted]);
    bench.append(&[(1, 0, 20.0); 20]);
    beside(&bench, async |handle, _| {
        until(&handle, |s| s.state == State::Quarantined).await;
        let refused = handle.ask(Ask::Shadow { operator: 1, shadow: None }).await.unwrap_err();
        let stands = "it has not begun, and operator 1 (hostile 1.0.0) is in quarantine: it was sent away";
        assert!(refused.contains(stands), "{refused}");
        assert_eq!(handle.status().quarantined[0].release_at, None);
        assert_eq!((handle.status().records_in, handle.status().quarantined.len()), (0, 1));
        let released = handle.ask(Ask::Release { operator: 1 }).await;
        assert_eq!(released, Ok(Answer::Released { operator: 1, plugin: "hostile 1.0.0".into() }));
        until(&handle, |s| s.records_in == 20 && s.state == State::Running).await;
        assert_eq!(handle.status().quarantined, []);
    });
    bench.flush();
    assert_eq!(bench.lines("out").len(), 10);
}

#[test]
fn what_runs_beside_an_operator_ends_when_another_halts_and_says_so() {
    let passes = OperatorOptions {
        params: r#"{"field":"temp","above":10.0}"#.into(),
        ..operator("threshold.wasm", r#"{"field":"temp","above":10.0}"#, None)
    };
    let bench = Bench::new(vec![passes.clone(), hostile(odd(true), OnQuarantine::DeadLetter)]);
    let mut running = bench.begin();
    let bounds = crate::Bounds { records: None, differ: 1.0, slower: 1e9, faults: u64::MAX };
    let beside = |operator: usize, options: &OperatorOptions| {
        let recipe = crate::Recipe { options: options.clone(), input: readings() };
        crate::Shadow::new(recipe.operator(operator, options.plugin.clone()).unwrap(), bounds)
    };
    let shadow = beside(1, &passes);
    running.shadow(1, Some(&shadow)).unwrap();
    bench.append(&[(1, 0, BAD); 20]);
    bench.go(&mut running);
    let why = "operator 2 halted, and its pipeline went back to its last commit";
    assert_eq!(bench.tokio.block_on(shadow.settled()), crate::Verdict::Stopped(why.into()));
    // And beside one that is not called there is nothing to compare with.
    let refused = running.shadow(2, Some(&beside(2, &bench.operators[1]))).unwrap_err();
    assert!(refused.contains("operator 2 (hostile 1.0.0) is in quarantine and not called"), "{refused}");
}

#[test]
fn another_file_takes_a_plugin_out_of_quarantine() {
    let mut bench = Bench::new(vec![hostile(odd(true), OnQuarantine::DeadLetter)]);
    let mut running = bench.begin();
    bench.append(&[(1, 0, BAD); 20]);
    bench.go(&mut running);
    drop(running);
    let running = bench.begin();
    let held = running.pipeline.handle.status().quarantined;
    assert_eq!((held.len(), &*held[0].plugin, &*held[0].device), (1, "hostile 1.0.0", "d1"));
    drop(running);
    bench.operators = vec![hostile(mended(), OnQuarantine::DeadLetter)];
    let mut running = bench.begin();
    assert_eq!(running.pipeline.handle.status().quarantined, []);
    bench.append(&[(1, 0, BAD); 20]);
    bench.go(&mut running);
    bench.flush();
    assert_eq!((bench.lines("out").len(), bench.lines(streams::DEAD_LETTERS).len()), (10, 20));
}

#[test]
fn another_policy_is_that_of_a_plugin_in_quarantine_from_the_restart_on() {
    let mut bench = Bench::new(vec![hostile(odd(true), OnQuarantine::DeadLetter)]);
    let mut running = bench.begin();
    bench.append(&[(1, 0, BAD); 20]);
    bench.go(&mut running);
    bench.operators[0].on_quarantine = OnQuarantine::Bypass;
    // Once more, to replay across the change.
    for passed in [20, 40] {
        drop(running);
        running = bench.begin();
        assert_eq!(running.pipeline.handle.status().notes, Vec::<String>::new());
        assert_eq!(running.mark.held[0].shown.policy, OnQuarantine::Bypass);
        bench.append(&[(1, 0, BAD); 20]);
        bench.go(&mut running);
        bench.flush();
        assert_eq!((bench.lines("out").len(), bench.lines(streams::DEAD_LETTERS).len()), (passed, 20));
    }
    drop(running);
    bench.operators[0].on_quarantine = OnQuarantine::Halt;
    assert_eq!(bench.begin().mark.held, [], "it is tried again, and stands where it halts");
}

#[test]
fn a_release_that_was_not_committed_leaves_the_quarantine_where_it_was() {
    let bench = Bench::new(vec![hostile(odd(true), OnQuarantine::DeadLetter)]);
    let mut running = bench.begin();
    bench.append(&[(1, 0, BAD); 20]);
    bench.go(&mut running);
    bench.append(&[(1, 0, 20.0); 20]);
    bench.go(&mut running);
    let before = running.mark.held[0].clone();
    running.pipeline.chain.release(0);
    let kind = tidegate_sandbox::FaultKind::Deadline;
    let (message, backtrace, plugin) = ("slow".into(), String::new(), "hostile 1.0.0".into());
    let last = tidegate_sandbox::Fault { kind, bound: None, message, backtrace, plugin };
    let halted = tidegate_sandbox::Halted { calls: 3, storm: false, row: None, slot: None, last };
    let fallen = crate::quarantine::Fallen { operator: 0, halted, entry: None };
    let went_on = bench.tokio.block_on(running.fell(&fallen, false, &CancellationToken::new())).unwrap();
    assert!(matches!(went_on, Some(Ok(()))), "{went_on:?}");
    let held = &running.mark.held[0];
    assert_eq!((held.since, &held.shown.at, &*held.shown.device), (before.since, &before.shown.at, "d1"));
    assert!(held.shown.reason.contains("slow"), "{held:?}");
}

#[test]
fn a_plugin_that_runs_out_of_time_when_configured_anew_is_tried_again_and_then_stands() {
    let bench = Bench::new(vec![hostile(odd(true), OnQuarantine::Halt)]);
    let mut running = bench.begin();
    let mut slow = odd(true);
    slow.configure = "(loop $on (br $on))".into();
    let mut slow = hostile(slow, OnQuarantine::Halt);
    slow.limits.call_time = Duration::from_millis(20);
    running.pipeline.options.operators[0] = slow;
    let Ok(Err(Stop::Fell(fallen))) = running.rebuild() else { panic!("no fall") };
    assert_eq!((fallen.operator, fallen.halted.calls), (0, 3));
    assert!(fallen.halted.to_string().contains("longer than call_time"), "{}", fallen.halted);
    running.pipeline.options.operators[0] = bench.operators[0].clone();
    running.rebuild().unwrap().unwrap();
}

#[test]
fn a_plugin_is_tried_again_by_itself_and_twice_as_late_the_next_time() {
    let mut operator = hostile(odd(true), OnQuarantine::Bypass);
    operator.release_after = Some(Duration::from_secs(10));
    let bench = Bench::new(vec![operator]);
    let mut running = bench.begin();
    let mut waited = Vec::new();
    for _ in 0..3 {
        bench.append(&[(1, 0, BAD); 20]);
        bench.go(&mut running);
        let held = running.mark.held[0].clone();
        waited.push(held.shown.release_at.unwrap() - bench.store.arrival_now());
        bench.clock.advance(held.wait + SECOND);
    }
    assert_eq!(waited, [10 * SECOND, 20 * SECOND, 40 * SECOND]);
    bench.append(&[(1, 0, 20.0); 20]);
    bench.go(&mut running);
    bench.flush();
    assert_eq!(running.pipeline.handle.status().quarantined, []);
    assert_eq!(bench.lines("out").len(), 60 + 10);
}

#[test]
fn past_a_transform_what_it_would_emit_is_null_and_past_others_nothing_goes() {
    let mut scale = operator("scale.wasm", r#"{"field":"temp","factor":2.0}"#, None);
    scale.on_quarantine = OnQuarantine::Bypass;
    let mut chain = Chain::build(&pipeline_options(vec![scale]), &readings()).unwrap();
    let mut builder = BatchBuilder::new(readings());
    builder.float(0, 21.5);
    builder.end_row("d1", 0).unwrap();
    let run = tidegate_store::Run { commit: 1, arrival: 0, wall: 0, trusted: true, stamped: None, rows: 1 };
    let batch = Arc::new(builder.finish());
    let entry = Entry { input: 0, first: Position(0), next: Position(1), run, era: None, batch };
    let shown = crate::Quarantined {
        operator: 1,
        plugin: chain.plugin(0),
        policy: OnQuarantine::Bypass,
        at: String::new(),
        device: String::new(),
        reason: String::new(),
        release_at: None,
        records: 0,
    };
    let held = crate::quarantine::Held { operator: 0, since: At::of(&entry), plugin: 0, wait: 0, shown };
    chain.hold(held);
    let passed = chain.process(&entry, &mark::Verdicts::default()).unwrap();
    assert_eq!(passed.trouble[0].1.passed, 1);
    let (row, schema) = (passed.batches[0].0.clone(), chain.schema().clone());
    let row = serde_json::to_value(row.row(0)).unwrap();
    assert_eq!(row["device"], "d1");
    assert!(schema.position("temp").is_some() && row["temp"].is_null(), "{row}");
    let mut stats = windowed().remove(1);
    stats.on_quarantine = OnQuarantine::Bypass;
    let refused = Chain::build(&pipeline_options(vec![stats]), &readings()).err().unwrap().to_string();
    assert!(refused.contains("operator 1 (stats): on_quarantine = \"bypass\" is for filter"), "{refused}");
}

#[test]
fn a_plugin_that_remembers_outside_of_its_slots_is_named_at_replay() {
    let mut bench = Bench::new(vec![hostile(odd(false), OnQuarantine::Halt)]);
    let mut running = bench.begin();
    // The snapshot is taken after one record: what counts its records from there on begins with another one.
    bench.append(&[(1, 0, 20.0)]);
    bench.go(&mut running);
    let commit = running.checkpoint(Commit::by(&running.session)).unwrap();
    bench.tokio.block_on(running.send(commit, None, &CancellationToken::new())).unwrap();
    bench.append(&[(1, 0, 20.0), (1, 0, 20.0)]);
    bench.go(&mut running);
    drop(running);
    let running = bench.begin();
    let notes = running.pipeline.handle.status().notes;
    let expected = "operator 1 (hostile 1.0.0) gave other results than those committed; its file is the one that made the \
                    snapshot: it does not give the same twice; results from here on may differ";
    assert_eq!(notes, [expected]);
    drop(running);
    // The same number of records, and the file is another.
    let mut other = odd(false);
    other.core += " (func $other)";
    bench.operators = vec![hostile(other, OnQuarantine::Halt)];
    let mut running = bench.begin();
    bench.append(&[(1, 0, 20.0)]);
    bench.go(&mut running);
    let notes = running.pipeline.handle.status().notes;
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].contains("its file is not the one that made the snapshot"), "{notes:?}");
}

#[test]
fn the_shipped_transform_and_detector_replay_to_the_same_bytes() {
    let scale = operator("scale.wasm", r#"{"field":"temp","factor":2.0}"#, None);
    let zscore = operator("zscore.wasm", r#"{"field":"temp","threshold":2.0}"#, None);
    let operators = vec![scale, zscore];
    let mut rng = SmallRng::seed_from_u64(5);
    let rows = some_readings(&mut rng);
    let run = |killed: bool| {
        let bench = Bench::new(operators.clone());
        let mut running = bench.begin();
        for part in rows.chunks(17) {
            bench.append(part);
            bench.go(&mut running);
            if killed {
                drop(running);
                running = bench.begin();
                assert_eq!(running.pipeline.handle.status().notes, Vec::<String>::new());
            }
        }
        bench.flush();
        bench.lines("out")
    };
    let expected = run(false);
    assert!(expected.len() > 5, "{} anomalies", expected.len());
    assert_eq!(run(true), expected);
}
