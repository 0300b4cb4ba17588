//! What a guest answered, checked: nothing it says is believed.

use crate::wire::{BlobsOut, ColumnOut, RowFault as WireFault, ValuesOut};
use crate::{Fault, FaultKind, RowFault, fault};
use std::sync::Arc;
use tidegate_record::{Blobs, Column, Field, Values};

/// Turns replies into what pipelines use; its errors are sentences about the reply.
pub(crate) type Checked<T> = Result<T, String>;

/// A byte a row, each 0 or 1.
pub(crate) fn mask(what: &str, mask: &[u8], rows: usize) -> Checked<()> {
    if mask.len() != rows {
        return Err(format!("{what} has {} bytes for {rows} rows", mask.len()));
    }
    // Most masks are right, and a loop that does not stop early looks at many bytes at a time.
    if mask.iter().fold(0, |all, byte| all | byte) <= 1 {
        return Ok(());
    }
    let row = mask.iter().position(|&byte| byte > 1).unwrap_or_default();
    Err(format!("{what} of row {row} is {}, not 0 or 1", mask[row]))
}

/// Rows the guest rejected, ascending, one fault a row.
pub(crate) fn rejected(plugin: &Arc<str>, faults: Vec<WireFault>, rows: usize) -> Checked<Vec<RowFault>> {
    if faults.len() > rows {
        return Err(format!("{} faults for {rows} rows", faults.len()));
    }
    let mut rejected = Vec::with_capacity(faults.len());
    for WireFault { row, reason } in faults {
        if row as usize >= rows {
            return Err(format!("a fault names row {row} of {rows}"));
        }
        let (message, plugin) = (fault::bounded(reason), plugin.clone());
        let fault = Fault { kind: FaultKind::Rejected, bound: None, message, backtrace: String::new(), plugin };
        rejected.push(RowFault { row, fault });
    }
    rejected.sort_by_key(|fault| fault.row);
    rejected.dedup_by_key(|fault| fault.row);
    Ok(rejected)
}

/// Which input row each of `rows` made rows comes from.
pub(crate) fn origin(origin: Option<Vec<u32>>, rows_in: usize) -> Checked<Vec<u32>> {
    let origin = origin.unwrap_or_else(|| (0..rows_in as u32).collect());
    if !origin.is_sorted() {
        return Err("origins do not ascend".into());
    }
    match origin.last() {
        Some(&last) if last as usize >= rows_in => Err(format!("an origin names row {last} of {rows_in}")),
        _ => Ok(origin),
    }
}

/// A column for each field, `rows` long.
pub(crate) fn columns(columns: Vec<ColumnOut>, fields: &[Field], rows: usize) -> Checked<Vec<Column>> {
    if columns.len() != fields.len() {
        return Err(format!("{} columns where the plan emits {}", columns.len(), fields.len()));
    }
    columns.into_iter().zip(fields).map(|(c, field)| column(c, field, rows)).collect()
}

fn column(column: ColumnOut, field: &Field, rows: usize) -> Checked<Column> {
    let name = &field.name;
    let values = values(column.values, name)?;
    if values.scalar() != field.scalar {
        return Err(format!("column {name} holds {} where the plan says {}", values.scalar(), field.scalar));
    }
    if values.len() != rows {
        return Err(format!("column {name} has {} values for {rows} rows", values.len()));
    }
    let mut column = Column { values, valid: column.valid };
    if let Some(valid) = &column.valid {
        mask(&format!("validity of {name}"), valid, rows)?;
        if valid.iter().all(|&byte| byte == 1) {
            column.valid = None;
        }
    }
    canonicalise(&mut column);
    Ok(column)
}

fn values(values: ValuesOut, name: &str) -> Checked<Values> {
    Ok(match values {
        ValuesOut::Floats(values) => Values::Floats(values),
        ValuesOut::Integers(values) => Values::Integers(values),
        ValuesOut::Booleans(values) => {
            mask(&format!("boolean column {name}"), &values, values.len())?;
            Values::Booleans(values)
        }
        ValuesOut::Bytes(values) => Values::Bytes(blobs(values, name)?),
        ValuesOut::Texts(values) => {
            let blobs = blobs(values, name)?;
            let bad = blobs.iter().position(|text| std::str::from_utf8(text).is_err());
            if let Some(row) = bad {
                return Err(format!("column {name} holds text that is not UTF-8 in row {row}"));
            }
            Values::Texts(blobs)
        }
    })
}

/// Values with their offsets, which must describe the data; of no values there may be none.
pub(crate) fn blobs(blobs: BlobsOut, name: &str) -> Checked<Blobs> {
    if blobs.offsets.is_empty() && blobs.data.is_empty() {
        return Ok(Blobs::default());
    }
    Blobs::from_parts(blobs.offsets, blobs.data).ok_or_else(|| format!("offsets of {name} do not describe its data"))
}

/// One NaN, and zero where there is null: equal results are equal bytes on every machine.
pub(crate) fn canonicalise(column: &mut Column) {
    let null = |row: usize| column.valid.as_ref().is_some_and(|valid| valid[row] == 0);
    match &mut column.values {
        Values::Floats(values) => {
            for (row, value) in values.iter_mut().enumerate() {
                if null(row) {
                    *value = 0.0;
                } else if value.is_nan() {
                    *value = f64::NAN;
                }
            }
        }
        Values::Integers(values) => zero(values, null),
        Values::Booleans(values) => zero(values, null),
        Values::Texts(blobs) | Values::Bytes(blobs) => {
            if (0..blobs.len()).any(|row| null(row) && !blobs.at(row).is_empty()) {
                let mut clean = Blobs::default();
                (0..blobs.len()).for_each(|row| clean.push(if null(row) { &[] } else { blobs.at(row) }));
                *blobs = clean;
            }
        }
    }
}

fn zero<T: Default>(values: &mut [T], null: impl Fn(usize) -> bool) {
    for (row, value) in values.iter_mut().enumerate() {
        if null(row) {
            *value = T::default();
        }
    }
}

#[cfg(test)]
#[path = "reply/tests.rs"]
mod tests;
