//! The whole gateway in a simulated world: one thread, virtual time, everything drawn from a seed.
//!
//! Real are the sources, the store's engine, pipelines with their plugins, the sinks and how a configuration becomes all
//! that. Simulated are what they stand on: the broker, devices that connect
//! to the listener, the serial port, the disk, the upstream and the clock. Faults
//! happen until the world heals; then everything must come through.
//!
//! `SEED=7` runs that seed and prints its log, `SEEDS=1000..5000` runs those.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod broker;
mod card;
mod devices;
mod field;
mod gateway;
/// The sandbox's own plugins that misbehave.
#[allow(dead_code)]
#[path = "../../../runtime/sandbox/tests/hostile/guest.rs"]
mod guest;
mod life;
mod oracle;
mod packets;
mod planted;
mod port;
mod setup;
mod swaps;
mod upstream;
mod visit;
mod world;

use life::{Told, live, live_with};
use planted::Planted;
use std::ops::Range;
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicU64, Ordering};

/// Seeds of a run of the tests.
const SEEDS: Range<u64> = 0..200;
/// In so many lives a bug is found.
const LIVES_TO_FIND_MAX: u64 = 20;
/// Lives at once.
const THREADS: usize = 2;

/// Every promise holds in every life, and the faults that try it did happen.
#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_invented() {
    if let Some(seed) = variable("SEED") {
        let told = life(seed.parse().expect("SEED is a number"));
        eprintln!("{}\n{told}", told.log.join("\n"));
        return;
    }
    let seeds = variable("SEEDS").map_or(SEEDS, |text| {
        let (from, to) = text.split_once("..").expect("SEEDS is FROM..TO");
        from.parse().expect("FROM is a number")..to.parse().expect("TO is a number")
    });
    let next = AtomicU64::new(seeds.start);
    let work = || {
        let mut sum = Told::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return sum;
            }
            sum.add(life(seed));
        }
    };
    let sum = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        let mut sum = Told::default();
        threads.into_iter().for_each(|thread| sum.add(thread.join().expect("the failing seed is printed above")));
        sum
    });
    eprintln!("{sum}");
    if seeds == SEEDS {
        sum.assert_everything_happened();
    }
}

#[test]
fn the_same_seed_gives_the_same_life_byte_for_byte() {
    for seed in [3, 11] {
        let (one, other) = (live(seed), live(seed));
        for (line, (a, b)) in one.log.iter().zip(&other.log).enumerate() {
            assert_eq!(a, b, "seed {seed}, line {line}");
        }
        assert_eq!(one.log.len(), other.log.len(), "seed {seed}");
        assert!(one.card == other.card, "seed {seed}: the two cards differ");
    }
    assert_ne!(live(3).log, live(4).log);
}

/// An oracle that finds nothing holds nothing.
#[test]
fn bugs_that_are_planted_are_found() {
    for (bug, said) in Planted::ALL {
        let found = (0..LIVES_TO_FIND_MAX).find_map(|seed| catch_unwind(|| live_with(seed, Some(bug))).err());
        let panic = found.unwrap_or_else(|| panic!("{bug:?} was not found in {LIVES_TO_FIND_MAX} lives"));
        let text = panic.downcast_ref::<String>().expect("a panic with a text");
        assert!(text.contains(said), "{bug:?} was found as: {text}");
    }
}

/// A life; the seed of one that ends badly is printed.
fn life(seed: u64) -> Told {
    catch_unwind(|| live(seed)).unwrap_or_else(|panic| {
        eprintln!("the failing seed is {seed}: SEED={seed} runs it again");
        std::panic::resume_unwind(panic);
    })
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}
