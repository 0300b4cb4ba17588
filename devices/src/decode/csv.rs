//! Delimited frames: one record a line.

use super::error::DecodeError;
use super::row::Row;
use super::value::Found;
use super::{DecodeOptions, Target, readings_max};
use crate::OptionsError;
use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use tidegate_record::{BatchBuilder, Schema};

/// Most columns of a line.
const COLUMNS_MAX: usize = 1024;

/// Decodes delimited frames.
#[derive(Debug)]
pub(super) struct Csv {
    columns: Vec<Option<Target>>,
    builder: ReaderBuilder,
    values: Vec<u8>,
    ends: Vec<usize>,
}

impl Csv {
    /// `taken`: what the topic brings.
    pub fn new(options: &DecodeOptions, schema: &Schema, taken: &[Target]) -> Result<Self, OptionsError> {
        let error = |problem: String| OptionsError::new("decode.columns", problem);
        if options.columns.is_empty() || options.columns.len() > COLUMNS_MAX {
            return Err(error(format!("name 1 to {COLUMNS_MAX} columns (\"\" skips one)")));
        }
        if [b'\n', b'\r', b'"'].contains(&options.delimiter) {
            return Err(OptionsError::new("decode.delimiter", "a line end or a quote cannot stand between values"));
        }
        let mut columns = Vec::new();
        for name in &options.columns {
            let target = match name.as_str() {
                "" => None,
                name => Some(Target::named(name, schema).ok_or_else(|| {
                    error(format!("{name:?} is neither device, time nor a field of the stream; \"\" skips a column"))
                })?),
            };
            if target.is_some_and(|t| columns.contains(&Some(t)) || taken.contains(&t)) {
                return Err(error(format!("{name:?} comes twice")));
            }
            columns.push(target);
        }
        let mut builder = ReaderBuilder::new();
        builder.delimiter(options.delimiter).comment(options.comment);
        let ends = vec![0; columns.len() + 1];
        Ok(Csv { columns, builder, values: Vec::new(), ends })
    }

    /// Whether a column says so.
    pub fn has(&self, target: Target) -> bool {
        self.columns.contains(&Some(target))
    }

    pub fn decode(&mut self, frame: &[u8], row: &mut Row<'_>, out: &mut BatchBuilder) -> Result<usize, DecodeError> {
        let mut reader = self.builder.build();
        // Values never take more room than the frame.
        self.values.resize(self.values.len().max(frame.len()), 0);
        let mut rest = frame;
        let mut records = 0;
        let records_max = readings_max(row.schema.fields().len());
        while let Some(count) = self.next(&mut reader, &mut rest)? {
            // A remark without a line end comes as one empty value.
            if rest.is_empty() && count == 1 && self.ends[0] == 0 {
                break;
            }
            if count != self.columns.len() {
                let (expected, line) = (self.columns.len(), reader.line().saturating_sub(1).max(1));
                return Err(DecodeError::Columns { found: count, expected, line });
            }
            self.record(row, out)?;
            records += 1;
            if records > records_max {
                return Err(DecodeError::TooMany(records_max));
            }
        }
        Ok(records)
    }

    /// Reads the next line into `values` and `ends`: how many values it has.
    fn next(&mut self, reader: &mut Reader, rest: &mut &[u8]) -> Result<Option<usize>, DecodeError> {
        let (mut written, mut ended) = (0, 0);
        loop {
            let (result, read, wrote, ends) =
                reader.read_record(rest, &mut self.values[written..], &mut self.ends[ended..]);
            *rest = &rest[read..];
            (written, ended) = (written + wrote, ended + ends);
            match result {
                ReadRecordResult::Record => return Ok(Some(ended)),
                ReadRecordResult::End => return Ok(None),
                // The empty rest tells the reader that this is all.
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputEndsFull => {
                    let (expected, line) = (self.columns.len(), reader.line());
                    return Err(DecodeError::Columns { found: ended, expected, line });
                }
                ReadRecordResult::OutputFull => self.values.resize(self.values.len() * 2 + 1024, 0),
            }
        }
    }

    fn record(&self, row: &mut Row<'_>, out: &mut BatchBuilder) -> Result<(), DecodeError> {
        row.begin();
        let mut start = 0;
        for (column, &end) in self.columns.iter().zip(&self.ends) {
            let value = &self.values[start..end];
            start = end;
            let Some(target) = *column else { continue };
            let text = std::str::from_utf8(value)
                .map_err(|_| DecodeError::NotText { name: target.name(row.schema).into() })?;
            let found = if value.is_empty() { Found::Null } else { Found::Text(text) };
            row.set(target, found, out)?;
        }
        row.end(out)
    }
}
