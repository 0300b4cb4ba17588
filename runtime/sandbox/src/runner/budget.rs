//! What the results of one batch may take together. A guest decides into how many calls its batch is cut, by what it can
//! do in one; so a bound of each call is none of all of them.

use crate::setup::Setup;
use crate::{Bound, Fault, Limits};
use std::cell::Cell;
use tidegate_record::Column;

/// As many full answers the results of a batch may be.
const ANSWERS_MAX: usize = 8;

/// What is left for the results of a batch.
pub(super) struct Budget {
    bytes: Cell<usize>,
    records: Cell<usize>,
}

impl Budget {
    pub fn new(limits: &Limits) -> Budget {
        let times = |limit: usize| Cell::new(limit.saturating_mul(ANSWERS_MAX));
        Budget { bytes: times(limits.output_bytes), records: times(limits.output_records) }
    }

    /// Takes what a call made; the fault of the call where that is more than is left.
    pub fn take(&self, setup: &Setup, records: usize, columns: &[Column]) -> Result<(), Fault> {
        let bytes = records * size_of::<u32>() + columns.iter().map(Column::memory_bytes).sum::<usize>();
        let (Some(bytes), Some(records)) =
            (self.bytes.get().checked_sub(bytes), self.records.get().checked_sub(records))
        else {
            let bound = if self.bytes.get() < bytes { Bound::Output } else { Bound::Records };
            let message = format!("a batch's results are more than {ANSWERS_MAX} answers of {bound}");
            return Err(setup.too_much(bound, &message));
        };
        self.bytes.set(bytes);
        self.records.set(records);
        Ok(())
    }
}
