use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidegate_record::{BatchBuilder, Schema};

const OPTIONS: WindowOptions = WindowOptions { size: 10, lateness: 5, idle: 100 };

fn batch(rows: &[(u8, i64)]) -> Batch {
    let mut builder = BatchBuilder::new(Arc::new(Schema::new(Vec::new()).unwrap()));
    for (device, time) in rows {
        builder.end_row(&format!("d{device}"), *time).unwrap();
    }
    builder.finish()
}

/// (device, start) of closed windows in order, and (device, time) of late rows.
type Seen = (Vec<(u32, i64)>, Vec<(u8, i64)>);

fn feed(windows: &mut Windows, rows: &[(u8, i64)], arrival: i64, seen: &mut Seen) {
    let assigned = windows.assign(&batch(rows), arrival, |_| None);
    seen.0.extend(assigned.closed.iter().map(|c| (c.key, c.start)));
    seen.1.extend(assigned.late.iter().map(|&row| rows[row as usize]));
    windows.free(&assigned.closed);
}

#[test]
fn a_window_closes_when_the_devices_own_watermark_passes_its_end() {
    let mut windows = Windows::new(OPTIONS, 10);
    let mut seen = Seen::default();
    feed(&mut windows, &[(1, 3), (2, 100), (1, 14), (1, 9)], 0, &mut seen);
    assert_eq!(seen, Seen::default(), "14 is within the lateness bound of [0, 10)");
    feed(&mut windows, &[(1, 15), (1, 9), (1, 12)], 0, &mut seen);
    assert_eq!(seen, (vec![(0, 0)], vec![(1, 9)]));
}

#[test]
fn negative_and_extreme_times_have_windows_too() {
    let mut windows = Windows::new(OPTIONS, 10);
    let mut seen = Seen::default();
    feed(&mut windows, &[(1, i64::MIN), (1, -1), (1, 0), (1, i64::MAX)], 0, &mut seen);
    assert_eq!(seen.1, vec![], "every time was newer than the one before");
    assert!(seen.0.contains(&(0, -10)), "{seen:?}");
    let mut windows = Windows::new(OPTIONS, 10);
    let mut seen = Seen::default();
    feed(&mut windows, &[(1, i64::MIN), (1, 5)], 0, &mut seen);
    assert_eq!(seen.1, vec![], "the distance between two times may be more than a number holds");
}

#[test]
fn silent_devices_are_closed_longest_silent_first_and_a_late_record_is_late_even_then() {
    let mut windows = Windows::new(OPTIONS, 10);
    let mut seen = Seen::default();
    feed(&mut windows, &[(1, 3), (2, 3), (3, 3)], 0, &mut seen);
    feed(&mut windows, &[(1, 4)], 50, &mut seen);
    assert_eq!(windows.idle_due(), Some(100));
    let closed = windows.close_idle(150);
    assert_eq!(closed.iter().map(|c| c.key).collect::<Vec<_>>(), [1, 2, 0]);
    windows.free(&closed);
    assert_eq!(windows.idle_due(), None);
    feed(&mut windows, &[(1, 9), (1, 10)], 160, &mut seen);
    assert_eq!(seen, (vec![], vec![(1, 9)]));
}

#[test]
fn a_device_heard_again_is_not_silent() {
    let mut windows = Windows::new(OPTIONS, 10);
    let mut seen = Seen::default();
    feed(&mut windows, &[(1, 3)], 0, &mut seen);
    feed(&mut windows, &[(1, 4)], 60, &mut seen);
    assert_eq!(windows.close_idle(120), vec![]);
    assert_eq!(windows.idle_due(), Some(160));
}

#[test]
fn devices_beyond_the_bound_overflow_and_the_others_go_on() {
    let mut windows = Windows::new(OPTIONS, 1);
    let assigned = windows.assign(&batch(&[(1, 0), (2, 0), (1, 1)]), 0, |_| None);
    assert_eq!((assigned.slots, assigned.overflow), (vec![0, NO_KEY, 0], vec![1]));
}

const DAY: i64 = 86_400_000_000;

/// Assigns in an era; (start, stamp) of what closed, by rows or by time.
fn stepped(windows: &mut Windows, rows: &[(u8, i64)], arrival: i64, era: Era) -> Vec<(i64, Stamp)> {
    let assigned = windows.assign(&batch(rows), arrival, |_| Some(era));
    assert_eq!(assigned.late, Vec::<u32>::new(), "nothing is late because a clock was stepped");
    let closed = assigned.closed.into_iter().chain(windows.close_idle(arrival)).collect::<Vec<_>>();
    windows.free(&closed);
    closed.iter().map(|c| (c.start, c.stamp)).collect()
}

#[test]
fn a_step_of_the_clock_closes_nothing_and_makes_nothing_late() {
    let (boot, right) = (Era { since: 1, offset: 0 }, Era { since: 9, offset: 50 * DAY });
    let mut windows = Windows::new(OPTIONS, 10);
    assert_eq!(stepped(&mut windows, &[(1, 3), (2, 4)], 3, boot), []);
    assert_eq!(stepped(&mut windows, &[(1, 50 * DAY + 5)], 5, right), [], "[0, 10) of 1970 is still open");
    assert_eq!(windows.idle_due(), Some(15), "its own clock passes its end and the lateness bound then");
    // A restart in between changes nothing.
    let (saved, eras) = (windows.save(), windows.save_eras().unwrap());
    let mut windows = Windows::new(OPTIONS, 10);
    windows.restore(saved, eras);
    assert_eq!(windows.open_slots().len(), 3);
    assert_eq!(stepped(&mut windows, &[(1, 50 * DAY + 14)], 14, right), []);
    assert_eq!(stepped(&mut windows, &[(1, 50 * DAY + 15)], 15, right), [(50 * DAY, Some(9)), (0, Some(1))]);
    // The other device comes later; and then the clock is set back.
    assert_eq!(stepped(&mut windows, &[(2, 50 * DAY + 30)], 30, right), [(0, Some(1))], "it was due long ago");
    let back = Era { since: 20, offset: 40 * DAY };
    assert_eq!(stepped(&mut windows, &[(2, 40 * DAY + 31)], 31, back), []);
    assert_eq!(windows.close_idle(200).iter().map(|c| c.stamp).collect::<Vec<_>>().len(), 3, "all close in silence");
}

#[test]
fn times_that_records_bring_are_of_no_clock_whatever_others_of_their_batch_are() {
    let era = Era { since: 9, offset: 50 * DAY };
    let mut windows = Windows::new(OPTIONS, 10);
    // The second device's times are the gateway's.
    let assigned = windows
        .assign(&batch(&[(1, 3), (2, 50 * DAY), (1, 15), (2, 50 * DAY + 15)]), 0, |row| (row % 2 == 1).then_some(era));
    let closed: Vec<_> = assigned.closed.iter().map(|c| (c.start, c.stamp)).collect();
    assert_eq!(closed, [(0, None), (50 * DAY, Some(9))]);
}

#[test]
fn of_all_that_a_step_leaves_behind_at_once_what_is_due_first_closes_where_there_are_too_many() {
    let many = left::LEFT_MAX + 100;
    let rows = |time: i64| {
        let mut builder = BatchBuilder::new(Arc::new(Schema::new(Vec::new()).unwrap()));
        // The first hundred devices are ten earlier.
        (0..many).for_each(|n| builder.end_row(&format!("d{n}"), time + if n < 100 { 0 } else { 10 }).unwrap());
        builder.finish()
    };
    let (boot, right) = (Era { since: 1, offset: 0 }, Era { since: 9, offset: 50 * DAY });
    let mut windows = Windows::new(OPTIONS, many);
    windows.assign(&rows(0), 0, |_| Some(boot));
    windows.assign(&rows(50 * DAY), 1, |_| Some(right));
    let closed = windows.close_idle(1);
    assert!(closed.iter().all(|c| c.start == 0 && c.stamp == Some(1)), "the first hundred's");
    assert_eq!(closed.len(), 100);
    windows.free(&closed);
    // All fall silent together.
    let closed = windows.close_idle(101);
    assert_eq!(closed.len(), left::LEFT_MAX + many);
    assert_eq!(windows.idle_due(), None);
}

#[test]
fn a_clock_that_is_only_found_right_is_no_step() {
    let (boot, right) = (Era { since: 1, offset: 0 }, Era { since: 9, offset: 900_000 });
    let mut windows = Windows::new(OPTIONS, 10);
    assert_eq!(stepped(&mut windows, &[(1, 3)], 3, boot), []);
    assert_eq!(stepped(&mut windows, &[(1, 900_004)], 4, right), [(0, Some(9))], "time went on as usual");
}

proptest! {
    #[test]
    fn cuts_and_restarts_change_nothing(
        rows in prop::collection::vec((0u8..4, 0i64..200), 0..80),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        restart in any::<prop::sample::Index>(),
    ) {
        let mut whole = Windows::new(OPTIONS, 10);
        let mut expected = Seen::default();
        feed(&mut whole, &rows, 0, &mut expected);

        let mut borders: Vec<usize> = cuts.iter().map(|c| c.index(rows.len() + 1)).collect();
        borders.extend([0, rows.len()]);
        borders.sort_unstable();
        let restart = restart.index(borders.len());
        let mut windows = Windows::new(OPTIONS, 10);
        let mut seen = Seen::default();
        for (number, pair) in borders.windows(2).enumerate() {
            if number == restart {
                let saved = windows.save();
                windows = Windows::new(OPTIONS, 10);
                windows.restore(saved, SavedEras::default());
            }
            feed(&mut windows, &rows[pair[0]..pair[1]], 0, &mut seen);
        }
        prop_assert_eq!(&seen, &expected);
        prop_assert_eq!(windows.open_slots().len(), whole.open_slots().len());
    }

    #[test]
    fn every_record_is_in_one_window_or_late(rows in prop::collection::vec((0u8..4, 0i64..200), 0..80)) {
        let mut windows = Windows::new(OPTIONS, 10);
        let assigned = windows.assign(&batch(&rows), 0, |_| None);
        let mut slots: BTreeMap<u32, (u8, i64)> = BTreeMap::new();
        for (row, &slot) in assigned.slots.iter().enumerate() {
            let (device, time) = rows[row];
            if slot == NO_KEY {
                prop_assert!(assigned.late.contains(&(row as u32)));
                continue;
            }
            let window = (device, time.div_euclid(10) * 10);
            prop_assert_eq!(*slots.entry(slot).or_insert(window), window, "a slot is one window of one device");
        }
        let mut closed: Vec<u32> = assigned.closed.iter().map(|c| c.slot).collect();
        closed.extend(windows.open_slots());
        closed.sort_unstable();
        prop_assert_eq!(closed, slots.into_keys().collect::<Vec<_>>(), "every window is open or was closed once");
    }
}
