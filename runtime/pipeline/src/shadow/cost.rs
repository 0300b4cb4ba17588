//! Nanoseconds a record and a window, for a comparison that a busy machine does not decide.

use crate::operator::Operator;
use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;

/// Most entries looked at, the newest.
const ENTRIES_MAX: usize = 256;

/// What an operator has spent in its plugin's calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Spent {
    /// Nanoseconds for records.
    pub records_ns: u64,
    /// Windows that were finished.
    pub windows: u64,
    /// Nanoseconds for those.
    pub windows_ns: u64,
    /// Fuel for both, where it is counted.
    pub fuel: Option<u64>,
}

impl Spent {
    /// So far.
    pub fn of(operator: &mut dyn Operator) -> Spent {
        let (windows, windows_ns) = operator.finished();
        let runner = operator.runner();
        let all = runner.stats().time_ns.load(Relaxed);
        let fuel = runner.plugin().counts_fuel().then(|| runner.stats().fuel.load(Relaxed));
        Spent { records_ns: all.saturating_sub(windows_ns), windows, windows_ns, fuel }
    }

    /// Since it had spent `before`.
    pub fn since(self, before: Spent) -> Spent {
        Spent {
            records_ns: self.records_ns.saturating_sub(before.records_ns),
            windows: self.windows - before.windows,
            windows_ns: self.windows_ns - before.windows_ns,
            fuel: self.fuel.zip(before.fuel).map(|(now, then)| now.saturating_sub(then)),
        }
    }
}

/// What the calls for the newest entries took.
#[derive(Debug, Default)]
pub(super) struct Costs {
    /// Records (or windows) and nanoseconds.
    entries: VecDeque<(u64, u64)>,
}

impl Costs {
    pub fn add(&mut self, items: u64, time_ns: u64) {
        if items == 0 {
            return;
        }
        if self.entries.len() == ENTRIES_MAX {
            self.entries.pop_front();
        }
        self.entries.push_back((items, time_ns));
    }

    /// How many entries had any.
    pub fn entries(&self) -> usize {
        self.entries.len()
    }

    /// Nanoseconds an item, without the quarter of the entries that took longest: another process had the core meanwhile.
    pub fn ns_per_item(&self) -> u64 {
        let mut entries: Vec<(u64, u64)> = self.entries.iter().copied().collect();
        entries.sort_by(|a, b| (a.1 * b.0).cmp(&(b.1 * a.0)));
        let kept = &entries[..entries.len() - entries.len() / 4];
        let (items, time) = kept.iter().fold((0, 0), |(items, time), entry| (items + entry.0, time + entry.1));
        time.checked_div(items).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::Costs;

    #[test]
    fn the_entries_that_took_longest_do_not_count() {
        let mut costs = Costs::default();
        assert_eq!(costs.ns_per_item(), 0);
        (0..300).for_each(|entry| costs.add(100, if entry % 5 == 0 { 4_000_000 } else { 10_000 }));
        assert_eq!(costs.ns_per_item(), 100);
    }
}
