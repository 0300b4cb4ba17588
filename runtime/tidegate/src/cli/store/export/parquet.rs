//! Records as a Parquet file: a column a field, of the type its stream says, and nulls where there is no value.
//!
//! A Parquet file is written a column at a time, so records are gathered to **row groups** of bounded size first. What
//! they are called and when they were comes as in the other formats: `_id`, `device`, `time`, and `_clock` where the time
//! is to be read with a warning.

use ::parquet::basic::{Compression, Encoding, LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel};
use ::parquet::column::writer::ColumnWriterImpl;
use ::parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use ::parquet::errors::ParquetError;
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use ::parquet::schema::types::{ColumnPath, Type, TypePtr};
use std::io::Write;
use std::ops::Range;
use std::sync::Arc;
use tidegate_record::streams::WINDOW_END;
use tidegate_record::{Batch, Column, Field, Identity, RecordId, Scalar, Schema, Values};
use tidegate_store::{Block, Dates, Partition};

/// Most records of a row group.
const GROUP_ROWS_MAX: usize = 128 << 10;
/// Memory of its records from which on it is written.
const GROUP_BYTES: usize = 16 << 20;
/// What a piece of a block takes beside its values, however few they are, and each of its columns: where blocks have a
/// record each, that is most of it.
const PIECE_BYTES: usize = 512;
const COLUMN_BYTES: usize = size_of::<Column>() + 32;
/// The columns before those of the fields.
const OWN: [&str; 4] = ["_id", "device", "time", "_clock"];

/// Where the file goes.
type Out<'a> = &'a mut (dyn Write + Send);

/// A Parquet file being made.
pub(super) struct Table<'a> {
    identity: Identity,
    file: SerializedFileWriter<Out<'a>>,
    group: Vec<Piece>,
    rows: usize,
    bytes: usize,
}

impl<'a> Table<'a> {
    /// Begins a file of records with the fields of `schema`.
    pub(super) fn begin(identity: Identity, schema: &Schema, out: Out<'a>) -> Result<Self, String> {
        if let Some(field) = schema.fields().iter().find(|field| OWN.contains(&field.name.as_str())) {
            return Err(format!(
                "the field {:?} has the name of a column that every file has: export NDJSON",
                field.name
            ));
        }
        let file = columns(schema)
            .and_then(|columns| SerializedFileWriter::new(out, columns, Arc::new(properties()?)))
            .map_err(|error| error.to_string())?;
        Ok(Table { identity, file, group: Vec::new(), rows: 0, bytes: 0 })
    }

    /// Takes some records of a block.
    pub(super) fn take(
        &mut self,
        partition: &Partition,
        (block, dates): (&Block, &Dates),
        rows: Range<usize>,
    ) -> Result<(), String> {
        if rows.is_empty() {
            return Ok(());
        }
        if self.rows + rows.len() > GROUP_ROWS_MAX {
            self.write_group()?;
        }
        let batch = block.batch.slice(rows.clone());
        self.rows += rows.len();
        self.bytes += batch.memory_bytes() + batch.columns().len() * COLUMN_BYTES + PIECE_BYTES;
        let first = block.first.0 + rows.start as u64;
        let (shifts, marks) =
            rows.map(|row| dates.at(row)).map(|(shift, mark)| (shift, mark.map(|m| m.word()))).unzip();
        self.group.push(Piece { partition: partition.clone(), first, pass: block.pass, batch, shifts, marks });
        if self.bytes >= GROUP_BYTES { self.write_group() } else { Ok(()) }
    }

    /// Writes what waits and what makes it a file.
    pub(super) fn finish(mut self) -> Result<(), String> {
        self.write_group()?;
        self.file.close().map(drop).map_err(|error| error.to_string())
    }

    fn write_group(&mut self) -> Result<(), String> {
        let pieces = std::mem::take(&mut self.group);
        (self.rows, self.bytes) = (0, 0);
        if pieces.is_empty() {
            return Ok(());
        }
        self.write_columns(&pieces).map_err(|error| error.to_string())
    }

    fn write_columns(&mut self, pieces: &[Piece]) -> Result<(), ParquetError> {
        let mut group = self.file.next_row_group()?;
        let mut index = 0;
        while let Some(mut column) = group.next_column()? {
            for piece in pieces {
                piece.write(&self.identity, index, &mut column)?;
            }
            column.close()?;
            index += 1;
        }
        group.close().map(drop)
    }
}

fn properties() -> Result<WriterProperties, ParquetError> {
    let path = |name: &str| ColumnPath::from(name);
    // Neighbours differ in their last digits.
    Ok(WriterProperties::builder()
        .set_created_by("tidegate".into())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_column_dictionary_enabled(path("_id"), false)
        .set_column_encoding(path("_id"), Encoding::DELTA_BYTE_ARRAY)
        .set_column_dictionary_enabled(path("time"), false)
        .set_column_encoding(path("time"), Encoding::DELTA_BINARY_PACKED)
        .build())
}

fn columns(schema: &Schema) -> Result<TypePtr, ParquetError> {
    let column = |name: &str, physical, logical, repetition| {
        let column = Type::primitive_type_builder(name, physical);
        column.with_logical_type(logical).with_repetition(repetition).build().map(Arc::new)
    };
    let text = || Some(LogicalType::String);
    let time = Some(LogicalType::timestamp(true, TimeUnit::MICROS));
    let mut columns = vec![
        column(OWN[0], Physical::BYTE_ARRAY, text(), Repetition::REQUIRED)?,
        column(OWN[1], Physical::BYTE_ARRAY, text(), Repetition::REQUIRED)?,
        column(OWN[2], Physical::INT64, time, Repetition::REQUIRED)?,
        column(OWN[3], Physical::BYTE_ARRAY, text(), Repetition::OPTIONAL)?,
    ];
    for Field { name, scalar, .. } in schema.fields() {
        let (physical, logical) = match scalar {
            Scalar::Float => (Physical::DOUBLE, None),
            Scalar::Integer => (Physical::INT64, None),
            Scalar::Boolean => (Physical::BOOLEAN, None),
            Scalar::Text => (Physical::BYTE_ARRAY, text()),
            Scalar::Bytes => (Physical::BYTE_ARRAY, None),
        };
        columns.push(column(name, physical, logical, Repetition::OPTIONAL)?);
    }
    Type::group_type_builder("records").with_fields(columns).build().map(Arc::new)
}

/// Records that wait for their row group.
struct Piece {
    partition: Partition,
    first: u64,
    pass: u8,
    batch: Batch,
    /// By row: what is to be added to the times that the gateway set, and what their reader is warned of.
    shifts: Vec<i64>,
    marks: Vec<Option<&'static str>>,
}

impl Piece {
    /// Writes the values of column `index` of the file.
    fn write(
        &self,
        identity: &Identity,
        index: usize,
        out: &mut SerializedColumnWriter<'_>,
    ) -> Result<(), ParquetError> {
        let rows = 0..self.batch.rows();
        match index {
            0 => {
                let ids: Vec<_> = rows.map(|row| ByteArray::from(self.id(identity, row).into_bytes())).collect();
                out.typed::<ByteArrayType>().write_batch(&ids, None, None)
            }
            1 => {
                let devices: Vec<_> = rows.map(|row| bytes(self.batch.device(row).as_bytes())).collect();
                out.typed::<ByteArrayType>().write_batch(&devices, None, None)
            }
            2 => {
                let times: Vec<_> = self.shifted(self.batch.times());
                out.typed::<Int64Type>().write_batch(&times, None, None)
            }
            3 => {
                let there = |row: usize| self.marks[row].is_some();
                optional(out.typed::<ByteArrayType>(), rows, there, |row| {
                    bytes(self.marks[row].unwrap_or_default().as_bytes())
                })
            }
            index => {
                let at = index - OWN.len();
                self.field(&self.batch.schema().fields()[at].name, &self.batch.columns()[at], out)
            }
        }
        .map(drop)
    }

    fn field(&self, name: &str, column: &Column, out: &mut SerializedColumnWriter<'_>) -> Result<usize, ParquetError> {
        let rows = 0..self.batch.rows();
        let there = |row: usize| column.is_valid(row);
        match &column.values {
            Values::Floats(v) => optional(out.typed::<DoubleType>(), rows, there, |row| v[row]),
            Values::Integers(v) if name == WINDOW_END => {
                let ends = self.shifted(v);
                optional(out.typed::<Int64Type>(), rows, there, |row| ends[row])
            }
            Values::Integers(v) => optional(out.typed::<Int64Type>(), rows, there, |row| v[row]),
            Values::Booleans(v) => optional(out.typed::<BoolType>(), rows, there, |row| v[row] != 0),
            Values::Texts(v) | Values::Bytes(v) => {
                optional(out.typed::<ByteArrayType>(), rows, there, |row| bytes(v.at(row)))
            }
        }
    }

    fn id(&self, identity: &Identity, row: usize) -> String {
        let Partition { stream, number } = &self.partition;
        let offset = self.first + row as u64;
        RecordId { identity, stream, partition: *number, offset, pass: self.pass }.to_string()
    }

    fn shifted(&self, times: &[i64]) -> Vec<i64> {
        times.iter().zip(&self.shifts).map(|(time, shift)| time.saturating_add(*shift)).collect()
    }
}

fn bytes(value: &[u8]) -> ByteArray {
    ByteArray::from(value.to_vec())
}

/// Writes the values that are there, and which those are.
fn optional<T: DataType>(
    out: &mut ColumnWriterImpl<'_, T>,
    rows: Range<usize>,
    there: impl Fn(usize) -> bool,
    value: impl Fn(usize) -> T::T,
) -> Result<usize, ParquetError> {
    let levels: Vec<i16> = rows.clone().map(|row| i16::from(there(row))).collect();
    let values: Vec<T::T> = rows.filter(|&row| there(row)).map(value).collect();
    out.write_batch(&values, Some(&levels), None)
}

#[cfg(test)]
#[path = "parquet/tests.rs"]
mod tests;
