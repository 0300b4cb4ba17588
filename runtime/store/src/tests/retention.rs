use super::*;
use crate::{Loss, LossReason};

fn with(retention: Retention, readers: &[(&str, Hold)]) -> Vec<StreamSpec> {
    vec![StreamSpec { retention, ..stream("a", readers) }]
}

fn retention(max_bytes: u64, when_full: WhenFull) -> Retention {
    Retention { max_bytes, when_full, max_age: None, keep: Keep::UntilRead }
}

#[test]
fn blocks_go_when_every_reader_has_passed_them() {
    for mut rig in Rig::both() {
        let specs = || with(retention(1 << 20, WhenFull::Block), &[("sink/x", Hold::Cursor), ("sink/y", Hold::Cursor)]);
        rig.store().declare(specs()).unwrap();
        let partition = Partition::new("a", 0);
        let source = rig.store().attach("source/s").unwrap();
        let (x, y) = (rig.store().attach("sink/x").unwrap(), rig.store().attach("sink/y").unwrap());
        let middle = wait(append(rig.store(), &source, "a", batch(0..10))).unwrap().positions[0][0].1.end;
        let end = wait(append(rig.store(), &source, "a", batch(10..20))).unwrap().positions[0][0].1.end;
        move_cursor(rig.store(), &x, &partition, Position(end));
        assert_eq!(durable(rig.store(), "a").len(), 20, "y has read nothing");
        move_cursor(rig.store(), &y, &partition, Position(middle));
        assert_eq!(durable(rig.store(), "a"), (10..20).collect::<Vec<_>>());
        assert_conserved(rig.store());
        rig.reopen();
        rig.store().declare(specs()).unwrap();
        assert_eq!(durable(rig.store(), "a"), (10..20).collect::<Vec<_>>());
        let y = rig.store().attach("sink/y").unwrap();
        move_cursor(rig.store(), &y, &partition, Position(end));
        assert_eq!(durable(rig.store(), "a"), []);
        let health = rig.store().health().partitions.remove(0);
        assert_eq!((health.appended, health.released, health.lost, health.bytes), (20, 20, 0, 0));
    }
}

#[test]
fn a_pipeline_holds_from_its_snapshot_not_from_its_cursor() {
    let rig = Rig::memory(4, |_| {});
    let store = rig.store();
    store.declare(with(retention(1 << 20, WhenFull::Block), &[("pipeline/p", Hold::Snapshot)])).unwrap();
    let partition = Partition::new("a", 0);
    let source = store.attach("source/s").unwrap();
    let pipeline = store.attach("pipeline/p").unwrap();
    let end = Position(wait(append(store, &source, "a", batch(0..10))).unwrap().positions[0][0].1.end);
    move_cursor(store, &pipeline, &partition, end);
    assert_eq!(durable(store, "a").len(), 10);
    let mut commit = Commit::by(&pipeline);
    commit.snapshot = Some(crate::Snapshot { at: vec![(partition, end)], bytes: vec![] });
    commit.hurry = true;
    wait(accepted(store, commit)).unwrap();
    assert_eq!(durable(store, "a"), []);
    assert_conserved(store);
}

#[test]
fn read_blocks_stay_for_the_time_asked() {
    let rig = Rig::memory(4, |_| {});
    let store = rig.store();
    let keep = Retention { keep: Keep::For(Duration::from_secs(10)), ..retention(1 << 20, WhenFull::Block) };
    store.declare(with(keep, &[("sink/x", Hold::Cursor)])).unwrap();
    let partition = Partition::new("a", 0);
    let source = store.attach("source/s").unwrap();
    let sink = store.attach("sink/x").unwrap();
    let end = Position(wait(append(store, &source, "a", batch(0..10))).unwrap().positions[0][0].1.end);
    rig.clock.advance(20_000_000);
    move_cursor(store, &source, &partition, Position(0));
    assert_eq!(durable(store, "a").len(), 10, "it is old and unread");
    wait(append(store, &source, "a", batch(10..12))).unwrap();
    move_cursor(store, &sink, &partition, end);
    assert_eq!(durable(store, "a"), [10, 11]);
    let end = store.health().partitions[0].durable;
    move_cursor(store, &sink, &partition, end);
    assert_eq!(durable(store, "a"), [10, 11], "it is read and young");
    rig.clock.advance(10_000_001);
    eventually("it goes without any commit", || durable(store, "a").is_empty());
    assert_conserved(store);
}

#[test]
fn old_blocks_go_unread_and_are_in_the_ledger() {
    for rig in Rig::both() {
        let store = rig.store();
        let aged = Retention { max_age: Some(Duration::from_secs(60)), ..retention(1 << 20, WhenFull::Block) };
        store.declare(with(aged, &[("sink/x", Hold::Cursor)])).unwrap();
        let source = store.attach("source/s").unwrap();
        wait(append(store, &source, "a", batch(0..10))).unwrap();
        rig.clock.advance(60_000_000);
        wait(append(store, &source, "a", batch(10..12))).unwrap();
        assert_eq!(durable(store, "a").len(), 12, "not older than a minute yet");
        rig.clock.advance(1);
        eventually("the old block goes", || durable(store, "a") == [10, 11]);
        eventually("its loss is in the ledger", || store.health().losses == [("a".to_string(), LossReason::Age, 10)]);
        assert_conserved(store);
    }
}

#[test]
fn a_full_stream_drops_its_oldest_and_says_so() {
    for rig in Rig::both() {
        let store = rig.store();
        store.declare(with(retention(20_000, WhenFull::DropOldest), &[("sink/x", Hold::Cursor)])).unwrap();
        let source = store.attach("source/s").unwrap();
        for n in 0..40 {
            wait(append(store, &source, "a", padded(n..n + 1, &noise(1000, n as u64 + 1)))).unwrap();
        }
        let health = store.health();
        let a = &health.partitions[0];
        assert!(a.bytes <= 20_000 && a.bytes > 15_000, "{} bytes", a.bytes);
        assert!(a.lost > 15, "{} lost", a.lost);
        assert_eq!(health.losses, [("a".to_string(), LossReason::Cap, a.lost)]);
        assert_eq!(durable(store, "a"), (a.lost as i64..40).collect::<Vec<_>>());
        let ledger = read_all(store, &Partition::new(streams::LEDGER, 0), Position(0), Visibility::Durable);
        let noted: i64 = (ledger.iter())
            .map(|b| match &b.batch.columns()[3].values {
                tidegate_record::Values::Integers(counts) => counts.iter().sum(),
                _ => 0,
            })
            .sum();
        assert_eq!(noted as u64, a.lost);
        assert_conserved(store);
    }
}

#[test]
fn what_was_read_is_released_by_a_cap_and_not_lost() {
    for when_full in [WhenFull::DropOldest, WhenFull::Block] {
        let rig = Rig::memory(4, |_| {});
        let store = rig.store();
        let keep = Retention { keep: Keep::For(Duration::from_secs(3600)), ..retention(5_000, when_full) };
        store.declare(with(keep, &[("sink/x", Hold::Cursor)])).unwrap();
        let (source, sink) = (store.attach("source/s").unwrap(), store.attach("sink/x").unwrap());
        for n in 0..20 {
            let committed = wait(append(store, &source, "a", padded(n..n + 1, &noise(1000, n as u64 + 1)))).unwrap();
            move_cursor(store, &sink, &Partition::new("a", 0), Position(committed.positions[0][0].1.end));
        }
        let a = store.health().partitions.remove(0);
        assert!(a.released > 10, "{a:?}");
        assert_eq!(a.lost, 0);
        assert_conserved(store);
    }
}

/// Else each row it drops would bring another one about the drop, for ever.
#[test]
fn a_full_ledger_keeps_no_account_of_itself() {
    let rig = Rig::memory(4, |_| {});
    let store = rig.store();
    let ledger = StreamSpec { retention: retention(5_000, WhenFull::DropOldest), ..stream(streams::LEDGER, &[]) };
    store.declare(vec![stream("a", &[]), ledger]).unwrap();
    let source = store.attach("source/s").unwrap();
    for n in 0..100 {
        let mut commit = Commit::by(&source);
        let stage = noise(200, n + 1).into();
        commit.losses =
            vec![Loss { stream: "a".into(), partition: 0, reason: LossReason::Full, stage, count: 1, offsets: None }];
        commit.hurry = true;
        wait(accepted(store, commit)).unwrap();
    }
    let ledger = Partition::new(streams::LEDGER, 0);
    let lost = |store: &dyn Store| store.health().partitions.iter().find(|p| p.partition == ledger).unwrap().lost;
    assert!(lost(store) > 10, "{} rows dropped", lost(store));
    let blocks = read_all(store, &ledger, Position(0), Visibility::Durable);
    let about: Vec<String> =
        blocks.iter().flat_map(|b| (0..b.batch.rows()).map(|row| b.batch.device(row).into())).collect();
    assert!(about.iter().all(|stream: &String| stream == "a"), "{about:?}");
    assert!(store.health().losses.contains(&(streams::LEDGER.to_string(), LossReason::Cap, lost(store))));
}

#[test]
fn a_full_blocking_stream_refuses_until_there_is_room() {
    for rig in Rig::both() {
        let store = rig.store();
        store.declare(with(retention(10_000, WhenFull::Block), &[("sink/x", Hold::Cursor)])).unwrap();
        let (source, sink) = (store.attach("source/s").unwrap(), store.attach("sink/x").unwrap());
        let commit = |n: i64| {
            let mut commit = Commit::by(&source);
            commit.appends.push(Append { stream: "a".into(), batch: padded(n..n + 1, &noise(1000, n as u64 + 1)) });
            commit.hurry = true;
            commit
        };
        let mut taken = 0;
        let refused = loop {
            match store.commit(commit(taken)) {
                Ok(receipt) => drop(wait(receipt).unwrap()),
                Err(Refusal::Full(refused, full)) => {
                    assert_eq!(full.as_deref(), Some("a"));
                    break refused;
                }
                Err(Refusal::Failed(error)) => panic!("{error}"),
            }
            taken += 1;
        };
        assert!((5..15).contains(&taken), "{taken} kilobytes in a stream of ten");
        assert_eq!(refused.appends.len(), 1, "the commit comes back whole");
        let mut room = store.room(Some("a"));
        assert!(futures::FutureExt::now_or_never(&mut room).is_none());
        let end = store.health().partitions[0].durable;
        move_cursor(store, &sink, &Partition::new("a", 0), end);
        wait(room);
        wait(accepted(store, *refused)).unwrap();
        assert_eq!(durable(store, "a"), [taken]);
        assert_conserved(store);
    }
}

#[test]
fn the_whole_store_refuses_at_its_cap_and_takes_again_when_drained() {
    let rig = Rig::memory(1, |options| options.max_bytes = 30_000);
    let store = rig.store();
    store.declare(vec![stream("a", &[("sink/x", Hold::Cursor)]), stream(streams::DEAD_LETTERS, &[])]).unwrap();
    let (source, sink) = (store.attach("source/s").unwrap(), store.attach("sink/x").unwrap());
    let commit = |to: &str, n: i64| {
        let mut commit = Commit::by(&source);
        commit.appends.push(Append { stream: to.into(), batch: padded(n..n + 1, &noise(1000, n as u64 + 1)) });
        commit.hurry = true;
        commit
    };
    let full = (0..100).find_map(|n| match store.commit(commit("a", n)) {
        Ok(receipt) => wait(receipt).map(|_| None).unwrap(),
        Err(Refusal::Full(_, full)) => Some(full),
        Err(Refusal::Failed(error)) => panic!("{error}"),
    });
    assert_eq!(full, Some(None), "it is the store that is full");
    wait(accepted(store, commit(streams::DEAD_LETTERS, 1000))).unwrap();
    let room = store.room(None);
    move_cursor(store, &sink, &Partition::new("a", 0), store.health().partitions[0].durable);
    wait(room);
    wait(accepted(store, commit("a", 200))).unwrap();
    assert_eq!(durable(store, "a"), [200]);
}

#[test]
fn a_cursor_nobody_is_configured_for_is_reported() {
    let mut rig = Rig::memory(1, |_| {});
    rig.store().declare(with(retention(1 << 20, WhenFull::Block), &[("sink/x", Hold::Cursor)])).unwrap();
    let sink = rig.store().attach("sink/x").unwrap();
    move_cursor(rig.store(), &sink, &Partition::new("a", 0), Position(0));
    assert_eq!(rig.store().health().orphans, [] as [String; 0]);
    rig.reopen();
    rig.store().declare(vec![stream("a", &[]), stream("b", &[])]).unwrap();
    assert_eq!(rig.store().health().orphans, ["sink/x on a/0"]);
}

#[test]
fn health_says_where_readers_stand() {
    for tail_bytes in [0, 1 << 20] {
        let rig = Rig::sled(|options| options.tail_bytes = tail_bytes);
        let store = rig.store();
        store.declare(vec![stream("a", &[("sink/x", Hold::Cursor)])]).unwrap();
        let (source, sink) = (store.attach("source/s").unwrap(), store.attach("sink/x").unwrap());
        let mut ends = Vec::new();
        for n in 0..3 {
            rig.clock.advance(100);
            ends.push(wait(append(store, &source, "a", batch(n * 10..n * 10 + 10))).unwrap().positions[0][0].1.end);
        }
        move_cursor(store, &sink, &Partition::new("a", 0), Position(ends[0] + 3));
        let a = store.health().partitions.remove(0);
        let reader = &a.readers[0];
        assert_eq!((reader.behind, reader.oldest_unread_arrival), (17, Some(200)));
        assert_eq!((a.oldest_arrival, a.stored), (Some(200), 20));
        move_cursor(store, &sink, &Partition::new("a", 0), a.durable);
        let a = store.health().partitions.remove(0);
        assert_eq!((a.readers[0].behind, a.readers[0].oldest_unread_arrival, a.oldest_arrival), (0, None, None));
    }
}
