//! A row: a view of one record, and how it is written as JSON.

use crate::streams::WINDOW_END;
use crate::{Batch, Values};
use base64::Engine as _;
use serde::ser::{Serialize, SerializeMap, Serializer};

/// A view of one record of a batch.
///
/// Serialized it is a map in schema order: `{"device":"d1","time":"2026-01-01T00:00:00.000000Z","temp":21.5}`. Nulls
/// are left out; floats that JSON cannot write (NaN, infinities) are null; bytes are base64 (RFC 4648, padded).
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    batch: &'a Batch,
    row: usize,
    shift: i64,
}

impl<'a> Row<'a> {
    pub(crate) fn new(batch: &'a Batch, row: usize) -> Self {
        assert!(row < batch.rows(), "row {row} of a batch of {}", batch.rows());
        Row { batch, row, shift: 0 }
    }

    /// The same record with `micros` added to its times: a clock that was wrong when it set them was corrected later.
    pub fn shifted(self, micros: i64) -> Self {
        Row { shift: micros, ..self }
    }

    /// Writes this record's entries into a map that is open already, for writers that add their own (an identity).
    pub fn serialize_entries<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("device", self.batch.device(self.row))?;
        map.serialize_entry("time", &rfc3339(self.batch.times()[self.row].saturating_add(self.shift)))?;
        for (field, column) in self.batch.schema().fields().iter().zip(self.batch.columns()) {
            if !column.is_valid(self.row) {
                continue;
            }
            let name = field.name.as_str();
            match &column.values {
                Values::Floats(v) => map.serialize_entry(name, &v[self.row])?,
                Values::Integers(v) if self.shift != 0 && name == WINDOW_END => {
                    map.serialize_entry(name, &v[self.row].saturating_add(self.shift))?;
                }
                Values::Integers(v) => map.serialize_entry(name, &v[self.row])?,
                Values::Booleans(v) => map.serialize_entry(name, &(v[self.row] != 0))?,
                Values::Texts(b) => map.serialize_entry(name, b.text(self.row))?,
                Values::Bytes(b) => {
                    map.serialize_entry(name, &base64::engine::general_purpose::STANDARD.encode(b.at(self.row)))?;
                }
            }
        }
        Ok(())
    }
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.serialize_entries(&mut map)?;
        map.end()
    }
}

/// Microseconds since the epoch as RFC 3339 text in UTC with six decimals; years outside -9999..9999 as the number.
pub fn rfc3339(micros: i64) -> String {
    match jiff::Timestamp::from_microsecond(micros) {
        Ok(time) => format!("{time:.6}"),
        Err(_) => micros.to_string(),
    }
}
