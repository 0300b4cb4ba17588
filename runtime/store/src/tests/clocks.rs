use super::*;

#[test]
fn the_arrival_clock_never_goes_backwards_not_even_over_a_restart() {
    for mut rig in Rig::both() {
        rig.store().declare(vec![stream("a", &[])]).unwrap();
        let mut latest = i64::MIN;
        for turn in 0..3 {
            rig.clock.set_wall(WALL - turn * 1_000_000_000, turn != 1);
            rig.clock.advance(5_000_000);
            let source = rig.store().attach("source/s").unwrap();
            wait(append(rig.store(), &source, "a", batch(turn..turn + 1))).unwrap();
            let now = rig.store().arrival_now();
            assert!(now >= latest, "{now} after {latest}");
            latest = now;
            // The new process' boot clock begins at 0 again.
            let clock = Arc::new(ManualClock::at(WALL));
            rig.options.clock = clock.clone();
            rig.clock = clock;
            rig.reopen();
            rig.store().declare(vec![stream("a", &[])]).unwrap();
            assert_eq!(rig.store().arrival_now(), latest, "it goes on where it stood");
        }
        let blocks = read_all(rig.store(), &Partition::new("a", 0), Position(0), Visibility::Durable);
        let runs: Vec<_> = blocks.iter().flat_map(|b| b.runs.clone()).collect();
        assert!(runs.iter().map(|r| r.arrival).is_sorted());
        assert_eq!(runs.iter().map(|r| r.trusted).collect::<Vec<_>>(), [true, false, true]);
    }
}

#[test]
fn a_tick_is_written_when_nothing_arrived_in_time() {
    for mut rig in Rig::both() {
        rig.store().declare(vec![stream("a", &[])]).unwrap();
        let partition = Partition::new("a", 0);
        let source = rig.store().attach("source/s").unwrap();
        wait(append(rig.store(), &source, "a", batch(0..2))).unwrap();
        let asked = rig.store().arrival_now() + 1_000_000;
        rig.store().tick_at(&partition, asked);
        rig.clock.advance(999_999);
        let before = read_all(rig.store(), &partition, Position(0), Visibility::Staged);
        assert_eq!(before.len(), 1, "it is not time yet");
        let at = before[0].next;
        rig.clock.advance(1);
        wait(rig.store().appended(&partition, at, Visibility::Durable));
        let tick = rig.store().read(&partition, at, Visibility::Durable).unwrap().unwrap();
        assert_eq!((tick.batch.rows(), tick.runs.len(), tick.runs[0].rows), (0, 1, 0));
        assert_eq!((tick.next.0, tick.runs[0].arrival), (tick.first.0 + 1, asked));
        rig.reopen();
        rig.store().declare(vec![stream("a", &[])]).unwrap();
        let blocks = read_all(rig.store(), &partition, Position(0), Visibility::Durable);
        assert_eq!(blocks.iter().map(|b| b.batch.rows()).collect::<Vec<_>>(), [2, 0]);
        assert_conserved(rig.store());
    }
}

#[test]
fn no_tick_is_written_where_something_arrived_at_that_time() {
    let rig = Rig::memory(2, |_| {});
    let store = rig.store();
    store.declare(vec![stream("a", &[]), stream("b", &[])]).unwrap();
    let (a, b) = (Partition::new("a", 0), Partition::new("b", 0));
    let source = store.attach("source/s").unwrap();
    rig.clock.advance(10);
    wait(append(store, &source, "a", batch(0..1))).unwrap();
    // The past has had its record; the future has not, and b has had nothing.
    for (partition, arrival) in [(&a, 5), (&b, 5)] {
        store.tick_at(partition, arrival);
    }
    wait(store.appended(&b, Position(0), Visibility::Durable));
    assert_eq!(read_all(store, &a, Position(0), Visibility::Staged).len(), 1);
}
