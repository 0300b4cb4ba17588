//! A bounded run of records as columns.

use crate::column::pick;
use crate::{Blobs, Column, Field, Row, Schema};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// Most records a batch may have: decoders hand over and blocks are cut at this size.
pub const ROWS_MAX: usize = 4096;

/// Most bytes ([`Batch::memory_bytes`]) of a batch of more than one record.
pub const BATCH_BYTES_MAX: usize = 16 << 20;

/// A bounded run of records as columns, in memory.
///
/// The devices are a dictionary: `device_ids[row]` names an entry of `devices`. The dictionary may hold devices no row
/// names (a filter leaves it shared); a stored block compacts it.
#[derive(Debug, Clone)]
pub struct Batch {
    schema: Arc<Schema>,
    devices: Arc<Blobs>,
    device_ids: Vec<u32>,
    times: Vec<i64>,
    columns: Vec<Column>,
}

/// Parts that do not make a batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Not a column a field.
    #[error("{columns} columns for a schema of {fields} fields")]
    Columns {
        /// How many columns came.
        columns: usize,
        /// How many fields the schema has.
        fields: usize,
    },
    /// A column of another length than the times.
    #[error("column {column} has {rows} rows where {expected} were expected")]
    Rows {
        /// The column's (or part's) name.
        column: String,
        /// Its rows.
        rows: usize,
        /// The rows of the batch.
        expected: usize,
    },
    /// A column of another scalar than its field.
    #[error("column {column} holds {found} where the schema says {expected}")]
    Scalar {
        /// The field's name.
        column: String,
        /// The column's scalar.
        found: &'static str,
        /// The field's scalar.
        expected: &'static str,
    },
    /// A device id outside the dictionary.
    #[error("row {row} names device {id} of a dictionary of {devices}")]
    Device {
        /// The row.
        row: usize,
        /// The id it names.
        id: u32,
        /// How many devices there are.
        devices: usize,
    },
    /// Text that is not UTF-8.
    #[error("{column} holds text that is not UTF-8")]
    NotText {
        /// The field, or `device`.
        column: String,
    },
}

impl Batch {
    /// No rows.
    pub fn empty(schema: Arc<Schema>) -> Self {
        let columns = schema.fields().iter().map(|f| Column::empty(f.scalar)).collect();
        Batch { schema, devices: Arc::default(), device_ids: Vec::new(), times: Vec::new(), columns }
    }

    /// A batch of its parts, every invariant checked (they may come from disk or from a guest).
    pub fn from_parts(
        schema: Arc<Schema>,
        devices: Arc<Blobs>,
        device_ids: Vec<u32>,
        times: Vec<i64>,
        columns: Vec<Column>,
    ) -> Result<Self, BatchError> {
        let expected = times.len();
        let rows_error = |column: &str, rows| Err(BatchError::Rows { column: column.into(), rows, expected });
        if columns.len() != schema.fields().len() {
            return Err(BatchError::Columns { columns: columns.len(), fields: schema.fields().len() });
        }
        if device_ids.len() != expected {
            return rows_error("device", device_ids.len());
        }
        if let Some(row) = device_ids.iter().position(|&id| id as usize >= devices.len()) {
            return Err(BatchError::Device { row, id: device_ids[row], devices: devices.len() });
        }
        if !devices.iter().all(|d| std::str::from_utf8(d).is_ok()) {
            return Err(BatchError::NotText { column: "device".into() });
        }
        for (field, column) in schema.fields().iter().zip(&columns) {
            if column.values.scalar() != field.scalar {
                let (found, expected) = (column.values.scalar().word(), field.scalar.word());
                return Err(BatchError::Scalar { column: field.name.clone(), found, expected });
            }
            if column.values.len() != expected {
                return rows_error(&field.name, column.values.len());
            }
            if let Some(valid) = column.valid.as_ref().filter(|v| v.len() != expected) {
                return rows_error(&field.name, valid.len());
            }
            if let crate::Values::Texts(texts) = &column.values
                && !texts.iter().all(|t| std::str::from_utf8(t).is_ok())
            {
                return Err(BatchError::NotText { column: field.name.clone() });
            }
        }
        Ok(Batch { schema, devices, device_ids, times, columns })
    }

    pub(crate) fn from_builder(
        schema: Arc<Schema>,
        devices: Blobs,
        device_ids: Vec<u32>,
        times: Vec<i64>,
        columns: Vec<Column>,
    ) -> Self {
        Batch { schema, devices: Arc::new(devices), device_ids, times, columns }
    }

    /// How many records.
    pub fn rows(&self) -> usize {
        self.times.len()
    }

    /// The fields.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// The device dictionary.
    pub fn devices(&self) -> &Arc<Blobs> {
        &self.devices
    }

    /// Which device each row is of: an index into [`Batch::devices`].
    pub fn device_ids(&self) -> &[u32] {
        &self.device_ids
    }

    /// The device of a row.
    pub fn device(&self, row: usize) -> &str {
        self.devices.text(self.device_ids[row] as usize)
    }

    /// Event times, microseconds since the epoch.
    pub fn times(&self) -> &[i64] {
        &self.times
    }

    /// A column a field, in the schema's order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// A view of one record.
    pub fn row(&self, row: usize) -> Row<'_> {
        Row::new(self, row)
    }

    /// The records in `rows`; the dictionary is shared.
    pub fn slice(&self, rows: Range<usize>) -> Self {
        Batch {
            schema: self.schema.clone(),
            devices: self.devices.clone(),
            device_ids: self.device_ids[rows.clone()].to_vec(),
            times: self.times[rows.clone()].to_vec(),
            columns: self.columns.iter().map(|c| c.slice(rows.clone())).collect(),
        }
    }

    /// The records in order, in batches within [`ROWS_MAX`] and [`BATCH_BYTES_MAX`] (but for a record that is larger
    /// alone). Empty input gives none.
    pub fn pieces(self: Arc<Self>) -> Vec<Arc<Self>> {
        let (mut pieces, mut rest) = (Vec::new(), vec![self]);
        while let Some(batch) = rest.pop() {
            let rows = batch.rows();
            if rows > ROWS_MAX || (rows > 1 && batch.memory_bytes() > BATCH_BYTES_MAX) {
                let cut = ROWS_MAX.min(rows / 2);
                // Else every piece would bring, and count, the devices of all.
                rest.push(Arc::new(batch.slice(cut..rows).compact_devices()));
                rest.push(Arc::new(batch.slice(0..cut).compact_devices()));
            } else if rows > 0 {
                pieces.push(batch);
            }
        }
        pieces
    }

    /// The records named, in that order; the dictionary is shared.
    pub fn take(&self, rows: &[u32]) -> Self {
        Batch {
            schema: self.schema.clone(),
            devices: self.devices.clone(),
            device_ids: pick(&self.device_ids, rows),
            times: pick(&self.times, rows),
            columns: self.columns.iter().map(|c| c.take(rows)).collect(),
        }
    }

    /// The records whose byte in `keep` is not 0.
    pub fn filter(&self, keep: &[u8]) -> Self {
        self.take(&kept_rows(keep))
    }

    /// The same records with other columns (what a transform or a detector makes of them).
    pub fn with_columns(&self, schema: Arc<Schema>, columns: Vec<Column>) -> Result<Self, BatchError> {
        Batch::from_parts(schema, self.devices.clone(), self.device_ids.clone(), self.times.clone(), columns)
    }

    /// The same records with the fields of `schema`: values of a field of the same name and scalar are kept, all others
    /// are null. The batch itself where it has this schema already.
    pub fn fitted(batch: &Arc<Self>, schema: &Arc<Schema>) -> Arc<Self> {
        if Arc::ptr_eq(&batch.schema, schema) || batch.schema == *schema {
            return batch.clone();
        }
        let column = |field: &Field| {
            let same =
                batch.schema.position(&field.name).filter(|&at| batch.schema.fields()[at].scalar == field.scalar);
            same.map_or_else(|| Column::nulls(field.scalar, batch.rows()), |at| batch.columns[at].clone())
        };
        let columns = schema.fields().iter().map(column).collect();
        Arc::new(Batch { schema: schema.clone(), columns, ..Batch::clone(batch) })
    }

    /// One batch of several of one schema, in order. Empty input gives `None`.
    pub fn concat(batches: &[Arc<Batch>]) -> Option<Arc<Batch>> {
        let (first, rest) = batches.split_first()?;
        if rest.is_empty() {
            return Some(first.clone());
        }
        let mut out = Batch::clone(first);
        let mut devices = Blobs::clone(&out.devices);
        let mut index: HashMap<&[u8], u32> = HashMap::new();
        for (id, name) in first.devices.iter().enumerate() {
            index.insert(name, id as u32);
        }
        for batch in rest {
            assert_eq!(batch.schema, out.schema, "only batches of one schema are joined");
            let mut ids = Vec::with_capacity(batch.devices.len());
            for (at, name) in batch.devices.iter().enumerate() {
                // Sources tend to hear their devices in the same order, and a filter shares its input's dictionary.
                ids.push(if at < devices.len() && devices.at(at) == name {
                    at as u32
                } else {
                    *index.entry(name).or_insert_with(|| {
                        devices.push(name);
                        devices.len() as u32 - 1
                    })
                });
            }
            out.device_ids.extend(batch.device_ids.iter().map(|&id| ids[id as usize]));
            out.times.extend_from_slice(&batch.times);
            for (mine, theirs) in out.columns.iter_mut().zip(&batch.columns) {
                mine.extend(theirs);
            }
        }
        out.devices = Arc::new(devices);
        Some(Arc::new(out))
    }

    /// The same records with a dictionary of just the devices they name, in order of first use.
    pub fn compact_devices(&self) -> Self {
        let mut map = vec![u32::MAX; self.devices.len()];
        let mut devices = Blobs::default();
        let mut ids = Vec::with_capacity(self.rows());
        for &id in &self.device_ids {
            let slot = &mut map[id as usize];
            if *slot == u32::MAX {
                *slot = devices.len() as u32;
                devices.push(self.devices.at(id as usize));
            }
            ids.push(*slot);
        }
        Batch { devices: Arc::new(devices), device_ids: ids, ..self.clone() }
    }

    /// Roughly the bytes this batch holds in memory, for bounds.
    pub fn memory_bytes(&self) -> usize {
        let columns: usize = self.columns.iter().map(Column::memory_bytes).sum();
        columns + self.rows() * 12 + self.devices.data().len() + self.devices.offsets().len() * 4
    }
}

impl PartialEq for Batch {
    /// Equal records: the same schema, devices by name, times and values bit by bit. Dictionaries may differ.
    fn eq(&self, other: &Self) -> bool {
        self.schema == other.schema
            && self.times == other.times
            && self.columns == other.columns
            && (0..self.rows()).all(|row| self.device(row) == other.device(row))
    }
}

/// The numbers of the rows whose byte is not 0, without a branch a row.
fn kept_rows(keep: &[u8]) -> Vec<u32> {
    let mut rows = vec![0u32; keep.len()];
    let mut count = 0;
    for (row, &byte) in keep.iter().enumerate() {
        rows[count] = row as u32;
        count += usize::from(byte != 0);
    }
    rows.truncate(count);
    rows
}

#[cfg(test)]
mod tests;
