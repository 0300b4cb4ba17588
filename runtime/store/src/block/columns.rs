//! The body of a block: devices, times and a column a field.

use super::blobs::{List, Values as StoredBlobs};
use super::floats::Floats;
use super::ints::Ints;
use super::{BODY_BYTES_MAX, Damage};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::sync::Arc;
use tidegate_record::{Batch, Blobs, Column, Scalar, Schema, Values};

/// The columns as stored.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Body<'a> {
    #[serde(borrow)]
    devices: List<'a>,
    #[serde(borrow)]
    device_ids: Ints<'a>,
    #[serde(borrow)]
    times: Ints<'a>,
    #[serde(borrow)]
    columns: Vec<StoredColumn<'a>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredColumn<'a> {
    /// A bit a row, lowest first, 1 = there; `None` where nothing is null.
    #[serde(borrow)]
    valid: Option<Bits<'a>>,
    #[serde(borrow)]
    values: StoredValues<'a>,
}

/// The order of the variants is part of the format.
#[derive(Debug, Serialize, Deserialize)]
enum StoredValues<'a> {
    Floats(#[serde(borrow)] Floats<'a>),
    Integers(#[serde(borrow)] Ints<'a>),
    Booleans(#[serde(borrow)] Bits<'a>),
    Texts(#[serde(borrow)] StoredBlobs<'a>),
    Bytes(#[serde(borrow)] StoredBlobs<'a>),
}

#[derive(Debug, Serialize, Deserialize)]
struct Bits<'a>(#[serde(borrow, with = "serde_bytes")] Cow<'a, [u8]>);

impl<'a> Body<'a> {
    /// The body of a batch whose dictionary is compact already.
    pub(super) fn of(batch: &'a Batch) -> Self {
        let ids: Vec<i64> = batch.device_ids().iter().map(|&id| i64::from(id)).collect();
        Body {
            devices: List::encode(batch.devices()),
            device_ids: Ints::encode(&ids),
            times: Ints::encode_times(batch.times()),
            columns: batch.columns().iter().map(StoredColumn::of).collect(),
        }
    }

    /// The batch of `rows` records this body holds, every invariant checked.
    pub(super) fn batch(&self, schema: &Arc<Schema>, rows: usize) -> Result<Batch, Damage> {
        if self.columns.len() != schema.fields().len() {
            return Err(Damage::new("the columns are not those of the schema"));
        }
        let ids = self.device_ids.decode(rows)?;
        let ids: Option<Vec<u32>> = ids.into_iter().map(|id| u32::try_from(id).ok()).collect();
        // A dictionary makes much of little: what all columns together may become is bounded.
        let mut room = BODY_BYTES_MAX;
        let columns = schema
            .fields()
            .iter()
            .zip(&self.columns)
            .map(|(field, column)| column.column(field.scalar, rows, &mut room));
        Batch::from_parts(
            schema.clone(),
            Arc::new(self.devices.decode(rows)?),
            ids.ok_or_else(|| Damage::new("a device number is out of range"))?,
            self.times.decode(rows)?,
            columns.collect::<Result<_, _>>()?,
        )
        .map_err(|error| Damage::new(error.to_string()))
    }
}

impl<'a> StoredColumn<'a> {
    fn of(column: &'a Column) -> Self {
        let values = match &column.values {
            Values::Floats(v) => StoredValues::Floats(Floats::encode(v)),
            Values::Integers(v) => StoredValues::Integers(Ints::encode(v)),
            Values::Booleans(v) => StoredValues::Booleans(Bits::pack(v)),
            Values::Texts(b) => StoredValues::Texts(StoredBlobs::encode(b, true)),
            Values::Bytes(b) => StoredValues::Bytes(StoredBlobs::encode(b, false)),
        };
        StoredColumn { valid: column.valid.as_deref().map(Bits::pack), values }
    }

    /// `room`: the bytes that text and bytes may take, less those of this column afterwards.
    fn column(&self, scalar: Scalar, rows: usize, room: &mut usize) -> Result<Column, Damage> {
        let mut blobs = |stored: &StoredBlobs<'_>| -> Result<Blobs, Damage> {
            let blobs = stored.decode(rows, *room)?;
            *room -= blobs.data().len();
            Ok(blobs)
        };
        let values = match (&self.values, scalar) {
            (StoredValues::Floats(v), Scalar::Float) => Values::Floats(v.decode(rows)?),
            (StoredValues::Integers(v), Scalar::Integer) => Values::Integers(v.decode(rows)?),
            (StoredValues::Booleans(v), Scalar::Boolean) => Values::Booleans(v.unpack(rows)?),
            (StoredValues::Texts(v), Scalar::Text) => Values::Texts(blobs(v)?),
            (StoredValues::Bytes(v), Scalar::Bytes) => Values::Bytes(blobs(v)?),
            _ => return Err(Damage::new(format!("a column of {scalar} holds something else"))),
        };
        let valid = self.valid.as_ref().map(|bits| bits.unpack(rows)).transpose()?;
        Ok(Column { values, valid })
    }
}

impl Bits<'_> {
    fn pack(bytes: &[u8]) -> Bits<'static> {
        let byte = |eight: &[u8]| eight.iter().rev().fold(0u8, |byte, &bit| byte << 1 | u8::from(bit != 0));
        Bits(Cow::Owned(bytes.chunks(8).map(byte).collect()))
    }

    fn unpack(&self, rows: usize) -> Result<Vec<u8>, Damage> {
        if self.0.len() != rows.div_ceil(8) {
            return Err(Damage::new("a column of bits has another length"));
        }
        Ok((0..rows).map(|row| self.0[row / 8] >> (row % 8) & 1).collect())
    }
}
