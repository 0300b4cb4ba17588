//! What was given back is room again, also for a store that finds it when it is opened.

use super::*;

/// Appends a kilobyte at a time until the stream is full: how many it took.
fn fill(store: &dyn Store, source: &Session, from: i64) -> i64 {
    for n in from.. {
        let mut commit = Commit::by(source);
        commit.appends.push(Append { stream: "a".into(), batch: padded(n..n + 1, &noise(1000, n as u64 + 1)) });
        commit.hurry = true;
        match store.commit(commit) {
            Ok(receipt) => drop(wait(receipt).unwrap()),
            Err(Refusal::Full(..)) => return n - from,
            Err(Refusal::Failed(error)) => panic!("{error}"),
        }
    }
    unreachable!("a stream without a cap")
}

#[test]
fn a_stream_that_was_filled_and_drained_is_not_full_when_the_store_is_opened_again() {
    for mut rig in Rig::both() {
        let specs = || {
            let retention =
                Retention { max_bytes: 50_000, when_full: WhenFull::Block, max_age: None, keep: Keep::UntilRead };
            vec![StreamSpec { retention, ..stream("a", &[("sink/x", Hold::Cursor)]) }]
        };
        rig.store().declare(specs()).unwrap();
        let source = rig.store().attach("source/s").unwrap();
        let taken = fill(rig.store(), &source, 0);
        assert!(taken > 30, "{taken} kilobytes in a stream of fifty");
        for round in 1..4 {
            let sink = rig.store().attach("sink/x").unwrap();
            let end = rig.store().health().partitions[0].durable;
            move_cursor(rig.store(), &sink, &Partition::new("a", 0), end);
            rig.reopen();
            rig.store().declare(specs()).unwrap();
            assert_eq!(rig.store().health().partitions[0].bytes, 0, "round {round}: nothing is left of what was read");
            let source = rig.store().attach("source/s").unwrap();
            assert_eq!(fill(rig.store(), &source, 0), taken, "round {round}: as much as the first time");
            assert_conserved(rig.store());
        }
    }
}
