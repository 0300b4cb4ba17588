//! Tables of the gateway that plugins look things up in: a key's column and others, never changed while they are used.

mod index;

use crate::reply;
use index::Index;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use tidegate_record::{Column, Field, Scalar, Schema, SchemaError, Values};

/// The tables of a gateway, by name. Equal where their content is.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Tables {
    tables: BTreeMap<String, Arc<KeyedTable>>,
}

impl Tables {
    /// Tables by name.
    pub fn new(tables: impl IntoIterator<Item = (String, KeyedTable)>) -> Self {
        Tables { tables: tables.into_iter().map(|(name, table)| (name, Arc::new(table))).collect() }
    }

    /// The table of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<KeyedTable>> {
        self.tables.get(name)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// Every table, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &KeyedTable)> {
        self.tables.iter().map(|(name, table)| (name.as_str(), &**table))
    }
}

impl fmt::Debug for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.tables.keys()).finish()
    }
}

/// A table with a key: the first column, text or integers, each once and never null.
pub struct KeyedTable {
    fields: Vec<Field>,
    columns: Vec<Column>,
    index: Index,
    hash: [u8; 32],
}

/// Why columns are no [`KeyedTable`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// A name of a column is not usable.
    #[error("{0}")]
    Names(SchemaError),
    /// A key of another scalar than can be looked up.
    #[error("the key {0:?} is {1}: a key is text or i64")]
    KeyScalar(String, Scalar),
    /// A row without a key.
    #[error("row {0} has no key")]
    NoKey(usize),
    /// Two rows of one key.
    #[error("rows {0} and {1} have the same key {2:?}")]
    Twice(usize, usize, String),
    /// Columns of different lengths or scalars: a mistake of who made them.
    #[error("the columns are not those of the fields")]
    Columns,
}

impl KeyedTable {
    /// A table of its columns, the first of which is the key; every invariant is checked.
    pub fn new(fields: Vec<Field>, mut columns: Vec<Column>) -> Result<Self, TableError> {
        // `device` and `time` may name columns here: it is a device that most tables are about.
        let names = fields.iter().filter(|field| !matches!(field.name.as_str(), "device" | "time"));
        Schema::new(names.cloned().collect()).map_err(TableError::Names)?;
        for name in ["device", "time"] {
            if fields.iter().filter(|field| field.name == name).count() > 1 {
                return Err(TableError::Names(SchemaError::Twice(name.into())));
            }
        }
        let rows = columns.first().map_or(0, |key| key.values.len());
        let agrees = |(field, column): (&Field, &Column)| {
            let valid = column.valid.as_ref().is_none_or(|valid| valid.len() == rows);
            field.scalar == column.values.scalar() && column.values.len() == rows && valid
        };
        if fields.is_empty() || fields.len() != columns.len() || !fields.iter().zip(&columns).all(agrees) {
            return Err(TableError::Columns);
        }
        columns.iter_mut().for_each(reply::canonicalise);
        let key = &columns[0];
        if let Some(row) = (0..rows).find(|&row| !key.is_valid(row)) {
            return Err(TableError::NoKey(row));
        }
        let index = match &key.values {
            Values::Texts(_) | Values::Integers(_) => Index::new(&key.values),
            other => return Err(TableError::KeyScalar(fields[0].name.clone(), other.scalar())),
        };
        let index = index.map_err(|(first, second)| {
            let key = match &key.values {
                Values::Texts(texts) => texts.text(second).to_string(),
                Values::Integers(values) => values[second].to_string(),
                _ => String::new(),
            };
            TableError::Twice(first, second, key)
        })?;
        let hash = hash(&fields, &columns);
        Ok(KeyedTable { fields, columns, index, hash })
    }

    /// The key's column and then the others.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.columns[0].values.len()
    }

    /// SHA-256 of its content: the same for the same fields and rows in the same order, whatever file they came from.
    pub fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// Where a column stands.
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }

    pub(crate) fn column(&self, at: usize) -> &Column {
        &self.columns[at]
    }

    /// The row of a text key.
    pub(crate) fn row_of_text(&self, key: &[u8]) -> Option<usize> {
        match &self.columns[0].values {
            Values::Texts(texts) => self.index.find(index::hash(key), |row| texts.at(row) == key),
            _ => None,
        }
    }

    /// The row of an integer key.
    pub(crate) fn row_of_integer(&self, key: i64) -> Option<usize> {
        match &self.columns[0].values {
            Values::Integers(keys) => self.index.find(index::hash(&key.to_le_bytes()), |row| keys[row] == key),
            _ => None,
        }
    }
}

impl PartialEq for KeyedTable {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
    }
}

impl Eq for KeyedTable {}

impl fmt::Debug for KeyedTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedTable").field("fields", &self.fields).field("rows", &self.rows()).finish_non_exhaustive()
    }
}

/// Lengths go in before what they measure, so that no two tables are the same bytes.
fn hash(fields: &[Field], columns: &[Column]) -> [u8; 32] {
    let mut sha = Sha256::new();
    let number = |sha: &mut Sha256, number: usize| sha.update((number as u64).to_le_bytes());
    number(&mut sha, fields.len());
    for (field, column) in fields.iter().zip(columns) {
        for text in [&field.name, &field.unit] {
            number(&mut sha, text.len());
            sha.update(text);
        }
        let rows = column.values.len();
        number(&mut sha, field.scalar as usize);
        number(&mut sha, rows);
        (0..rows).for_each(|row| sha.update([u8::from(column.is_valid(row))]));
        match &column.values {
            Values::Floats(values) => values.iter().for_each(|value| sha.update(value.to_le_bytes())),
            Values::Integers(values) => values.iter().for_each(|value| sha.update(value.to_le_bytes())),
            Values::Booleans(values) => sha.update(values),
            Values::Texts(blobs) | Values::Bytes(blobs) => {
                blobs.offsets().iter().for_each(|offset| sha.update(offset.to_le_bytes()));
                sha.update(blobs.data());
            }
        }
    }
    sha.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_record::Blobs;

    fn texts(values: &[&str]) -> Column {
        let mut blobs = Blobs::default();
        values.iter().for_each(|value| blobs.push(value.as_bytes()));
        Column::of(Values::Texts(blobs))
    }

    fn sites(keys: &[&str], floors: &[i64]) -> Result<KeyedTable, TableError> {
        let fields = vec![Field::new("device", Scalar::Text), Field::new("floor", Scalar::Integer)];
        KeyedTable::new(fields, vec![texts(keys), Column::of(Values::Integers(floors.to_vec()))])
    }

    #[test]
    fn a_row_is_found_by_its_key() {
        let table = sites(&["d1", "d2", ""], &[1, 2, 3]).expect("a table");
        assert_eq!(
            [&b"d2"[..], b"d1", b"", b"d3"].map(|key| table.row_of_text(key)),
            [Some(1), Some(0), Some(2), None]
        );
        assert_eq!(table.row_of_integer(1), None, "its keys are text");
    }

    #[test]
    fn what_is_no_table_is_told() {
        let twice = sites(&["d1", "d2", "d1"], &[1, 2, 3]).expect_err("a key twice");
        assert_eq!(twice.to_string(), "rows 0 and 2 have the same key \"d1\"");
        let null = Column { valid: Some(vec![1, 0]), ..texts(&["d1", ""]) };
        let none = KeyedTable::new(vec![Field::new("device", Scalar::Text)], vec![null]);
        assert_eq!(none.expect_err("a row without a key"), TableError::NoKey(1));
        let floats = Column::of(Values::Floats(vec![1.0]));
        let float = KeyedTable::new(vec![Field::new("x", Scalar::Float)], vec![floats]).expect_err("no key");
        assert_eq!(float.to_string(), "the key \"x\" is f64: a key is text or i64");
        assert_eq!(sites(&["d1"], &[1, 2]).expect_err("two lengths"), TableError::Columns);
        let name = KeyedTable::new(vec![Field::new("a b", Scalar::Text)], vec![texts(&[])]).expect_err("no name");
        assert!(matches!(name, TableError::Names(_)));
    }

    #[test]
    fn the_hash_is_of_the_content() {
        let hash = |keys, floors| *sites(keys, floors).expect("a table").hash();
        assert_eq!(hash(&["d1", "d2"], &[1, 2]), hash(&["d1", "d2"], &[1, 2]));
        assert_ne!(hash(&["d1", "d2"], &[1, 2]), hash(&["d1", "d2"], &[1, 3]));
        assert_ne!(hash(&["d1", "d2"], &[1, 2]), hash(&["d1d", "2"], &[1, 2]));
    }
}
