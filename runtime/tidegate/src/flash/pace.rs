//! The commit interval that keeps to a budget.

use std::time::Duration;

/// The shortest interval that is chosen: the default of one that is not.
pub const AUTO_MIN: Duration = Duration::from_millis(200);
/// The longest: devices wait so long for their acknowledgement.
pub const AUTO_MAX: Duration = Duration::from_secs(30);
/// How much the interval changes at most at once.
const STEP_MAX: f64 = 1.25;
/// Nearer to the budget than this nothing is changed.
const SLACK: f64 = 0.1;

/// Chooses the interval from what was written.
#[derive(Debug)]
pub struct Pace {
    /// Bytes a second.
    budget: f64,
    interval: f64,
}

impl Pace {
    /// A budget in bytes a year; begins with the shortest interval.
    pub fn new(budget_a_year: u64) -> Self {
        Pace { budget: budget_a_year as f64 / super::YEAR_S, interval: AUTO_MIN.as_secs_f64() }
    }

    /// `bytes` were written in the last `over`; gives the interval from now on. It follows slowly: a burst is no reason to
    /// keep devices waiting.
    pub fn adjust(&mut self, bytes: u64, over: Duration) -> Duration {
        let ratio = bytes as f64 / over.as_secs_f64().max(1e-3) / self.budget.max(1e-3);
        if (ratio - 1.0).abs() > SLACK {
            self.interval *= ratio.clamp(1.0 / STEP_MAX, STEP_MAX);
        }
        self.interval = self.interval.clamp(AUTO_MIN.as_secs_f64(), AUTO_MAX.as_secs_f64());
        self.interval()
    }

    /// The interval chosen.
    pub fn interval(&self) -> Duration {
        Duration::from_secs_f64(self.interval)
    }

    /// Nothing is left to choose: the longest interval does not keep to the budget.
    pub fn is_exhausted(&self, bytes: u64, over: Duration) -> bool {
        let rate = bytes as f64 / over.as_secs_f64().max(1e-3);
        self.interval() >= AUTO_MAX && rate > self.budget * (1.0 + SLACK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// A gateway whose every commit writes `commit` bytes besides `flow` bytes a second.
    fn settled(pace: &mut Pace, commit: f64, flow: f64) -> (Duration, u64) {
        let mut written = 0;
        for _ in 0..200 {
            written = ((commit / pace.interval().as_secs_f64() + flow) * 60.0) as u64;
            pace.adjust(written, MINUTE);
        }
        (pace.interval(), written)
    }

    #[test]
    fn the_interval_settles_where_the_budget_is_kept() {
        // 2 GB a day: 23,148 B/s.
        let budget = 730_000_000_000;
        let mut pace = Pace::new(budget);
        let (interval, written) = settled(&mut pace, 40_000.0, 3_000.0);
        assert!((1.5..2.5).contains(&interval.as_secs_f64()), "{interval:?}");
        assert!((written as f64 / 60.0) < 23_148.0 * 1.11, "{written} bytes a minute");
        assert!(!pace.is_exhausted(written, MINUTE));
        let (interval, _) = settled(&mut pace, 100.0, 10.0);
        assert_eq!(interval, AUTO_MIN, "with little to write nobody waits longer than by default");
    }

    #[test]
    fn a_budget_that_cannot_be_kept_ends_at_the_longest_interval_and_says_so() {
        let mut pace = Pace::new(1_000_000_000);
        let (interval, written) = settled(&mut pace, 40_000.0, 3_000.0);
        assert_eq!(interval, AUTO_MAX);
        assert!(pace.is_exhausted(written, MINUTE));
        assert!(Pace::new(0).adjust(0, Duration::ZERO) >= AUTO_MIN, "no number makes it none");
    }

    #[test]
    fn a_burst_changes_little() {
        let mut pace = Pace::new(730_000_000_000);
        assert_eq!(pace.adjust(u64::MAX, MINUTE), Duration::from_millis(250));
    }
}
