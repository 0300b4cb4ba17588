//! Commits made by hand, and a memory disk that fails.

use super::*;
use crate::{Error, Step, Steps, Trouble};
use futures::FutureExt as _;

fn by_hand(store: &MemoryStore) -> Steps {
    store.declare_by_hand(vec![stream("readings", &[]), stream(streams::LEDGER, &[])]).unwrap()
}

fn options() -> Options {
    super::options("unused", &Arc::new(ManualClock::at(WALL)), |_| {})
}

#[test]
fn a_group_is_taken_then_written_then_published() {
    let store = MemoryStore::new(options(), 1);
    let mut steps = by_hand(&store);
    assert_eq!(steps.step(), Step::Nothing);
    let session = store.attach("source/s").unwrap();
    let mut receipt = append(&store, &session, "readings", batch(0..3));
    assert_eq!((steps.step(), steps.step()), (Step::Took, Step::Wrote));
    assert!((&mut receipt).now_or_never().is_none(), "nobody knows that it is written");
    assert_eq!(durable(&store, "readings"), Vec::<i64>::new());
    assert_eq!(steps.step(), Step::Published);
    receipt.now_or_never().expect("published").unwrap();
    assert_eq!(durable(&store, "readings"), [0, 1, 2]);
}

#[test]
fn power_cut_in_a_write_leaves_all_of_it_or_nothing() {
    for written in [false, true] {
        let store = MemoryStore::new(options(), 1);
        let disk = store.disk();
        let mut steps = by_hand(&store);
        let session = store.attach("source/s").unwrap();
        let receipt = append(&store, &session, "readings", batch(0..3));
        disk.trouble(Trouble::PowerCut { written });
        assert_eq!((steps.step(), steps.step(), steps.step()), (Step::Took, Step::Failed, Step::Ended));
        assert!(matches!(receipt.now_or_never(), Some(Err(Error::Poisoned(_)))), "its fate is not known");
        let store = MemoryStore::on(disk, options(), 1);
        let _steps = by_hand(&store);
        assert_eq!(durable(&store, "readings").len(), if written { 3 } else { 0 });
    }
}

#[test]
fn a_disk_that_fails_or_is_full_poisons_the_store() {
    for full in [false, true] {
        let store = MemoryStore::new(options(), 1);
        let mut steps = by_hand(&store);
        let session = store.attach("source/s").unwrap();
        let receipt = append(&store, &session, "readings", batch(0..3));
        match full {
            true => store.disk().set_capacity(Some(10)),
            false => store.disk().trouble(Trouble::Io),
        }
        assert_eq!((steps.step(), steps.step(), steps.step()), (Step::Took, Step::Failed, Step::Ended));
        assert!(matches!(receipt.now_or_never(), Some(Err(Error::Poisoned(_)))), "nothing of it is durable");
        let refused = store.commit(Commit::by(&session)).err();
        assert!(matches!(refused, Some(Refusal::Failed(Error::Poisoned(_)))), "{refused:?}");
    }
}

#[test]
fn stores_of_one_seed_are_the_same_to_the_byte() {
    let image = |seed| {
        let store = MemoryStore::new(Options { epoch_seed: Some(seed), ..options() }, 1);
        let mut steps = by_hand(&store);
        let session = store.attach("source/s").unwrap();
        let receipt = append(&store, &session, "readings", batch(0..3));
        while steps.step() != Step::Nothing {}
        drop(receipt);
        store.disk().image()
    };
    assert_eq!(image(7), image(7));
    assert_ne!(image(7), image(8));
}
