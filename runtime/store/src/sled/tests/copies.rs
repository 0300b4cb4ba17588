//! Backups, restores, purges and replays.

use super::tools::{many, numbers, read_by_s};
use super::*;

#[test]
fn a_backup_of_a_closed_store_is_restored_under_a_new_epoch() {
    let dir = many(300);
    let mut pack = Vec::new();
    Offline::open(dir.path()).unwrap().backup(&mut pack).unwrap();
    let before = verify(dir.path()).unwrap();
    let other = tempfile::tempdir().unwrap();
    restore(other.path(), (&mut &pack[..], 0), false).unwrap();
    let after = verify(other.path()).unwrap();
    assert!(after.is_sound(), "{:?}", after.problems);
    assert_ne!(after.epoch, before.epoch);
    assert_eq!(after.partitions, before.partitions);
    let again = restore(other.path(), (&mut &pack[..], 0), false).unwrap_err().to_string();
    assert!(again.contains("there is a store in this folder already"), "{again}");
    let cut = restore(other.path(), (&mut &pack[..pack.len() - 1], 0), true).unwrap_err().to_string();
    assert!(cut.contains("it is not whole"), "{cut}");
    assert_eq!(verify(other.path()).unwrap(), after, "what was there is still there");
    restore(other.path(), (&mut &pack[..], 0), true).unwrap();
    assert_eq!(rows(&read_by_s(open(options(other.path())).unwrap())), 300);
}

#[test]
fn a_backup_beside_work_is_a_store_as_it_stood_at_one_moment() {
    let dir = many(300);
    let store = Arc::new(read_by_s(open(options(dir.path())).unwrap()));
    let working = store.clone();
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopped = stop.clone();
    let work = std::thread::spawn(move || {
        let mut n = 300;
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
            append(&working, n);
            n += 1;
        }
        n
    });
    let mut packs = Vec::new();
    for _ in 0..5 {
        let mut pack = Vec::new();
        store.backup(&mut pack).unwrap();
        packs.push(pack);
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let appended = work.join().unwrap();
    let mut last = 300;
    for pack in packs {
        let other = tempfile::tempdir().unwrap();
        restore(other.path(), (&mut &pack[..], 0), false).unwrap();
        let report = verify(other.path()).unwrap();
        assert!(report.is_sound(), "{:?}", report.problems);
        let (numbers, _) = numbers(&Offline::open(other.path()).unwrap(), 0);
        assert_eq!(numbers, (0..numbers.len() as i64).collect::<Vec<_>>());
        assert!(numbers.len() as i64 >= last && numbers.len() as i64 <= appended);
        last = numbers.len() as i64;
    }
    wait(store.close()).unwrap();
    assert!(store.backup(&mut Vec::new()).is_err(), "a closed store gives none");
}

#[test]
fn nothing_is_deleted_while_a_backup_is_under_way() {
    /// Lets the store work between two writes.
    struct Slow<'a>(&'a SledStore, Vec<u8>);
    impl std::io::Write for Slow<'_> {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            if self.1.is_empty() {
                let mut commit = Commit::by(&self.0.attach("sink/s").unwrap());
                commit.reads.push((Partition::new("a", 0), Position(20)));
                wait(self.0.commit(commit).unwrap_or_else(|refusal| panic!("{refusal:?}"))).unwrap();
                append(self.0, 77);
            }
            self.1.extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let dir = many(20);
    let store = open(options(dir.path())).unwrap();
    let retention = Retention { max_bytes: 1 << 20, max_age: None, keep: Keep::UntilRead, when_full: WhenFull::Block };
    let readers = vec![("sink/s".to_string(), crate::Hold::Cursor)];
    store.declare(vec![StreamSpec { name: "a".into(), schema: schema(), partitions: 1, retention, readers }]).unwrap();
    append(&store, 20);
    let mut slow = Slow(&store, Vec::new());
    store.backup(&mut slow).unwrap();
    let pack = slow.1;
    let other = tempfile::tempdir().unwrap();
    restore(other.path(), (&mut &pack[..], 0), false).unwrap();
    let report = verify(other.path()).unwrap();
    assert!(report.is_sound(), "{:?}", report.problems);
    append(&store, 78);
    let stored = store.health().partitions.iter().find(|p| &*p.partition.stream == "a").unwrap().stored;
    assert!(stored < 20, "afterwards what was read goes: {stored}");
}

#[test]
fn a_purge_is_ledgered_and_stops_at_what_a_reader_needs() {
    let dir = many(20);
    let held = purge(dir.path(), "a", 15, false).unwrap_err().to_string();
    assert!(held.contains("sink/s needs stream \"a\" from offset 10 on"), "{held}");
    assert_eq!(purge(dir.path(), "a", 8, false).unwrap().purged["a"], 8);
    assert_eq!(purge(dir.path(), "a", 15, true).unwrap().purged["a"], 7);
    let report = verify(dir.path()).unwrap();
    assert!(report.is_sound(), "{:?}", report.problems);
    let listing = Offline::open(dir.path()).unwrap().listing();
    let a = listing.partitions.iter().find(|p| p.stream == "a").unwrap();
    assert_eq!((a.first, a.next, a.stored, a.lost), (15, 20, 5, 15));
    assert_eq!((listing.losses[0].reason.as_str(), listing.losses[0].count), ("purged", 15));
    assert_eq!(purge(dir.path(), "a", 99, true).unwrap().purged["a"], 5);
    let store = read_by_s(open(options(dir.path())).unwrap());
    assert_eq!(rows(&store), 0);
    append(&store, 1);
    assert_eq!(store.health().partitions[0].next, Position(21), "no offset is given twice");
}

#[test]
fn a_sink_is_put_somewhere_else_with_its_state() {
    let dir = many(20);
    let offline = Offline::open(dir.path()).unwrap();
    let stands = |at, state: &[u8]| SinkStands { at, first: 0, state: Some(state.to_vec()) };
    assert_eq!(offline.sink("s", "a", 0).unwrap(), stands(10, b"delivered ahead"));
    for (sink, stream, why) in [("t", "a", "it has read nothing there yet"), ("s", "b", "there is no stream \"b\"")] {
        let refused = offline.sink(sink, stream, 0).unwrap_err().to_string();
        assert!(refused.contains(why), "{refused}");
    }
    let long = vec![b'x'; 20_000];
    offline.move_sink("s", ("a", 0), 6, &long).unwrap();
    assert_eq!(offline.sink("s", "a", 0).unwrap(), stands(6, &long));
    offline.move_sink("s", ("a", 0), 4, b"again").unwrap();
    assert_eq!(offline.sink("s", "a", 0).unwrap(), stands(4, b"again"));
    assert_eq!(offline.offset_at("a", 0, 0).unwrap(), 0);
    assert_eq!(offline.offset_at("a", 0, i64::MAX).unwrap(), 20);
    drop(offline);
    assert_eq!(Offline::open(dir.path()).unwrap().listing().partitions[0].readers[0].cursor, 4);
    assert!(verify(dir.path()).unwrap().is_sound());
    let store = read_by_s(open(options(dir.path())).unwrap());
    assert_eq!(store.cursor("sink/s", &Partition::new("a", 0)).unwrap(), Some(Position(4)));
    assert_eq!(store.state("sink/s").unwrap(), Some(b"again".to_vec()));
    wait(store.close()).unwrap();
    drop(store);
    purge(dir.path(), "a", 3, false).unwrap();
    assert_eq!(Offline::open(dir.path()).unwrap().sink("s", "a", 0).unwrap().first, 3);
}

#[test]
fn a_bad_block_that_is_found_during_a_backup_is_counted_when_it_is_over() {
    /// A reader comes upon the bad block between two writes.
    struct Reading<'a>(&'a SledStore, bool);
    impl std::io::Write for Reading<'_> {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            if !std::mem::replace(&mut self.1, true) {
                let block = self.0.read(&Partition::new("a", 0), Position(15), Visibility::Durable).unwrap().unwrap();
                assert_eq!(block.first, Position(16), "it is skipped");
                append(self.0, 20);
            }
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let dir = many(20);
    tools::change(dir.path(), |medium, set| {
        let key = Key::new(Kind::Block, 0, 0, 15);
        let mut bytes = crate::medium::value(medium, key).unwrap().unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        set.put(key, bytes);
    });
    let store = read_by_s(open(options(dir.path())).unwrap());
    // What it copies of the bad block is not asked here.
    let _ = store.backup(&mut Reading(&store, false));
    append(&store, 21);
    assert_eq!(store.health().losses, [("a".into(), crate::LossReason::Quarantined, 1)]);
    wait(store.close()).unwrap();
    drop(store);
    assert_eq!(verify(dir.path()).unwrap().problems, Vec::<String>::new());
}
