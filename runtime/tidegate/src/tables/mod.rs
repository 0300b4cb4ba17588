//! From the files of `[tables.NAME]` to what plugins look up: read once, at the start, whole, and checked.
//!
//! A file's rows are gone through twice: to see what the columns hold, then to take them. So what is kept is columns,
//! never a file's text blown up cell by cell.

mod cells;
mod csv;
mod json;
mod sqlite;

use crate::config::{TableConfig, TableFormat};
use cells::{Builder, Cell, Seen};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use tidegate_record::{Field, Scalar};
use tidegate_sandbox::{KeyedTable, TableError, Tables};

/// Most wrong cells of a file that are told one by one.
const TOLD_MAX: usize = 8;

/// What takes a row: where it stands in the file, and its cells. `false` ends the walk.
type Visit<'v> = &'v mut dyn FnMut(u64, &[Cell<'_>]) -> bool;

/// A file's rows.
trait Rows {
    /// The columns' names.
    fn names(&self) -> &[String];
    /// Gives every row, in order; an error is a sentence about the file.
    fn each(&mut self, visit: Visit<'_>) -> Result<(), String>;
    /// What its rows are counted in: `line`, `record`, `row`.
    fn noun(&self) -> &'static str;
}

/// Reads every table. The error holds everything that is wrong with any of them.
pub fn load(configs: &[TableConfig]) -> Result<Arc<Tables>, Vec<String>> {
    let (mut tables, mut problems) = (Vec::new(), Vec::new());
    for config in configs {
        match table(config) {
            Ok(table) => tables.push((config.name.clone(), table)),
            Err(wrong) => {
                let said =
                    wrong.into_iter().map(|what| format!("tables.{}: {}{what}", config.name, config.file.display()));
                problems.extend(said);
            }
        }
    }
    if problems.is_empty() { Ok(Arc::new(Tables::new(tables))) } else { Err(problems) }
}

/// A table of rows given as text, for who tries plugins: a JSON list of objects.
pub fn of_json(key: &str, fields: &[Field], text: Vec<u8>) -> Result<KeyedTable, Vec<String>> {
    let mut rows = json::Json::new(text).map_err(|wrong| vec![wrong])?;
    build(&mut rows, key, fields, usize::MAX)
}

/// What is wrong begins with `: ` or `, `: the file's name stands before it.
fn table(config: &TableConfig) -> Result<KeyedTable, Vec<String>> {
    let whole = |wrong: String| vec![format!(": {wrong}")];
    let text = || text(&config.file, config.max_bytes).map_err(whole);
    let rows: Result<Box<dyn Rows>, String> = match &config.format {
        TableFormat::Csv => csv::Csv::new(text()?).map(|rows| Box::new(rows) as Box<dyn Rows>),
        TableFormat::Json => json::Json::new(text()?).map(|rows| Box::new(rows) as Box<dyn Rows>),
        TableFormat::Sqlite(query) => {
            sqlite::Sqlite::open(&config.file, query, config.max_bytes).map(|rows| Box::new(rows) as Box<dyn Rows>)
        }
    };
    build(rows.map_err(whole)?.as_mut(), &config.key, &config.fields, config.max_rows)
}

fn text(file: &Path, max_bytes: u64) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    let read = File::open(file).and_then(|file| file.take(max_bytes + 1).read_to_end(&mut text));
    match read {
        Err(error) => Err(format!("cannot be read: {error}")),
        Ok(bytes) if bytes as u64 > max_bytes => Err(format!("is larger than max_bytes ({max_bytes}) allows")),
        Ok(_) => Ok(text),
    }
}

fn build(rows: &mut dyn Rows, key: &str, declared: &[Field], max_rows: usize) -> Result<KeyedTable, Vec<String>> {
    let names = rows.names().to_vec();
    let has = |name: &str| names.iter().position(|column| column == name);
    let none = |name: &str| format!(": has no column {name:?}; it has {}", names.join(", "));
    let key_at = has(key);
    let mut wrong: Vec<String> = key_at.is_none().then(|| none(key)).into_iter().collect();
    wrong.extend(declared.iter().filter(|field| has(&field.name).is_none()).map(|field| none(&field.name)));
    let Some(key_at) = key_at.filter(|_| wrong.is_empty()) else { return Err(wrong) };
    let fields = fields(rows, &names, key_at, declared, max_rows)?;
    let (columns, places) = take(rows, &fields, declared)?;
    // The key comes first.
    let order = || std::iter::once(key_at).chain((0..fields.len()).filter(move |&at| at != key_at));
    let mut columns: Vec<_> = columns.into_iter().map(Some).collect();
    let ordered = order().filter_map(|at| columns[at].take()).collect();
    let noun = rows.noun();
    KeyedTable::new(order().map(|at| fields[at].clone()).collect(), ordered).map_err(|error| {
        vec![match error {
            TableError::NoKey(row) => format!(", {noun} {}: has no {key}, which is the key", places[row]),
            TableError::Twice(first, second, value) => {
                let (first, second) = (places[first], places[second]);
                format!(", {noun} {second}: the key {value:?} is in {noun} {first} already: a key stands for one row")
            }
            other => format!(": {other}"),
        }]
    })
}

/// The columns' fields: as declared, else as their values look; a key is text unless it is declared.
fn fields(
    rows: &mut dyn Rows,
    names: &[String],
    key_at: usize,
    declared: &[Field],
    max_rows: usize,
) -> Result<Vec<Field>, Vec<String>> {
    let (mut seen, mut count) = (vec![Seen::default(); names.len()], 0);
    let walked = rows.each(&mut |_, cells| {
        count += 1;
        seen.iter_mut().zip(cells).for_each(|(seen, cell)| seen.see(cell));
        count <= max_rows
    });
    walked.map_err(|error| vec![format!(": {error}")])?;
    if count > max_rows {
        return Err(vec![format!(": has more rows than max_rows ({max_rows}) allows")]);
    }
    let field = |(at, (name, seen)): (usize, (&String, &Seen))| match declared.iter().find(|field| field.name == *name)
    {
        Some(field) => Ok(field.clone()),
        None if at == key_at => Ok(Field::new(name, Scalar::Text)),
        None => seen.scalar().map(|scalar| Field::new(name, scalar)).map_err(|mix| {
            format!(", column {name}: holds {mix}: correct it, or declare fields = {{ {name} = \"text\" }}")
        }),
    };
    let (fields, wrong): (Vec<_>, Vec<_>) = names.iter().zip(&seen).enumerate().map(field).partition(Result::is_ok);
    let wrong: Vec<String> = wrong.into_iter().filter_map(Result::err).collect();
    if wrong.is_empty() { Ok(fields.into_iter().filter_map(Result::ok).collect()) } else { Err(wrong) }
}

/// The columns, and where each row stands in the file.
fn take(
    rows: &mut dyn Rows,
    fields: &[Field],
    declared: &[Field],
) -> Result<(Vec<tidegate_record::Column>, Vec<u64>), Vec<String>> {
    let mut builders: Vec<Builder> = fields.iter().map(|field| Builder::new(field.scalar)).collect();
    let (mut places, mut wrong, noun) = (Vec::new(), Vec::new(), rows.noun());
    let walked = rows.each(&mut |place, cells| {
        places.push(place);
        for ((builder, cell), field) in builders.iter_mut().zip(cells).zip(fields) {
            let Err(what) = builder.push(cell) else { continue };
            let name = &field.name;
            let remedy = match cell.scalar() {
                Some(scalar) if scalar == field.scalar => String::new(),
                scalar => {
                    let scalar = scalar.unwrap_or(Scalar::Text);
                    let is_declared = declared.iter().any(|declared| declared.name == *name);
                    let verb = if is_declared { "declare it otherwise," } else { "declare" };
                    format!(": correct it, or {verb} fields = {{ {name} = \"{scalar}\" }}")
                }
            };
            wrong.push(format!(", {noun} {place}, column {name}: {what}{remedy}"));
        }
        wrong.len() < TOLD_MAX
    });
    walked.map_err(|error| vec![format!(": {error}")])?;
    if wrong.is_empty() { Ok((builders.into_iter().map(Builder::finish).collect(), places)) } else { Err(wrong) }
}

#[cfg(test)]
mod tests;
