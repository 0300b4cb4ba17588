//! The growing, jittered wait between retries.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// Longest wait an upstream may ask for with `Retry-After`.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(15 * 60);

/// Exponential backoff with full jitter: the n-th wait is anywhere between `min` and `min * 2^n`, at most `max`.
#[derive(Debug)]
pub(super) struct Backoff {
    min: Duration,
    max: Duration,
    ceiling: Duration,
    jitter: StdRng,
}

impl Backoff {
    /// The jitter is drawn from the store's epoch, which no two gateways have in common, and the sink's name, which no
    /// two sinks of one have.
    pub(super) fn new(min: Duration, max: Duration, ours: (u64, &str)) -> Self {
        let max = max.max(min);
        // Its keys are fixed: a simulation comes to the same again.
        let mut seed = DefaultHasher::new();
        ours.hash(&mut seed);
        Backoff { min, max, ceiling: min, jitter: StdRng::seed_from_u64(seed.finish()) }
    }

    /// The next wait. What the upstream asked for is honoured up to [`RETRY_AFTER_MAX`], and spread by up to `min` so
    /// that a fleet does not come back at one instant.
    pub(super) fn next(&mut self, asked: Option<Duration>) -> Duration {
        self.ceiling = self.ceiling.saturating_mul(2).min(self.max);
        let rng = &mut self.jitter;
        match asked {
            Some(asked) => asked.min(RETRY_AFTER_MAX) + self.min.mul_f64(rng.random_range(0.0..=1.0)),
            None => rng.random_range(self.min..=self.ceiling),
        }
    }

    /// A delivery succeeded.
    pub(super) fn reset(&mut self) {
        self.ceiling = self.min;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_between_min_and_max_and_start_over_after_a_success() {
        let (min, max) = (Duration::from_millis(100), Duration::from_millis(900));
        let mut backoff = Backoff::new(min, max, (7, "cloud"));
        for limit in [200, 400, 800, 900, 900] {
            let wait = backoff.next(None);
            assert!(wait >= min && wait <= Duration::from_millis(limit), "{wait:?} of at most {limit} ms");
        }
        backoff.reset();
        assert!(backoff.next(None) <= Duration::from_millis(200));
    }

    #[test]
    fn jitter_spreads_the_waits() {
        let waits = |ours| {
            let mut backoff = Backoff::new(Duration::from_millis(1), Duration::from_secs(3600), ours);
            (0..32).map(|_| backoff.next(None)).collect::<Vec<_>>()
        };
        let one = waits((7, "cloud"));
        let apart: std::collections::HashSet<_> = one.iter().collect();
        assert!(apart.len() > 16, "{one:?}");
        assert_eq!(one, waits((7, "cloud")), "a simulation finds the same");
        // Neither another gateway nor another sink of this one comes back at the same instants.
        assert!(one != waits((8, "cloud")) && one != waits((7, "alarms")));
    }

    #[test]
    fn a_wait_the_upstream_asks_for_is_honoured_and_capped() {
        let min = Duration::from_millis(100);
        let mut backoff = Backoff::new(min, Duration::from_secs(1), (7, "cloud"));
        let asked = Duration::from_secs(7);
        let wait = backoff.next(Some(asked));
        assert!(wait >= asked && wait <= asked + min, "{wait:?}");
        let wait = backoff.next(Some(Duration::from_secs(86_400)));
        assert!(wait >= RETRY_AFTER_MAX && wait <= RETRY_AFTER_MAX + min, "{wait:?}");
    }
}
