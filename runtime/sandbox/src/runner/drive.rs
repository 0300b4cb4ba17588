//! Getting work done in spite of faults: cut it, call, and where a call faults, find the item at fault by halves.
//!
//! After every fault the instance is gone. The next call gets a new one whose slots stand where they stood before the
//! fault, so what is found out about one item never depends on another that faulted.

use super::Runner;
use super::work::{Items, Work};
use crate::stats::CLOCK;
use crate::ticker;
use crate::{Bound, Fault, Halted};
use std::ops::Range;

/// What probing a faulted call taught.
#[derive(Default)]
struct Probe {
    /// A call of several items took too long, too much memory, or answered too much.
    too_much: bool,
    /// An item is at fault itself.
    culprit: bool,
    /// Most items that passed in one call.
    passed_max: usize,
}

impl Runner {
    /// Does the work, giving what came of each range in order; a fault is given for a single item only.
    pub(super) fn drive<W: Work>(
        &mut self,
        work: &W,
        mut each: impl FnMut(Range<usize>, Result<W::Out, Fault>),
    ) -> Result<(), Halted> {
        let (mut from, mut halves, mut probe) = (0, Vec::new(), Probe::default());
        loop {
            let range = match halves.pop() {
                Some(half) => half,
                None if from == work.items() => break,
                None => {
                    let end = work.cut(&self.setup, from, self.room.of(W::ITEMS));
                    std::mem::replace(&mut from, end)..end
                }
            };
            match self.attempt(work, range.clone())? {
                Ok(out) => {
                    probe.passed_max = probe.passed_max.max(range.len());
                    self.room.passed(W::ITEMS);
                    each(range, Ok(out));
                }
                Err(fault) if range.len() == 1 => {
                    probe.culprit = true;
                    each(range, Err(fault));
                }
                Err(fault) => {
                    probe.too_much |= fault.bound.is_some_and(Bound::is_of_a_call);
                    // Every further fault takes a restart: make those cheap.
                    self.rebase()?;
                    let middle = range.start + range.len() / 2;
                    halves.push(middle..range.end);
                    halves.push(range.start..middle);
                }
            }
        }
        if probe.too_much && !probe.culprit {
            self.room.lower(W::ITEMS, probe.passed_max);
        }
        Ok(())
    }

    /// One call. On a fault the instance is dropped.
    fn attempt<W: Work>(&mut self, work: &W, range: Range<usize>) -> Result<Result<W::Out, Fault>, Halted> {
        let mut guest = self.take_guest()?;
        // What it said while it was set up, however this call ends.
        self.logger.pass(guest.said(), &self.setup.plugin.label, &self.meters);
        let (began, beats) = (CLOCK.boot_ns(), ticker::beats());
        guest.at(Some(self.arrival));
        // What a record takes is limited, not what there is to do for a window that closes. And what passed when it was
        // live passes at replay, whatever its instance had done by then.
        guest.ration(W::ITEMS == Items::Rows && !self.replaying);
        let outcome = work.call(&mut guest, &self.setup, range.clone());
        guest.at(None);
        self.meters.called(range.len(), CLOCK.boot_ns() - began, ticker::beats() - beats);
        if let Some(fuel) = guest.burned() {
            self.meters.burned(fuel);
        }
        let said = guest.said();
        let last_words = if outcome.is_err() { said.last_words() } else { None };
        // What several items said that are tried again is said again.
        if outcome.is_ok() || range.len() == 1 {
            self.logger.pass(said, &self.setup.plugin.label, &self.meters);
        }
        let out = match outcome {
            Ok(out) => out,
            Err(fault) => {
                let (row, fault) = (Some(range.start as u32), fault.with(last_words));
                return self.faulted_on(range, fault).map(Err).map_err(|halted| Halted { row, ..halted });
            }
        };
        self.faults_in_row = 0;
        self.storm = self.storm.saturating_sub(range.len() as u32);
        let memory_bytes = guest.memory_bytes();
        self.meters.memory(memory_bytes);
        self.guest = Some(guest);
        if self.setup.plugin.has_state {
            work.note(&mut self.journal, range, self.arrival);
            if self.journal.is_full() {
                self.rebase()?;
            }
        }
        if memory_bytes > self.recycle_bytes {
            self.recycle()?;
        }
        Ok(Ok(out))
    }
}
