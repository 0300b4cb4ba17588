//! The world around the gateway: time, chance, and the log of what happened.

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tidegate_record::{Clock, Wall};
use tokio::time::Instant;

/// When the world begins: 2026-06-01.
const WALL_US: i64 = 1_780_272_000_000_000;

/// What every part of the world sees of it.
#[derive(Clone)]
pub struct World {
    inner: Arc<Inner>,
}

struct Inner {
    seed: u64,
    log: Mutex<Vec<String>>,
    /// What must not be and was: told at once, since a part that panics is caught by its gateway.
    wrong: Mutex<Vec<String>>,
    time: Mutex<Time>,
    /// Faults happen.
    faulty: AtomicBool,
    /// The gateway's clock was set.
    clock_set: AtomicBool,
}

#[derive(Default)]
struct Time {
    /// Microseconds that passed before the present boot.
    before: i64,
    /// When the present boot began, in its runtime's time.
    began: Option<Instant>,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let (faulty, clock_set) = (AtomicBool::new(true), AtomicBool::new(true));
        let (log, wrong, time) = (Mutex::default(), Mutex::default(), Mutex::default());
        World { inner: Arc::new(Inner { seed, log, wrong, time, faulty, clock_set }) }
    }

    /// Chance for one part of the world, drawn from the seed and the part's name.
    pub fn chance(&self, part: &str) -> StdRng {
        let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        StdRng::seed_from_u64(part.bytes().fold(self.inner.seed.wrapping_add(0xcbf2_9ce4_8422_2325), mix))
    }

    pub fn log(&self, what: impl AsRef<str>) {
        let now = self.now();
        let line = format!("{:5}.{:06} {}", now / 1_000_000, now % 1_000_000, what.as_ref());
        lock(&self.inner.log).push(line);
    }

    /// Notes what must not be.
    pub fn wrong(&self, what: String) {
        self.log(format!("WRONG: {what}"));
        lock(&self.inner.wrong).push(what);
    }

    /// Panics if anything was wrong, with the end of the log.
    pub fn hold(&self) {
        let wrong = std::mem::take(&mut *lock(&self.inner.wrong));
        if !wrong.is_empty() {
            let end = lock(&self.inner.log).iter().rev().take(60).rev().cloned().collect::<Vec<_>>();
            panic!("{}\nthe log ends in\n{}", wrong.join("\n"), end.join("\n"));
        }
    }

    pub fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.inner.log))
    }

    /// Microseconds since the world began.
    pub fn now(&self) -> i64 {
        let time = lock(&self.inner.time);
        time.before + time.began.map_or(0, |began| began.elapsed().as_micros() as i64)
    }

    /// The true wall clock, microseconds.
    pub fn wall(&self) -> i64 {
        WALL_US + self.now()
    }

    /// A boot begins: called in its runtime.
    pub fn boot(&self, clock_set: bool) {
        self.inner.clock_set.store(clock_set, SeqCst);
        lock(&self.inner.time).began = Some(Instant::now());
    }

    /// The boot is over, and the gateway stays off for a while. Called in its runtime.
    pub fn off(&self, micros: i64) {
        let now = self.now();
        *lock(&self.inner.time) = Time { before: now + micros, began: None };
    }

    /// No more faults from now on.
    pub fn heal(&self) {
        self.inner.faulty.store(false, SeqCst);
        self.log("the world heals");
    }

    /// Whether something goes wrong that does so with this probability.
    pub fn strikes(&self, chance: &mut StdRng, probability: f64) -> bool {
        // Drawn in any case, so that healing changes nothing else.
        chance.random_bool(probability) && self.inner.faulty.load(SeqCst)
    }

    pub fn is_faulty(&self) -> bool {
        self.inner.faulty.load(SeqCst)
    }
}

/// The gateway's clock: it begins at every boot, and may not have been set.
impl Clock for World {
    fn boot(&self) -> i64 {
        lock(&self.inner.time).began.map_or(0, |began| began.elapsed().as_micros() as i64)
    }

    fn wall(&self) -> Wall {
        match self.inner.clock_set.load(SeqCst) {
            true => Wall { micros: World::wall(self), trusted: true },
            false => Wall { micros: 5_000_000 + Clock::boot(self), trusted: false },
        }
    }
}

/// Lets virtual time pass.
pub async fn pass(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
