//! The last saved state of every slot, in memory.

use std::ops::Range;

/// Where a slot's state lies in the arena; `room` is what it may grow to in place.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    start: usize,
    len: usize,
    room: usize,
}

/// Saved states by slot, in one arena: states keep their size, so most are overwritten in place.
#[derive(Debug, Default)]
pub(crate) struct Base {
    places: Vec<Place>,
    arena: Vec<u8>,
    wasted: usize,
    live: usize,
}

impl Base {
    /// Keeps a slot's state; an empty one means the slot was never touched.
    pub(crate) fn put(&mut self, slot: u32, state: &[u8]) {
        let slot = slot as usize;
        if slot >= self.places.len() {
            self.places.resize(slot + 1, Place::default());
        }
        let place = &mut self.places[slot];
        self.live = self.live - place.len + state.len();
        if state.len() > place.room {
            self.wasted += place.room;
            *place = Place { start: self.arena.len(), len: 0, room: state.len() };
            self.arena.extend_from_slice(state);
        } else {
            self.arena[place.start..place.start + state.len()].copy_from_slice(state);
        }
        place.len = state.len();
        if state.is_empty() {
            self.wasted += place.room;
            *place = Place::default();
        }
        if self.wasted > self.arena.len() / 2 + 4096 {
            self.compact();
        }
    }

    /// A slot's state; empty where there is none.
    pub(crate) fn at(&self, slot: u32) -> &[u8] {
        self.places.get(slot as usize).map_or(&[], |place| &self.arena[place.start..place.start + place.len])
    }

    /// What all states take.
    pub(crate) fn bytes(&self) -> usize {
        self.live
    }

    /// The slots in `range` that have a state.
    pub(crate) fn slots(&self, range: Range<u32>) -> Vec<u32> {
        range.filter(|&slot| !self.at(slot).is_empty()).collect()
    }

    /// One more than the highest slot ever kept.
    pub(crate) fn end(&self) -> u32 {
        self.places.len() as u32
    }

    fn compact(&mut self) {
        let mut arena = Vec::with_capacity(self.arena.len() - self.wasted);
        for place in &mut self.places {
            let start = arena.len();
            arena.extend_from_slice(&self.arena[place.start..place.start + place.len]);
            *place = Place { start, len: place.len, room: place.len };
        }
        self.arena = arena;
        self.wasted = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn a_base_is_a_map_of_slots(puts in prop::collection::vec((0u32..20, prop::collection::vec(any::<u8>(), 0..300)), 0..200)) {
            let (mut base, mut model) = (Base::default(), BTreeMap::new());
            for (slot, state) in puts {
                base.put(slot, &state);
                model.insert(slot, state);
            }
            for slot in 0..25 {
                prop_assert_eq!(base.at(slot), model.get(&slot).map_or(&[][..], Vec::as_slice));
            }
            let live: usize = model.values().map(Vec::len).sum();
            prop_assert_eq!(base.bytes(), live);
            prop_assert!(base.arena.len() <= 3 * live + 3 * 4096, "{} bytes for {live}", base.arena.len());
        }
    }
}
