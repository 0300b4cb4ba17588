//! State that outlives instances: saved slots plus what was done since.

use super::Runner;
use crate::guest::Guest;
use crate::limits::{STORM_FAULTS, STORM_SHARE};
use crate::setup::Setup;
use crate::wire::BlobsIn;
use crate::{Bound, Fault, FaultKind, Halted, StateError, reply};
use std::ops::Range;
use tidegate_record::Blobs;

/// Most slots saved or loaded in one call.
const SLOTS_A_CALL_MAX: usize = 4096;
/// How often something that must succeed (a restart, a save) is tried: only a deadline can have a better second day.
const TRIES_MAX: u32 = 3;
/// An instance that takes more than this share of its memory is replaced by a fresh one.
const RECYCLE_SHARE: (usize, usize) = (3, 4);

impl Runner {
    /// The instance, a new one where the last was lost. The caller puts it back when it is still good.
    pub(super) fn take_guest(&mut self) -> Result<Guest, Halted> {
        match self.guest.take() {
            Some(guest) => Ok(guest),
            None => self.insist(|runner| runner.restore()),
        }
    }

    /// A new instance whose slots stand where the last one's stood before it faulted.
    fn restore(&self) -> Result<Guest, Fault> {
        let mut guest = self.setup.start()?;
        for first in (0..self.base.end()).step_by(SLOTS_A_CALL_MAX) {
            let slots = self.base.slots(first..self.base.end().min(first + SLOTS_A_CALL_MAX as u32));
            let mut states = Blobs::default();
            slots.iter().for_each(|&slot| states.push(self.base.at(slot)));
            if let Err(message) = load(&mut guest, &self.setup, self.setup.state_version, &slots, &states)? {
                return Err(self.setup.bad_reply(&format!("refuses a state it saved itself: {message}")));
            }
        }
        self.journal.redo(&mut guest, &self.setup)?;
        // The instance before it said all that.
        drop(guest.said());
        Ok(guest)
    }

    /// Saves every slot touched since the last time and forgets how they came about.
    pub(super) fn rebase(&mut self) -> Result<(), Halted> {
        if self.journal.is_empty() {
            return Ok(());
        }
        let touched = self.journal.slots();
        let mut saved = Vec::with_capacity(touched.len() / SLOTS_A_CALL_MAX + 1);
        let (mut from, mut slots_max, mut tries) = (0, SLOTS_A_CALL_MAX, 0);
        while from < touched.len() {
            let slots = &touched[from..touched.len().min(from + slots_max)];
            let mut guest = self.take_guest()?;
            match save(&mut guest, &self.setup, slots) {
                Ok(states) => {
                    self.guest = Some(guest);
                    from += slots.len();
                    tries = 0;
                    saved.push(states);
                    // More of them would only take more of our memory.
                    if saved.iter().map(|some| some.data().len()).sum::<usize>() > self.setup.limits.state_bytes {
                        self.retain(&touched[..from], &saved)?;
                    }
                }
                Err(fault) => {
                    let slot = Some(slots[0]).filter(|_| slots.len() == 1);
                    let last = self.faulted(fault).map_err(|halted| Halted { slot, ..halted })?;
                    if slot.is_none() {
                        slots_max = slots.len() / 2;
                        continue;
                    }
                    tries += 1;
                    if last.kind != FaultKind::Deadline || tries >= TRIES_MAX {
                        return Err(Halted { slot, ..self.halted(last) });
                    }
                }
            }
        }
        self.retain(&touched, &saved)?;
        self.note(&touched);
        self.journal.clear();
        Ok(())
    }

    /// Keeps states as the last saved, unless all slots' were then more than they may be.
    fn retain(&mut self, slots: &[u32], states: &[Blobs]) -> Result<(), Halted> {
        let was: usize = slots.iter().map(|&slot| self.base.at(slot).len()).sum();
        let is: usize = states.iter().map(|some| some.data().len()).sum();
        let (bytes, max) = (self.base.bytes() - was + is, self.setup.limits.state_bytes);
        if bytes > max {
            let message = format!(
                "the states of all slots take {bytes} bytes, more than state_bytes ({max}): raise it, or lower max_keys"
            );
            let last = self.faulted(self.setup.too_much(Bound::State, &message))?;
            return Err(self.halted(last));
        }
        let states = states.iter().flat_map(Blobs::iter);
        slots.iter().zip(states).for_each(|(&slot, state)| self.base.put(slot, state));
        self.meters.state(self.base.bytes());
        Ok(())
    }

    /// Replaces an instance that has grown by a fresh one.
    pub(super) fn recycle(&mut self) -> Result<(), Halted> {
        self.rebase()?;
        self.guest = None;
        let guest = self.take_guest()?;
        // What it takes for its slots alone is no reason to be replaced at every call.
        let (fresh, max) = (guest.memory_bytes(), self.setup.limits.memory_bytes);
        self.recycle_bytes = recycle_bytes(max).max(fresh + max.saturating_sub(fresh) / 2);
        self.guest = Some(guest);
        Ok(())
    }

    /// Loads states of any version the plugin reads.
    pub(super) fn load_states(&mut self, version: u32, slots: &[u32], states: &Blobs) -> Result<(), StateError> {
        self.rebase()?;
        for first in (0..slots.len()).step_by(SLOTS_A_CALL_MAX) {
            let some = &slots[first..slots.len().min(first + SLOTS_A_CALL_MAX)];
            let mut theirs = Blobs::default();
            (first..first + some.len()).for_each(|at| theirs.push(states.at(at)));
            let loaded = self.insist(|runner| {
                let mut guest = match runner.guest.take() {
                    Some(guest) => guest,
                    None => runner.restore()?,
                };
                let loaded = match load(&mut guest, &runner.setup, version, some, &theirs)? {
                    Ok(()) => Ok(save(&mut guest, &runner.setup, some)?),
                    Err(message) => Err(message),
                };
                runner.guest = Some(guest);
                Ok(loaded)
            })?;
            let ours = loaded.map_err(|message| StateError::Refused {
                plugin: self.setup.plugin.label.to_string(),
                version,
                expected: self.setup.state_version,
                message: crate::fault::bounded(message),
            })?;
            self.retain(some, &[ours])?;
        }
        Ok(())
    }

    /// Tries something that concerns no single record a few times.
    fn insist<T>(&mut self, mut attempt: impl FnMut(&mut Runner) -> Result<T, Fault>) -> Result<T, Halted> {
        for _ in 1..TRIES_MAX {
            match attempt(self) {
                Ok(done) => return Ok(done),
                Err(fault) => drop(self.faulted(fault)?),
            }
        }
        attempt(self).or_else(|fault| self.faulted(fault).and_then(|last| Err(self.halted(last))))
    }

    /// A call faulted: its instance is lost. Too many in a row and the plugin is quarantined.
    pub(super) fn faulted(&mut self, fault: Fault) -> Result<Fault, Halted> {
        self.guest = None;
        self.faults_in_row += 1;
        self.meters.faulted(&fault);
        match self.faults_in_row >= self.setup.limits.faults_max.max(1) {
            true => Err(self.halted(fault)),
            false => Ok(fault),
        }
    }

    /// The same of a call for some items: too large a share of single ones at fault, and the plugin is quarantined too.
    pub(super) fn faulted_on(&mut self, items: Range<usize>, fault: Fault) -> Result<Fault, Halted> {
        let fault = self.faulted(fault)?;
        if items.len() == 1 {
            self.storm += STORM_SHARE;
        }
        match self.storm > STORM_SHARE * STORM_FAULTS {
            true => Err(Halted { storm: true, ..self.halted(fault) }),
            false => Ok(fault),
        }
    }

    fn halted(&self, last: Fault) -> Halted {
        Halted { calls: self.faults_in_row, storm: false, row: None, slot: None, last }
    }
}

/// From how much memory on an instance is replaced.
pub(super) fn recycle_bytes(memory_bytes_max: usize) -> usize {
    memory_bytes_max / RECYCLE_SHARE.1 * RECYCLE_SHARE.0
}

fn save(guest: &mut Guest, setup: &Setup, slots: &[u32]) -> Result<Blobs, Fault> {
    let states = reply::blobs(guest.save(slots)?, "saved states").map_err(|error| setup.bad_reply(&error))?;
    if states.len() != slots.len() {
        return Err(setup.bad_reply(&format!("{} saved states for {} slots", states.len(), slots.len())));
    }
    let max = setup.limits.state_slot_bytes;
    if let Some(bytes) = states.iter().map(<[u8]>::len).find(|&bytes| bytes > max) {
        let message = format!("its state takes {bytes} bytes, more than state_slot_bytes ({max}) allows");
        return Err(setup.too_much(Bound::SlotState, &message));
    }
    Ok(states)
}

fn load(
    guest: &mut Guest,
    _: &Setup,
    version: u32,
    slots: &[u32],
    states: &Blobs,
) -> Result<Result<(), String>, Fault> {
    guest.load(version, slots, BlobsIn { offsets: states.offsets(), data: states.data() })
}
