//! The epoch ticker: the clock that calls' deadlines are measured by.
//!
//! It beats on an OS thread of its own, so that no busy runtime can hold it up, and only while a call is under way:
//! an idle gateway is not woken two hundred times a second.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

/// Between two beats; a deadline is kept this exactly.
pub const TICK: Duration = Duration::from_millis(5);
/// Beats without a call before the ticker sleeps.
const IDLE_TICKS_MAX: u32 = 20;

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

/// Starts the ticker of the process's engine.
pub(crate) fn start(engine: wasmtime::Engine) -> std::io::Result<()> {
    let thread = thread::Builder::new().name("tidegate-epoch".into()).spawn(move || {
        let mut idle = 0;
        loop {
            thread::sleep(TICK);
            engine.increment_epoch();
            BEATS.fetch_add(1, Ordering::Relaxed);
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
