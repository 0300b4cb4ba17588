//! A stream that becomes coarser instead of dropping.

use super::*;
use crate::{LossReason, Reach, Snapshot, Thin, ThinValue};
use std::collections::HashSet;

const CAP: u64 = 6_000;
/// One record a device and hundred milliseconds, where ten devices have one each every ten.
const EVERY: Duration = Duration::from_millis(100);

fn thinned(readers: &[(&str, Hold)]) -> Vec<StreamSpec> {
    let thin = Thin { every: EVERY, value: ThinValue::Last };
    let retention = Retention { max_bytes: CAP, when_full: WhenFull::Thin(thin), max_age: None, keep: Keep::UntilRead };
    vec![StreamSpec { retention, ..stream("a", readers) }]
}

/// Appends until so many records are in, waiting for room where there is none.
fn fill(store: &dyn Store, source: &Session, numbers: std::ops::Range<i64>) {
    for first in numbers.step_by(50) {
        let mut commit = Commit::by(source);
        let batch = padded(first..first + 50, &noise(40, first as u64));
        commit.appends.push(Append { stream: "a".into(), batch });
        commit.hurry = true;
        loop {
            match store.commit(commit) {
                Ok(receipt) => break drop(wait(receipt).unwrap()),
                Err(Refusal::Full(back, full)) => {
                    assert_eq!(full.as_deref(), Some("a"));
                    wait(store.room(Some("a")));
                    commit = *back;
                }
                Err(Refusal::Failed(error)) => panic!("{error}"),
            }
        }
    }
}

fn lost(store: &dyn Store, reason: LossReason) -> u64 {
    store.health().losses.iter().filter(|loss| loss.0 == "a" && loss.1 == reason).map(|loss| loss.2).sum()
}

#[test]
fn a_backlog_becomes_coarser_and_what_is_being_delivered_does_not() {
    for mut rig in Rig::both() {
        let store = rig.store();
        store.declare(thinned(&[("sink/x", Hold::Cursor)])).unwrap();
        let (source, sink) = (store.attach("source/s").unwrap(), store.attach("sink/x").unwrap());
        let partition = Partition::new("a", 0);
        fill(store, &source, 0..100);
        let first = store.read(&partition, Position(0), Visibility::Durable).unwrap().unwrap();
        assert_eq!(store.reaching(&sink, &partition, Position(0)..first.next), Reach::Granted);
        fill(store, &source, 100..20_000);
        let (health, blocks) = standing_still(store, &partition);
        assert!(health.bytes < CAP + CAP / 10, "{} bytes", health.bytes);
        assert!(lost(store, LossReason::Thinned) > 10_000, "{:?}", store.health().losses);
        assert_eq!(numbers(&blocks[..1]), numbers(std::slice::from_ref(&first)), "it is being delivered");
        assert_eq!((first.pass, blocks[0].pass), (0, 0));
        let passes: HashSet<u8> = blocks.iter().map(|block| block.pass).collect();
        assert!(passes.iter().any(|pass| *pass > 1), "coarser, and coarser again: {passes:?}");
        let mut identities = HashSet::new();
        for block in &blocks {
            for row in 0..block.batch.rows() as u64 {
                assert!(identities.insert((block.first.0 + row, block.pass)));
            }
        }
        assert_conserved(store);
        // What is read ahead and became coarser since is read again; what was delivered is made durable first.
        let next = store.read(&partition, first.next, Visibility::Durable).unwrap().unwrap();
        assert_eq!(store.reaching(&sink, &partition, first.next..next.next), Reach::CommitFirst);
        move_cursor(store, &sink, &partition, first.next);
        assert_eq!(store.reaching(&sink, &partition, first.next..next.next), Reach::ReadAgain);
        let next = store.read(&partition, first.next, Visibility::Durable).unwrap().unwrap();
        assert_eq!(store.reaching(&sink, &partition, first.next..next.next), Reach::Granted);
        assert!(rig.verify().is_sound());
    }
}

#[test]
fn after_a_restart_nothing_becomes_coarser_before_each_sink_has_said_how_far_it_reaches() {
    let mut rig = Rig::memory(3, |_| {});
    let specs = || thinned(&[("sink/x", Hold::Cursor), ("sink/y", Hold::Cursor)]);
    rig.store().declare(specs()).unwrap();
    let source = rig.store().attach("source/s").unwrap();
    let mut taken = 0;
    while lost(rig.store(), LossReason::Thinned) == 0 {
        let mut commit = Commit::by(&source);
        commit.appends.push(Append { stream: "a".into(), batch: padded(taken..taken + 50, &noise(40, taken as u64)) });
        commit.hurry = true;
        match rig.store().commit(commit) {
            Ok(receipt) => drop(wait(receipt).unwrap()),
            Err(_) => break,
        }
        taken += 50;
    }
    let mut room = rig.store().room(Some("a"));
    assert!(futures::FutureExt::now_or_never(&mut room).is_none(), "it waits for its sinks");
    drop(room);
    rig.reopen();
    rig.store().declare(specs()).unwrap();
    let partition = Partition::new("a", 0);
    for name in ["sink/x", "sink/y"] {
        let mut room = rig.store().room(Some("a"));
        assert!(futures::FutureExt::now_or_never(&mut room).is_none(), "{name} has not said");
        let sink = rig.store().attach(name).unwrap();
        let block = rig.store().read(&partition, Position(0), Visibility::Durable).unwrap().unwrap();
        assert_eq!(rig.store().reaching(&sink, &partition, Position(0)..block.next), Reach::Granted);
    }
    wait(rig.store().room(Some("a")));
    assert!(lost(rig.store(), LossReason::Thinned) > 0);
    assert_conserved(rig.store());
}

/// Recovery replays from the snapshot to the read position: it must find what it found.
#[test]
fn what_a_pipeline_would_replay_does_not_become_coarser() {
    let rig = Rig::memory(3, |_| {});
    let store = rig.store();
    store.declare(thinned(&[("pipeline/p", Hold::Snapshot)])).unwrap();
    let (source, pipeline) = (store.attach("source/s").unwrap(), store.attach("pipeline/p").unwrap());
    let partition = Partition::new("a", 0);
    fill(store, &source, 0..500);
    let (_, blocks) = standing_still(store, &partition);
    let (snapshot, read) = (blocks[1].next, blocks[3].next);
    for block in &blocks[..4] {
        assert_eq!(store.reaching(&pipeline, &partition, block.first..block.next), Reach::Granted);
    }
    let mut commit = Commit::by(&pipeline);
    commit.reads.push((partition.clone(), read));
    commit.snapshot = Some(Snapshot { at: vec![(partition.clone(), snapshot)], bytes: vec![] });
    commit.hurry = true;
    wait(accepted(store, commit)).unwrap();
    fill(store, &source, 500..10_000);
    let (_, now) = standing_still(store, &partition);
    assert_eq!(numbers(&now[..2]), numbers(&blocks[2..4]));
    assert!(lost(store, LossReason::Thinned) > 5_000 && now[2..].iter().any(|block| block.pass > 0));
    assert_conserved(store);
}

#[test]
fn what_cannot_become_coarser_goes_oldest_first() {
    let rig = Rig::memory(3, |_| {});
    let store = rig.store();
    store.declare(thinned(&[])).unwrap();
    let source = store.attach("source/s").unwrap();
    // Far apart: there is one a device and span already, at every pass.
    let apart = |n: i64| {
        let mut builder = BatchBuilder::new(schema());
        builder.text(1, &noise(200, n as u64 + 1));
        builder.integer(0, n);
        builder.end_row("d", WALL + n * 1_000_000_000).unwrap();
        Arc::new(builder.finish())
    };
    for n in 0..200 {
        let mut commit = Commit::by(&source);
        commit.appends.push(Append { stream: "a".into(), batch: apart(n) });
        commit.hurry = true;
        while let Err(Refusal::Full(back, _)) = store.commit(commit.clone()).map(|receipt| wait(receipt).unwrap()) {
            wait(store.room(Some("a")));
            commit = *back;
        }
    }
    let left = durable(store, "a");
    assert_eq!(left, (200 - left.len() as i64..200).collect::<Vec<_>>());
    assert_eq!(lost(store, LossReason::Cap) as usize, 200 - left.len());
    assert!(left.len() > 5, "{left:?}");
    assert_conserved(store);
}

#[test]
fn a_stream_that_keeps_all_loses_nothing_unread_and_lets_go_of_what_was_read() {
    let rig = Rig::memory(3, |_| {});
    let store = rig.store();
    let retention = Retention { max_bytes: CAP, when_full: WhenFull::Block, max_age: None, keep: Keep::All };
    store.declare(vec![StreamSpec { retention, ..stream("a", &[("sink/x", Hold::Cursor)]) }]).unwrap();
    let (source, sink) = (store.attach("source/s").unwrap(), store.attach("sink/x").unwrap());
    let mut taken = 0;
    loop {
        let mut commit = Commit::by(&source);
        commit.appends.push(Append { stream: "a".into(), batch: padded(taken..taken + 1, &noise(500, taken as u64)) });
        commit.hurry = true;
        match store.commit(commit) {
            Ok(receipt) => drop(wait(receipt).unwrap()),
            Err(_) => break,
        }
        taken += 1;
    }
    rig.clock.advance(365 * 86_400_000_000);
    assert_eq!(durable(store, "a"), (0..taken).collect::<Vec<_>>());
    move_cursor(store, &sink, &Partition::new("a", 0), store.health().partitions[0].durable);
    assert_eq!(durable(store, "a"), []);
    assert_eq!(store.health().losses, []);
}

#[test]
fn the_largest_stream_that_may_gives_way_to_the_others_at_the_cap_of_the_store() {
    for rig in [Rig::memory(1, |o| o.max_bytes = 40_000), Rig::memory(2, |o| o.max_bytes = 60_000)] {
        let store = rig.store();
        let drops =
            Retention { max_bytes: 1 << 20, when_full: WhenFull::DropOldest, max_age: None, keep: Keep::UntilRead };
        let all = Retention { when_full: WhenFull::Block, keep: Keep::All, ..drops.clone() };
        let (a, alarms) = (stream("a", &[("sink/x", Hold::Cursor)]), stream("alarms", &[("sink/y", Hold::Cursor)]));
        store.declare(vec![StreamSpec { retention: drops, ..a }, StreamSpec { retention: all, ..alarms }]).unwrap();
        let source = store.attach("source/s").unwrap();
        for n in 0..200 {
            let mut commit = Commit::by(&source);
            for name in if n % 20 == 0 { &["a", "alarms"][..] } else { &["a"] } {
                commit
                    .appends
                    .push(Append { stream: (*name).into(), batch: padded(n..n + 1, &noise(500, n as u64 + 1)) });
            }
            commit.hurry = true;
            while let Err(Refusal::Full(back, full)) = store.commit(commit.clone()).map(|r| wait(r).unwrap()) {
                assert_eq!(full, None, "the store is full, for a moment");
                wait(store.room(None));
                commit = *back;
            }
        }
        assert_eq!(durable(store, "alarms"), (0..200).step_by(20).collect::<Vec<_>>());
        let left = durable(store, "a");
        assert_eq!(left, (200 - left.len() as i64..200).collect::<Vec<_>>());
        assert!(left.len() > 10 && left.len() < 150, "{}", left.len());
        assert_eq!(store.health().losses, [("a".to_string(), LossReason::Cap, 200 - left.len() as u64)]);
        assert_conserved(store);
    }
}
