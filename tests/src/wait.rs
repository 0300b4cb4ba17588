//! Waiting for another process.

use std::time::{Duration, Instant};

/// How often a probe is repeated.
const POLL: Duration = Duration::from_millis(20);

/// Repeats `probe` until it gives a value; panics with its last error once `within` has passed.
///
/// This is the one place that sleeps: what it waits for is the state of another process, which no future or channel
/// of ours resolves on. A test never waits for a time, it waits for what must become true by then.
pub fn eventually<T>(within: Duration, what: &str, probe: impl FnMut() -> Result<T, String>) -> T {
    match poll(within, probe) {
        Ok(value) => value,
        Err(last) => panic!("not within {within:?}: {what}. Last seen: {last}"),
    }
}

/// Holds that `probe` gives a value all the while; panics with its error as soon as it does not.
#[allow(clippy::disallowed_methods, reason = "a deadline of the machine's, not of the data's")]
pub fn throughout(during: Duration, what: &str, mut probe: impl FnMut() -> Result<(), String>) {
    let begin = Instant::now();
    while begin.elapsed() < during {
        if let Err(error) = probe() {
            panic!("not for {during:?}: {what}. Seen: {error}");
        }
        std::thread::sleep(POLL);
    }
}

/// [`eventually`] for those who can go on without: the last error after `within`.
#[allow(clippy::disallowed_methods, reason = "a deadline of the machine's, not of the data's")]
pub fn poll<T>(within: Duration, mut probe: impl FnMut() -> Result<T, String>) -> Result<T, String> {
    let begin = Instant::now();
    loop {
        match probe() {
            Ok(value) => return Ok(value),
            Err(last) if begin.elapsed() > within => return Err(last),
            Err(_) => std::thread::sleep(POLL),
        }
    }
}

/// Paces work at so many a second, for senders that must not run ahead of a rate.
#[derive(Debug)]
pub struct Pace {
    begin: Instant,
    each: Duration,
    done: u32,
}

impl Pace {
    /// `rate` a second, from now on.
    #[allow(clippy::disallowed_methods, reason = "the rate of a sender is the machine's time")]
    pub fn per_second(rate: u32) -> Self {
        Pace { begin: Instant::now(), each: Duration::from_secs(1) / rate, done: 0 }
    }

    /// Blocks until the next one is due.
    pub fn next(&mut self) {
        self.done += 1;
        let due = self.each * self.done;
        let now = self.begin.elapsed();
        if due > now + Duration::from_millis(1) {
            std::thread::sleep(due - now);
        }
    }
}
