//! Rows on their way into the sandbox.

use crate::setup::{Read, Setup};
use crate::wire::{BatchIn, BlobsIn, ColumnIn, ValuesIn};
use std::ops::Range;
use std::sync::Arc;
use tidegate_record::{Batch, Blobs, Column, Values};

/// A batch and the slots of its rows.
pub(crate) struct Job {
    pub(crate) batch: Arc<Batch>,
    pub(crate) slots: Option<Arc<[u32]>>,
    /// The device of each row, where the plugin reads it.
    devices: Option<Column>,
}

impl Job {
    pub(crate) fn new(setup: &Setup, batch: Arc<Batch>, slots: Option<Arc<[u32]>>) -> Self {
        let devices = setup.reads.contains(&Read::Device).then(|| {
            let mut texts = Blobs::default();
            batch.device_ids().iter().for_each(|&id| texts.push(batch.devices().at(id as usize)));
            Column::of(Values::Texts(texts))
        });
        Job { batch, slots, devices }
    }

    /// What the plugin reads, in its order.
    fn columns<'a>(&'a self, setup: &'a Setup) -> impl Iterator<Item = &'a Column> {
        setup.reads.iter().filter_map(|read| match read {
            Read::Column(at) => self.batch.columns().get(*at),
            Read::Device => self.devices.as_ref(),
        })
    }

    /// What it keeps alive.
    pub(crate) fn memory_bytes(&self) -> usize {
        let texts = |column: &Column| match &column.values {
            Values::Texts(texts) => texts.data().len() + 4 * texts.len(),
            _ => 0,
        };
        self.batch.memory_bytes() + self.devices.as_ref().map_or(0, texts)
    }

    /// Lends rows to `call` in the contract's form: only what the plan reads, as slices of the batch.
    pub(crate) fn lend<R>(&self, setup: &Setup, rows: Range<usize>, call: impl FnOnce(BatchIn<'_>) -> R) -> R {
        // Nothing where the rows are the first: then they are counted from the first already.
        let rebased: Vec<Vec<u32>> =
            self.columns(setup).filter(|_| rows.start > 0).map(|column| rebased(&column.values, &rows)).collect();
        let columns: Vec<ColumnIn<'_>> = self
            .columns(setup)
            .enumerate()
            .map(|(at, column)| ColumnIn {
                values: lend(&column.values, rebased.get(at).map_or(&[], Vec::as_slice), &rows),
                valid: column.valid.as_ref().map(|valid| &valid[rows.clone()]),
            })
            .collect();
        call(BatchIn {
            rows: rows.len() as u32,
            times: setup.plan.times.then(|| &self.batch.times()[rows.clone()]),
            slots: self.slots.as_ref().map(|slots| &slots[rows.clone()]),
            columns: &columns,
        })
    }

    /// Where the call that begins at `from` ends: at most `rows_max` rows, at most `bytes_max` bytes, at least one row.
    pub(crate) fn cut(&self, setup: &Setup, from: usize, rows_max: usize, bytes_max: usize) -> usize {
        let mut rows = rows_max.min(self.batch.rows() - from);
        while rows > 1 && self.bytes(setup, from..from + rows) > bytes_max {
            rows /= 2;
        }
        from + rows
    }

    /// What the rows take in the guest.
    fn bytes(&self, setup: &Setup, rows: Range<usize>) -> usize {
        let of_column = |column: &Column| {
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
        let times = if setup.plan.times { rows.len() * 8 } else { 0 };
        let slots = if self.slots.is_some() { rows.len() * 4 } else { 0 };
        times + slots + self.columns(setup).map(of_column).sum::<usize>()
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
