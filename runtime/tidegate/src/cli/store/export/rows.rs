//! Records as lines of text.

use super::Format;
use crate::ndjson;
use std::io::Write;
use std::ops::Range;
use std::sync::Arc;
use tidegate_record::{Identity, RecordId, Schema};
use tidegate_store::{Block, Dates, Partition};

/// Writes records in one format.
pub(super) struct Rows<'a> {
    format: Format,
    identity: Identity,
    out: &'a mut dyn Write,
    /// What the columns are, once they were named.
    schema: Option<Arc<Schema>>,
    records: u64,
}

impl<'a> Rows<'a> {
    pub(super) fn new(format: Format, identity: Identity, out: &'a mut dyn Write) -> Self {
        Rows { format, identity, out, schema: None, records: 0 }
    }

    /// How many were written.
    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// Writes some records of a block.
    pub(super) fn write(
        &mut self,
        partition: &Partition,
        (block, dates): (&Block, &Dates),
        rows: Range<usize>,
    ) -> Result<(), String> {
        self.records += rows.len() as u64;
        let lines = match self.format {
            Format::Ndjson => ndjson::lines(&self.identity, partition, (block, dates), rows),
            Format::Csv => self.csv(partition, (block, dates), rows)?,
        };
        self.out.write_all(&lines).map_err(|error| error.to_string())
    }

    fn csv(
        &mut self,
        partition: &Partition,
        (block, dates): (&Block, &Dates),
        rows: Range<usize>,
    ) -> Result<Vec<u8>, String> {
        let mut out = Vec::with_capacity(rows.len() * 64);
        if rows.is_empty() {
            return Ok(out);
        }
        let schema = block.batch.schema();
        match &self.schema {
            None => {
                let names = schema.fields().iter().map(|field| field.name.as_str());
                line(["_id", "device", "time"].into_iter().chain(names), &mut out);
                self.schema = Some(schema.clone());
            }
            Some(named) if **named != **schema => {
                return Err(format!(
                    "from offset {} on {partition} has other fields, which have no columns in this file. Export up to \
                     there (--to {0}), then from there on",
                    block.first.0
                ));
            }
            Some(_) => {}
        }
        for row in rows {
            let offset = block.first.0 + row as u64;
            let Partition { stream, number } = partition;
            let identity = &self.identity;
            let id = RecordId { identity, stream, partition: *number, offset, pass: block.pass };
            let record = serde_json::to_value(block.batch.row(row).shifted(dates.at(row).0))
                .map_err(|error| error.to_string())?;
            let names = ["device", "time"].into_iter().chain(schema.fields().iter().map(|field| field.name.as_str()));
            let cells = names.map(|name| match &record[name] {
                serde_json::Value::Null => String::new(),
                serde_json::Value::String(text) => text.clone(),
                other => other.to_string(),
            });
            line([id.to_string()].into_iter().chain(cells), &mut out);
        }
        Ok(out)
    }
}

/// A line of RFC 4180: cells that need it are quoted. A null is an empty cell.
fn line<T: AsRef<str>>(cells: impl Iterator<Item = T>, out: &mut Vec<u8>) {
    for (index, cell) in cells.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let cell = cell.as_ref();
        if cell.contains([',', '"', '\n', '\r']) {
            out.push(b'"');
            out.extend_from_slice(cell.replace('"', "\"\"").as_bytes());
            out.push(b'"');
        } else {
            out.extend_from_slice(cell.as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_record::{BatchBuilder, Field, Scalar};
    use tidegate_store::{Position, Run};

    fn block(fields: Vec<Field>, first: u64) -> Block {
        let mut builder = BatchBuilder::new(Arc::new(Schema::new(fields).unwrap()));
        builder.float(0, 21.5);
        builder.text(1, "say \"hi\", twice");
        builder.end_row("d1", 1_000_000).unwrap();
        builder.end_row("d2", 2_000_000).unwrap();
        let batch = Arc::new(builder.finish());
        let run = Run { commit: 1, arrival: 1, wall: 1, trusted: true, stamped: None, rows: 2 };
        Block { first: Position(first), next: Position(first + 2), runs: vec![run], pass: 0, batch }
    }

    fn fields() -> Vec<Field> {
        vec![Field::new("temp", Scalar::Float), Field::new("note", Scalar::Text)]
    }

    #[test]
    fn csv_names_its_columns_quotes_what_needs_it_and_leaves_nulls_empty() {
        let identity = Identity { gateway: "plant-7".into(), epoch: 7 };
        let mut out = Vec::new();
        let mut rows = Rows::new(Format::Csv, identity, &mut out);
        let partition = Partition::new("readings", 0);
        rows.write(&partition, (&block(fields(), 5), &Dates::default()), 0..2).unwrap();
        rows.write(&partition, (&block(fields(), 7), &Dates::default()), 1..2).unwrap();
        assert_eq!(rows.records(), 3);
        let more = vec![Field::new("temp", Scalar::Float), Field::new("text", Scalar::Text)];
        let refused = rows.write(&partition, (&block(more, 9), &Dates::default()), 0..2).unwrap_err();
        assert!(refused.contains("from offset 9 on readings/0 has other fields"), "{refused}");
        let text = String::from_utf8(out).unwrap();
        let id = "plant-7/readings/0/0000000000000007";
        let expected = format!(
            "_id,device,time,temp,note\r\n\
             {id}/5,d1,1970-01-01T00:00:01.000000Z,21.5,\"say \"\"hi\"\", twice\"\r\n\
             {id}/6,d2,1970-01-01T00:00:02.000000Z,,\r\n\
             {id}/8,d2,1970-01-01T00:00:02.000000Z,,\r\n"
        );
        assert_eq!(text, expected);
    }
}
