use super::*;
use crate::{Error, Loss, LossReason, Snapshot};
use futures::FutureExt;

#[test]
fn what_is_committed_is_read_back_after_reopening() {
    for mut rig in Rig::both() {
        let identity = rig.store().identity();
        rig.store().declare(vec![stream("a", &[("sink/x", Hold::Cursor)])]).unwrap();
        let source = rig.store().attach("source/s").unwrap();
        let first = wait(append(rig.store(), &source, "a", batch(0..10))).unwrap();
        let second = wait(append(rig.store(), &source, "a", batch(10..15))).unwrap();
        assert!(second.number > first.number);
        let before = read_all(rig.store(), &Partition::new("a", 0), Position(0), Visibility::Durable);
        assert_eq!(numbers(&before), (0..15).collect::<Vec<_>>());
        rig.reopen();
        rig.store().declare(vec![stream("a", &[("sink/x", Hold::Cursor)])]).unwrap();
        assert_eq!(rig.store().identity(), identity, "an epoch lasts over restarts");
        let after = read_all(rig.store(), &Partition::new("a", 0), Position(0), Visibility::Durable);
        assert_eq!(borders(&after), borders(&before), "requests are the same after a restart");
        assert_eq!(numbers(&after), numbers(&before));
        let source = rig.store().attach("source/s").unwrap();
        let third = wait(append(rig.store(), &source, "a", batch(15..16))).unwrap();
        assert!(third.number > second.number, "numbers go on");
        assert!(third.positions[0][0].1.start >= second.positions[0][0].1.end, "positions go on");
        assert_conserved(rig.store());
    }
}

fn borders(blocks: &[Block]) -> Vec<(Position, Position, Vec<crate::Run>)> {
    blocks.iter().map(|b| (b.first, b.next, b.runs.clone())).collect()
}

#[test]
fn a_receipt_resolves_only_when_the_commit_is_durable() {
    let rig = Rig::memory(3, |options| options.commit_interval = Duration::from_secs(3600));
    let store = rig.store();
    store.declare(vec![stream("a", &[])]).unwrap();
    let source = store.attach("source/s").unwrap();
    let partition = Partition::new("a", 0);
    let mut commit = Commit::by(&source);
    commit.appends.push(Append { stream: "a".into(), batch: batch(0..3) });
    let mut receipt = accepted(store, commit);
    assert!((&mut receipt).now_or_never().is_none());
    assert!(store.read(&partition, Position(0), Visibility::Durable).unwrap().is_none());
    assert_eq!(numbers(&read_all(store, &partition, Position(0), Visibility::Staged)), [0, 1, 2]);
    // A hurried one takes all along.
    wait(append(store, &source, "a", batch(3..4))).unwrap();
    assert!(wait(receipt).is_ok());
    assert_eq!(durable(store, "a"), [0, 1, 2, 3]);
}

#[test]
fn small_commits_become_one_block_that_remembers_them() {
    let rig = Rig::memory(3, |options| options.commit_interval = Duration::from_secs(3600));
    let sled = Rig::sled(|options| options.commit_interval = Duration::from_secs(3600));
    for (rig, gapped) in [(rig, true), (sled, false)] {
        let store = rig.store();
        store.declare(vec![stream("a", &[])]).unwrap();
        let source = store.attach("source/s").unwrap();
        let mut receipts = Vec::new();
        for n in 0..20 {
            let mut commit = Commit::by(&source);
            commit.appends.push(Append { stream: "a".into(), batch: batch(n * 2..n * 2 + 2) });
            commit.hurry = n == 19;
            receipts.push(accepted(store, commit));
        }
        let numbers_given: Vec<u64> = receipts.into_iter().map(|r| wait(r).unwrap().number).collect();
        let blocks = read_all(store, &Partition::new("a", 0), Position(0), Visibility::Durable);
        assert_eq!(numbers(&blocks), (0..40).collect::<Vec<_>>());
        let commits: Vec<u64> = blocks.iter().flat_map(|b| b.runs.iter().map(|r| r.commit)).collect();
        assert_eq!(commits, numbers_given);
        assert_eq!(blocks.len() > 1, gapped, "a gap ends a block, nothing else does");
    }
}

#[test]
fn cursors_states_and_snapshots_are_kept() {
    for mut rig in Rig::both() {
        rig.store().declare(vec![stream("a", &[("pipeline/p", Hold::Snapshot)])]).unwrap();
        let partition = Partition::new("a", 0);
        let pipeline = rig.store().attach("pipeline/p").unwrap();
        let large: Vec<u8> = noise(100_000, 5).into_bytes();
        for (state, snapshot) in [(vec![1; 20_000], vec![3; 9]), (vec![2], large.clone())] {
            let mut commit = Commit::by(&pipeline);
            commit.reads.push((partition.clone(), Position(0)));
            commit.state = Some(state);
            commit.snapshot = Some(Snapshot { at: vec![(partition.clone(), Position(0))], bytes: snapshot });
            commit.hurry = true;
            wait(accepted(rig.store(), commit)).unwrap();
        }
        for _ in 0..2 {
            let store = rig.store();
            assert_eq!(store.cursor("pipeline/p", &partition).unwrap(), Some(Position(0)));
            assert_eq!(store.cursor("pipeline/q", &partition).unwrap(), None);
            assert_eq!(store.state("pipeline/p").unwrap(), Some(vec![2]));
            let snapshot = store.snapshot("pipeline/p").unwrap().unwrap();
            assert_eq!(snapshot, Snapshot { at: vec![(partition.clone(), Position(0))], bytes: large.clone() });
            assert_eq!(store.snapshot("pipeline/q").unwrap(), None);
            rig.reopen();
            rig.store().declare(vec![stream("a", &[("pipeline/p", Hold::Snapshot)])]).unwrap();
        }
    }
}

#[test]
fn a_session_ends_when_another_of_its_name_begins() {
    for rig in Rig::both() {
        let store = rig.store();
        store.declare(vec![stream("a", &[])]).unwrap();
        let old = store.attach("source/s").unwrap();
        let new = store.attach("source/s").unwrap();
        let mut commit = Commit::by(&old);
        commit.appends.push(Append { stream: "a".into(), batch: batch(0..1) });
        let refused = store.commit(commit).err();
        assert!(matches!(&refused, Some(Refusal::Failed(Error::Stale { generation: 1, .. }))), "{refused:?}");
        wait(append(store, &new, "a", batch(5..6))).unwrap();
        assert_eq!(durable(store, "a"), [5]);
    }
}

#[test]
fn wrong_batches_are_refused_as_a_whole() {
    let rig = Rig::memory(1, |_| {});
    let store = rig.store();
    store.declare(vec![stream("a", &[])]).unwrap();
    let source = store.attach("source/s").unwrap();
    let other = Arc::new(Batch::empty(Arc::new(Schema::new(vec![]).unwrap())));
    let cases: [(&str, Arc<Batch>); 4] =
        [("a", other), ("a", Arc::new(Batch::empty(schema()))), ("nowhere", batch(0..1)), ("ledger", batch(0..1))];
    for (name, bad) in cases {
        let mut commit = Commit::by(&source);
        commit.appends.push(Append { stream: "a".into(), batch: batch(0..1) });
        commit.appends.push(Append { stream: name.into(), batch: bad });
        assert!(matches!(store.commit(commit), Err(Refusal::Failed(_))), "{name}");
    }
    wait(append(store, &source, "a", batch(7..8))).unwrap();
    assert_eq!(durable(store, "a"), [7]);
}

#[test]
fn records_go_to_partitions_by_device_and_keep_their_order() {
    for rig in Rig::both() {
        let store = rig.store();
        store.declare(vec![StreamSpec { partitions: 3, ..stream("a", &[]) }]).unwrap();
        let source = store.attach("source/s").unwrap();
        let committed = wait(append(store, &source, "a", batch(0..100))).unwrap();
        wait(append(store, &source, "a", batch(100..200))).unwrap();
        assert!(committed.positions[0].len() > 1, "ten devices go to more than one partition");
        let mut all = Vec::new();
        for partition in store.assigned("a").unwrap() {
            let mut here = numbers(&read_all(store, &partition, Position(0), Visibility::Durable));
            assert!(here.is_sorted());
            for n in &here {
                let device = format!("d{}", n % 10);
                assert_eq!(crate::partition_of(device.as_bytes(), 3), partition.number);
            }
            all.append(&mut here);
        }
        all.sort_unstable();
        assert_eq!(all, (0..200).collect::<Vec<_>>());
        assert_conserved(store);
    }
}

#[test]
fn a_record_larger_than_a_value_is_kept_in_parts() {
    for mut rig in Rig::both() {
        rig.store().declare(vec![stream("a", &[])]).unwrap();
        let source = rig.store().attach("source/s").unwrap();
        let pad = noise(300_000, 9);
        wait(append(rig.store(), &source, "a", padded(0..3, &pad))).unwrap();
        rig.reopen();
        rig.store().declare(vec![stream("a", &[])]).unwrap();
        let blocks = read_all(rig.store(), &Partition::new("a", 0), Position(0), Visibility::Durable);
        assert_eq!(numbers(&blocks), [0, 1, 2]);
        assert!(blocks.iter().all(|b| *b.batch == *padded(0..3, &pad)), "the texts are whole, and so is the append");
        assert_conserved(rig.store());
    }
}

#[test]
fn equal_losses_of_a_group_become_one_row_of_the_ledger() {
    for mut rig in Rig::both() {
        rig.store().declare(vec![stream("a", &[])]).unwrap();
        let source = rig.store().attach("source/s").unwrap();
        let mut commit = Commit::by(&source);
        let loss = |reason, count, offsets| Loss {
            stream: "a".into(),
            partition: 0,
            reason,
            stage: "source/s".into(),
            count,
            offsets,
        };
        commit.losses = vec![
            loss(LossReason::Full, 3, Some((7, 9))),
            loss(LossReason::Decode, 1, None),
            loss(LossReason::Full, 2, Some((2, 3))),
            loss(LossReason::Late, 0, None),
        ];
        commit.hurry = true;
        wait(accepted(rig.store(), commit)).unwrap();
        let blocks = read_all(rig.store(), &Partition::new(streams::LEDGER, 0), Position(0), Visibility::Durable);
        let rows: Vec<String> = (blocks.iter())
            .flat_map(|b| (0..b.batch.rows()).map(|row| format!("{:?}", texts(&b.batch, row))))
            .collect();
        let expected = [r#"["a", "decode", "source/s", "1", "-", "-"]"#, r#"["a", "full", "source/s", "5", "2", "9"]"#];
        assert_eq!(rows, expected);
        rig.reopen();
        rig.store().declare(vec![stream("a", &[])]).unwrap();
        let totals = rig.store().health().losses;
        assert_eq!(totals, [("a".into(), LossReason::Decode, 1), ("a".into(), LossReason::Full, 5)]);
    }
}

/// Device, reason, stage, count, first and last of a ledger row.
fn texts(batch: &Batch, row: usize) -> Vec<String> {
    let column = |index: usize| match &batch.columns()[index].values {
        _ if !batch.columns()[index].is_valid(row) => "-".into(),
        tidegate_record::Values::Integers(v) => v[row].to_string(),
        tidegate_record::Values::Texts(b) => b.text(row).into(),
        other => panic!("{other:?}"),
    };
    [vec![batch.device(row).to_string()], [1, 2, 3, 4, 5].map(column).to_vec()].concat()
}

#[test]
fn a_closed_store_takes_nothing_and_has_committed_everything() {
    for mut rig in Rig::both() {
        rig.store().declare(vec![stream("a", &[])]).unwrap();
        let source = rig.store().attach("source/s").unwrap();
        let mut commit = Commit::by(&source);
        commit.appends.push(Append { stream: "a".into(), batch: batch(0..3) });
        let receipt = accepted(rig.store(), commit.clone());
        wait(rig.store().close()).unwrap();
        assert!(wait(receipt).is_ok());
        assert!(matches!(rig.store().commit(commit), Err(Refusal::Failed(Error::Closed))));
        rig.begin_again();
        rig.store().declare(vec![stream("a", &[])]).unwrap();
        assert_eq!(durable(rig.store(), "a"), [0, 1, 2]);
    }
}

#[test]
fn an_idle_store_writes_nothing() {
    let rig = Rig::memory(1, |_| {});
    let store = rig.store();
    let kept = Retention { keep: Keep::For(Duration::from_secs(60)), ..stream("a", &[]).retention };
    store.declare(vec![StreamSpec { retention: kept, ..stream("a", &[]) }]).unwrap();
    let source = store.attach("source/s").unwrap();
    wait(append(store, &source, "a", batch(0..3))).unwrap();
    let Disk::Memory(disk) = &rig.disk else { panic!("a memory rig") };
    // From here on any write would poison the store.
    disk.power_cut();
    let idle = wait(async {
        tokio::time::timeout(Duration::from_millis(1500), store.room(None)).await.ok();
        store.health()
    });
    assert_eq!(idle.poisoned, None);
    rig.clock.advance(61_000_000);
    eventually("the block is released, which is a write", || store.health().poisoned.is_some());
}
