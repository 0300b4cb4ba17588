//! The growing, jittered wait between attempts.

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_64;

/// The first wait is about this long.
const FIRST: Duration = Duration::from_millis(100);
/// No wait is longer.
const LONGEST: Duration = Duration::from_secs(30);

/// Doubles from 100 ms to 30 s; each wait is between half and all of it, so that a site full of gateways does not knock
/// at a returning broker in step.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    jitter: StdRng,
}

impl Backoff {
    /// The waits of whoever has this name: of gateways with different names they are different ones, and of one gateway
    /// always the same.
    pub fn of(name: &str) -> Self {
        Backoff { next: FIRST, jitter: StdRng::seed_from_u64(xxh3_64(name.as_bytes())) }
    }

    /// How long to wait now.
    pub fn wait(&mut self) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(LONGEST);
        whole.mul_f64(self.jitter.random_range(0.5..=1.0))
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
        let mut backoff = Backoff::of("plant-7");
        let waits: Vec<Duration> = (0..12).map(|_| backoff.wait()).collect();
        assert!(waits[0] <= FIRST && waits[0] >= FIRST / 2, "{waits:?}");
        assert!(waits[11] <= LONGEST && waits[11] >= LONGEST / 2, "{waits:?}");
        backoff.reset();
        assert!(backoff.wait() <= FIRST);
    }

    #[test]
    fn gateways_of_different_names_do_not_knock_in_step() {
        let waits: std::collections::HashSet<_> = (0..32).map(|n| Backoff::of(&format!("plant-{n}")).wait()).collect();
        assert!(waits.len() > 16, "{waits:?}");
    }
}
