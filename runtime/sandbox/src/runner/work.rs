//! Work that can be cut: rows, pairs of slots to merge, windows to finish.

use crate::guest::Guest;
use crate::job::Job;
use crate::journal::Journal;
use crate::reply::{self, Checked};
use crate::setup::Setup;
use crate::wire::{BatchIn, WindowsIn};
use crate::{Arrival, Fault, Window};
use std::ops::Range;
use tidegate_record::Column;

/// A call's input share of an instance's memory: as much again for output, the rest for the guest's own.
const INPUT_SHARE: usize = 4;

/// What items are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Items {
    Rows,
    Pairs,
    Windows,
}

/// Something a guest does for a range of items at a time; the result must not depend on where it is cut.
pub(super) trait Work {
    const ITEMS: Items;
    type Out;
    fn items(&self) -> usize;
    /// Where a call that begins at `from` ends.
    fn cut(&self, setup: &Setup, from: usize, items_max: usize) -> usize {
        let _ = setup;
        (from + items_max).min(self.items())
    }
    fn call(&self, guest: &mut Guest, setup: &Setup, range: Range<usize>) -> Result<Self::Out, Fault>;
    /// Notes how to do it again, unless it changes no state.
    fn note(&self, journal: &mut Journal, range: Range<usize>, arrival: Arrival);
}

/// Rows for the function that takes batches, `call`.
pub(super) struct Rows<'a, F> {
    pub(super) job: Job<'a>,
    pub(super) call: F,
}

impl<T, F> Work for Rows<'_, F>
where
    F: Fn(&mut Guest, &Setup, BatchIn<'_>) -> Result<Checked<T>, Fault>,
{
    const ITEMS: Items = Items::Rows;
    type Out = T;

    fn items(&self) -> usize {
        self.job.rows
    }

    fn cut(&self, setup: &Setup, from: usize, items_max: usize) -> usize {
        self.job.cut(from, items_max, setup.limits.memory_bytes / INPUT_SHARE)
    }

    fn call(&self, guest: &mut Guest, setup: &Setup, range: Range<usize>) -> Result<T, Fault> {
        let answer = self.job.lend(range, |batch| (self.call)(guest, setup, batch))?;
        answer.map_err(|error| setup.bad_reply(&error))
    }

    fn note(&self, journal: &mut Journal, rows: Range<usize>, arrival: Arrival) {
        journal.took(&self.job, rows, arrival);
    }
}

/// Pairs of slots: `into[i]` takes in `later[i]`.
pub(super) struct Merge<'a> {
    pub(super) into: &'a [u32],
    pub(super) later: &'a [u32],
}

impl Work for Merge<'_> {
    const ITEMS: Items = Items::Pairs;
    type Out = ();

    fn items(&self) -> usize {
        self.into.len()
    }

    fn call(&self, guest: &mut Guest, _: &Setup, range: Range<usize>) -> Result<(), Fault> {
        guest.merge(&self.into[range.clone()], &self.later[range])
    }

    fn note(&self, journal: &mut Journal, range: Range<usize>, arrival: Arrival) {
        journal.merged(&self.into[range.clone()], &self.later[range], arrival);
    }
}

/// Windows to finish.
pub(super) struct Finish<'a> {
    pub(super) windows: &'a [Window],
}

impl Work for Finish<'_> {
    const ITEMS: Items = Items::Windows;
    type Out = Vec<Column>;

    fn items(&self) -> usize {
        self.windows.len()
    }

    fn call(&self, guest: &mut Guest, setup: &Setup, range: Range<usize>) -> Result<Vec<Column>, Fault> {
        let windows = &self.windows[range];
        let slots: Vec<u32> = windows.iter().map(|w| w.slot).collect();
        let starts: Vec<i64> = windows.iter().map(|w| w.start).collect();
        let ends: Vec<i64> = windows.iter().map(|w| w.end).collect();
        let columns = guest.finish(WindowsIn { slots: &slots, starts: &starts, ends: &ends })?;
        reply::columns(columns, &setup.plan.emits, windows.len()).map_err(|error| setup.bad_reply(&error))
    }

    fn note(&self, _: &mut Journal, _: Range<usize>, _: Arrival) {}
}
