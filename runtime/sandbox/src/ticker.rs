//! The epoch ticker: the clock that calls' deadlines are measured by.
//!
//! It beats on an OS thread of its own, so that no busy runtime can hold it up, and only while a call is under way:
//! an idle gateway is not woken two hundred times a second.

use crate::stats::CLOCK;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;
use tidegate_record::Clock;

/// Between two beats; a deadline is kept this exactly.
pub const TICK: Duration = Duration::from_millis(5);
/// Beats without a call before the ticker sleeps.
const IDLE_TICKS_MAX: u32 = 20;
/// Most beats made up for at once.
const BEATS_AT_ONCE_MAX: i64 = 4;

static BEATS: AtomicU64 = AtomicU64::new(0);
static CALLS: AtomicUsize = AtomicUsize::new(0);
static ASLEEP: AtomicBool = AtomicBool::new(false);
static TICKER: OnceLock<Thread> = OnceLock::new();

/// While this lives, the ticker beats.
pub(crate) struct Beating;

impl Beating {
    pub(crate) fn start() -> Self {
        CALLS.fetch_add(1, Ordering::SeqCst);
        // Either this sees that the ticker sleeps, or the ticker, looking again before it sleeps, sees the call.
        if ASLEEP.load(Ordering::SeqCst)
            && let Some(ticker) = TICKER.get()
        {
            ticker.unpark();
        }
        Beating
    }
}

impl Drop for Beating {
    fn drop(&mut self) {
        CALLS.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Beats so far.
pub(crate) fn beats() -> u64 {
    BEATS.load(Ordering::Relaxed)
}

/// How many beats `time` is, at least one more than fit: the first may come at once.
pub(crate) fn ticks(time: Duration) -> u64 {
    (time.as_micros() / TICK.as_micros()) as u64 + 1
}

/// How many beats are due where the last was for `beaten_to`, and what they are for: a busy machine wakes the ticker late,
/// and calls are not to have the longer for it. What is missed altogether, a machine that slept, is not made up for.
fn due(beaten_to: i64, now: i64) -> (u64, i64) {
    let tick = TICK.as_micros() as i64;
    match (now - beaten_to) / tick {
        beats @ 1..=BEATS_AT_ONCE_MAX => (beats as u64, beaten_to + beats * tick),
        beats => (beats.clamp(1, BEATS_AT_ONCE_MAX) as u64, now),
    }
}

/// Starts the ticker of the process's engine.
pub(crate) fn start(engine: wasmtime::Engine) -> std::io::Result<()> {
    let thread = thread::Builder::new().name("tidegate-epoch".into()).spawn(move || {
        let (mut idle, mut beaten_to) = (0, CLOCK.boot());
        loop {
            thread::sleep(TICK);
            let (beats, to) = due(beaten_to, CLOCK.boot());
            beaten_to = to;
            (0..beats).for_each(|_| engine.increment_epoch());
            BEATS.fetch_add(beats, Ordering::Relaxed);
            idle = if CALLS.load(Ordering::SeqCst) == 0 { idle + 1 } else { 0 };
            if idle >= IDLE_TICKS_MAX {
                ASLEEP.store(true, Ordering::SeqCst);
                while CALLS.load(Ordering::SeqCst) == 0 {
                    thread::park();
                }
                ASLEEP.store(false, Ordering::SeqCst);
                idle = 0;
            }
        }
    })?;
    let _ = TICKER.set(thread.thread().clone());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beats_that_come_late_are_made_up_for() {
        assert_eq!(due(0, 5_100), (1, 5_000));
        assert_eq!(due(5_000, 13_000), (1, 10_000), "8 ms: the rest counts next time");
        assert_eq!(due(10_000, 20_500), (2, 20_000));
        assert_eq!(due(0, 20_000), (4, 20_000));
        assert_eq!(due(0, 3_600_000_000), (4, 3_600_000_000), "the machine slept");
        assert_eq!(due(5_000, 4_000), (1, 4_000));
    }
}
