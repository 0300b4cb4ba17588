//! How many items a call gets: fewer where many at once are too much, though none is at fault itself.

use super::work::Items;
use tidegate_record::ROWS_MAX;

/// After so many calls within their bounds a call gets twice as many again: what was too much may have been one busy hour.
/// Where it is too much still, that costs one instance in so many calls.
const CALM_CALLS: u32 = 1024;

/// Most items a call gets, for rows, pairs of slots and windows each.
pub(super) struct Room([Most; 3]);

#[derive(Clone, Copy)]
struct Most {
    items: usize,
    /// Calls since the last that was too much.
    calm: u32,
}

impl Default for Room {
    fn default() -> Self {
        Room([Most { items: ROWS_MAX, calm: 0 }; 3])
    }
}

impl Room {
    pub fn of(&self, items: Items) -> usize {
        self.0[items as usize].items
    }

    /// A call was too much; one of so many items was not.
    pub fn lower(&mut self, items: Items, passed_max: usize) {
        self.0[items as usize] = Most { items: passed_max.max(1), calm: 0 };
    }

    /// A call was not.
    pub fn passed(&mut self, items: Items) {
        let most = &mut self.0[items as usize];
        if most.items < ROWS_MAX {
            most.calm += 1;
            if most.calm >= CALM_CALLS {
                *most = Most { items: (2 * most.items).min(ROWS_MAX), calm: 0 };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_too_much_once_is_tried_again_after_many_calls_and_concerns_its_kind_alone() {
        let mut room = Room::default();
        room.lower(Items::Windows, 62);
        assert_eq!((room.of(Items::Windows), room.of(Items::Rows), room.of(Items::Pairs)), (62, ROWS_MAX, ROWS_MAX));
        (1..CALM_CALLS).for_each(|_| room.passed(Items::Windows));
        assert_eq!(room.of(Items::Windows), 62);
        room.passed(Items::Windows);
        assert_eq!(room.of(Items::Windows), 124);
        (0..100 * CALM_CALLS).for_each(|_| room.passed(Items::Windows));
        assert_eq!(room.of(Items::Windows), ROWS_MAX);
        room.lower(Items::Rows, 0);
        assert_eq!(room.of(Items::Rows), 1);
    }
}
