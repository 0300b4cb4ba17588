//! Tables from comma-separated values: the first line names the columns; spaces around cells are none of theirs; an empty
//! cell is a null.

use super::{Cell, Rows, Visit};
use csv::{ByteRecord, ErrorKind, ReaderBuilder, Trim};

/// A file's text.
pub(super) struct Csv {
    text: Vec<u8>,
    names: Vec<String>,
}

impl Csv {
    pub(super) fn new(mut text: Vec<u8>) -> Result<Self, String> {
        if text.starts_with("\u{feff}".as_bytes()) {
            text.drain(..3);
        }
        let names = reader(&text).headers().map_err(|error| told(&error))?.iter().map(str::to_string).collect();
        Ok(Csv { text, names })
    }
}

fn reader(text: &[u8]) -> csv::Reader<&[u8]> {
    ReaderBuilder::new().trim(Trim::All).from_reader(text)
}

impl Rows for Csv {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn each(&mut self, visit: Visit<'_>) -> Result<(), String> {
        let (mut reader, mut record) = (reader(&self.text), ByteRecord::new());
        loop {
            match reader.read_byte_record(&mut record) {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error) => return Err(told(&error)),
            }
            let line = record.position().map_or(0, csv::Position::line);
            let cell = |(cell, name): (_, &String)| match std::str::from_utf8(cell) {
                Ok("") => Ok(Cell::Null),
                Ok(cell) => Ok(Cell::Word(cell)),
                Err(_) => Err(format!("line {line}, column {name}: is not UTF-8")),
            };
            let cells = record.iter().zip(&self.names).map(cell).collect::<Result<Vec<_>, _>>()?;
            if !visit(line, &cells) {
                return Ok(());
            }
        }
    }

    fn noun(&self) -> &'static str {
        "line"
    }
}

fn told(error: &csv::Error) -> String {
    let line = error.position().map(|at| format!("line {}: ", at.line())).unwrap_or_default();
    match error.kind() {
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{line}{len} cells where the first line names {expected_len}")
        }
        ErrorKind::Utf8 { .. } => format!("{line}is not UTF-8"),
        _ => format!("{line}{error}"),
    }
}
