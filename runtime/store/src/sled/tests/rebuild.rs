//! Compacting and repairing.

use super::tools::{change, many, numbers as numbers_of, read_by_s};
use super::*;
use crate::values::{Counters, decode, encode};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

#[test]
fn compacting_gives_space_back_and_keeps_everything() {
    let dir = many(3_000);
    change(dir.path(), |_, _| {});
    let before = verify(dir.path()).unwrap();
    assert!(before.is_sound(), "{:?}", before.problems);
    let compacted = compact(dir.path()).unwrap();
    assert!(compacted.after * 2 < compacted.before, "{compacted:?}");
    assert_eq!(verify(dir.path()).unwrap(), before, "the same store");
    let store = read_by_s(open(options(dir.path())).unwrap());
    assert_eq!((store.identity().epoch, rows(&store)), (before.epoch, 3_000));
    append(&store, 7);
    wait(store.close()).unwrap();
    assert!(verify(dir.path()).unwrap().is_sound());
}

#[test]
fn a_rewrite_that_was_broken_off_is_put_right_at_the_next_open() {
    for (found, left) in [("streams.new", "nothing of it"), ("streams.old", "the one before")] {
        let dir = many(5);
        fs::create_dir(dir.path().join(found)).unwrap();
        fs::write(dir.path().join(found).join("db"), left).unwrap();
        assert_eq!(rows(&read_by_s(open(options(dir.path())).unwrap())), 5, "{found}");
        assert!(!dir.path().join(found).exists(), "{found}");
    }
    let dir = many(5);
    fs::rename(dir.path().join("streams"), dir.path().join("streams.new")).unwrap();
    fs::create_dir(dir.path().join("streams.old")).unwrap();
    assert_eq!(rows(&read_by_s(open(options(dir.path())).unwrap())), 5, "it was finished and is taken");
}

#[test]
fn a_damaged_block_is_given_up_and_the_books_add_up() {
    let dir = many(20);
    change(dir.path(), |medium, set| {
        let key = Key::new(Kind::Block, 0, 0, 7);
        let mut bytes = crate::medium::value(medium, key).unwrap().unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        set.put(key, bytes);
        let key = Key::new(Kind::Counters, 0, 0, 0);
        let counters: Counters = decode(&crate::medium::value(medium, key).unwrap().unwrap()).unwrap();
        set.put(key, encode(&Counters { bytes: 1, ..counters }));
    });
    let epoch = verify(dir.path()).unwrap().epoch;
    assert!(!verify(dir.path()).unwrap().is_sound());
    let repaired = repair(dir.path(), None).unwrap();
    assert_eq!((repaired.kept, repaired.lost.get("a")), (19, Some(&1)));
    let after = verify(dir.path()).unwrap();
    assert!(after.is_sound() && after.epoch == epoch, "{:?}", after.problems);
    assert_eq!(Offline::open(dir.path()).unwrap().listing().losses[0].reason, "quarantined");
}

#[test]
fn no_offset_is_given_twice_after_a_repair() {
    let dir = many(20);
    change(dir.path(), |_, set| {
        // The counters went back in time and the last blocks are gone; a reader had been there.
        set.deletes.extend((15..20).map(|n| Key::new(Kind::Block, 0, 0, n)));
        let counters = Counters { next: 15, appended: 15, stored: 15, ..Counters::default() };
        set.put(Key::new(Kind::Counters, 0, 0, 0), encode(&counters));
        let cursor = Key::new(Kind::Cursor, 0, 0, 1);
        set.put(cursor, encode(&18u64));
    });
    // A tail would know of all 20.
    fs::remove_file(dir.path().join("tail")).unwrap();
    let repaired = repair(dir.path(), None).unwrap();
    assert!(repaired.notes.iter().any(|n| n.contains("next offset is 18 instead of 15")), "{repaired:?}");
    assert!(verify(dir.path()).unwrap().is_sound());
    let store = read_by_s(open(options(dir.path())).unwrap());
    append(&store, 99);
    assert_eq!(store.health().partitions[0].next, Position(19));
}

#[test]
fn a_store_without_its_meta_entry_goes_on_under_a_new_epoch() {
    let dir = many(20);
    let epoch = verify(dir.path()).unwrap().epoch;
    change(dir.path(), |_, set| set.deletes.push(Key::only(Kind::Meta)));
    let repaired = repair(dir.path(), None).unwrap();
    assert_eq!(repaired.kept, 20);
    let after = verify(dir.path()).unwrap();
    assert!(after.is_sound() && after.epoch != epoch, "{after:?}");
    assert_eq!(rows(&read_by_s(open(options(dir.path())).unwrap())), 20);
}

#[test]
fn what_was_set_aside_comes_back_but_for_what_is_damaged() {
    let dir = many(400);
    let db = dir.path().join("streams/db");
    let mut bytes = fs::read(&db).unwrap();
    let written = bytes.iter().rposition(|&byte| byte != 0).unwrap();
    let mut rng = StdRng::seed_from_u64(3);
    (0..2).for_each(|_| bytes[rng.random_range(0..written)] ^= 1);
    fs::write(&db, bytes).unwrap();
    // It may open all the same: what is set aside here is what a gateway would set aside.
    fs::write(dir.path().join("streams/conf"), "no configuration").unwrap();
    let store = read_by_s(open(options(dir.path())).unwrap());
    assert_eq!(rows(&store), 0, "a fresh store began");
    append(&store, 1_000);
    let epoch = store.identity().epoch;
    wait(store.close()).unwrap();
    drop(store);

    let aside = Offline::open_aside(dir.path(), "streams.broken-1").unwrap();
    let (exported, _) = numbers_of(&aside, 0);
    assert!(exported.len() >= 300 && exported.is_sorted(), "{}", exported.len());
    assert!(!exported.contains(&1_000), "it is not the store that took its place");
    drop(aside);
    let repaired = repair(dir.path(), Some("streams.broken-1")).unwrap();
    let (brought, lost) = (repaired.brought["a"], repaired.lost.get("a").copied().unwrap_or(0));
    assert_eq!(brought + lost, 390, "of 400 ten had been read: {repaired:?}");
    assert!(brought >= 300, "{repaired:?}");
    let after = verify(dir.path()).unwrap();
    assert!(after.is_sound() && after.epoch == epoch, "{:?}", after.problems);
    let (numbers, damaged) = numbers_of(&Offline::open(dir.path()).unwrap(), 0);
    assert!(damaged.is_empty() && numbers[0] == 1_000, "what was there first is first");
    assert!(numbers[1..].is_sorted() && numbers[1] >= 10 && numbers.len() as u64 == brought + 1);
    let store = read_by_s(open(options(dir.path())).unwrap());
    assert_eq!(store.cursor("sink/s", &Partition::new("a", 0)).unwrap(), None, "a sink delivers what came back");
    append(&store, 2_000);
    wait(store.close()).unwrap();
    drop(store);
    assert!(repair(dir.path(), Some("streams.broken-1")).unwrap_err().to_string().contains("There are"), "once");
    assert!(dir.path().join("streams.salvaged-1").exists());
}

#[test]
fn a_store_that_does_not_open_is_repaired_in_one_step() {
    let dir = many(50);
    fs::write(dir.path().join("streams/conf"), "no configuration").unwrap();
    let repaired = repair(dir.path(), None).unwrap();
    assert_eq!((repaired.brought.get("a"), repaired.lost.len()), (Some(&40), 0), "{repaired:?}");
    assert!(verify(dir.path()).unwrap().is_sound());
    assert_eq!(verify(dir.path()).unwrap().gateway, "plant-7");
}

/// Puts the database of a store back as it was three records before; its tail stays.
fn fallen_behind() -> tempfile::TempDir {
    let dir = many(20);
    let (streams, earlier) = (dir.path().join("streams"), dir.path().join("earlier"));
    fs::rename(&streams, &earlier).unwrap();
    fs::create_dir(&streams).unwrap();
    for entry in fs::read_dir(&earlier).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_file()) {
        fs::copy(entry.path(), streams.join(entry.file_name())).unwrap();
    }
    let store = read_by_s(open(options(dir.path())).unwrap());
    (20..23).for_each(|n| append(&store, n));
    wait(store.close()).unwrap();
    drop(store);
    fs::remove_dir_all(&streams).unwrap();
    fs::rename(&earlier, &streams).unwrap();
    dir
}

#[test]
fn a_database_that_fell_behind_is_no_sound_one_and_a_repair_ledgers_what_it_had() {
    let dir = fallen_behind();
    let problems = verify(dir.path()).unwrap().problems;
    assert!(problems.iter().any(|p| p.contains("a/0: it had come to 23 and stands at 20")), "{problems:?}");
    let repaired = repair(dir.path(), None).unwrap();
    assert_eq!((repaired.kept, repaired.lost.get("a")), (20, Some(&3)));
    assert_eq!(verify(dir.path()).unwrap().problems, Vec::<String>::new());
    let listing = Offline::open(dir.path()).unwrap().listing();
    let a = listing.partitions.iter().find(|p| p.stream == "a").unwrap();
    assert_eq!((a.next, a.appended, a.stored, a.lost), (23, 23, 20, 3));
}

#[test]
fn entries_that_do_not_decode_are_left_out_of_a_repaired_store() {
    let dir = many(20);
    change(dir.path(), |_, set| {
        set.put(Key::new(Kind::Cursor, 0, 0, 77), vec![0xff; 30]);
    });
    assert!(open(options(dir.path())).is_ok_and(|store| store.identity().epoch != 0), "as it stands it is set aside");
    fs::remove_dir_all(dir.path().join("streams")).unwrap();
    fs::rename(dir.path().join("streams.broken-1"), dir.path().join("streams")).unwrap();
    let repaired = repair(dir.path(), None).unwrap();
    assert!(repaired.notes.iter().any(|note| note.contains("left out: a Cursor entry")), "{:?}", repaired.notes);
    let store = read_by_s(open(options(dir.path())).unwrap());
    assert_eq!((rows(&store), store.health().notes.len()), (20, 0));
    assert_eq!(store.cursor("sink/s", &Partition::new("a", 0)).unwrap(), Some(Position(10)));
}

#[test]
fn what_needs_room_for_a_second_copy_says_so_before_it_touches_anything() {
    let dir = many(50);
    let mut pack = Vec::new();
    Offline::open(dir.path()).unwrap().backup(&mut pack).unwrap();
    fs::create_dir(dir.path().join("streams.broken-1")).unwrap();
    fs::write(dir.path().join("streams.broken-1/db"), "nothing of it").unwrap();
    let names = || {
        let mut names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let (before, files) = (verify(dir.path()).unwrap(), names());
    files::PRETENDED_FREE.set(Some(1 << 20));
    let path = dir.path();
    let refused = [
        compact(path).map(drop),
        repair(path, None).map(drop),
        repair(path, Some("streams.broken-1")).map(drop),
        purge(path, "a", 5, true).map(drop),
        restore(path, (&mut &pack[..], 1 << 30), true),
    ];
    for (index, refused) in refused.into_iter().enumerate() {
        let refused = refused.unwrap_err().to_string();
        let needs = if index == 4 { "about 2056 MiB are needed" } else { "MiB are needed" };
        assert!(refused.contains(needs) && refused.contains("and 1 MiB are free"), "{index}: {refused}");
        assert!(refused.contains("Nothing was touched. Free some space"), "{refused}");
        assert_eq!((verify(path).unwrap(), names()), (before.clone(), files.clone()), "{index}");
    }
    let file = path.join("streams/conf");
    let mut bytes = fs::read(&file).unwrap();
    bytes[0] ^= 0xff;
    fs::write(&file, bytes).unwrap();
    let refused = repair(path, None).unwrap_err().to_string();
    assert!(refused.contains("MiB are needed"), "{refused}");
    assert_eq!(names(), files, "it is not set aside either");
    files::PRETENDED_FREE.set(Some(1 << 30));
    repair(path, None).unwrap();
    files::PRETENDED_FREE.set(None);
}
