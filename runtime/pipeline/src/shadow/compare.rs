//! The live operator's records against its shadow's.

use crate::rows::Rows;
use std::collections::HashMap;
use tidegate_record::{Batch, Column, Values};

/// Most differences of one entry as text.
const TEXTS_MAX: usize = 8;
/// Most characters of a value in one.
const VALUE_CHARS_MAX: usize = 60;

/// What a comparison came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub compared: usize,
    pub differ: usize,
    pub differences: Vec<String>,
}

/// What names a record made: the row it was made of, its device and time, and which of several alike it is.
type Key<'a> = (u32, &'a str, i64, u32);

/// Compares what was made of the same rows. `given`: how many these were, where each has a result of its own.
pub(super) fn compare(live: &Rows, shadow: &Rows, given: Option<usize>) -> Found {
    let compared = given.unwrap_or(0).max(live.batch.rows()).max(shadow.batch.rows());
    let mut found = Found { compared, ..Found::default() };
    let (ours, theirs) = (keys(live), keys(shadow));
    if ours == theirs {
        (0..ours.len()).for_each(|row| found.row((&live.batch, row), (&shadow.batch, row)));
        return found;
    }
    let mut unmatched: HashMap<Key<'_>, usize> = theirs.iter().copied().zip(0..).collect();
    for (row, key) in ours.iter().enumerate() {
        match unmatched.remove(key) {
            Some(other) => found.row((&live.batch, row), (&shadow.batch, other)),
            None => found.differs(|| format!("{}: only the live one has it", named(&live.batch, row))),
        }
    }
    let mut only: Vec<usize> = unmatched.into_values().collect();
    only.sort_unstable();
    only.iter().for_each(|&row| found.differs(|| format!("{}: only the shadow has it", named(&shadow.batch, row))));
    found
}

fn keys(rows: &Rows) -> Vec<Key<'_>> {
    let mut keys: Vec<Key<'_>> = Vec::with_capacity(rows.batch.rows());
    for row in 0..rows.batch.rows() {
        let (origin, device, time) = (rows.origin(row as u32), rows.batch.device(row), rows.batch.times()[row]);
        let alike = match keys.last() {
            Some(&(o, d, t, count)) if (o, d, t) == (origin, device, time) => count + 1,
            _ => 0,
        };
        keys.push((origin, device, time, alike));
    }
    keys
}

impl Found {
    fn differs(&mut self, text: impl FnOnce() -> String) {
        self.differ += 1;
        if self.differences.len() < TEXTS_MAX {
            self.differences.push(text());
        }
    }

    /// Two records of one name, field by field.
    fn row(&mut self, (live, row): (&Batch, usize), (shadow, other): (&Batch, usize)) {
        let fields = live.schema().fields().iter().zip(live.columns().iter().zip(shadow.columns()));
        let mut first = fields.filter(|(_, (ours, theirs))| !equal((ours, row), (theirs, other)));
        if let Some((field, (ours, theirs))) = first.next() {
            self.differs(|| {
                let (was, is) = (value(ours, row), value(theirs, other));
                format!("{}, {}: {was} by the live one, {is} by the shadow", named(live, row), field.name)
            });
        }
    }
}

fn equal((ours, row): (&Column, usize), (theirs, other): (&Column, usize)) -> bool {
    match (ours.is_valid(row), theirs.is_valid(other)) {
        (true, true) => {}
        (one, another) => return one == another,
    }
    match (&ours.values, &theirs.values) {
        // Bit for bit: NaNs are canonical.
        (Values::Floats(a), Values::Floats(b)) => a[row].to_bits() == b[other].to_bits(),
        (Values::Integers(a), Values::Integers(b)) => a[row] == b[other],
        (Values::Booleans(a), Values::Booleans(b)) => a[row] == b[other],
        (Values::Texts(a), Values::Texts(b)) | (Values::Bytes(a), Values::Bytes(b)) => a.at(row) == b.at(other),
        _ => false,
    }
}

fn named(batch: &Batch, row: usize) -> String {
    format!("{} at {}", batch.device(row), tidegate_record::rfc3339(batch.times()[row]))
}

fn value(column: &Column, row: usize) -> String {
    let text = match &column.values {
        _ if !column.is_valid(row) => "null".to_string(),
        Values::Floats(values) => format!("{}", values[row]),
        Values::Integers(values) => format!("{}", values[row]),
        Values::Booleans(values) => format!("{}", values[row] != 0),
        Values::Texts(values) => format!("{:?}", values.text(row)),
        Values::Bytes(values) => format!("{} bytes", values.at(row).len()),
    };
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
