//! The growing, jittered wait between attempts.

use rand::Rng as _;
use std::time::Duration;

/// The first wait is about this long.
const FIRST: Duration = Duration::from_millis(100);
/// No wait is longer.
const LONGEST: Duration = Duration::from_secs(30);

/// Doubles from 100 ms to 30 s; each wait is between half and all of it, so that a site full of gateways does not knock
/// at a returning broker in step.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Backoff { next: FIRST }
    }
}

impl Backoff {
    /// How long to wait now.
    pub fn wait(&mut self) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(LONGEST);
        whole.mul_f64(rand::rng().random_range(0.5..=1.0))
    }

    /// The attempt worked.
    pub fn reset(&mut self) {
        self.next = FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_start_over() {
        let mut backoff = Backoff::default();
        let waits: Vec<Duration> = (0..12).map(|_| backoff.wait()).collect();
        assert!(waits[0] <= FIRST && waits[0] >= FIRST / 2, "{waits:?}");
        assert!(waits[11] <= LONGEST && waits[11] >= LONGEST / 2, "{waits:?}");
        backoff.reset();
        assert!(backoff.wait() <= FIRST);
    }
}
