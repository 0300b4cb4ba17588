use super::*;
use crate::engine::Engine;
use crate::keys::{Key, Kind};
use crate::medium::{Medium, WriteSet};
use crate::{Error, LossReason};
use std::sync::atomic::{AtomicBool, Ordering};

/// A medium that can be told to fail and to damage what it keeps.
struct Faulty {
    entries: std::sync::Mutex<std::collections::BTreeMap<Key, Vec<u8>>>,
    failing: AtomicBool,
}

impl Faulty {
    fn new() -> Arc<Self> {
        Arc::new(Faulty { entries: Default::default(), failing: AtomicBool::new(false) })
    }

    fn blocks(&self) -> Vec<Key> {
        self.entries.lock().unwrap().keys().filter(|k| k.kind == Kind::Block && k.stream == 0).copied().collect()
    }

    fn flip(&self, key: Key, at: usize) {
        let mut entries = self.entries.lock().unwrap();
        let value = entries.get_mut(&key).unwrap();
        let at = at % value.len();
        value[at] ^= 0x10;
    }
}

impl Medium for Faulty {
    fn write(&self, set: &WriteSet) -> Result<(), String> {
        if self.failing.load(Ordering::SeqCst) {
            return Err("fdatasync: Input/output error".into());
        }
        let mut entries = self.entries.lock().unwrap();
        set.deletes.iter().for_each(|key| drop(entries.remove(key)));
        entries.extend(set.puts.iter().cloned());
        Ok(())
    }
    fn scan(&self, from: Key, to: Key, visit: &mut dyn FnMut(Key, &[u8]) -> bool) -> Result<(), String> {
        let found: Vec<_> = if from > to {
            vec![]
        } else {
            self.entries.lock().unwrap().range(from..=to).map(|(k, v)| (*k, v.clone())).collect()
        };
        let _ = found.iter().all(|(key, value)| visit(*key, value));
        Ok(())
    }
    fn last(&self, from: Key, to: Key) -> Result<Option<Key>, String> {
        Ok(if from > to { None } else { self.entries.lock().unwrap().range(from..=to).next_back().map(|(k, _)| *k) })
    }
    fn disk_bytes(&self) -> u64 {
        0
    }
    fn disk_free(&self) -> Option<u64> {
        None
    }
    fn release(&self) {}
}

fn engine(medium: &Arc<Faulty>, specs: Vec<StreamSpec>) -> Engine {
    let clock = Arc::new(ManualClock::at(WALL));
    let options = options("unused", &clock, |options| options.tail_bytes = 0);
    let engine = Engine::open(medium.clone(), options, None, vec![]).unwrap();
    engine.declare(specs).unwrap();
    engine
}

#[test]
fn a_failed_flush_poisons_the_store_for_good() {
    let medium = Faulty::new();
    let store = engine(&medium, vec![stream("a", &[])]);
    let source = store.attach("source/s").unwrap();
    wait(append(&store, &source, "a", batch(0..3))).unwrap();
    medium.failing.store(true, Ordering::SeqCst);
    let failed = wait(append(&store, &source, "a", batch(3..6)));
    assert!(matches!(&failed, Err(Error::Poisoned(reason)) if reason.contains("fdatasync")), "{failed:?}");
    medium.failing.store(false, Ordering::SeqCst);
    let mut commit = Commit::by(&source);
    commit.appends.push(Append { stream: "a".into(), batch: batch(6..7) });
    assert!(matches!(store.commit(commit), Err(Refusal::Failed(Error::Poisoned(_)))), "it is not tried again");
    let partition = Partition::new("a", 0);
    assert_eq!(numbers(&[store.read(&partition, Position(0), Visibility::Durable).unwrap().unwrap()]), [0, 1, 2]);
    let end = Position(3);
    for visibility in [Visibility::Durable, Visibility::Staged] {
        wait(store.appended(&partition, end, visibility));
    }
    assert!(matches!(store.read(&partition, end, Visibility::Durable), Err(Error::Poisoned(_))));
    wait(store.room(Some("a")));
    assert!(store.health().poisoned.is_some());
    assert!(wait(store.close()).is_err());
}

#[test]
fn a_damaged_block_is_skipped_counted_once_and_noted() {
    for part in [0, 1] {
        let medium = Faulty::new();
        let store = engine(&medium, vec![stream("a", &[("sink/x", Hold::Cursor)])]);
        let source = store.attach("source/s").unwrap();
        for n in 0..5 {
            wait(append(&store, &source, "a", padded(n * 2..n * 2 + 2, &noise(9000, n as u64 + 1)))).unwrap();
        }
        let damaged = medium.blocks().into_iter().find(|key| key.offset == 4 && key.part == part).unwrap();
        medium.flip(damaged, 2000);
        let expected = [0, 1, 2, 3, 6, 7, 8, 9];
        assert_eq!(durable(&store, "a"), expected);
        assert_eq!(durable(&store, "a"), expected, "reading it again does not count it again");
        eventually("the loss is in the ledger", || {
            store.health().losses == [("a".to_string(), LossReason::Quarantined, 2)]
        });
        assert_conserved(&store);
        assert!(!medium.blocks().iter().any(|key| key.offset == 4), "it is gone");
        drop(store);
        let store = engine(&medium, vec![stream("a", &[("sink/x", Hold::Cursor)])]);
        assert_eq!(durable(&store, "a"), expected);
        assert_eq!(store.health().losses, [("a".to_string(), LossReason::Quarantined, 2)]);
        let sink = store.attach("sink/x").unwrap();
        move_cursor(&store, &sink, &Partition::new("a", 0), Position(10));
        let a = store.health().partitions.remove(0);
        assert_eq!((a.stored, a.released, a.lost, a.bytes), (0, 8, 2, 0));
    }
}

#[test]
fn blocks_damaged_anywhere_never_stop_a_reader() {
    for at in 0..60 {
        let medium = Faulty::new();
        let store = engine(&medium, vec![stream("a", &[("sink/x", Hold::Cursor)])]);
        let source = store.attach("source/s").unwrap();
        for n in 0..3 {
            wait(append(&store, &source, "a", batch(n..n + 1))).unwrap();
        }
        medium.blocks().into_iter().filter(|key| key.offset < 2).for_each(|key| medium.flip(key, at));
        assert_eq!(durable(&store, "a"), [2], "byte {at}");
        eventually("both are counted", || store.health().partitions[0].lost == 2);
        assert_conserved(&store);
    }
}

#[test]
fn retention_passes_a_damaged_block() {
    let medium = Faulty::new();
    let specs = || vec![stream("a", &[("sink/x", Hold::Cursor)])];
    let store = engine(&medium, specs());
    let source = store.attach("source/s").unwrap();
    for n in 0..4 {
        wait(append(&store, &source, "a", batch(n..n + 1))).unwrap();
    }
    drop(store);
    // Its version byte: not even what it says of itself can be read.
    medium.blocks().into_iter().filter(|key| key.offset == 1).for_each(|key| medium.flip(key, 0));
    let store = engine(&medium, specs());
    let sink = store.attach("sink/x").unwrap();
    move_cursor(&store, &sink, &Partition::new("a", 0), Position(4));
    eventually("everything is gone", || medium.blocks().is_empty());
    let a = store.health().partitions.remove(0);
    assert_eq!((a.appended, a.stored, a.released + a.lost, a.bytes), (4, 0, 4, 0));
}

#[test]
fn a_store_of_another_format_is_not_touched() {
    let medium = Faulty::new();
    drop(engine(&medium, vec![]));
    let meta = crate::values::Meta { format: 99, epoch: 1, gateway: "g".into(), arrival: 0, number: 0 };
    medium.entries.lock().unwrap().insert(Key::only(Kind::Meta), crate::values::encode(&meta));
    let clock = Arc::new(ManualClock::at(WALL));
    let refused = Engine::open(medium, options("unused", &clock, |_| {}), None, vec![]).err();
    assert!(matches!(refused, Some(crate::engine::LoadError::Format(99))), "{refused:?}");
}
