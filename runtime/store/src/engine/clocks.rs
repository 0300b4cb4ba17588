//! The log of the wall clock: how it stood to the arrival clock, an entry whenever that changed.
//!
//! The arrival clock advances with the boot clock, which no correction moves: so between two steps of the wall clock the
//! difference of the two stands still, and one entry dates every commit up to the next. A process writes one with its
//! first group; the process ends, and with it what can be said of its commits, where the next one begins, since the
//! arrival clock does not count how long the gateway was off.

use super::Inner;
use super::core::Core;
use crate::api::{ClockMark, Dating, Run};
use crate::keys::{Key, Kind};
use crate::medium::{Medium, WriteSet};
use crate::values::{ClockEntry, decode, encode};
use tidegate_record::{Clock, Times, Trust};

/// A wall clock that moved further against the boot clock was stepped: no oscillator is that bad in the time between two
/// looks, and a service that slews moves both.
const STEP_US: i64 = 1_000_000;
/// Most entries kept. Commits before the oldest are dated as they were written.
const ENTRIES_MAX: usize = 1024;

/// The entries, and how far they are stored.
#[derive(Debug, Default)]
pub(crate) struct Clocks {
    /// By commit.
    entries: Vec<(u64, ClockEntry)>,
    /// How many of them are on the medium.
    stored: usize,
    /// Gone from memory and not yet from the medium.
    gone: Vec<u64>,
    /// How the clock stood when this process began.
    opened: Option<Sight>,
    /// This process has an entry.
    begun: bool,
    /// The wall clock where the process before this one left off.
    left: Option<i64>,
}

/// The clocks at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sight {
    pub(super) arrival: i64,
    pub(super) wall: i64,
    pub(super) trust: Trust,
}

impl Clocks {
    /// What a medium holds of earlier processes, the last of them at `arrival`.
    pub(crate) fn read(medium: &dyn Medium, arrival: i64) -> Result<Self, String> {
        let entries = super::load::entries(medium, Kind::Clock, |key, v| Ok((key.offset, decode(v)?)))?;
        Ok(Clocks::load(entries, arrival))
    }

    /// Entries by commit.
    fn load(entries: Vec<(u64, ClockEntry)>, arrival: i64) -> Self {
        let last = entries.iter().rposition(|(_, entry)| entry.begins).unwrap_or(0);
        let best = entries[last..].iter().map(|(_, entry)| entry);
        let best = best.max_by_key(|entry| (entry.trust(), entry.arrival));
        let left = best.map(|entry| arrival.saturating_add(entry.offset()));
        Clocks { stored: entries.len(), entries, left, ..Clocks::default() }
    }

    /// This process begins.
    pub(super) fn open(&mut self, sight: Sight) {
        self.opened = Some(sight);
    }

    pub(super) fn left(&self) -> Option<i64> {
        self.left
    }

    /// Takes a look for the commit that would get the number `next`; gives the number it gets.
    fn note(&mut self, next: u64, sight: Sight) -> u64 {
        if !self.begun {
            self.begun = true;
            let ClockEntry { arrival, wall, trust, .. } = ClockEntry::of(&self.opened.unwrap_or(sight));
            self.push(next, ClockEntry { begins: true, arrival, wall, trust });
        }
        let Some((last, entry)) = self.entries.last() else { return next };
        if !entry.differs(&sight) {
            return next;
        }
        let number = next.max(last + 1);
        self.push(number, ClockEntry::of(&sight));
        number
    }

    fn push(&mut self, commit: u64, entry: ClockEntry) {
        self.entries.push((commit, entry));
        if self.entries.len() > ENTRIES_MAX {
            let (gone, _) = self.entries.remove(0);
            if self.stored > 0 {
                self.stored -= 1;
                self.gone.push(gone);
            }
        }
    }

    /// A commit of this process whose clock was trusted, or was not: the latest entry's. All up to the next are dated
    /// alike.
    fn latest(&self, trusted: bool) -> Option<u64> {
        let at = self.entries.iter().rposition(|(_, entry)| (entry.trust() > Trust::Unset) == trusted)?;
        let begins = self.entries.iter().rposition(|(_, entry)| entry.begins)?;
        (at >= begins).then(|| self.entries[at].0)
    }

    /// The entry a commit falls under.
    fn at(&self, commit: u64) -> Option<&(u64, ClockEntry)> {
        self.entries.get(self.entries.partition_point(|(first, _)| *first <= commit).checked_sub(1)?)
    }

    pub(crate) fn dating(&self, commit: u64) -> Option<Dating> {
        let at = self.entries.partition_point(|(first, _)| *first <= commit).checked_sub(1)?;
        let (since, then) = &self.entries[at];
        let mut best = then;
        for (_, later) in self.entries[at + 1..].iter().take_while(|(_, entry)| !entry.begins) {
            if later.trust() > best.trust() {
                best = later;
            }
        }
        let shift = best.offset().saturating_sub(then.offset());
        let (shift, mark) = match (then.trust(), best.trust()) {
            (Trust::Unset, Trust::Unset) => (0, Some(ClockMark::Unset)),
            (Trust::Unset, _) => (shift, Some(ClockMark::Corrected)),
            // What was believed and then found wrong by a step was not to be believed.
            _ if shift.abs() > STEP_US => (shift, Some(ClockMark::Corrected)),
            _ => (0, None),
        };
        Some(Dating { since: *since, offset: then.offset(), shift, mark })
    }
}

impl ClockEntry {
    fn of(sight: &Sight) -> Self {
        ClockEntry { begins: false, arrival: sight.arrival, wall: sight.wall, trust: sight.trust as u8 }
    }

    fn trust(&self) -> Trust {
        match self.trust {
            0 => Trust::Unset,
            1 => Trust::Plausible,
            _ => Trust::Synchronised,
        }
    }

    fn offset(&self) -> i64 {
        self.wall.saturating_sub(self.arrival)
    }

    fn differs(&self, sight: &Sight) -> bool {
        let offset = sight.wall.saturating_sub(sight.arrival);
        self.trust() != sight.trust || offset.saturating_sub(self.offset()).saturating_abs() > STEP_US
    }
}

impl Core {
    /// Looks at the clocks for the next commit and gives it its number.
    pub(super) fn look(&mut self, clock: &dyn Clock) -> Sight {
        let sight = self.sight(clock);
        self.number = self.clocks.note(self.number + 1, sight);
        sight
    }

    pub(super) fn sight(&mut self, clock: &dyn Clock) -> Sight {
        let (wall, trust) = clock.told();
        Sight { arrival: self.arrival.give(clock), wall, trust }
    }

    /// Looks at the clocks between commits: a correction is a commit of its own.
    pub(super) fn watch_clock(&mut self, clock: &dyn Clock) {
        let sight = self.sight(clock);
        if self.clocks.begun && self.clocks.entries.last().is_some_and(|(_, entry)| entry.differs(&sight)) {
            self.number = self.clocks.note(self.number + 1, sight);
        }
    }

    /// Whose clock set the event times of what is now stamped: the commit, and whether it was trusted.
    pub(super) fn stamped(&self, times: Times, now: &Run) -> (Option<u64>, bool) {
        match times {
            Times::Brought => (None, now.trusted),
            Times::Set { trusted } if trusted == now.trusted => (Some(now.commit), trusted),
            // The clock was set, or lost its time, between the reading and its commit.
            Times::Set { trusted } => (Some(self.clocks.latest(trusted).unwrap_or(now.commit)), trusted),
            Times::Of(commit) => {
                let (then, now_too) = (self.clocks.at(commit), self.clocks.at(now.commit));
                let trusted = then.map_or(now.trusted, |entry| entry.1.trust() > Trust::Unset);
                let same = then.map(|entry| entry.0) == now_too.map(|entry| entry.0);
                (Some(if same { now.commit } else { commit }), trusted)
            }
        }
    }
}

impl Inner {
    /// Whether event times of both can stand in one record: the records brought them, or one clock set them, without a
    /// step between.
    pub(super) fn is_of_one_clock(&self, one: &Run, other: &Run) -> bool {
        let core = self.lock();
        let since = |run: &Run| run.stamped.map(|commit| core.clocks.at(commit).map_or(commit, |(since, _)| *since));
        one.trusted == other.trusted && since(one) == since(other)
    }

    /// Adds the entries that are not on the medium yet.
    pub(super) fn put_clocks(&self, set: &mut WriteSet) {
        let mut core = self.lock();
        let clocks = &mut core.clocks;
        for (commit, entry) in &clocks.entries[clocks.stored..] {
            set.put(Key::new(Kind::Clock, 0, 0, *commit), encode(entry));
        }
        clocks.stored = clocks.entries.len();
        set.deletes.extend(clocks.gone.drain(..).map(|commit| Key::new(Kind::Clock, 0, 0, commit)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY: i64 = 86_400_000_000;

    fn at(arrival: i64, wall: i64, trust: Trust) -> Sight {
        Sight { arrival, wall, trust }
    }

    #[test]
    fn the_first_clock_that_is_better_dates_what_came_before_it_in_its_process() {
        let mut clocks = Clocks::load(Vec::new(), 0);
        clocks.open(at(0, 5, Trust::Unset));
        assert_eq!(clocks.note(1, at(10, 15, Trust::Unset)), 1);
        assert_eq!(clocks.dating(1), Some(Dating { since: 1, offset: 5, shift: 0, mark: Some(ClockMark::Unset) }));
        assert_eq!(clocks.note(2, at(20, DAY + 20, Trust::Plausible)), 2);
        let corrected = Some(ClockMark::Corrected);
        assert_eq!(clocks.dating(1), Some(Dating { since: 1, offset: 5, shift: DAY - 5, mark: corrected }));
        assert_eq!(clocks.dating(2), Some(Dating { since: 2, offset: DAY, shift: 0, mark: None }));
        // It turns out to have been an hour slow.
        let hour = DAY / 24;
        assert_eq!(clocks.note(3, at(30, DAY + hour + 30, Trust::Synchronised)), 3);
        assert_eq!(clocks.dating(1).map(|d| d.shift), Some(DAY + hour - 5));
        assert_eq!(clocks.dating(2), Some(Dating { since: 2, offset: DAY, shift: hour, mark: corrected }));
        // What comes after does not touch what is synchronised.
        assert_eq!(clocks.note(4, at(40, 3 * DAY, Trust::Plausible)), 4);
        assert_eq!(clocks.dating(3).map(|d| (d.shift, d.mark)), Some((0, None)));
    }

    #[test]
    fn a_clock_set_before_the_first_commit_still_dates_what_was_read_before_it() {
        let mut clocks = Clocks::load(Vec::new(), 0);
        clocks.open(at(0, 5, Trust::Unset));
        assert_eq!(clocks.note(7, at(10, DAY, Trust::Plausible)), 8, "the number before it is the old clock's");
        assert_eq!(clocks.latest(false), Some(7));
        assert_eq!(clocks.dating(7).map(|d| d.mark), Some(Some(ClockMark::Corrected)));
        assert_eq!(clocks.dating(8).map(|d| d.mark), Some(None));
        assert_eq!(clocks.dating(6), None);
    }

    #[test]
    fn another_process_corrects_nothing_and_goes_on_where_the_last_stood() {
        let mut clocks = Clocks::load(Vec::new(), 0);
        clocks.open(at(0, 5, Trust::Unset));
        clocks.note(1, at(0, 5, Trust::Unset));
        let mut after = Clocks::load(clocks.entries, 100);
        assert_eq!(after.left(), Some(105));
        after.open(at(100, DAY, Trust::Plausible));
        assert_eq!(after.note(2, at(110, DAY + 10, Trust::Plausible)), 2);
        assert_eq!(after.dating(1).map(|d| (d.shift, d.mark)), Some((0, Some(ClockMark::Unset))));
        assert_eq!(Clocks::load(after.entries, 120).left(), Some(DAY + 20));
    }

    proptest! {
        #[test]
        fn entries_are_bounded_and_follow_each_other(steps in prop::collection::vec((0i64..5, 0i64..3), 0..40)) {
            let mut clocks = Clocks::load(Vec::new(), 0);
            let (mut number, mut arrival) = (0, 0);
            for (days, trust) in steps.iter().cycle().take(steps.len() * 60) {
                arrival += 1;
                let trust = [Trust::Unset, Trust::Plausible, Trust::Synchronised][*trust as usize];
                let given = clocks.note(number + 1, at(arrival, days * DAY, trust));
                prop_assert!(given > number && given <= number + 2);
                number = given;
            }
            prop_assert!(clocks.entries.len() <= ENTRIES_MAX);
            prop_assert!(clocks.entries.windows(2).all(|pair| pair[0].0 < pair[1].0));
            prop_assert!(steps.is_empty() || clocks.dating(number).is_some());
        }
    }
}
