//! What was done to slots since they were last saved, to be done again after a fault.

use crate::Fault;
use crate::Kind;
use crate::guest::Guest;
use crate::job::Job;
use crate::setup::Setup;
use std::ops::Range;
use std::sync::Arc;

/// Most rows kept to be done again.
const ROWS_MAX: usize = 16_384;
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
    steps: Vec<Step>,
    rows: usize,
    bytes: usize,
}

impl Journal {
    pub(crate) fn push(&mut self, step: Step) {
        match &step {
            Step::Rows { job, rows } => {
                self.rows += rows.len();
                let known = matches!(self.steps.last(), Some(Step::Rows { job: last, .. }) if Arc::ptr_eq(last, job));
                self.bytes += if known { 0 } else { job.batch.memory_bytes() };
            }
            Step::Merge { into, .. } => self.rows += into.len(),
            Step::Release(slots) => self.rows += slots.len(),
        }
        self.steps.push(step);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Time to save the slots and begin anew.
    pub(crate) fn is_full(&self) -> bool {
        self.rows >= ROWS_MAX || self.bytes >= BYTES_MAX || self.steps.len() >= ROWS_MAX
    }

    pub(crate) fn clear(&mut self) {
        *self = Journal::default();
    }

    /// The slots it touches, ascending.
    pub(crate) fn slots(&self) -> Vec<u32> {
        let mut marks: Vec<u64> = Vec::new();
        let mut mark = |slots: &[u32]| {
            for &slot in slots {
                let word = slot as usize / 64;
                if word >= marks.len() {
                    marks.resize(word + 1, 0);
                }
                marks[word] |= 1 << (slot % 64);
            }
        };
        for step in &self.steps {
            match step {
                Step::Rows { job, rows } => mark(job.slots.as_ref().map_or(&[], |slots| &slots[rows.clone()])),
                Step::Merge { into, .. } => mark(into),
                Step::Release(slots) => mark(slots),
            }
        }
        let slots_of = |(word, &bits): (usize, &u64)| {
            (0..64).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| word as u32 * 64 + bit)
        };
        marks.iter().enumerate().filter(|&(_, &bits)| bits != 0).flat_map(slots_of).collect()
    }

    /// Does it all again. What comes out was given away the first time.
    pub(crate) fn redo(&self, guest: &mut Guest, setup: &Setup) -> Result<(), Fault> {
        for step in &self.steps {
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
        Ok(())
    }
}
