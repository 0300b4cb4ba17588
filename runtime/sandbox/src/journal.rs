//! What was done to slots since they were last saved, to be done again after a fault.

use crate::guest::Guest;
use crate::job::Job;
use crate::setup::Setup;
use crate::{Arrival, Fault, Kind};
use std::ops::Range;
use std::sync::Arc;

/// Most rows kept to be done again: a millisecond's work, that saving a thousand slots is not to outweigh.
const ROWS_MAX: usize = 65_536;
/// Most calls kept.
const STEPS_MAX: usize = 16_384;
/// Most bytes of batches kept alive for it.
const BYTES_MAX: usize = 1 << 20;

/// Something that changed slots.
pub(crate) enum Step {
    Rows { job: Arc<Job>, rows: Range<usize> },
    Merge { into: Vec<u32>, later: Vec<u32> },
    Release(Vec<u32>),
}

/// Steps since the last save, oldest first.
#[derive(Default)]
pub(crate) struct Journal {
    steps: Vec<(Step, Option<Arrival>)>,
    rows: usize,
    bytes: usize,
}

impl Journal {
    /// `arrival`: what the clock said.
    pub(crate) fn push(&mut self, step: Step, arrival: Option<Arrival>) {
        match &step {
            Step::Rows { job, rows } => {
                self.rows += rows.len();
                let known = match self.steps.last() {
                    Some((Step::Rows { job: last, .. }, _)) => Arc::ptr_eq(last, job),
                    _ => false,
                };
                self.bytes += if known { 0 } else { job.memory_bytes() };
            }
            Step::Merge { into, .. } => self.rows += into.len(),
            Step::Release(slots) => self.rows += slots.len(),
        }
        self.steps.push((step, arrival));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Time to save the slots and begin anew.
    pub(crate) fn is_full(&self) -> bool {
        self.rows >= ROWS_MAX || self.bytes >= BYTES_MAX || self.steps.len() >= STEPS_MAX
    }

    pub(crate) fn clear(&mut self) {
        *self = Journal::default();
    }

    /// The slots it touches, ascending.
    pub(crate) fn slots(&self) -> Vec<u32> {
        // A byte a slot, for this looks at every row: setting a bit would wait for the one before.
        let mut marks: Vec<u8> = Vec::new();
        let mut mark = |slots: &[u32]| {
            let end = slots.iter().max().map_or(0, |&max| max as usize + 1);
            if end > marks.len() {
                marks.resize(end, 0);
            }
            slots.iter().for_each(|&slot| marks[slot as usize] = 1);
        };
        for (step, _) in &self.steps {
            match step {
                Step::Rows { job, rows } => mark(job.slots.as_ref().map_or(&[], |slots| &slots[rows.clone()])),
                Step::Merge { into, .. } => mark(into),
                Step::Release(slots) => mark(slots),
            }
        }
        (0..).zip(&marks).filter(|&(_, &mark)| mark != 0).map(|(slot, _)| slot).collect()
    }

    /// Does it all again. What comes out was given away the first time.
    pub(crate) fn redo(&self, guest: &mut Guest, setup: &Setup) -> Result<(), Fault> {
        for (step, arrival) in &self.steps {
            guest.at(*arrival);
            match step {
                Step::Rows { job, rows } => job.lend(setup, rows.clone(), |batch| match setup.plugin.kind {
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
