//! Results as structs: what an aggregate makes of a window, a transform of a record, a codec of a frame.

use crate::{Blobs, Column, Field, Scalar, Values};

#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be emitted",
    label = "makes no fields",
    note = "write #[derive(Emits)] over the struct"
)]
/// A struct whose fields are emitted; derive it for a struct with named fields.
pub trait Emits: Sized {
    /// Its fields.
    fn fields() -> Vec<Field>;
    /// What each of them means, for people.
    fn help() -> Vec<&'static str> {
        Vec::new()
    }
    /// Appends its values to the columns of [`Emits::fields`].
    fn emit(self, columns: &mut [Column]);
}

#[diagnostic::on_unimplemented(
    message = "an emitted field cannot be `{Self}`",
    label = "no type of a field",
    note = "it is f64, i64, bool, String, or an Option of these"
)]
/// A type an emitted field may have.
pub trait Value: Sized {
    /// What the column holds.
    const SCALAR: Scalar;
    /// The value of a null.
    fn zero() -> Self;
    /// Appends the value, not its validity.
    fn push_value(self, values: &mut Values);

    /// Appends the value.
    fn push(self, column: &mut Column) {
        if let Some(valid) = &mut column.valid {
            valid.push(1);
        }
        self.push_value(&mut column.values);
    }
}

macro_rules! value {
    ($type:ty, $scalar:ident, $values:ident, $zero:expr, |$v:ident, $all:ident| $push:expr) => {
        impl Value for $type {
            const SCALAR: Scalar = Scalar::$scalar;

            fn zero() -> Self {
                $zero
            }

            fn push_value(self, values: &mut Values) {
                let $v = self;
                match values {
                    Values::$values($all) => $push,
                    _ => unreachable!("columns are made for their fields"),
                }
            }
        }
    };
}

value!(f64, Float, Floats, 0.0, |value, all| all.push(value));
value!(i64, Integer, Integers, 0, |value, all| all.push(value));
value!(bool, Boolean, Booleans, false, |value, all| all.push(u8::from(value)));
value!(String, Text, Texts, String::new(), |value, all| all.push(value.as_bytes()));

impl<T: Value> Value for Option<T> {
    const SCALAR: Scalar = T::SCALAR;

    fn zero() -> Self {
        None
    }

    fn push_value(self, values: &mut Values) {
        self.unwrap_or_else(T::zero).push_value(values);
    }

    fn push(self, column: &mut Column) {
        let rows = column.rows();
        match (&mut column.valid, self.is_some()) {
            (None, true) => {}
            (valid, there) => valid.get_or_insert_with(|| vec![1; rows]).push(u8::from(there)),
        }
        self.push_value(&mut column.values);
    }
}

impl Column {
    /// No rows.
    pub fn empty(scalar: Scalar) -> Column {
        let values = match scalar {
            Scalar::Float => Values::Floats(Vec::new()),
            Scalar::Integer => Values::Integers(Vec::new()),
            Scalar::Boolean => Values::Booleans(Vec::new()),
            Scalar::Text => Values::Texts(Blobs::none()),
            Scalar::Bytes => Values::Bytes(Blobs::none()),
        };
        Column { values, valid: None }
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        match &self.values {
            Values::Floats(values) => values.len(),
            Values::Integers(values) => values.len(),
            Values::Booleans(values) => values.len(),
            Values::Texts(blobs) | Values::Bytes(blobs) => blobs.offsets.len() - 1,
        }
    }
}

/// Columns of many results.
pub(crate) fn columns<E: Emits>(results: impl Iterator<Item = E>) -> Vec<Column> {
    let mut columns = empty_columns::<E>();
    results.for_each(|result| result.emit(&mut columns));
    columns
}

/// Columns of no results yet.
pub(crate) fn empty_columns<E: Emits>() -> Vec<Column> {
    E::fields().iter().map(|field| Column::empty(field.scalar)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validity_begins_with_the_first_null() {
        let mut column = Column::empty(Scalar::Float);
        for value in [Some(1.0), None, Some(3.0)] {
            value.push(&mut column);
        }
        assert_eq!(column, Column { values: Values::Floats(vec![1.0, 0.0, 3.0]), valid: Some(vec![1, 0, 1]) });
        let mut column = Column::empty(Scalar::Text);
        Some("a".to_string()).push(&mut column);
        assert_eq!(column.valid, None);
    }
}
