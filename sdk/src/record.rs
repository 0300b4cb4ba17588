//! Records as structs: a row of a batch, read into the author's type.

use crate::plugin::outcome::Outcome;
use crate::{Batch, Blobs, Column, Fault, Field, Issue, Scalar, Values};

/// A struct that rows are read into; derive it for a struct with named fields.
pub trait Record: Sized {
    /// Its fields: name, scalar, whether it receives nulls.
    const FIELDS: &'static [(&'static str, Scalar, bool)];
    /// The columns it is read from, found once a batch.
    type Columns<'a>;

    /// Finds the columns; they are those of [`Record::FIELDS`], in order.
    fn columns(columns: &[Column]) -> Self::Columns<'_>;
    /// Reads one row.
    fn read(columns: &Self::Columns<'_>, row: usize) -> Self;
}

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

/// Calls `each` with every record, in order. A null where the record has a plain field, or an error, faults the row.
#[inline(always)]
pub(crate) fn each<R: Record, T, O: Outcome<T>>(
    batch: &Batch,
    faults: &mut Vec<Fault>,
    mut each: impl FnMut(usize, R) -> O,
    mut done: impl FnMut(usize, T),
) {
    let (columns, rows) = (R::columns(&batch.columns), batch.rows as usize);
    let fields = R::FIELDS.iter().zip(&batch.columns);
    let strict: Vec<(&str, &[u8])> = fields
        .filter(|((_, _, nulls), _)| !nulls)
        .filter_map(|((name, _, _), column)| Some((*name, column.valid.as_deref()?)))
        .collect();
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
        match strict.iter().find(|(_, valid)| valid[row] == 0) {
            Some((name, _)) => missing.push(Fault { row: row as u32, reason: format!("{name} is null") }),
            None => one(row),
        }
    }
    faults.append(&mut missing);
}

/// What a record reads, checked against the fields there are.
pub(crate) fn reads<R: Record>(fields: &[Field]) -> Result<Vec<String>, Vec<Issue>> {
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
    if issues.is_empty() { Ok(names) } else { Err(issues) }
}
