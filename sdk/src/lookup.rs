//! The gateway's tables, where an operator grants them: `grant = ["lookup"]`. They stay the same while a plugin runs.
//!
//! A function of one record gets its row as a field; whatever many records a batch has, the gateway is asked once:
//!
//! ```
//! # extern crate tidegate_sdk as tidegate;
//! use tidegate::{Emits, Record, testing};
//!
//! #[derive(Record)]
//! struct Reading {
//!     temp: f64,
//!     #[record(table = "sites")] // the row of its device; `key = "room"` looks up another field of the record
//!     site: Option<Site>,
//! }
//!
//! #[derive(Record)]
//! struct Site { name: String, target: f64 }
//!
//! #[derive(Emits)]
//! struct Placed { site: Option<String>, above: Option<f64> }
//!
//! #[tidegate::transform]
//! fn place(r: &Reading) -> Placed {
//!     let site = r.site.as_ref();
//!     Placed { site: site.map(|site| site.name.clone()), above: site.map(|site| r.temp - site.target) }
//! }
//!
//! // The function is tried with a row of its own, and the plugin with a table.
//! let made = place(&Reading { temp: 22.0, site: Some(Site { name: "north".into(), target: 20.0 }) });
//! assert_eq!(made.above, Some(2.0));
//!
//! testing::table("sites", "device,name,target:f64\nd1,north,20\n");
//! testing::plugin!().check(
//!     "device  time  temp
//!      d1      0     22
//!      d9      0     22",
//!     "device  time  temp  site   above
//!      d1      0     22    north  2
//!      d9      0     22    -      -",
//! );
//! ```
//!
//! `Option<Site>` is `None` where the table has no such row; a plain `Site` sets the record aside. Nulls in the row's own
//! fields are as those of a record. Whole columns are looked up by [`table`] in `configure`, which says what is wrong with
//! it while the gateway starts, and [`Table::find`] once a batch. Native tests set tables by [`crate::testing::table`].

use crate::{Column, Field, Issue, Record, Scalar, Values};

/// A table of the gateway.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    name: String,
    fields: Vec<Field>,
}

/// The table of that name; call it in `configure`. The issue says which tables there are.
pub fn table(name: &str) -> Result<Table, Issue> {
    #[cfg(target_arch = "wasm32")]
    let fields = crate::bindings::lookup::fields(name);
    #[cfg(not(target_arch = "wasm32"))]
    let fields = crate::testing::tables::fields(name);
    fields.map(|fields| Table { name: name.into(), fields }).map_err(|message| Issue::new("", message))
}

impl Table {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The column that is looked up: text or integers.
    pub fn key(&self) -> &Field {
        &self.fields[0]
    }

    /// The other columns.
    pub fn columns(&self) -> &[Field] {
        &self.fields[1..]
    }

    /// The column of that name, the key too. The issue says which there are.
    pub fn column(&self, name: &str) -> Result<&Field, Issue> {
        self.fields.iter().find(|field| field.name == name).ok_or_else(|| {
            let has: Vec<&str> = self.fields.iter().map(|field| field.name.as_str()).collect();
            Issue::new("", format!("table {} has no column {name:?}; it has {}", self.name, has.join(", ")))
        })
    }

    /// A column a name in `want`, a row a key. A key that is null or not there gives null in every column; to tell it from
    /// a null of the table, want the key's column too.
    ///
    /// # Panics
    ///
    /// Where a column is not there or `keys` are not as the key is, which `configure` is to find out; and where one row alone
    /// is more than the gateway's `plugins.output_bytes`.
    pub fn find(&self, keys: &Column, want: &[&str]) -> Vec<Column> {
        self.find_some(keys, want, 0..keys.rows())
    }

    /// The answer of all keys may be more than an answer may be, in as many pieces as it takes it is not.
    fn find_some(&self, keys: &Column, want: &[&str], rows: std::ops::Range<usize>) -> Vec<Column> {
        let part;
        let keys_asked = if rows.len() == keys.rows() {
            keys
        } else {
            part = slice(keys, rows.clone());
            &part
        };
        match self.ask(keys_asked, want) {
            Ok(columns) => columns,
            Err(refusal) if rows.len() < 2 => panic!("{refusal}"),
            Err(_) => {
                let middle = rows.start + rows.len() / 2;
                let mut columns = self.find_some(keys, want, rows.start..middle);
                let more = self.find_some(keys, want, middle..rows.end);
                columns.iter_mut().zip(more).for_each(|(column, more)| append(column, more));
                columns
            }
        }
    }

    fn ask(&self, keys: &Column, want: &[&str]) -> Result<Vec<Column>, String> {
        #[cfg(target_arch = "wasm32")]
        {
            let want: Vec<String> = want.iter().map(|name| name.to_string()).collect();
            crate::bindings::lookup::find(&self.name, keys, &want)
        }
        #[cfg(not(target_arch = "wasm32"))]
        crate::testing::tables::find(&self.name, keys, want)
    }
}

fn slice(column: &Column, rows: std::ops::Range<usize>) -> Column {
    column.take(&(rows.start as u32..rows.end as u32).collect::<Vec<_>>())
}

fn append(column: &mut Column, more: Column) {
    let (rows, rows_more) = (column.rows(), more.rows());
    match (&mut column.valid, more.valid) {
        (None, None) => {}
        (valid, more) => {
            valid.get_or_insert_with(|| vec![1; rows]).extend(more.unwrap_or_else(|| vec![1; rows_more]));
        }
    }
    match (&mut column.values, more.values) {
        (Values::Floats(values), Values::Floats(more)) => values.extend(more),
        (Values::Integers(values), Values::Integers(more)) => values.extend(more),
        (Values::Booleans(values), Values::Booleans(more)) => values.extend(more),
        (Values::Texts(blobs), Values::Texts(more)) | (Values::Bytes(blobs), Values::Bytes(more)) => {
            (0..rows_more).for_each(|row| blobs.push(more.at(row)));
        }
        _ => unreachable!("a column of a table holds the same everywhere"),
    }
}

/// Rows of a table that a record has as a field; what `#[record(table = "…")]` says.
#[derive(Debug, Clone, Copy)]
pub struct Lookup {
    /// The table's name.
    pub table: &'static str,
    /// Which of the record's fields is looked up.
    pub key: usize,
    /// Whether a record without a row is set aside.
    pub needed: bool,
    /// What is read of a row, as in [`Record::FIELDS`].
    pub fields: &'static [(&'static str, Scalar, bool)],
}

/// What was found for the records of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// A column a field of [`Lookup::fields`].
    pub columns: Vec<Column>,
    /// One byte a record, 1 = there is a row; none = each has one.
    pub hits: Option<Vec<u8>>,
}

#[diagnostic::on_unimplemented(
    message = "`{Self}` is no row of a table",
    label = "not read from a row",
    note = "it is a struct with #[derive(Record)], or an Option of one, which is None where the table has no such row"
)]
/// A type a field with `#[record(table = "…")]` may have: a [`Record`], or an `Option` of one.
pub trait Looked: Sized {
    /// The row's type.
    type Row: Record;
    /// Whether a record without a row is set aside.
    const NEEDED: bool;
    /// Reads one row, where there is one.
    fn read(columns: &<Self::Row as Record>::Columns<'_>, hits: Option<&[u8]>, row: usize) -> Self;
}

impl<R: Record> Looked for R {
    type Row = R;
    const NEEDED: bool = true;

    #[inline(always)]
    fn read(columns: &R::Columns<'_>, _: Option<&[u8]>, row: usize) -> R {
        R::read(columns, row)
    }
}

impl<R: Record> Looked for Option<R> {
    type Row = R;
    const NEEDED: bool = false;

    #[inline(always)]
    fn read(columns: &R::Columns<'_>, hits: Option<&[u8]>, row: usize) -> Option<R> {
        hits.is_none_or(|hits| hits[row] != 0).then(|| R::read(columns, row))
    }
}

/// Opens the tables of a record's fields, and checks them against it.
#[doc(hidden)]
pub fn open(lookups: &[Lookup], fields: &[(&'static str, Scalar, bool)]) -> Result<Vec<Table>, Vec<Issue>> {
    let (mut tables, mut issues) = (Vec::new(), Vec::new());
    for lookup in lookups {
        let table = match table(lookup.table) {
            Ok(table) => table,
            Err(issue) => {
                issues.push(issue);
                continue;
            }
        };
        let (key, scalar, _) = fields[lookup.key];
        let wanted = lookup.fields.iter().map(|&(name, scalar, _)| (name, scalar));
        for (name, scalar) in wanted.chain([(table.key().name.as_str(), scalar)]) {
            match table.column(name) {
                Err(issue) => issues.push(issue),
                Ok(column) if column.scalar != scalar => {
                    let wants = if name == table.key().name {
                        format!("the field {key} that is looked up")
                    } else {
                        "the plugin".into()
                    };
                    issues.push(Issue::new("", differs(&table, column, &wants, scalar)));
                }
                Ok(_) => {}
            }
        }
        tables.push(table);
    }
    if issues.is_empty() { Ok(tables) } else { Err(issues) }
}

/// Says that a column of a table is not what it should be, and what to do.
pub fn differs(table: &Table, column: &Field, wants: &str, scalar: Scalar) -> String {
    let (word, name, table) = (scalar.word(), &column.name, &table.name);
    format!(
        "column {name} of table {table} is {}, {wants} {word}: if its values are, write tables.{table}.fields = {{ {name} = \"{word}\" }}",
        column.scalar.word()
    )
}

/// Looks up what a record's fields want, once for all records of a batch.
#[doc(hidden)]
pub fn find(lookups: &[Lookup], tables: &[Table], columns: &[Column]) -> Vec<Found> {
    let one = |(lookup, table): (&Lookup, &Table)| {
        let key = table.key().name.as_str();
        // Whether there is a row is told by its key. A field of the same name asks for it already.
        let of_key = lookup.fields.iter().position(|(name, _, _)| *name == key);
        let want: Vec<&str> =
            lookup.fields.iter().map(|(name, _, _)| *name).chain(of_key.is_none().then_some(key)).collect();
        let mut columns = table.find(&columns[lookup.key], &want);
        let hits = columns[of_key.unwrap_or(want.len() - 1)].valid.clone();
        columns.truncate(lookup.fields.len());
        Found { columns, hits }
    };
    lookups.iter().zip(tables).map(one).collect()
}

#[cfg(test)]
mod tests;
