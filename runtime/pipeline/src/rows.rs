//! What flows between operators.

use std::sync::Arc;
use tidegate_record::{Batch, Schema};
use tidegate_sandbox::Halted;

/// Records between two operators, each with the row of the entry it comes from.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    /// The records.
    pub batch: Arc<Batch>,
    /// For each, the row of the entry it was made from (for a window: the row that closed it); `None`: the same row.
    pub origin: Option<Vec<u32>>,
    /// Whose clock their event times are of.
    pub stamps: Stamps,
}

/// The commit whose clock event times are of; `None` where the records brought them.
pub(crate) type Stamp = Option<u64>;

/// Whose clock the event times of some rows are of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stamps {
    All(Stamp),
    Each(Vec<Stamp>),
}

impl Rows {
    /// The entry's own records.
    pub fn of(batch: Arc<Batch>, stamp: Stamp) -> Self {
        Rows { batch, origin: None, stamps: Stamps::All(stamp) }
    }

    /// No records, of these fields.
    pub fn none(schema: &Arc<Schema>) -> Self {
        Rows::of(Arc::new(Batch::empty(schema.clone())), None)
    }

    /// The entry's row that `row` comes from.
    pub fn origin(&self, row: u32) -> u32 {
        self.origin.as_ref().map_or(row, |o| o[row as usize])
    }

    /// What halted a plugin, by the row of the entry.
    pub fn halted(&self, halted: Halted) -> Halted {
        Halted { row: halted.row.map(|row| self.origin(row)), ..halted }
    }

    /// Only the rows named (ascending).
    pub fn take(&self, rows: &[u32]) -> Self {
        let origin = rows.iter().map(|&row| self.origin(row)).collect();
        let stamps = match &self.stamps {
            Stamps::All(stamp) => Stamps::All(*stamp),
            Stamps::Each(stamps) => Stamps::of(rows.iter().map(|&row| stamps[row as usize]).collect()),
        };
        Rows { batch: Arc::new(self.batch.take(rows)), origin: Some(origin), stamps }
    }

    /// The batch, cut where the clock of its times changes.
    pub fn by_stamp(self) -> Vec<(Arc<Batch>, Stamp)> {
        let stamps = match self.stamps {
            Stamps::All(stamp) => return vec![(self.batch, stamp)],
            Stamps::Each(stamps) => stamps,
        };
        let (mut row, mut parts) = (0, Vec::new());
        for same in stamps.chunk_by(|a, b| a == b) {
            let rows = row..row + same.len();
            row = rows.end;
            parts.push((Arc::new(self.batch.slice(rows).compact_devices()), same[0]));
        }
        parts
    }
}

impl Stamps {
    /// Of one row.
    pub fn at(&self, row: usize) -> Stamp {
        match self {
            Stamps::All(stamp) => *stamp,
            Stamps::Each(stamps) => stamps[row],
        }
    }

    /// One a row.
    pub fn of(stamps: Vec<Stamp>) -> Self {
        match stamps.first() {
            Some(&first) if stamps.iter().any(|stamp| *stamp != first) => Stamps::Each(stamps),
            first => Stamps::All(first.copied().flatten()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_record::{BatchBuilder, Field, Scalar};

    #[test]
    fn rows_are_cut_where_the_clock_of_their_times_changes() {
        let schema = Arc::new(Schema::new(vec![Field::new("n", Scalar::Integer)]).unwrap());
        let mut builder = BatchBuilder::new(schema);
        for n in 0..5 {
            builder.integer(0, n);
            builder.end_row("d1", n).unwrap();
        }
        let stamps = Stamps::of(vec![None, Some(1), Some(1), Some(2), Some(1)]);
        let rows = Rows { stamps, ..Rows::of(Arc::new(builder.finish()), None) };
        let cut = |rows: Rows| rows.by_stamp().iter().map(|(b, s)| (b.times().to_vec(), *s)).collect::<Vec<_>>();
        let all = [(vec![0], None), (vec![1, 2], Some(1)), (vec![3], Some(2)), (vec![4], Some(1))];
        assert_eq!(cut(rows.clone()), all);
        assert_eq!(cut(rows.take(&[1, 4])), [(vec![1, 4], Some(1))]);
    }
}
