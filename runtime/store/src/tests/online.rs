//! Tools beside a store that works.

use super::*;
use crate::Error;
use crate::keys::{Key, Kind};
use crate::medium::{Medium as _, WriteSet, value};
use crate::memory::Plugged;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// A store of a stream that `sink/x` reads, a block a record.
fn rig_of(rig: Rig, records: i64) -> Rig {
    rig.store().declare(vec![stream("readings", &[("sink/x", Hold::Cursor)])]).unwrap();
    let source = rig.store().attach("source/s").unwrap();
    (0..records).for_each(|n| drop(wait(append(rig.store(), &source, "readings", batch(n..n + 1))).unwrap()));
    rig.clock.advance(1_000_000);
    rig
}

fn readings() -> Partition {
    Partition::new("readings", 0)
}

#[test]
fn a_check_beside_work_says_what_one_of_the_closed_store_says() {
    for rig in Rig::both() {
        let mut rig = rig_of(rig, 300);
        let store = rig.store();
        let live = store.verify(&mut || true).unwrap();
        assert!(live.is_sound(), "{:?}", live.problems);
        let found = live.partitions.iter().find(|p| p.stream == "readings").unwrap();
        assert_eq!((found.blocks, found.records, found.appended), (300, 300, 300));
        assert_eq!(rig.verify(), live);
    }
}

#[test]
fn the_first_records_of_a_stream_that_come_under_a_check_are_no_damage() {
    for rig in Rig::both() {
        rig.store().declare(vec![stream("readings", &[]), stream("young", &[])]).unwrap();
        let source = rig.store().attach("source/s").unwrap();
        wait(append(rig.store(), &source, "readings", batch(0..10))).unwrap();
        let mut come = false;
        let report = rig.store().verify(&mut || {
            if !std::mem::replace(&mut come, true) {
                drop(wait(append(rig.store(), &source, "young", batch(0..10))).unwrap());
            }
            true
        });
        let report = report.unwrap();
        assert!(report.is_sound(), "{:?}", report.problems);
    }
}

#[test]
fn a_check_holds_while_records_come_and_go_under_it() {
    let rig = rig_of(Rig::sled(|options| options.commit_interval = Duration::from_millis(1)), 100);
    let (store, over) = (rig.store(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (source, sink) = (store.attach("source/t").unwrap(), store.attach("sink/x").unwrap());
            for n in 0.. {
                if over.load(SeqCst) {
                    break;
                }
                let batch = padded(n..n + 20, &noise(500, n as u64));
                wait(append(store, &source, "readings", batch)).unwrap();
                let behind = store.health().partitions.iter().find(|p| p.partition == readings()).unwrap().durable;
                move_cursor(store, &sink, &readings(), Position(behind.0.saturating_sub(50)));
            }
        });
        let released = || store.health().partitions.iter().map(|p| p.released).sum::<u64>();
        let mut reports = Vec::new();
        for _ in 0..10 {
            let before = released();
            reports.push(store.verify(&mut || true));
            eventually("something goes between two checks", || released() > before);
        }
        over.store(true, SeqCst);
        for report in reports {
            assert_eq!(report.unwrap().problems, Vec::<String>::new());
        }
    });
}

#[test]
fn a_check_finds_what_is_damaged_and_can_be_broken_off() {
    let medium = Arc::new(Plugged::fresh());
    let options = options("unused", &Arc::new(ManualClock::at(WALL)), |_| {});
    let engine = Engine::open(medium.clone(), options, None, vec![]).unwrap();
    engine.declare(vec![stream("readings", &[("sink/x", Hold::Cursor)])]).unwrap();
    let source = engine.attach("source/s").unwrap();
    (0..5).for_each(|n| drop(wait(append(&engine, &source, "readings", batch(n..n + 1))).unwrap()));
    let (from, to) = Key::all(Kind::Block);
    let third = {
        let mut keys = Vec::new();
        let mut note = |key: Key, _: &[u8]| {
            keys.push(key);
            true
        };
        medium.scan(from, to, &mut note).unwrap();
        keys[2]
    };
    let mut bytes = value(&*medium, third).unwrap().unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    let mut set = WriteSet::default();
    set.put(third, bytes);
    medium.write(&set).unwrap();
    let report = engine.verify(&mut || true).unwrap();
    assert!(report.problems.iter().any(|p| p.contains("readings/0: the block at 2 is damaged")), "{report:?}");
    let broken_off = engine.verify(&mut || false).unwrap_err().to_string();
    assert!(broken_off.contains("broken off"), "{broken_off}");
    assert_eq!(engine.purge(&readings(), Position(2), true).unwrap(), 2, "nothing is held off afterwards");
}

#[test]
fn a_purge_is_ledgered_and_readers_go_on_behind_it() {
    for rig in Rig::both() {
        let mut rig = rig_of(rig, 300);
        let store = rig.store();
        let offsets = offsets_of(store);
        let refused = store.purge(&readings(), Position(offsets[100]), false).unwrap_err();
        assert!(matches!(refused, Error::Refused(_)), "{refused}");
        assert!(refused.to_string().contains("sink/x needs readings/0 from offset 0 on"), "{refused}");
        assert_eq!(offsets_of(store), offsets, "nothing was given up");
        let sink = store.attach("sink/x").unwrap();
        move_cursor(store, &sink, &readings(), Position(offsets[50]));
        assert_eq!(store.purge(&readings(), Position(offsets[50]), false).unwrap(), 0, "it was released already");
        assert_eq!(store.purge(&readings(), Position(offsets[250]), true).unwrap(), 200);
        assert_eq!(offsets_of(store), offsets[250..]);
        let lost: Vec<_> = store.health().losses.iter().map(|(_, reason, count)| (reason.word(), *count)).collect();
        assert_eq!(lost, [("purged", 200)]);
        let next = store.read(&readings(), Position(offsets[50]), Visibility::Durable).unwrap().unwrap();
        assert_eq!(next.first.0, offsets[250], "the sink goes on at what is left");
        assert_eq!(store.purge(&readings(), Position(u64::MAX), true).unwrap(), 50);
        assert_eq!(offsets_of(store), []);
        let report = rig.verify();
        assert!(report.is_sound(), "{:?}", report.problems);
    }
}

#[test]
fn nothing_is_purged_while_a_check_is_under_way() {
    let rig = rig_of(Rig::sled(|_| {}), 20);
    let store = rig.store();
    let mut said = Vec::new();
    let checked = store.verify(&mut || {
        said.push(store.purge(&readings(), Position(5), true).unwrap_err().to_string());
        true
    });
    assert!(checked.unwrap().is_sound());
    assert!(said[0].contains("under way") && said[0].contains("nothing was given up"), "{said:?}");
    assert_eq!(store.purge(&readings(), Position(5), true).unwrap(), 5);
}

#[test]
fn the_offset_of_a_time_is_that_of_the_first_record_that_came_then() {
    let rig = rig_of(Rig::memory(3, |_| {}), 3);
    let store = rig.store();
    let source = store.attach("source/s").unwrap();
    wait(append(store, &source, "readings", batch(7..8))).unwrap();
    let offsets = offsets_of(store);
    let at = |time| crate::offset_at(store, &readings(), time).unwrap().0;
    assert_eq!(at(WALL - 1), offsets[0]);
    assert_eq!(at(WALL + 500_000), offsets[3]);
    assert_eq!(at(WALL + 2_000_000), offsets[3] + 1, "the end");
}

/// The offset of every record that can be read.
fn offsets_of(store: &dyn Store) -> Vec<u64> {
    let mut at = store.start(&readings()).unwrap();
    let mut offsets = Vec::new();
    while let Some(block) = store.read(&readings(), at, Visibility::Durable).unwrap() {
        offsets.extend((0..block.batch.rows() as u64).map(|row| block.first.0 + row));
        at = block.next;
    }
    offsets
}
