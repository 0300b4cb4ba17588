//! The only place that asks the machine what time it is; everything else is handed a [`Clock`].

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// What the wall clock says and whether to believe it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wall {
    /// Microseconds since the epoch.
    pub micros: i64,
    /// False while the clock stands before this software was written: a gateway without a battery starts in 1970.
    pub trusted: bool,
}

/// 2026-01-01T00:00:00Z in microseconds: a clock before this date has not been set yet.
const SOFTWARE_BORN_US: i64 = 1_767_225_600_000_000;

/// Where time comes from. Tests hand in a [`ManualClock`].
pub trait Clock: Send + Sync + 'static {
    /// Microseconds since some fixed moment; never goes backwards, unmoved by corrections of the wall clock.
    fn boot(&self) -> i64;
    /// The wall clock.
    fn wall(&self) -> Wall;
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl Default for SystemClock {
    #[allow(clippy::disallowed_methods)]
    fn default() -> Self {
        SystemClock { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn boot(&self) -> i64 {
        self.start.elapsed().as_micros() as i64
    }

    #[allow(clippy::disallowed_methods)]
    fn wall(&self) -> Wall {
        let micros = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as i64);
        Wall { micros, trusted: micros >= SOFTWARE_BORN_US }
    }
}

/// A clock that stands still until told to move.
#[derive(Debug)]
pub struct ManualClock {
    boot: AtomicI64,
    wall: AtomicI64,
    trusted: AtomicBool,
}

impl ManualClock {
    /// Boot clock 0, trusted wall clock at `wall` microseconds since the epoch.
    pub fn at(wall: i64) -> Self {
        ManualClock { boot: AtomicI64::new(0), wall: AtomicI64::new(wall), trusted: AtomicBool::new(true) }
    }

    /// Moves both clocks on.
    pub fn advance(&self, micros: i64) {
        self.boot.fetch_add(micros, Ordering::SeqCst);
        self.wall.fetch_add(micros, Ordering::SeqCst);
    }

    /// Corrects the wall clock alone.
    pub fn set_wall(&self, micros: i64, trusted: bool) {
        self.wall.store(micros, Ordering::SeqCst);
        self.trusted.store(trusted, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn boot(&self) -> i64 {
        self.boot.load(Ordering::SeqCst)
    }

    fn wall(&self) -> Wall {
        Wall { micros: self.wall.load(Ordering::SeqCst), trusted: self.trusted.load(Ordering::SeqCst) }
    }
}
