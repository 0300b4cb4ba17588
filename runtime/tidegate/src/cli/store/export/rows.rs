//! Records in the format that is asked for.

use super::Format;
use super::parquet::Table;
use crate::ndjson;
use std::io::Write;
use std::ops::Range;
use std::sync::Arc;
use tidegate_record::{Identity, RecordId, Schema};
use tidegate_store::{Block, Dates, Partition};

/// Writes records in one format.
pub(super) struct Rows<'a> {
    identity: Identity,
    form: Form<'a>,
    /// What the columns are, once they were named.
    schema: Option<Arc<Schema>>,
    records: u64,
}

type Out<'a> = &'a mut (dyn Write + Send);

enum Form<'a> {
    Ndjson(Out<'a>),
    Csv(Out<'a>),
    /// It begins with the first record, which says what the columns are.
    Parquet(Option<Out<'a>>, Option<Box<Table<'a>>>),
}

impl<'a> Rows<'a> {
    pub(super) fn new(format: Format, identity: Identity, out: Out<'a>) -> Self {
        let form = match format {
            Format::Ndjson => Form::Ndjson(out),
            Format::Csv => Form::Csv(out),
            Format::Parquet => Form::Parquet(Some(out), None),
        };
        Rows { identity, form, schema: None, records: 0 }
    }

    /// Writes some records of a block.
    pub(super) fn write(
        &mut self,
        partition: &Partition,
        (block, dates): (&Block, &Dates),
        rows: Range<usize>,
    ) -> Result<(), String> {
        if rows.is_empty() {
            return Ok(());
        }
        let first = !matches!(self.form, Form::Ndjson(_)) && self.names_columns(partition, block)?;
        self.records += rows.len() as u64;
        let (out, lines) = match &mut self.form {
            Form::Ndjson(out) => (out, ndjson::lines(&self.identity, partition, (block, dates), rows)),
            Form::Csv(out) => (out, csv(&self.identity, partition, (block, dates), rows, first)?),
            Form::Parquet(out, table) => {
                if let Some(out) = out.take() {
                    *table = Some(Box::new(Table::begin(self.identity.clone(), block.batch.schema(), out)?));
                }
                return table.as_mut().map_or(Ok(()), |table| table.take(partition, (block, dates), rows));
            }
        };
        out.write_all(&lines).map_err(|error| error.to_string())
    }

    /// Ends what is written; gives how many records it has.
    pub(super) fn finish(self) -> Result<u64, String> {
        match self.form {
            Form::Ndjson(_) | Form::Csv(_) => {}
            Form::Parquet(_, Some(table)) => table.finish()?,
            Form::Parquet(out, None) => {
                let none = Schema::new(Vec::new()).map_err(|error| error.to_string())?;
                let table = out.map(|out| Table::begin(self.identity, &none, out)).transpose()?;
                table.map_or(Ok(()), Table::finish)?;
            }
        }
        Ok(self.records)
    }

    /// Whether a block is the first, by whose fields the columns are named; one with others is an error.
    fn names_columns(&mut self, partition: &Partition, block: &Block) -> Result<bool, String> {
        let schema = block.batch.schema();
        match &self.schema {
            Some(named) if **named == **schema => Ok(false),
            Some(_) => Err(format!(
                "from offset {} on {partition} has other fields, which have no columns in this file. Export up to \
                 there (--to {0}), then from there on",
                block.first.0
            )),
            None => {
                self.schema = Some(schema.clone());
                Ok(true)
            }
        }
    }
}

fn csv(
    identity: &Identity,
    partition: &Partition,
    (block, dates): (&Block, &Dates),
    rows: Range<usize>,
    first: bool,
) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(rows.len() * 64);
    let fields = || block.batch.schema().fields().iter().map(|field| field.name.as_str());
    if first {
        line(["_id", "device", "time"].into_iter().chain(fields()), &mut out);
    }
    for row in rows {
        let offset = block.first.0 + row as u64;
        let Partition { stream, number } = partition;
        let id = RecordId { identity, stream, partition: *number, offset, pass: block.pass };
        let record = serde_json::to_value(block.batch.row(row).shifted(dates.at(row).0)).map_err(|e| e.to_string())?;
        let cells = ["device", "time"].into_iter().chain(fields()).map(|name| match &record[name] {
            serde_json::Value::Null => String::new(),
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        line([id.to_string()].into_iter().chain(cells), &mut out);
    }
    Ok(out)
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
        let more = vec![Field::new("temp", Scalar::Float), Field::new("text", Scalar::Text)];
        let refused = rows.write(&partition, (&block(more, 9), &Dates::default()), 0..2).unwrap_err();
        assert!(refused.contains("from offset 9 on readings/0 has other fields"), "{refused}");
        assert_eq!(rows.finish(), Ok(3));
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
