//! Building a batch row by row, at decode.

use crate::{Batch, Blobs, Column, Scalar, Schema, Values};
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::Arc;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// Most bytes a device id may have.
pub const DEVICE_BYTES_MAX: usize = 256;

/// Why a device id is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// Nothing there.
    #[error("device id is empty")]
    Empty,
    /// Longer than [`DEVICE_BYTES_MAX`].
    #[error("device id is longer than {DEVICE_BYTES_MAX} bytes")]
    Long,
    /// A control character or a slash: a device id is a key in topics, paths and files.
    #[error("device id holds a control character or a '/'")]
    Character,
}

/// Builds a [`Batch`] row by row without an allocation a row.
///
/// Set the row's fields in any order, then [`BatchBuilder::end_row`] with its device and time; a field not set is
/// null. [`BatchBuilder::rollback`] forgets everything since the last complete row, so a frame that turns out bad half
/// way leaves nothing behind: take [`BatchBuilder::rows`] before a frame and [`BatchBuilder::truncate`] to it.
#[derive(Debug)]
pub struct BatchBuilder {
    schema: Arc<Schema>,
    devices: Blobs,
    index: HashMap<u64, u32, BuildHasherDefault<Identity64>>,
    device_ids: Vec<u32>,
    times: Vec<i64>,
    columns: Vec<Column>,
    last: Option<(u64, u32)>,
}

/// The keys are hashes already.
#[derive(Debug, Default)]
struct Identity64(u64);

impl std::hash::Hasher for Identity64 {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        let mut hasher = Xxh3::new();
        hasher.update(bytes);
        self.0 = hasher.digest();
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

impl BatchBuilder {
    /// An empty builder.
    pub fn new(schema: Arc<Schema>) -> Self {
        let columns = schema.fields().iter().map(|f| Column::empty(f.scalar)).collect();
        BatchBuilder {
            schema,
            devices: Blobs::default(),
            index: HashMap::default(),
            device_ids: Vec::new(),
            times: Vec::new(),
            columns,
            last: None,
        }
    }

    /// The schema of the batches made here.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Complete rows so far.
    pub fn rows(&self) -> usize {
        self.times.len()
    }

    /// Sets a float; `field` is a position in the schema. Returns false where the field is of another scalar.
    pub fn float(&mut self, field: usize, value: f64) -> bool {
        let rows = self.times.len();
        match &mut self.columns[field].values {
            Values::Floats(v) => set(v, rows, value),
            _ => return false,
        }
        self.mark(field);
        true
    }

    /// Sets an integer.
    pub fn integer(&mut self, field: usize, value: i64) -> bool {
        let rows = self.times.len();
        match &mut self.columns[field].values {
            Values::Integers(v) => set(v, rows, value),
            _ => return false,
        }
        self.mark(field);
        true
    }

    /// Sets a boolean.
    pub fn boolean(&mut self, field: usize, value: bool) -> bool {
        let rows = self.times.len();
        match &mut self.columns[field].values {
            Values::Booleans(v) => set(v, rows, u8::from(value)),
            _ => return false,
        }
        self.mark(field);
        true
    }

    /// Sets a text.
    pub fn text(&mut self, field: usize, value: &str) -> bool {
        self.blob(field, Scalar::Text, value.as_bytes())
    }

    /// Sets bytes.
    pub fn bytes(&mut self, field: usize, value: &[u8]) -> bool {
        self.blob(field, Scalar::Bytes, value)
    }

    fn blob(&mut self, field: usize, scalar: Scalar, value: &[u8]) -> bool {
        let rows = self.times.len();
        match &mut self.columns[field].values {
            Values::Texts(b) if scalar == Scalar::Text => {
                b.truncate(rows);
                b.push(value);
            }
            Values::Bytes(b) if scalar == Scalar::Bytes => {
                b.truncate(rows);
                b.push(value);
            }
            _ => return false,
        }
        self.mark(field);
        true
    }

    /// A field of the row in hand was set: its validity, where kept, follows.
    fn mark(&mut self, field: usize) {
        let rows = self.times.len();
        if let Some(valid) = &mut self.columns[field].valid {
            valid.truncate(rows);
            valid.push(1);
        }
    }

    /// Completes the row: its device and its event time in microseconds since the epoch.
    pub fn end_row(&mut self, device: &str, time: i64) -> Result<(), DeviceError> {
        let id = self.device_id(device)?;
        let rows = self.times.len();
        for column in &mut self.columns {
            if column.values.len() == rows {
                column.valid.get_or_insert_with(|| vec![1; rows]).push(0);
                column.values.push_zero();
            }
        }
        self.device_ids.push(id);
        self.times.push(time);
        Ok(())
    }

    fn device_id(&mut self, device: &str) -> Result<u32, DeviceError> {
        let bytes = device.as_bytes();
        let mut hash = xxh3_64(bytes);
        if let Some((last, id)) = self.last
            && last == hash
            && self.devices.at(id as usize) == bytes
        {
            return Ok(id);
        }
        let id = loop {
            match self.index.get(&hash) {
                Some(&id) if self.devices.at(id as usize) == bytes => break id,
                // Two devices with one hash: the next number, until one is free.
                Some(_) => hash = hash.wrapping_add(1),
                None => {
                    check_device(device)?;
                    let id = self.devices.len() as u32;
                    self.devices.push(bytes);
                    self.index.insert(hash, id);
                    break id;
                }
            }
        };
        self.last = Some((hash, id));
        Ok(id)
    }

    /// Forgets the fields set since the last complete row.
    pub fn rollback(&mut self) {
        self.truncate(self.times.len());
    }

    /// Forgets all but the first `rows` rows and any row in hand.
    pub fn truncate(&mut self, rows: usize) {
        self.device_ids.truncate(rows);
        self.times.truncate(rows);
        for column in &mut self.columns {
            column.values.truncate(rows);
            if let Some(valid) = &mut column.valid {
                valid.truncate(rows);
            }
        }
    }

    /// The batch so far; the builder is empty again and keeps its schema.
    pub fn finish(&mut self) -> Batch {
        self.rollback();
        let rows = self.rows();
        let fresh: Vec<Column> = (self.schema.fields().iter())
            .map(|f| Column { values: with_capacity(f.scalar, rows), valid: None })
            .collect();
        let mut columns = std::mem::replace(&mut self.columns, fresh);
        for column in &mut columns {
            if column.valid.as_ref().is_some_and(|v| v.iter().all(|&b| b == 1)) {
                column.valid = None;
            }
        }
        self.index.clear();
        self.last = None;
        Batch::from_builder(
            self.schema.clone(),
            std::mem::take(&mut self.devices),
            std::mem::replace(&mut self.device_ids, Vec::with_capacity(rows)),
            std::mem::replace(&mut self.times, Vec::with_capacity(rows)),
            columns,
        )
    }
}

/// Room for about as many rows as the last batch had.
fn with_capacity(scalar: Scalar, rows: usize) -> Values {
    match scalar {
        Scalar::Float => Values::Floats(Vec::with_capacity(rows)),
        Scalar::Integer => Values::Integers(Vec::with_capacity(rows)),
        Scalar::Boolean => Values::Booleans(Vec::with_capacity(rows)),
        Scalar::Text | Scalar::Bytes => Values::empty(scalar),
    }
}

/// Sets row `rows` (the one in hand), once or again.
fn set<T: Copy>(values: &mut Vec<T>, rows: usize, value: T) {
    values.truncate(rows);
    values.push(value);
}

/// Whether a text may be a device: 1 to [`DEVICE_BYTES_MAX`] bytes without control characters and `/`.
pub fn check_device(device: &str) -> Result<(), DeviceError> {
    match device {
        "" => Err(DeviceError::Empty),
        d if d.len() > DEVICE_BYTES_MAX => Err(DeviceError::Long),
        d if d.chars().any(|c| c.is_control() || c == '/') => Err(DeviceError::Character),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
