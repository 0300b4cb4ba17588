//! Records as text: a line a record, the first line names the fields.

use super::tables;
use crate::{Blobs, Column, Field, Scalar, Values};

/// Records read from text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Records {
    pub fields: Vec<Field>,
    pub devices: Vec<String>,
    /// Microseconds since the epoch.
    pub times: Vec<i64>,
    /// A column a field.
    pub columns: Vec<Column>,
}

/// Reads records.
///
/// # Panics
///
/// Where the text is none.
pub(super) fn read(text: &str) -> Records {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let head = lines.next().unwrap_or_else(|| panic!("there is no first line that names the fields"));
    let names: Vec<String> = words(head);
    let at = |name: &str| names.iter().position(|column| column == name);
    let (device_at, time_at) = (at("device"), at("time"));
    let is_field = |at: &usize| Some(*at) != device_at && Some(*at) != time_at;
    let places: Vec<usize> = (0..names.len()).filter(is_field).collect();
    let fields: Vec<Field> = places.iter().map(|&at| field(&names[at])).collect();
    let columns = fields.iter().map(|field| Column::empty(field.scalar)).collect();
    let mut records = Records { fields, devices: Vec::new(), times: Vec::new(), columns };
    for (number, line) in lines.enumerate() {
        let cells = words(line);
        assert_eq!(cells.len(), names.len(), "record {number}: {line:?} has another number of values than {head:?}");
        records.devices.push(device_at.map_or("d1".into(), |at| cells[at].clone()));
        let seconds = time_at.map_or(number as f64, |at| {
            cells[at].parse().unwrap_or_else(|_| panic!("record {number}: {:?} is no time in seconds", cells[at]))
        });
        records.times.push((seconds * 1e6).round() as i64);
        for ((&at, field), column) in places.iter().zip(&records.fields).zip(&mut records.columns) {
            let cell = &cells[at];
            push(column, cell)
                .unwrap_or_else(|| panic!("record {number}: {cell:?} is no {} {}", field.name, field.scalar.word()));
        }
    }
    records
}

/// `temp`, a number, or `name:text`.
fn field(word: &str) -> Field {
    let (name, scalar) = word.split_once(':').unwrap_or((word, "f64"));
    let scalar =
        Scalar::from_word(scalar).unwrap_or_else(|| panic!("field {word:?} is none of f64, i64, bool, text, bytes"));
    Field { name: name.into(), scalar, unit: String::new() }
}

/// Appends what is written: `-` is a null, `""` an empty text, `0x05ff` bytes, which may also be text.
fn push(column: &mut Column, cell: &str) -> Option<()> {
    match (cell, column.scalar()) {
        ("-", Scalar::Bytes) => push_bytes(column, None),
        ("-", _) => return tables::push(column, ""),
        (cell, Scalar::Bytes) => push_bytes(column, Some(bytes(cell)?)),
        (text, Scalar::Text) => crate::Value::push(Some(text.to_string()), column),
        (cell, _) => return tables::push(column, cell),
    }
    Some(())
}

fn push_bytes(column: &mut Column, bytes: Option<Vec<u8>>) {
    let rows = column.rows();
    let Values::Bytes(all) = &mut column.values else { return };
    all.push(bytes.as_deref().unwrap_or_default());
    if bytes.is_none() || column.valid.is_some() {
        column.valid.get_or_insert_with(|| vec![1; rows]).push(u8::from(bytes.is_some()));
    }
}

fn bytes(cell: &str) -> Option<Vec<u8>> {
    let Some(digits) = cell.strip_prefix("0x") else { return Some(cell.as_bytes().to_vec()) };
    let pair = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    (0..digits.len()).step_by(2).map(pair).collect()
}

/// The words of a line; what stands in quotes is one, with `\"` for a quote.
fn words(line: &str) -> Vec<String> {
    let parts = parts(line).unwrap_or_else(|| panic!("a quote does not end: {line}"));
    parts.into_iter().map(unquoted).collect()
}

/// The words of a line as they are written; `None` where a quote does not end.
fn parts(line: &str) -> Option<Vec<&str>> {
    let (mut parts, mut rest) = (Vec::new(), line.trim());
    while !rest.is_empty() {
        let (part, more) = rest.split_at(end(rest)?);
        parts.push(part);
        rest = more.trim_start();
    }
    Some(parts)
}

/// Where the first word ends.
fn end(text: &str) -> Option<usize> {
    if !text.starts_with('"') {
        return Some(text.find(char::is_whitespace).unwrap_or(text.len()));
    }
    let mut characters = text.char_indices().skip(1);
    loop {
        match characters.next()? {
            (_, '\\') => drop(characters.next()),
            (at, '"') => return Some(at + 1),
            _ => {}
        }
    }
}

fn unquoted(part: &str) -> String {
    let inner = part.strip_prefix('"').and_then(|part| part.strip_suffix('"'));
    let Some(inner) = inner else { return part.into() };
    let (mut word, mut characters) = (String::new(), inner.chars());
    while let Some(character) = characters.next() {
        word.extend(if character == '\\' { characters.next() } else { Some(character) });
    }
    word
}

/// Whether a text has the words of another, line by line, in which `*` is any word.
pub(super) fn is_as(made: &str, expected: &str) -> bool {
    // Written alike: `"-"` is a text and `-` a null. A plugin's reasons may have quotes as they like.
    let alike = |part: &str| match part.starts_with('"') && part != "\"*\"" {
        true => quoted(&unquoted(part)),
        false => part.into(),
    };
    let lines = |text: &str| -> Vec<Vec<String>> {
        let words = |line| parts(line).unwrap_or_else(|| str::split_whitespace(line).collect());
        let lines = text.lines().map(|line| words(line).into_iter().map(alike).collect());
        lines.filter(|line: &Vec<String>| !line.is_empty()).collect()
    };
    let is_line = |(made, expected): (&Vec<String>, &Vec<String>)| {
        made.len() == expected.len() && made.iter().zip(expected).all(|(made, word)| word == "*" || made == word)
    };
    let (made, expected) = (lines(made), lines(expected));
    made.len() == expected.len() && made.iter().zip(&expected).all(is_line)
}

/// A value as [`read`] reads it.
pub(super) fn cell(column: &Column, row: usize) -> String {
    if !column.is_valid(row) {
        return "-".into();
    }
    match &column.values {
        Values::Floats(values) => values[row].to_string(),
        Values::Integers(values) => values[row].to_string(),
        Values::Booleans(values) => (values[row] != 0).to_string(),
        Values::Texts(texts) => quoted(&String::from_utf8_lossy(texts.at(row))),
        Values::Bytes(bytes) => format!("0x{}", hex(bytes, row)),
    }
}

fn hex(bytes: &Blobs, row: usize) -> String {
    bytes.at(row).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A text, in quotes where it would not be one word.
pub(super) fn quoted(text: &str) -> String {
    let plain = !text.is_empty() && text != "-" && !text.contains(|c: char| c.is_whitespace() || c == '"' || c == '\\');
    if plain { text.into() } else { format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")) }
}

/// Seconds, of microseconds.
pub(super) fn seconds(micros: i64) -> String {
    (micros as f64 / 1e6).to_string()
}

/// Lines of cells as columns that stand under each other.
pub(super) fn aligned(lines: &[Vec<String>]) -> String {
    let cells = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |at: usize| lines.iter().filter_map(|line| line.get(at)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..cells).map(|at| width(at).unwrap_or(0)).collect();
    let line = |line: &Vec<String>| {
        let padded = line.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
        format!("{}\n", padded.collect::<Vec<_>>().join("  ").trim_end())
    };
    lines.iter().map(line).collect()
}
