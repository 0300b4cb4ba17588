//! Records as structs: a row of a batch, read into the author's type.

use crate::lookup::{Found, Lookup, Table};
use crate::plugin::outcome::Outcome;
use crate::{Batch, Blobs, Column, Fault, Field, Issue, Scalar, Values};
use std::borrow::Cow;
use std::marker::PhantomData;

#[diagnostic::on_unimplemented(
    message = "`{Self}` is no record",
    label = "not read from records",
    note = "write #[derive(Record)] over the struct"
)]
/// A struct that rows are read into; derive it for a struct with named fields.
pub trait Record: Sized {
    /// Its fields: name, scalar, whether it receives nulls.
    const FIELDS: &'static [(&'static str, Scalar, bool)];
    /// Unit and meaning of each of [`Record::FIELDS`], for people.
    const HELP: &'static [(&'static str, &'static str)] = &[];
    /// Its fields that are rows of tables.
    const LOOKUPS: &'static [Lookup] = &[];
    /// The columns it is read from, found once a batch.
    type Columns<'a>;

    /// Finds the columns: those of [`Record::FIELDS`] in order, and what was found for each of [`Record::LOOKUPS`].
    fn columns<'a>(columns: &'a [Column], found: &'a [Found]) -> Self::Columns<'a>;
    /// Reads one row.
    fn read(columns: &Self::Columns<'_>, row: usize) -> Self;

    // A plugin without lookups must not import them: only a record that has some calls what asks for tables.

    /// Opens its tables.
    fn open() -> Result<Vec<Table>, Vec<Issue>> {
        Ok(Vec::new())
    }

    /// Looks up what its fields want.
    fn find(tables: &[Table], columns: &[Column]) -> Vec<Found> {
        let _ = (tables, columns);
        Vec::new()
    }
}

#[diagnostic::on_unimplemented(
    message = "a field of a record cannot be `{Self}`",
    label = "no type of a field",
    note = "it is f64, i64, bool, String, Vec<u8>, or an Option of these, which receives nulls"
)]
/// A type a field of a record may have.
pub trait Cell: Sized {
    /// What the column holds.
    const SCALAR: Scalar;
    /// Whether it receives nulls.
    const NULLS: bool = false;
    /// The column's values.
    type Source<'a>;

    /// Finds them.
    fn source(column: &Column) -> Self::Source<'_>;
    /// The value of a row.
    fn read(source: &Self::Source<'_>, row: usize) -> Self;
}

macro_rules! cell {
    ($type:ty, $scalar:ident, $values:ident, $source:ty, |$v:ident, $row:ident| $read:expr) => {
        impl Cell for $type {
            const SCALAR: Scalar = Scalar::$scalar;
            type Source<'a> = &'a $source;

            fn source(column: &Column) -> &$source {
                match &column.values {
                    Values::$values(values) => values,
                    _ => unreachable!("the host sends what the plan reads"),
                }
            }

            #[inline(always)]
            fn read($v: &&$source, $row: usize) -> Self {
                $read
            }
        }
    };
}

cell!(f64, Float, Floats, [f64], |values, row| values[row]);
cell!(i64, Integer, Integers, [i64], |values, row| values[row]);
cell!(bool, Boolean, Booleans, [u8], |values, row| values[row] != 0);
cell!(String, Text, Texts, Blobs, |values, row| String::from_utf8_lossy(values.at(row)).into_owned());
cell!(Vec<u8>, Bytes, Bytes, Blobs, |values, row| values.at(row).to_vec());

impl<T: Cell> Cell for Option<T> {
    const SCALAR: Scalar = T::SCALAR;
    const NULLS: bool = true;
    type Source<'a> = (T::Source<'a>, Option<&'a [u8]>);

    fn source(column: &Column) -> Self::Source<'_> {
        (T::source(column), column.valid.as_deref())
    }

    #[inline(always)]
    fn read((values, valid): &Self::Source<'_>, row: usize) -> Self {
        valid.is_none_or(|valid| valid[row] != 0).then(|| T::read(values, row))
    }
}

/// Rows a turn: the sandbox looks at the clock once a turn, and that costs more than most functions.
const TURN: usize = 8;

/// What a function of one record reads, configured.
pub(crate) struct Reader<R> {
    tables: Vec<Table>,
    record: PhantomData<R>,
}

/// A column that may not be null in any record.
struct Strict<'a> {
    /// Why a record is set aside whose byte is 0.
    reason: String,
    valid: Cow<'a, [u8]>,
}

impl<R: Record> Reader<R> {
    /// Checks what a record reads against the fields and tables there are, and gives the fields' names.
    pub(crate) fn new(fields: &[Field]) -> Result<(Self, Vec<String>), Vec<Issue>> {
        let mut issues = Vec::new();
        for &(name, scalar, _) in R::FIELDS {
            match fields.iter().find(|field| field.name == name) {
                None => issues.push(Issue::new(name, "the input has no such field")),
                Some(field) if field.scalar != scalar => {
                    let message = format!("is {:?} in the input, {scalar:?} in the plugin", field.scalar);
                    issues.push(Issue::new(name, message));
                }
                Some(_) => {}
            }
        }
        let names = R::FIELDS.iter().map(|(name, _, _)| name.to_string()).collect();
        match R::open() {
            Ok(tables) if issues.is_empty() => Ok((Reader { tables, record: PhantomData }, names)),
            Ok(_) => Err(issues),
            Err(more) => Err(issues.into_iter().chain(more).collect()),
        }
    }

    /// Calls `each` with every record, in order. A null where the record has a plain field, or an error, faults the row.
    #[inline(always)]
    pub(crate) fn each<T, O: Outcome<T>>(
        &self,
        batch: &Batch,
        faults: &mut Vec<Fault>,
        mut each: impl FnMut(usize, R) -> O,
        mut done: impl FnMut(usize, T),
    ) {
        let found = R::find(&self.tables, &batch.columns);
        let (columns, rows) = (R::columns(&batch.columns, &found), batch.rows as usize);
        let strict = strict::<R>(batch, &found);
        let mut one = |row: usize| match each(row, R::read(&columns, row)).outcome() {
            Ok(made) => done(row, made),
            Err(reason) => faults.push(Fault { row: row as u32, reason }),
        };
        if strict.is_empty() {
            let whole = rows - rows % TURN;
            for turn in (0..whole).step_by(TURN) {
                (turn..turn + TURN).for_each(&mut one);
            }
            return (whole..rows).for_each(one);
        }
        let mut missing = Vec::new();
        for row in 0..rows {
            match strict.iter().find(|strict| strict.valid[row] == 0) {
                Some(strict) => missing.push(Fault { row: row as u32, reason: strict.reason.clone() }),
                None => one(row),
            }
        }
        faults.append(&mut missing);
    }
}

/// Where plain fields meet nulls, and needed rows are not there.
fn strict<'a, R: Record>(batch: &'a Batch, found: &'a [Found]) -> Vec<Strict<'a>> {
    let fields = R::FIELDS.iter().zip(&batch.columns).filter(|((_, _, nulls), _)| !nulls);
    let own = fields.filter_map(|((name, _, _), column)| {
        Some(Strict { reason: format!("{name} is null"), valid: column.valid.as_deref()?.into() })
    });
    let mut all: Vec<Strict<'a>> = own.collect();
    for (lookup, found) in R::LOOKUPS.iter().zip(found) {
        let (table, key) = (lookup.table, R::FIELDS[lookup.key].0);
        if let Some(hits) = found.hits.as_deref().filter(|_| lookup.needed) {
            all.push(Strict { reason: format!("table {table} has no row of its {key}"), valid: hits.into() });
        }
        for ((name, _, _), column) in lookup.fields.iter().zip(&found.columns).filter(|((_, _, nulls), _)| !nulls) {
            let Some(valid) = column.valid.as_deref() else { continue };
            // Where there is no row there is no null in it either.
            let valid: Cow<'a, [u8]> = match found.hits.as_deref() {
                Some(hits) => valid.iter().zip(hits).map(|(valid, hit)| valid | u8::from(*hit == 0)).collect(),
                None => valid.into(),
            };
            if valid.contains(&0) {
                all.push(Strict { reason: format!("{name} of table {table} is null"), valid });
            }
        }
    }
    all
}
