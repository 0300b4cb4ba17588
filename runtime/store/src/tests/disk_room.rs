//! A file system that others fill.

use super::*;
use crate::engine::Engine;
use crate::keys::Key;
use crate::medium::{Medium, WriteSet};
use crate::memory::Plugged;
use std::sync::atomic::{AtomicU64, Ordering};

/// Memory that says its file system has so many bytes free.
struct Shared {
    memory: Plugged,
    free: AtomicU64,
}

impl Medium for Shared {
    fn write(&self, set: &WriteSet) -> Result<(), String> {
        self.memory.write(set)
    }
    fn scan(&self, from: Key, to: Key, visit: &mut dyn FnMut(Key, &[u8]) -> bool) -> Result<(), String> {
        self.memory.scan(from, to, visit)
    }
    fn last(&self, from: Key, to: Key) -> Result<Option<Key>, String> {
        self.memory.last(from, to)
    }
    fn disk_bytes(&self) -> u64 {
        self.memory.disk_bytes()
    }
    fn disk_free(&self) -> Option<u64> {
        Some(self.free.load(Ordering::SeqCst))
    }
    fn release(&self) {}
}

const RESERVE: u64 = 8 << 20;

fn store() -> (Arc<Shared>, Engine, Session, Session) {
    let medium = Arc::new(Shared { memory: Plugged::fresh(), free: AtomicU64::new(1 << 30) });
    let clock = Arc::new(ManualClock::at(WALL));
    let options = options("unused", &clock, |options| options.reserve = RESERVE);
    let engine = Engine::open(medium.clone(), options, None, vec![]).unwrap();
    engine.declare(vec![stream("a", &[("sink/x", Hold::Cursor)])]).unwrap();
    let (source, sink) = (engine.attach("source/s").unwrap(), engine.attach("sink/x").unwrap());
    (medium, engine, source, sink)
}

#[test]
fn nothing_is_taken_in_below_the_reserve_until_space_returns_and_draining_goes_on() {
    let (medium, store, source, sink) = store();
    for n in 0..20 {
        wait(append(&store, &source, "a", padded(n..n + 1, &noise(1000, n as u64 + 1)))).unwrap();
    }
    medium.free.store(RESERVE - 1, Ordering::SeqCst);
    eventually("it is seen without any commit", || store.health().full);
    let mut commit = Commit::by(&source);
    commit.appends.push(Append { stream: "a".into(), batch: batch(20..21) });
    assert!(matches!(store.commit(commit.clone()), Err(Refusal::Full(_, None))));
    let room = store.room(None);
    move_cursor(&store, &sink, &Partition::new("a", 0), Position(10));
    assert_eq!(durable(&store, "a").len(), 10);
    medium.free.store(RESERVE, Ordering::SeqCst);
    wait(room);
    wait(accepted(&store, commit)).unwrap();
    assert_eq!(durable(&store, "a").len(), 11);
    assert_conserved(&store);
}

#[test]
fn a_group_that_might_not_fit_waits_and_the_store_is_not_poisoned() {
    let (medium, store, source, _) = store();
    wait(append(&store, &source, "a", batch(0..3))).unwrap();
    // Taken in before the committer has seen that it is so full.
    medium.free.store(1000, Ordering::SeqCst);
    let mut commit = Commit::by(&source);
    commit.reads.push((Partition::new("a", 0), Position(0)));
    commit.hurry = true;
    let mut receipt = accepted(&store, commit);
    eventually("it waits", || store.health().waits_for_disk);
    assert!(futures::FutureExt::now_or_never(&mut receipt).is_none());
    assert_eq!(durable(&store, "a").len(), 3, "readers go on");
    medium.free.store(1 << 30, Ordering::SeqCst);
    wait(receipt).unwrap();
    assert!(!store.health().waits_for_disk && store.health().poisoned.is_none());
}

#[test]
fn a_store_that_waits_for_the_disk_can_be_closed() {
    let (medium, store, source, _) = store();
    medium.free.store(1000, Ordering::SeqCst);
    let mut commit = Commit::by(&source);
    commit.reads.push((Partition::new("a", 0), Position(0)));
    commit.hurry = true;
    let receipt = accepted(&store, commit);
    eventually("it waits", || store.health().waits_for_disk);
    let closed = wait(store.close()).unwrap_err().to_string();
    assert!(closed.contains("the file system is full"), "{closed}");
    assert!(wait(receipt).is_err(), "it was not made durable");
}
