//! Rows on their way into the sandbox.

use crate::setup::{Read, Setup};
use crate::wire::{BatchIn, BlobsIn, ColumnIn, ValuesIn};
use std::ops::Range;
use tidegate_record::{Batch, Blobs, Column, Values};

/// What a plugin reads of some rows, and their slots.
pub(crate) struct Job<'a> {
    pub(crate) rows: usize,
    /// In the plan's order.
    pub(crate) columns: Vec<&'a Column>,
    /// Where the plan asks for them.
    pub(crate) times: Option<&'a [i64]>,
    /// Where the plan asks for them.
    pub(crate) slots: Option<&'a [u32]>,
}

/// The device of each row, where the plugin reads it.
pub(crate) fn devices(setup: &Setup, batch: &Batch) -> Option<Column> {
    setup.reads.contains(&Read::Device).then(|| {
        let mut texts = Blobs::default();
        batch.device_ids().iter().for_each(|&id| texts.push(batch.devices().at(id as usize)));
        Column::of(Values::Texts(texts))
    })
}

impl<'a> Job<'a> {
    /// `of_rows`: what [`devices`] says of the batch.
    pub(crate) fn new(setup: &Setup, batch: &'a Batch, of_rows: Option<&'a Column>, slots: Option<&'a [u32]>) -> Self {
        let column = |read: &Read| match read {
            Read::Column(at) => batch.columns().get(*at),
            Read::Device => of_rows,
        };
        let times = setup.plan.times.then(|| batch.times());
        Job { rows: batch.rows(), columns: setup.reads.iter().filter_map(column).collect(), times, slots }
    }

    /// Lends rows to `call` in the contract's form: only what the plan reads, as slices of the batch.
    pub(crate) fn lend<R>(&self, rows: Range<usize>, call: impl FnOnce(BatchIn<'_>) -> R) -> R {
        // Nothing where the rows are the first: then they are counted from the first already.
        let rebased: Vec<Vec<u32>> =
            self.columns.iter().filter(|_| rows.start > 0).map(|column| rebased(&column.values, &rows)).collect();
        let columns: Vec<ColumnIn<'_>> = self
            .columns
            .iter()
            .enumerate()
            .map(|(at, column)| ColumnIn {
                values: lend(&column.values, rebased.get(at).map_or(&[], Vec::as_slice), &rows),
                valid: column.valid.as_ref().map(|valid| &valid[rows.clone()]),
            })
            .collect();
        call(BatchIn {
            rows: rows.len() as u32,
            times: self.times.map(|times| &times[rows.clone()]),
            slots: self.slots.map(|slots| &slots[rows.clone()]),
            columns: &columns,
        })
    }

    /// Where the call that begins at `from` ends: at most `rows_max` rows, at most `bytes_max` bytes, at least one row.
    pub(crate) fn cut(&self, from: usize, rows_max: usize, bytes_max: usize) -> usize {
        let mut rows = rows_max.min(self.rows - from);
        while rows > 1 && self.bytes(&(from..from + rows)) > bytes_max {
            rows /= 2;
        }
        from + rows
    }

    /// What the rows take in the guest.
    pub(crate) fn bytes(&self, rows: &Range<usize>) -> usize {
        let of_column = |column: &&Column| {
            let valid = if column.valid.is_some() { rows.len() } else { 0 };
            valid
                + match &column.values {
                    Values::Floats(_) | Values::Integers(_) => rows.len() * 8,
                    Values::Booleans(_) => rows.len(),
                    Values::Texts(blobs) | Values::Bytes(blobs) => {
                        let offsets = blobs.offsets();
                        rows.len() * 4 + (offsets[rows.end] - offsets[rows.start]) as usize
                    }
                }
        };
        let times = if self.times.is_some() { rows.len() * 8 } else { 0 };
        let slots = if self.slots.is_some() { rows.len() * 4 } else { 0 };
        times + slots + self.columns.iter().map(of_column).sum::<usize>()
    }
}

/// Offsets of `rows` counted from the first of them; nothing where there are none.
fn rebased(values: &Values, rows: &Range<usize>) -> Vec<u32> {
    match values {
        Values::Texts(blobs) | Values::Bytes(blobs) => {
            let offsets = &blobs.offsets()[rows.start..=rows.end];
            offsets.iter().map(|offset| offset - offsets[0]).collect()
        }
        _ => Vec::new(),
    }
}

fn lend<'a>(values: &'a Values, rebased: &'a [u32], rows: &Range<usize>) -> ValuesIn<'a> {
    let blobs_in = |blobs: &'a Blobs| {
        let offsets = &blobs.offsets()[rows.start..=rows.end];
        let data = &blobs.data()[offsets[0] as usize..offsets[rows.len()] as usize];
        BlobsIn { offsets: if rebased.is_empty() { offsets } else { rebased }, data }
    };
    match values {
        Values::Floats(values) => ValuesIn::Floats(&values[rows.clone()]),
        Values::Integers(values) => ValuesIn::Integers(&values[rows.clone()]),
        Values::Booleans(values) => ValuesIn::Booleans(&values[rows.clone()]),
        Values::Texts(blobs) => ValuesIn::Texts(blobs_in(blobs)),
        Values::Bytes(blobs) => ValuesIn::Bytes(blobs_in(blobs)),
    }
}
