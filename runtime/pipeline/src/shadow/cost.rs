//! Nanoseconds a record, for a comparison that a busy machine does not decide.

use std::collections::VecDeque;

/// Most entries looked at, the newest.
const ENTRIES_MAX: usize = 256;

/// What the calls for the newest entries took.
#[derive(Debug, Default)]
pub(super) struct Costs {
    /// Records and nanoseconds.
    entries: VecDeque<(u64, u64)>,
}

impl Costs {
    pub fn add(&mut self, records: usize, time_ns: u64) {
        if records == 0 {
            return;
        }
        if self.entries.len() == ENTRIES_MAX {
            self.entries.pop_front();
        }
        self.entries.push_back((records as u64, time_ns));
    }

    /// Without the quarter of the entries that took longest a record: another process had the core meanwhile.
    pub fn ns_per_record(&self) -> u64 {
        let mut entries: Vec<(u64, u64)> = self.entries.iter().copied().collect();
        entries.sort_by(|a, b| (a.1 * b.0).cmp(&(b.1 * a.0)));
        let kept = &entries[..entries.len() - entries.len() / 4];
        let (records, time) = kept.iter().fold((0, 0), |(records, time), entry| (records + entry.0, time + entry.1));
        time.checked_div(records).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::Costs;

    #[test]
    fn the_entries_that_took_longest_do_not_count() {
        let mut costs = Costs::default();
        assert_eq!(costs.ns_per_record(), 0);
        (0..300).for_each(|entry| costs.add(100, if entry % 5 == 0 { 4_000_000 } else { 10_000 }));
        assert_eq!(costs.ns_per_record(), 100);
    }
}
