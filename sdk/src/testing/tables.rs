//! Tables in native tests, where no gateway has any.

use crate::{Blobs, Column, Field, Scalar, Values};
use std::cell::RefCell;
use std::collections::BTreeMap;

thread_local! {
    static TABLES: RefCell<BTreeMap<String, Held>> = const { RefCell::new(BTreeMap::new()) };
}

struct Held {
    fields: Vec<Field>,
    columns: Vec<Column>,
}

/// Sets a table from comma-separated text: the first line names the columns, the first of which is the key; a column may
/// have a type, such as `floor:i64`, and is text without one. An empty cell is a null.
///
/// ```
/// # extern crate tidegate_sdk as tidegate;
/// tidegate::testing::table("sites", "device,site,floor:i64\nd1,north,3\nd2,south,\n");
/// let sites = tidegate::lookup::table("sites").unwrap();
/// assert_eq!((sites.key().name.as_str(), sites.columns().len()), ("device", 2));
/// ```
///
/// # Panics
///
/// Where the text is no table.
pub fn table(name: &str, text: &str) {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let head = lines.next().unwrap_or_else(|| panic!("table {name}: there is no first line that names the columns"));
    let fields: Vec<Field> = head.split(',').map(|column| field(name, column.trim())).collect();
    let mut columns: Vec<Column> = fields.iter().map(|field| Column::empty(field.scalar)).collect();
    for (number, line) in lines.enumerate() {
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        assert_eq!(cells.len(), fields.len(), "table {name}, row {number}: {line:?} has another number of cells");
        for ((cell, field), column) in cells.into_iter().zip(&fields).zip(&mut columns) {
            push(column, cell)
                .unwrap_or_else(|| panic!("table {name}, row {number}: {cell:?} is no {}", field.scalar.word()));
        }
    }
    TABLES.with_borrow_mut(|tables| drop(tables.insert(name.into(), Held { fields, columns })));
}

fn field(table: &str, column: &str) -> Field {
    let (name, word) = column.split_once(':').unwrap_or((column, "text"));
    let scalar = Scalar::from_word(word);
    let scalar =
        scalar.unwrap_or_else(|| panic!("table {table}: column {column:?} is none of f64, i64, bool and text"));
    Field { name: name.into(), scalar, unit: String::new() }
}

/// Appends what is written; empty is a null.
pub(crate) fn push(column: &mut Column, written: &str) -> Option<()> {
    use crate::Value as _;
    let null = written.is_empty();
    match column.scalar() {
        Scalar::Float => (if null { None } else { Some(written.parse::<f64>().ok()?) }).push(column),
        Scalar::Integer => (if null { None } else { Some(written.parse::<i64>().ok()?) }).push(column),
        Scalar::Boolean => (if null { None } else { Some(written.parse::<bool>().ok()?) }).push(column),
        Scalar::Text => (if null { None } else { Some(written.to_string()) }).push(column),
        Scalar::Bytes => return None,
    }
    Some(())
}

pub(crate) fn fields(name: &str) -> Result<Vec<Field>, String> {
    TABLES.with_borrow(|tables| tables.get(name).map(|held| held.fields.clone()).ok_or_else(|| missing(name, tables)))
}

pub(crate) fn find(name: &str, keys: &Column, want: &[&str]) -> Result<Vec<Column>, String> {
    TABLES.with_borrow(|tables| {
        let held = tables.get(name).ok_or_else(|| missing(name, tables))?;
        let rows = (0..keys.rows()).map(|row| held.row(keys, row)).collect::<Result<Vec<_>, _>>()?;
        let column = |wanted: &&str| {
            let place = held.fields.iter().position(|field| field.name == *wanted);
            place
                .map(|at| pick(&held.columns[at], &rows))
                .ok_or_else(|| format!("table {name} has no column {wanted:?}"))
        };
        want.iter().map(column).collect()
    })
}

fn missing(name: &str, tables: &BTreeMap<String, Held>) -> String {
    let names: Vec<&str> = tables.keys().map(String::as_str).collect();
    let there = if names.is_empty() { "there is none".into() } else { format!("there are {}", names.join(", ")) };
    format!("there is no table {name:?}; {there}")
}

impl Held {
    /// The row of a key, if it is there; the error: it is of another scalar.
    fn row(&self, keys: &Column, row: usize) -> Result<Option<usize>, String> {
        let find = |is_it: &dyn Fn(usize) -> bool| (0..self.columns[0].rows()).find(|&at| is_it(at));
        let found = match (&keys.values, &self.columns[0].values) {
            (Values::Texts(keys), Values::Texts(there)) => find(&|at| there.at(at) == keys.at(row)),
            (Values::Integers(keys), Values::Integers(there)) => find(&|at| there[at] == keys[row]),
            _ => {
                return Err(format!(
                    "the key {} is {}: these are others",
                    self.fields[0].name,
                    self.fields[0].scalar.word()
                ));
            }
        };
        Ok(found.filter(|_| keys.is_valid(row)))
    }
}

/// The rows of a column; null where there is none.
fn pick(column: &Column, rows: &[Option<usize>]) -> Column {
    let is_valid = |row: &Option<usize>| u8::from(row.is_some_and(|row| column.is_valid(row)));
    let valid: Vec<u8> = rows.iter().map(is_valid).collect();
    let blobs = |blobs: &Blobs| {
        let mut picked = Blobs::none();
        rows.iter().for_each(|row| picked.push(row.map_or(&[], |row| blobs.at(row))));
        picked
    };
    let values = match &column.values {
        Values::Floats(values) => Values::Floats(rows.iter().map(|row| row.map_or(0.0, |row| values[row])).collect()),
        Values::Integers(values) => Values::Integers(rows.iter().map(|row| row.map_or(0, |row| values[row])).collect()),
        Values::Booleans(values) => Values::Booleans(rows.iter().map(|row| row.map_or(0, |row| values[row])).collect()),
        Values::Texts(texts) => Values::Texts(blobs(texts)),
        Values::Bytes(bytes) => Values::Bytes(blobs(bytes)),
    };
    Column { values, valid: valid.contains(&0).then_some(valid) }
}
