use super::*;
use crate::keys::{Key, Kind};
use crate::medium::{Medium, WriteSet, value};
use crate::memory::Plugged;
use crate::values::{Counters, decode, encode};
use crate::verify::verify;

/// A store with a stream that was half read, one that dropped its oldest, and one that holds large records.
fn made() -> Arc<Plugged> {
    let medium = Arc::new(Plugged::fresh());
    let options = options("unused", &Arc::new(ManualClock::at(WALL)), |_| {});
    let engine = Engine::open(medium.clone(), options, None, vec![]).unwrap();
    let drops = stream("drops", &[("sink/x", Hold::Cursor)]);
    let retention = Retention { max_bytes: 2_000, when_full: WhenFull::DropOldest, ..drops.retention.clone() };
    let drops = StreamSpec { retention, ..drops };
    engine.declare(vec![stream("read", &[("sink/y", Hold::Cursor)]), drops, stream("large", &[])]).unwrap();
    let source = engine.attach("source/s").unwrap();
    for n in 0..20 {
        wait(append(&engine, &source, "read", batch(n..n + 1))).unwrap();
        wait(append(&engine, &source, "drops", padded(n..n + 3, &noise(90, n as u64)))).unwrap();
    }
    wait(append(&engine, &source, "large", padded(0..1, &noise(20_000, 5)))).unwrap();
    let sink = engine.attach("sink/y").unwrap();
    move_cursor(&engine, &sink, &Partition::new("read", 0), Position(7));
    wait(append(&engine, &source, "read", batch(20..21))).unwrap();
    wait(engine.close()).unwrap();
    medium
}

fn stream_id(medium: &dyn Medium, name: &str) -> u32 {
    let mut id = None;
    let (from, to) = Key::all(Kind::Stream);
    let find = &mut |key: Key, bytes: &[u8]| {
        let entry: crate::values::StreamEntry = decode(bytes).unwrap();
        id = id.or((entry.name == name).then_some(key.stream));
        true
    };
    medium.scan(from, to, find).unwrap();
    id.unwrap()
}

/// The keys of a stream's blocks.
fn blocks(medium: &dyn Medium, name: &str) -> Vec<Key> {
    let id = stream_id(medium, name);
    let mut keys = Vec::new();
    let (from, to) = (Key::new(Kind::Block, id, 0, 0), Key::new(Kind::Block, id, 0, u64::MAX).last_part());
    let add = &mut |key, _: &[u8]| {
        keys.push(key);
        true
    };
    medium.scan(from, to, add).unwrap();
    keys
}

fn change(medium: &dyn Medium, change: impl FnOnce(&mut WriteSet)) -> Vec<String> {
    let mut set = WriteSet::default();
    change(&mut set);
    medium.write(&set).unwrap();
    verify(medium).unwrap().problems
}

fn counters(medium: &dyn Medium, name: &str) -> (Key, Counters) {
    let key = Key::new(Kind::Counters, stream_id(medium, name), 0, 0);
    (key, decode(&value(medium, key).unwrap().unwrap()).unwrap())
}

#[test]
fn a_sound_store_is_sound_and_told_in_numbers() {
    let report = verify(&*made()).unwrap();
    assert!(report.is_sound(), "{:?}", report.problems);
    assert_eq!(report.gateway, "plant-7");
    let of = |name: &str| report.partitions.iter().find(|p| p.stream == name).unwrap().clone();
    let read = of("read");
    assert_eq!((read.appended, read.records, read.released, read.lost), (21, 14, 7, 0));
    assert_eq!((read.first, read.next, read.cursors), (7, 21, vec![("sink/y".to_string(), 7)]));
    let drops = of("drops");
    assert!(drops.lost > 0 && drops.appended == 60 && drops.records + drops.lost == 60, "{drops:?}");
    assert_eq!((of("large").records, of("large").blocks), (1, 1));
    assert!(of("ledger").records > 0, "what was dropped is noted");
}

#[test]
fn a_damaged_block_is_named_and_nothing_else() {
    let medium = made();
    let key = blocks(&*medium, "read")[3];
    let mut bytes = value(&*medium, key).unwrap().unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 0x40;
    let problems = change(&*medium, |set| set.puts.push((key, bytes)));
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("read/0: the block at 10 is damaged: "), "{problems:?}");
}

/// Its rows begin behind the version, the checksum and a first offset of one byte: a header may claim any span.
#[test]
fn what_a_damaged_header_claims_is_not_held_against_the_blocks_behind_it() {
    let medium = made();
    let key = blocks(&*medium, "read")[3];
    let mut bytes = value(&*medium, key).unwrap().unwrap();
    assert_eq!(crate::block::peek(&bytes).unwrap().rows, 1);
    bytes[10] = 100;
    assert_eq!(crate::block::peek(&bytes).unwrap().rows, 100);
    let problems = change(&*medium, |set| set.puts.push((key, bytes)));
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("read/0: the block at 10 is damaged: "), "{problems:?}");
}

#[test]
fn a_missing_block_is_missed_in_records_and_bytes() {
    let medium = made();
    let key = blocks(&*medium, "read")[3];
    let problems = change(&*medium, |set| set.deletes.push(key));
    assert!(problems.iter().any(|p| p == "read/0: 13 records are stored and 14 are counted"), "{problems:?}");
    assert!(problems.iter().any(|p| p.starts_with("read/0: ") && p.contains("bytes are stored")), "{problems:?}");
}

#[test]
fn a_missing_part_of_a_block_is_named() {
    let medium = made();
    let keys = blocks(&*medium, "large");
    assert!(keys.len() > 2, "{keys:?}");
    let problems = change(&*medium, |set| set.deletes.push(keys[1]));
    assert!(problems.iter().any(|p| p == "large/0: part 1 of the block at 0 is missing"), "{problems:?}");
}

#[test]
fn records_that_nobody_accounts_for_are_a_problem() {
    let medium = made();
    let (key, before) = counters(&*medium, "read");
    let after = Counters { released: before.released - 2, ..before };
    let problems = change(&*medium, |set| {
        set.put(key, encode(&after));
    });
    let said = "read/0: 21 records were appended, but 14 stored + 5 released + 0 lost are not that many";
    assert_eq!(problems, [said]);
}

#[test]
fn a_loss_that_the_ledger_does_not_know_is_a_problem() {
    let medium = made();
    let (key, before) = counters(&*medium, "drops");
    let after = Counters { lost: before.lost + 1, stored: before.stored - 1, ..before };
    let problems = change(&*medium, |set| {
        set.put(key, encode(&after));
    });
    let said = format!("drops: {} records were lost by the store and the ledger has {}", before.lost + 1, before.lost);
    assert!(problems.contains(&said), "{problems:?}");
}

#[test]
fn a_reader_behind_the_end_is_a_problem() {
    let medium = made();
    let (key, before) = counters(&*medium, "read");
    let mut cursor = None;
    let (from, to) = Key::all(Kind::Cursor);
    let find = &mut |found: Key, _: &[u8]| {
        cursor = cursor.or((found.stream == key.stream).then_some(found));
        true
    };
    medium.scan(from, to, find).unwrap();
    let problems = change(&*medium, |set| {
        set.put(cursor.unwrap(), encode(&(before.next + 5)));
    });
    assert_eq!(problems, ["read/0: sink/y stands at 26, behind the end at 21"]);
}
