//! How many records a piece of a request may have, as far as the upstream and the line have shown.
//!
//! What was too large (HTTP 413, or time-outs in a row) is not tried again for every request of a backlog: on a slow line
//! each would cost its time-outs, and on a metered one its bytes. Pieces grow again, doubling, up to what was too large;
//! that itself is tried once in [`TAKEN_BEFORE_MORE`] pieces, since an upstream that was silent for a while makes every
//! size look too large.

/// So many pieces are taken before a size that was too large is tried again.
const TAKEN_BEFORE_MORE: u32 = 16;

/// Kept in memory only: after a restart it is learned anew.
#[derive(Debug)]
pub(super) struct Portion {
    most: usize,
    /// The size that was too large last.
    too_large: usize,
    /// Pieces of that size taken in a row.
    taken: u32,
}

impl Default for Portion {
    fn default() -> Self {
        Portion { most: usize::MAX, too_large: usize::MAX, taken: 0 }
    }
}

impl Portion {
    /// Most records of a piece, at least 1.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// A piece of so many records was too large.
    pub(super) fn was_too_large(&mut self, records: usize) {
        *self = Portion { most: (records / 2).max(1), too_large: records, taken: 0 };
    }

    /// A piece of so many records was taken.
    pub(super) fn was_taken(&mut self, records: usize) {
        // A smaller one shows nothing.
        if records < self.most || self.most == usize::MAX {
            return;
        }
        self.taken += 1;
        let more = self.most.saturating_mul(2);
        if more < self.too_large || self.taken >= TAKEN_BEFORE_MORE {
            *self = Portion {
                most: more,
                too_large: if more < self.too_large { self.too_large } else { usize::MAX },
                taken: 0,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sizes of the pieces in which an upstream that takes `room` records is given `records`, and how many were too large.
    fn given(portion: &mut Portion, mut records: usize, room: usize) -> (usize, usize) {
        let (mut taken, mut refused) = (0, 0);
        while records > 0 {
            let piece = portion.most().min(records);
            if piece > room {
                refused += 1;
                portion.was_too_large(piece);
            } else {
                taken += 1;
                portion.was_taken(piece);
                records -= piece;
            }
        }
        (taken, refused)
    }

    #[test]
    fn what_was_too_large_is_tried_now_and_then_and_not_every_time() {
        let mut portion = Portion::default();
        let (taken, refused) = given(&mut portion, 100_000, 130);
        // Halving finds 97.
        assert!((1_000..=1_040).contains(&taken), "{taken} pieces");
        assert!((10..=taken / 12).contains(&refused), "{refused} of {taken} were too large");
    }

    #[test]
    fn an_upstream_that_was_silent_is_soon_given_whole_requests_again() {
        let mut portion = Portion::default();
        for records in [4_000, 2_000, 1_000, 500, 250, 125, 62, 31, 15, 7, 3] {
            portion.was_too_large(records);
        }
        assert_eq!(portion.most(), 1);
        let (taken, refused) = given(&mut portion, 40_000, usize::MAX);
        assert!(taken <= 40 && refused == 0, "{taken} pieces, {refused} too large");
    }
}
