use super::*;

#[test]
fn a_read_inside_a_block_gives_the_rest_of_it() {
    // Without a tail every durable read comes from the medium.
    for tail_bytes in [0, 4 << 20] {
        for rig in [Rig::memory(1, |o| o.tail_bytes = tail_bytes), Rig::sled(|o| o.tail_bytes = tail_bytes)] {
            let store = rig.store();
            store.declare(vec![stream("a", &[])]).unwrap();
            let source = store.attach("source/s").unwrap();
            let mut last = None;
            for n in 0..6 {
                let mut commit = Commit::by(&source);
                commit.appends.push(Append { stream: "a".into(), batch: batch(n * 5..n * 5 + 5) });
                commit.hurry = n == 5;
                last = Some(accepted(store, commit));
            }
            wait(last.unwrap()).unwrap();
            let partition = Partition::new("a", 0);
            for whole in read_all(store, &partition, Position(0), Visibility::Durable) {
                let rows = whole.batch.rows();
                for skip in 0..rows {
                    let at = Position(whole.first.0 + skip as u64);
                    let part = store.read(&partition, at, Visibility::Durable).unwrap().unwrap();
                    assert_eq!((part.first, part.next), (at, whole.next));
                    assert_eq!(numbers(std::slice::from_ref(&part)), numbers(std::slice::from_ref(&whole))[skip..]);
                    let commits = |block: &Block| -> Vec<u64> {
                        block.runs.iter().flat_map(|r| vec![r.commit; r.rows as usize]).collect()
                    };
                    assert_eq!(commits(&part), commits(&whole)[skip..], "each record keeps its commit");
                }
            }
        }
    }
}

#[test]
fn reading_from_the_medium_equals_reading_from_memory() {
    for mut rig in [Rig::memory(11, |o| o.tail_bytes = 0), Rig::sled(|o| o.tail_bytes = 0)] {
        rig.store().declare(vec![stream("a", &[])]).unwrap();
        let source = rig.store().attach("source/s").unwrap();
        let receipts: Vec<_> = (0..50).map(|n| append(rig.store(), &source, "a", batch(n * 3..n * 3 + 3))).collect();
        receipts.into_iter().for_each(|r| drop(wait(r).unwrap()));
        assert_eq!(durable(rig.store(), "a"), (0..150).collect::<Vec<_>>());
        rig.options.tail_bytes = 4 << 20;
        rig.reopen();
        rig.store().declare(vec![stream("a", &[])]).unwrap();
        assert_eq!(durable(rig.store(), "a"), (0..150).collect::<Vec<_>>());
        assert_conserved(rig.store());
    }
}

#[test]
fn a_large_block_is_cut_between_appends_only() {
    for rig in [Rig::memory(2, |o| o.tail_bytes = 0), Rig::sled(|o| o.tail_bytes = 0)] {
        rig.store().declare(vec![stream("a", &[])]).unwrap();
        let source = rig.store().attach("source/s").unwrap();
        let of = |numbers: std::ops::Range<i64>| {
            let mut builder = BatchBuilder::new(schema());
            for n in numbers {
                builder.integer(0, n);
                builder.text(1, &noise(60, n as u64 + 1));
                builder.end_row("d", WALL).unwrap();
            }
            Append { stream: "a".into(), batch: Arc::new(builder.finish()) }
        };
        let sizes = [1, 300, 4096, 7, 800, 1, 2000, 900];
        let mut commit = Commit::by(&source);
        let mut from = 0;
        for rows in sizes {
            commit.appends.push(of(from..from + rows));
            from += rows;
        }
        commit.hurry = true;
        wait(accepted(rig.store(), commit)).unwrap();
        let blocks = read_all(rig.store(), &Partition::new("a", 0), Position(0), Visibility::Durable);
        let runs: Vec<i64> = blocks.iter().flat_map(|b| b.runs.iter().map(|r| i64::from(r.rows))).collect();
        assert_eq!(runs, sizes);
        assert_eq!(numbers(&blocks), (0..from).collect::<Vec<_>>());
        let largest = |b: &Block| b.runs.len() == 1 || b.batch.rows() < 1000;
        assert!(blocks.len() >= 6 && blocks.iter().all(largest), "{} blocks", blocks.len());
        assert_conserved(rig.store());
    }
}

#[test]
fn a_batch_that_no_block_could_take_is_refused() {
    for rig in Rig::both() {
        rig.store().declare(vec![stream("a", &[])]).unwrap();
        let mut commit = Commit::by(&rig.store().attach("source/s").unwrap());
        commit.appends.push(Append { stream: "a".into(), batch: padded(0..3, &noise(12 << 20, 1)) });
        let refused = rig.store().commit(commit).err();
        assert!(matches!(&refused, Some(Refusal::Failed(crate::Error::Batch { .. }))), "{refused:?}");
    }
}

#[test]
fn waiting_readers_are_woken() {
    for rig in Rig::both() {
        let store: Arc<dyn Store> = rig.store.unwrap().into();
        store.declare(vec![stream("a", &[]), stream("b", &[])]).unwrap();
        let source = store.attach("source/s").unwrap();
        for (name, visibility) in [("a", Visibility::Staged), ("b", Visibility::Durable)] {
            let partition = Partition::new(name, 0);
            let reader = std::thread::spawn({
                let (store, partition) = (store.clone(), partition.clone());
                move || {
                    let (mut at, mut seen) = (Position(0), 0);
                    while seen < 200 {
                        wait(store.appended(&partition, at, visibility));
                        let block = store.read(&partition, at, visibility).unwrap().expect("a wake-up means data");
                        at = block.next;
                        seen += block.batch.rows();
                    }
                    seen
                }
            });
            for n in 0..200 {
                drop(append(&*store, &source, name, batch(n..n + 1)));
            }
            assert_eq!(reader.join().unwrap(), 200);
        }
        wait(store.close()).unwrap();
    }
}

#[test]
fn what_was_read_up_to_the_frontier_misses_no_commit() {
    let rig = Rig::memory(5, |_| {});
    let store = rig.store();
    store.declare(vec![stream("a", &[]), stream("b", &[])]).unwrap();
    let source = store.attach("source/s").unwrap();
    for n in 0..50 {
        let frontier = store.frontier();
        let mut commits: Vec<u64> = ["a", "b"]
            .into_iter()
            .flat_map(|s| read_all(store, &Partition::new(s, 0), Position(0), Visibility::Staged))
            .flat_map(|b| b.runs.into_iter().map(|r| r.commit))
            .collect();
        commits.sort_unstable();
        assert_eq!(commits, (1..=frontier).collect::<Vec<_>>());
        drop(append(store, &source, if n % 3 == 0 { "a" } else { "b" }, batch(n..n + 1)));
    }
}

/// What lay ahead of a reader that was away is gone: waiting must wait, not come back at once.
#[test]
fn a_reader_below_everything_that_is_left_waits_for_the_next_record() {
    for rig in Rig::both() {
        let store = rig.store();
        let mut spec = stream("a", &[("sink/x", Hold::Cursor)]);
        spec.retention.max_age = Some(Duration::from_secs(60));
        store.declare(vec![spec]).unwrap();
        let source = store.attach("source/s").unwrap();
        let partition = Partition::new("a", 0);
        wait(append(store, &source, "a", batch(0..10))).unwrap();
        rig.clock.advance(61_000_000);
        eventually("the old block goes", || durable(store, "a").is_empty());
        for visibility in [Visibility::Durable, Visibility::Staged] {
            let more = store.appended(&partition, Position(0), visibility);
            assert!(futures::FutureExt::now_or_never(more).is_none(), "{visibility:?}");
        }
        let more = store.appended(&partition, Position(0), Visibility::Durable);
        wait(append(store, &source, "a", batch(10..11))).unwrap();
        wait(more);
        assert_eq!(durable(store, "a"), [10]);
    }
}
