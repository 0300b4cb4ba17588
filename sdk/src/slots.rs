//! State by slot: a dense vector of plain structs.

use crate::{State, slots_end};
use postcard::ser_flavors::Flavor;
use serde::{Serialize, de::DeserializeOwned};

/// A state for each slot, by the dense numbers the host gives.
#[derive(Debug, Clone)]
pub struct Slots<S> {
    states: Vec<Option<S>>,
}

impl<S> Default for Slots<S> {
    fn default() -> Self {
        Slots { states: Vec::new() }
    }
}

impl<S: Default> Slots<S> {
    /// Makes room for the slots of a batch, so that [`Slots::at`] only looks.
    pub fn reserve(&mut self, slots: &[u32]) {
        let end = slots_end(slots);
        if end > self.states.len() {
            self.states.resize_with(end, || None);
        }
    }

    /// A slot's state, new where it was never touched.
    #[inline]
    pub fn at(&mut self, slot: u32) -> &mut S {
        let slot = slot as usize;
        if slot >= self.states.len() {
            self.states.resize_with(slot + 1, || None);
        }
        self.states[slot].get_or_insert_with(S::default)
    }

    /// A slot's state, if it was ever touched.
    pub fn get(&self, slot: u32) -> Option<&S> {
        self.states.get(slot as usize).and_then(Option::as_ref)
    }

    /// Takes a slot's state out, if it was ever touched.
    pub fn take(&mut self, slot: u32) -> Option<S> {
        self.states.get_mut(slot as usize).and_then(Option::take)
    }

    /// Sets a slot's state; `None` forgets it.
    pub fn set(&mut self, slot: u32, state: Option<S>) {
        match state {
            None if slot as usize >= self.states.len() => {}
            None => self.states[slot as usize] = None,
            Some(state) => *self.at(slot) = state,
        }
    }
}

impl<S: Default + Serialize + DeserializeOwned> State for Slots<S> {
    fn save(&self, slot: u32, out: &mut Vec<u8>) {
        if let Some(state) = self.get(slot) {
            write_state(state, out);
        }
    }

    fn load(&mut self, version: u32, slot: u32, state: &[u8]) -> Result<(), String> {
        if version != Self::VERSION {
            return Err(format!("knows version {} only", Self::VERSION));
        }
        let state = if state.is_empty() { None } else { Some(read_state(state)?) };
        self.set(slot, state);
        Ok(())
    }

    fn release(&mut self, slot: u32) {
        self.set(slot, None);
    }
}

/// Appends a state with postcard. A state without bytes (a unit) becomes one, since no bytes mean "never touched".
pub fn write_state<S: Serialize>(state: &S, out: &mut Vec<u8>) {
    let before = out.len();
    if let Err(error) = postcard::serialize_with_flavor(state, Onto(out)) {
        unreachable!("plain structs serialize: {error}");
    }
    if out.len() == before {
        out.push(0);
    }
}

/// The end of a vector. Postcard's own flavor extends it byte by byte; this way a number is one store, and the states of a
/// thousand slots are saved often.
struct Onto<'a>(&'a mut Vec<u8>);

impl Flavor for Onto<'_> {
    type Output = ();

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Reads what [`write_state`] wrote.
pub fn read_state<S: DeserializeOwned>(state: &[u8]) -> Result<S, String> {
    postcard::from_bytes(state).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    struct Mean {
        n: u64,
        sum: f64,
    }

    #[test]
    fn a_saved_slot_loads_as_it_was_and_a_released_one_is_new() {
        let mut slots = Slots::<Mean>::default();
        *slots.at(3) = Mean { n: 2, sum: 0.1 };
        let mut saved = Vec::new();
        slots.save(3, &mut saved);
        let mut other = Slots::<Mean>::default();
        other.load(1, 3, &saved).expect("loads");
        assert_eq!(other.get(3), Some(&Mean { n: 2, sum: 0.1 }));
        other.release(3);
        assert_eq!(other.get(3), None);
        saved.clear();
        other.save(3, &mut saved);
        assert!(saved.is_empty(), "an untouched slot has no bytes");
    }

    #[test]
    fn states_of_another_version_and_torn_states_are_refused() {
        let mut slots = Slots::<Mean>::default();
        assert!(slots.load(2, 0, &[1]).is_err());
        assert!(slots.load(1, 0, &[1, 2]).is_err());
    }

    #[test]
    fn a_state_without_bytes_still_counts_as_touched() {
        let mut out = Vec::new();
        write_state(&(), &mut out);
        assert_eq!(out, [0]);
        assert_eq!(read_state::<()>(&out), Ok(()));
    }
}
