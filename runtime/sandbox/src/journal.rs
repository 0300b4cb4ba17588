//! What was done to slots since they were last saved, to be done again after a fault.

use crate::copies::Copies;
use crate::guest::Guest;
use crate::job::Job;
use crate::setup::Setup;
use crate::{Arrival, Fault, Kind};
use std::ops::Range;

/// Most rows kept to be done again: a millisecond's work, that saving a thousand slots is not to outweigh.
const ROWS_MAX: usize = 65_536;
/// Most calls kept.
const STEPS_MAX: usize = 16_384;
/// Most bytes of rows kept for it.
const BYTES_MAX: usize = 1 << 20;
/// Steps there is room for from the beginning.
const STEPS_KEPT: usize = 512;

/// Something that changed slots.
enum Step {
    /// Of the journal's copies.
    Rows(Range<usize>),
    Merge {
        into: Vec<u32>,
        later: Vec<u32>,
    },
    Release(Vec<u32>),
}

/// Steps since the last save, oldest first.
#[derive(Default)]
pub(crate) struct Journal {
    /// With what the clock said.
    steps: Vec<(Step, Option<Arrival>)>,
    copies: Copies,
    /// By slot, 1 where a step touched it. A byte each: setting a bit would wait for the one before.
    marks: Vec<u8>,
    rows: usize,
    bytes: usize,
}

impl Journal {
    /// The guest took in rows.
    pub(crate) fn took(&mut self, job: &Job<'_>, rows: Range<usize>, arrival: Arrival) {
        self.mark(job.slots.map_or(&[], |slots| &slots[rows.clone()]));
        self.bytes += job.bytes(&rows);
        let copied = self.copies.add(job, &rows);
        self.push(Step::Rows(copied), rows.len(), Some(arrival));
    }

    /// It merged pairs of slots.
    pub(crate) fn merged(&mut self, into: &[u32], later: &[u32], arrival: Arrival) {
        self.mark(into);
        self.push(Step::Merge { into: into.to_vec(), later: later.to_vec() }, into.len(), Some(arrival));
    }

    /// It was told to forget slots.
    pub(crate) fn released(&mut self, slots: &[u32]) {
        self.mark(slots);
        self.push(Step::Release(slots.to_vec()), slots.len(), None);
    }

    fn push(&mut self, step: Step, rows: usize, arrival: Option<Arrival>) {
        self.rows += rows;
        self.steps.push((step, arrival));
    }

    fn mark(&mut self, slots: &[u32]) {
        // Compared as numbers, many at a time.
        let end = slots.iter().fold(0, |max, &slot| max.max(slot)) as usize + 1;
        if end > self.marks.len() {
            self.marks.resize(end, 0);
        }
        slots.iter().for_each(|&slot| self.marks[slot as usize] = 1);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Time to save the slots and begin anew.
    pub(crate) fn is_full(&self) -> bool {
        self.rows >= ROWS_MAX || self.bytes >= BYTES_MAX || self.steps.len() >= STEPS_MAX
    }

    pub(crate) fn clear(&mut self) {
        if self.bytes > BYTES_MAX + BYTES_MAX / 4 {
            // Rows that large are seldom.
            self.copies = Copies::default();
        }
        self.copies.clear();
        self.steps.clear();
        self.steps.shrink_to(STEPS_KEPT);
        self.marks.fill(0);
        (self.rows, self.bytes) = (0, 0);
    }

    /// The slots it touches, ascending.
    pub(crate) fn slots(&self) -> Vec<u32> {
        (0..).zip(&self.marks).filter(|&(_, &mark)| mark != 0).map(|(slot, _)| slot).collect()
    }

    /// Does it all again. What comes out was given away the first time.
    pub(crate) fn redo(&self, guest: &mut Guest, setup: &Setup) -> Result<(), Fault> {
        let job = self.copies.job(setup);
        for (step, arrival) in &self.steps {
            guest.at(*arrival);
            match step {
                Step::Rows(rows) => job.lend(rows.clone(), |batch| match setup.plugin.kind {
                    Kind::Filter => guest.keep(batch).map(drop),
                    Kind::Detect => guest.score(batch).map(drop),
                    Kind::Aggregate => guest.update(batch).map(drop),
                    Kind::Transform | Kind::Codec => guest.apply(batch).map(drop),
                })?,
                Step::Merge { into, later } => guest.merge(into, later)?,
                Step::Release(slots) => guest.release(slots)?,
            }
        }
        guest.at(None);
        Ok(())
    }
}
