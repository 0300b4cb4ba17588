//! Versions that are swapped, over kills and power cuts.

use super::*;
use crate::ask::Answer;
use crate::handover::Handover;
use crate::handover::tests::{NUMBER, deadband, second};
use std::sync::Arc;
use tidegate_sandbox::Plugin;

/// Swaps an operator's plugin; `between` is what happens while its states are carried over.
fn swap(
    bench: &Bench,
    running: &mut Running,
    (operator, plugin): (usize, Arc<Plugin>),
    between: impl Fn(&mut Running),
) {
    let to = Handover::new(&running.pipeline.recipes()[operator - 1], plugin).unwrap();
    let ask = |running: &mut Running, ask: Ask| {
        let mut commit = Commit::by(&running.session);
        let answer = running.serve(&ask, &mut commit).unwrap().unwrap();
        let sent = bench.tokio.block_on(running.send(commit, None, &CancellationToken::new())).unwrap();
        assert!(sent == Sent::Taken);
        answer
    };
    ask(running, Ask::HandOver { operator, to: to.clone() });
    between(running);
    to.take_in().unwrap();
    assert!(matches!(ask(running, Ask::Swap { operator, to }), Answer::Swapped(_)));
}

#[test]
fn windows_survive_swaps_kills_and_power_cuts_exactly() {
    let operators = windowed();
    for seed in 0..20 {
        let mut rng = SmallRng::seed_from_u64(seed);
        let rows = some_readings(&mut rng);
        let run = |disturb: bool, rng: &mut SmallRng| {
            let mut bench = Bench::new(operators.clone());
            let mut running = bench.begin();
            for part in rows.chunks(17) {
                bench.clock.advance(rng.random_range(0..4) * SECOND);
                bench.append(part);
                if disturb && rng.random_bool(0.4) {
                    let operator = rng.random_range(1..=2);
                    let version = (operator, operators[operator - 1].plugin.clone());
                    let work = rng.random_bool(0.5);
                    swap(&bench, &mut running, version, |running| {
                        if work {
                            bench.turn(running);
                        }
                    });
                }
                if rng.random_bool(0.7) {
                    while bench.turn(&mut running) {}
                }
                if disturb && rng.random_bool(0.2) {
                    drop(running);
                    if rng.random_bool(0.5) {
                        bench.power_cut();
                    }
                    running = bench.begin();
                    assert_eq!(running.pipeline.handle.status().notes, Vec::<String>::new(), "seed {seed}");
                }
            }
            while bench.turn(&mut running) {}
            bench.flush();
            (bench.lines("out"), late(&bench))
        };
        let (expected, seen) = (run(false, &mut rng), run(true, &mut rng));
        assert!(expected.0.len() > 20, "seed {seed}: {} windows", expected.0.len());
        assert_eq!(seen, expected, "seed {seed}");
    }
}

fn deadbands() -> Bench {
    let operator = OperatorOptions {
        plugin: deadband(&[]),
        params: r#"{"band":0.5}"#.into(),
        ..operator("threshold.wasm", r#"{"field":"temp","above":10.0}"#, None)
    };
    Bench::new(vec![operator])
}

#[test]
fn no_restart_replays_with_the_new_version_what_the_old_one_worked_on() {
    // It keeps whatever has a value, so a replay of what the old one dropped comes to other counts.
    let keeps = ("(local.get $slot)))) (global.get $band)))))", "(local.get $slot)))) (f64.const -1)))))");
    let keeps_all = deadband(&[NUMBER, keeps]);
    let mut bench = deadbands();
    let mut running = bench.begin();
    bench.append(&[(1, 0, 20.0), (1, 1, 20.1), (1, 2, 20.2)]);
    while bench.turn(&mut running) {}
    swap(&bench, &mut running, (1, keeps_all.clone()), |_| {});
    bench.append(&[(1, 3, 20.3), (1, 4, 20.3)]);
    while bench.turn(&mut running) {}
    bench.flush();
    drop(running);
    bench.power_cut();
    bench.operators[0].plugin = keeps_all;
    let running = bench.begin();
    assert_eq!(running.pipeline.handle.status().notes, Vec::<String>::new());
    assert_eq!(running.pipeline.handle.status().replayed, 2, "what the new one worked on");
    assert_eq!(bench.lines("out").len(), 3);
}

#[test]
fn a_swap_loses_nothing_of_a_commit_that_waits_for_room() {
    let bench = deadbands();
    let mut running = bench.begin();
    let schema = running.pipeline.schema().clone();
    let to = Handover::new(&running.pipeline.recipes()[0], second()).unwrap();
    let mut builder = BatchBuilder::new(schema);
    builder.float(0, 21.0);
    builder.end_row("d1", 7).unwrap();
    let mut in_hand = Commit::by(&running.session);
    in_hand.appends.push(Append { stream: "out".into(), batch: Arc::new(builder.finish()) });
    running.serve(&Ask::Swap { operator: 1, to }, &mut in_hand).unwrap().unwrap();
    assert!(in_hand.snapshot.is_some());
    bench.durable(in_hand);
    assert_eq!(bench.lines("out").len(), 1);
}
