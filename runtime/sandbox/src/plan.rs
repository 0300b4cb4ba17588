//! What a configured plugin reads and makes, and what goes into and comes out of its calls.

use crate::{Fault, RowFault};
use tidegate_record::{Batch, Column, Field};

/// What a configured plugin reads and makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The fields that cross into the sandbox, in the order the plugin asked.
    pub reads: Vec<String>,
    /// Whether event times cross.
    pub times: bool,
    /// Whether slots cross: then every [`Input`] brings them.
    pub slots: bool,
    /// The fields it makes: of a transform's or codec's rows, of an aggregate's windows. Empty for filter and detect.
    pub emits: Vec<Field>,
}

/// Records for one call.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The records.
    pub batch: &'a Batch,
    /// The slot of each row; asked for by [`Plan::slots`].
    pub slots: Option<&'a [u32]>,
    /// Rows the guest must not see, ascending: those an earlier run of the same input found at fault (or that are
    /// not for this plugin). They make no output and no fault.
    pub skip: &'a [u32],
}

impl<'a> Input<'a> {
    /// All rows of `batch`, without slots.
    pub fn of(batch: &'a Batch) -> Self {
        Input { batch, slots: None, skip: &[] }
    }

    /// All rows of `batch`, with their slots.
    pub fn with_slots(batch: &'a Batch, slots: &'a [u32]) -> Self {
        Input { batch, slots: Some(slots), skip: &[] }
    }
}

/// What a filter made of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kept {
    /// One byte a row of the input, 1 = kept; 0 for faulted and skipped rows.
    pub keep: Vec<u8>,
    /// Rows at fault, ascending.
    pub faults: Vec<RowFault>,
}

/// Something a detector found about one record.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The row of the input.
    pub row: u32,
    /// How unusual, in the plugin's own measure.
    pub score: f64,
    /// 0 to 100: 25 info, 50 warning, 75 critical.
    pub severity: u8,
    /// A sentence.
    pub reason: String,
}

/// What a detector made of a batch.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Found {
    /// Findings, ascending by row.
    pub findings: Vec<Finding>,
    /// A score a row of the input where the plugin gives them; NaN for faulted and skipped rows.
    pub scores: Option<Vec<f64>>,
    /// Rows at fault, ascending.
    pub faults: Vec<RowFault>,
}

/// What a transform or codec made of a batch.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Table {
    /// The row of the input each row was made from, ascending.
    pub origin: Vec<u32>,
    /// A column a field of [`Plan::emits`].
    pub columns: Vec<Column>,
    /// Rows of the input at fault, ascending.
    pub faults: Vec<RowFault>,
}

/// A window to be finished: the slot that holds its state and the span it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Its slot.
    pub slot: u32,
    /// First event time in it, microseconds since the epoch.
    pub start: i64,
    /// First event time after it.
    pub end: i64,
}

/// Results of windows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Finished {
    /// A column a field of [`Plan::emits`], a row a window asked for; all null in faulted windows.
    pub columns: Vec<Column>,
    /// Windows (by their place in what was asked) at fault.
    pub faults: Vec<(usize, Fault)>,
}
