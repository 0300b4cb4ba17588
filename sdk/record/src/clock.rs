//! The only place that asks the machine what time it is; everything else is handed a [`Clock`].

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// What the wall clock says and whether to believe it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wall {
    /// Microseconds since the epoch.
    pub micros: i64,
    /// False while nobody has set the clock: a gateway without a battery starts in 1970.
    pub trusted: bool,
}

/// How far a wall clock is to be believed, least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trust {
    /// Nobody has set it.
    Unset,
    /// It shows a time that can be.
    Plausible,
    /// The kernel says that a time service keeps it right.
    Synchronised,
}

/// Whose clock the event times of a batch are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Times {
    /// The records brought them.
    #[default]
    Brought,
    /// The gateway set them by its wall clock.
    Set {
        /// Whether that was trusted then.
        trusted: bool,
    },
    /// Those of the records of this commit, whose times the gateway had set: a pipeline made these of them.
    Of(u64),
}

impl Times {
    /// Set by the gateway, when its wall clock said this.
    pub fn set(wall: Wall) -> Self {
        Times::Set { trusted: wall.trusted }
    }
}

/// When a wall clock is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TrustRule {
    /// Once it shows a date after this software was written, or the kernel calls it synchronised.
    #[default]
    Date,
    /// Only while the kernel calls it synchronised: for a box that begins with the time of its last shutdown.
    Synchronised,
}

/// 2026-01-01T00:00:00Z in microseconds: a clock before this date has not been set yet.
const SOFTWARE_BORN_US: i64 = 1_767_225_600_000_000;

/// Where time comes from. Tests hand in a [`ManualClock`].
pub trait Clock: Send + Sync + 'static {
    /// Microseconds since some fixed moment; never goes backwards, unmoved by corrections of the wall clock, and goes on
    /// while the machine sleeps.
    fn boot(&self) -> i64;
    /// The wall clock.
    fn wall(&self) -> Wall;
    /// Whether the kernel says that a time service keeps the wall clock right.
    fn synchronised(&self) -> bool {
        false
    }
    /// The wall clock and how far it is to be believed.
    fn told(&self) -> (i64, Trust) {
        let Wall { micros, trusted } = self.wall();
        let trust = match trusted {
            false => Trust::Unset,
            true if self.synchronised() => Trust::Synchronised,
            true => Trust::Plausible,
        };
        (micros, trust)
    }
}

/// The machine's clocks.
#[derive(Debug, Default)]
pub struct SystemClock {
    rule: TrustRule,
}

impl SystemClock {
    /// The machine's clocks, the wall clock trusted by `rule`.
    pub fn trusting(rule: TrustRule) -> Self {
        SystemClock { rule }
    }
}

impl SystemClock {
    /// CLOCK_BOOTTIME in nanoseconds, for what takes less than a microsecond.
    pub fn boot_ns(&self) -> i64 {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: clock_gettime(2) writes one timespec, which lives here.
        let result = unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &mut time) };
        assert_eq!(result, 0, "every Linux since 2.6.39 has CLOCK_BOOTTIME");
        #[allow(clippy::unnecessary_cast, reason = "they are narrower where machines are")]
        let nanos = time.tv_sec as i64 * 1_000_000_000 + time.tv_nsec as i64;
        nanos
    }
}

impl Clock for SystemClock {
    /// CLOCK_BOOTTIME: `Instant` stands still while the machine sleeps.
    fn boot(&self) -> i64 {
        self.boot_ns() / 1_000
    }

    #[allow(clippy::disallowed_methods)]
    fn wall(&self) -> Wall {
        let micros = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as i64);
        let trusted = match self.rule {
            TrustRule::Date => micros >= SOFTWARE_BORN_US || self.synchronised(),
            TrustRule::Synchronised => self.synchronised(),
        };
        Wall { micros, trusted }
    }

    fn synchronised(&self) -> bool {
        // SAFETY: a timex is plain numbers, for which zeroes are a value; with modes 0 adjtimex(2) only writes into it.
        let state = unsafe {
            let mut timex: libc::timex = std::mem::zeroed();
            libc::adjtimex(&mut timex)
        };
        // An error is the answer of a sandbox that forbids the question.
        state >= 0 && state != libc::TIME_ERROR
    }
}

/// A clock that stands still until told to move.
#[derive(Debug)]
pub struct ManualClock {
    boot: AtomicI64,
    wall: AtomicI64,
    trusted: AtomicBool,
    synchronised: AtomicBool,
}

impl ManualClock {
    /// Boot clock 0, trusted wall clock at `wall` microseconds since the epoch.
    pub fn at(wall: i64) -> Self {
        ManualClock {
            boot: AtomicI64::new(0),
            wall: AtomicI64::new(wall),
            trusted: AtomicBool::new(true),
            synchronised: AtomicBool::new(false),
        }
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

    /// From now on the kernel calls the wall clock synchronised, or no longer.
    pub fn set_synchronised(&self, synchronised: bool) {
        self.synchronised.store(synchronised, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn boot(&self) -> i64 {
        self.boot.load(Ordering::SeqCst)
    }

    fn wall(&self) -> Wall {
        Wall { micros: self.wall.load(Ordering::SeqCst), trusted: self.trusted.load(Ordering::SeqCst) }
    }

    fn synchronised(&self) -> bool {
        self.synchronised.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_clock_is_the_one_that_goes_on_while_the_machine_sleeps() {
        // /proc/uptime counts CLOCK_BOOTTIME, in hundredths.
        let uptime = || {
            let text = std::fs::read_to_string("/proc/uptime").unwrap();
            (text.split(' ').next().unwrap().parse::<f64>().unwrap() * 1e6) as i64
        };
        let (before, now, after) = (uptime(), SystemClock::default().boot(), uptime());
        assert!((before..=after + 10_000).contains(&now), "{before} {now} {after}");
    }

    #[test]
    fn trust_is_by_date_or_by_the_kernel_alone() {
        let clock = ManualClock::at(7);
        assert_eq!(clock.told(), (7, Trust::Plausible));
        clock.set_synchronised(true);
        assert_eq!(clock.told(), (7, Trust::Synchronised));
        clock.set_wall(5, false);
        assert_eq!(clock.told(), (5, Trust::Unset));
        let strict = SystemClock::trusting(TrustRule::Synchronised);
        assert_eq!(strict.wall().trusted, strict.synchronised());
    }
}
