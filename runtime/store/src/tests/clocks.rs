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

const DAY: i64 = 86_400_000_000;

/// Appends a record whose time the gateway's clock sets now.
fn stamped(rig: &Rig, session: &Session, n: i64) {
    let mut commit = Commit::by(session);
    commit.append(Append { stream: "a".into(), batch: batch(n..n + 1) }, Times::set(rig.clock.wall()));
    commit.hurry = true;
    wait(accepted(rig.store(), commit)).unwrap();
}

/// For each record of stream a: what is added to its time, its mark, and its run's wall clock in truth.
fn dated(rig: &Rig) -> Vec<(i64, Option<ClockMark>, i64)> {
    let blocks = read_all(rig.store(), &Partition::new("a", 0), Position(0), Visibility::Durable);
    let mut all = Vec::new();
    for block in &blocks {
        let dates = Dates::of(&block.runs, |commit| rig.store().dating(commit));
        let runs = block.runs.iter().flat_map(|run| std::iter::repeat_n(run, run.rows as usize));
        all.extend(runs.enumerate().map(|(row, run)| {
            let (shift, mark) = dates.at(row);
            (shift, mark, rig.store().wall_of(run))
        }));
    }
    all
}

#[test]
fn a_boot_in_1970_is_dated_once_the_clock_is_right_and_stays_so_over_a_restart() {
    for mut rig in Rig::both() {
        rig.clock.set_wall(5 * 1_000_000, false);
        rig.store().declare(vec![stream("a", &[])]).unwrap();
        assert_eq!(rig.store().last_wall(), None, "there was no process before");
        let source = rig.store().attach("source/s").unwrap();
        stamped(&rig, &source, 0);
        rig.clock.advance(60_000_000);
        stamped(&rig, &source, 1);
        let unset = Some(ClockMark::Unset);
        assert_eq!(dated(&rig), [(0, unset, 5_000_000), (0, unset, 65_000_000)]);

        // A minute later the time comes.
        rig.clock.advance(60_000_000);
        rig.clock.set_wall(WALL, true);
        stamped(&rig, &source, 2);
        let (shift, corrected) = (WALL - 125_000_000, Some(ClockMark::Corrected));
        let expected = [(shift, corrected, WALL - 120_000_000), (shift, corrected, WALL - 60_000_000), (0, None, WALL)];
        assert_eq!(dated(&rig), expected);

        // The next boot is in 1970 again: what it knows it knows of its own records.
        rig.clock.set_wall(0, false);
        rig.reopen();
        assert_eq!(rig.store().last_wall(), Some(WALL));
        rig.store().declare(vec![stream("a", &[])]).unwrap();
        let source = rig.store().attach("source/s").unwrap();
        stamped(&rig, &source, 3);
        rig.reopen();
        rig.store().declare(vec![stream("a", &[])]).unwrap();
        rig.clock.set_wall(WALL + DAY, true);
        let source = rig.store().attach("source/s").unwrap();
        stamped(&rig, &source, 4);
        let mut expected = expected.to_vec();
        expected.extend([(0, unset, 0), (0, None, WALL + DAY)]);
        assert_eq!(dated(&rig), expected);
        assert_eq!(rig.verify().problems, Vec::<String>::new());
    }
}

#[test]
fn the_correction_is_written_although_nothing_arrives_any_more() {
    for mut rig in Rig::both() {
        rig.clock.set_wall(0, false);
        rig.store().declare(vec![stream("a", &[])]).unwrap();
        let source = rig.store().attach("source/s").unwrap();
        stamped(&rig, &source, 0);
        rig.clock.set_wall(WALL, true);
        let corrected = || dated(&rig)[0].1 == Some(ClockMark::Corrected);
        eventually("the clock is looked at without a commit", corrected);
        rig.reopen();
        rig.store().declare(vec![stream("a", &[])]).unwrap();
        assert_eq!(dated(&rig), [(WALL, Some(ClockMark::Corrected), WALL)]);
    }
}

#[test]
fn a_reading_stamped_before_the_clock_was_set_and_committed_after_is_the_old_clocks() {
    let rig = Rig::memory(3, |_| {});
    rig.clock.set_wall(0, false);
    rig.store().declare(vec![stream("a", &[])]).unwrap();
    let source = rig.store().attach("source/s").unwrap();
    let read = rig.clock.wall();
    rig.clock.set_wall(WALL, true);
    let mut commit = Commit::by(&source);
    commit.append(Append { stream: "a".into(), batch: batch(0..1) }, Times::set(read));
    commit.append(Append { stream: "a".into(), batch: batch(1..2) }, Times::set(rig.clock.wall()));
    commit.append(Append { stream: "a".into(), batch: batch(2..3) }, Times::Brought);
    commit.hurry = true;
    wait(accepted(rig.store(), commit)).unwrap();
    let marks: Vec<_> = dated(&rig).iter().map(|(shift, mark, _)| (*shift, *mark)).collect();
    assert_eq!(marks, [(WALL, Some(ClockMark::Corrected)), (0, None), (0, None)]);
}

#[test]
fn what_a_pipeline_makes_of_records_of_another_process_is_dated_as_they_are() {
    for mut rig in Rig::both() {
        rig.clock.set_wall(0, false);
        rig.store().declare(vec![stream("a", &[])]).unwrap();
        let source = rig.store().attach("source/s").unwrap();
        stamped(&rig, &source, 0);
        rig.clock.set_wall(WALL, true);
        stamped(&rig, &source, 1);
        rig.clock.set_wall(7, false);
        rig.reopen();
        rig.store().declare(vec![stream("a", &[])]).unwrap();
        let pipeline = rig.store().attach("pipeline/p").unwrap();
        let runs: Vec<Run> = read_all(rig.store(), &Partition::new("a", 0), Position(0), Visibility::Durable)
            .iter()
            .flat_map(|block| block.runs.clone())
            .collect();
        let mut commit = Commit::by(&pipeline);
        for (n, run) in (2..).zip(&runs) {
            let times = Times::Of(run.stamped.unwrap());
            commit.append(Append { stream: "a".into(), batch: batch(n..n + 1) }, times);
        }
        commit.hurry = true;
        wait(accepted(rig.store(), commit)).unwrap();
        let marks: Vec<_> = dated(&rig).iter().map(|(shift, mark, _)| (*shift, *mark)).collect();
        assert_eq!(marks[2..], marks[..2]);
        assert_eq!(marks[..2], [(WALL, Some(ClockMark::Corrected)), (0, None)]);
    }
}
