//! Rows kept when their batch is gone: of each only what the plugin reads.

use crate::job::Job;
use crate::setup::Setup;
use std::ops::Range;
use tidegate_record::Column;

/// Rows of one plugin, one batch's after another's.
#[derive(Default)]
pub(crate) struct Copies {
    rows: usize,
    /// As many there is room for.
    room: usize,
    columns: Vec<Column>,
    times: Vec<i64>,
    slots: Vec<u32>,
}

impl Copies {
    /// Copies rows of a job, and says which they are here.
    pub(crate) fn add(&mut self, job: &Job<'_>, rows: &Range<usize>) -> Range<usize> {
        if self.columns.is_empty() {
            self.columns = job.columns.iter().map(|column| Column::empty(column.values.scalar())).collect();
        }
        self.columns.iter_mut().zip(&job.columns).for_each(|(mine, column)| mine.extend_from(column, rows));
        self.times.extend_from_slice(job.times.map_or(&[], |times| &times[rows.clone()]));
        self.slots.extend_from_slice(job.slots.map_or(&[], |slots| &slots[rows.clone()]));
        let from = self.rows;
        self.rows += rows.len();
        from..self.rows
    }

    /// All of them.
    pub(crate) fn job(&self, setup: &Setup) -> Job<'_> {
        Job {
            rows: self.rows,
            columns: self.columns.iter().collect(),
            times: setup.plan.times.then_some(&self.times),
            slots: setup.plan.slots.then_some(&self.slots),
        }
    }

    /// Forgets them. As many will come again: the room they took is kept, unless not half of it was filled.
    pub(crate) fn clear(&mut self) {
        if self.room > 2 * self.rows {
            *self = Copies::default();
            return;
        }
        self.room = self.room.max(self.rows);
        self.columns.iter_mut().for_each(Column::clear);
        self.times.clear();
        self.slots.clear();
        self.rows = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_record::{Blobs, Values};

    /// Of each batch some rows, with nulls in some only: what is kept is what those rows were.
    #[test]
    fn rows_are_kept_as_they_were_wherever_their_batch_was_cut() {
        let texts = |words: &[&str]| {
            let mut blobs = Blobs::default();
            words.iter().for_each(|word| blobs.push(word.as_bytes()));
            blobs
        };
        let numbers = |valid: Option<Vec<u8>>| Column { values: Values::Floats(vec![1.0, 2.0, 3.0, 4.0]), valid };
        let words = Column::of(Values::Texts(texts(&["a", "", "ccc", "dd"])));
        let (all, some) = (numbers(None), numbers(Some(vec![1, 0, 1, 0])));
        let mut copies = Copies::default();
        for _ in 0..2 {
            for (column, rows) in [(&all, 1..3), (&some, 0..2), (&all, 3..4), (&some, 2..2)] {
                let job = Job {
                    rows: 4,
                    columns: vec![column, &words],
                    times: Some(&[10, 20, 30, 40]),
                    slots: Some(&[7, 8, 9, 7]),
                };
                let before = copies.rows;
                assert_eq!(copies.add(&job, &rows), before..before + rows.len());
            }
            let floats =
                Column { values: Values::Floats(vec![2.0, 3.0, 1.0, 2.0, 4.0]), valid: Some(vec![1, 1, 1, 0, 1]) };
            assert_eq!(copies.columns, [floats, Column::of(Values::Texts(texts(&["", "ccc", "a", "", "dd"])))]);
            assert_eq!((&copies.times[..], &copies.slots[..]), (&[20, 30, 10, 20, 40][..], &[8, 9, 7, 8, 7][..]));
            copies.clear();
            assert_eq!((copies.rows, copies.room), (0, 5));
        }
    }

    #[test]
    fn room_that_is_not_half_filled_is_given_back() {
        let numbers = Column::of(Values::Floats(vec![0.5; 1000]));
        let job = Job { rows: 1000, columns: vec![&numbers], times: None, slots: None };
        let mut copies = Copies::default();
        let mut filled_and_cleared = |rows| {
            copies.add(&job, &(0..rows));
            copies.clear();
            match copies.columns.first().map(|column| &column.values) {
                Some(Values::Floats(values)) => values.capacity(),
                _ => 0,
            }
        };
        assert!(filled_and_cleared(1000) >= 1000);
        assert!(filled_and_cleared(500) >= 1000);
        assert_eq!(filled_and_cleared(499), 0);
    }
}
