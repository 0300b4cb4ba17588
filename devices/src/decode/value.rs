//! One value of a wire, and how it becomes the value of a field.

use super::error::{DecodeError, Shown};
use tidegate_record::{BatchBuilder, Field, Scalar};

/// One value of a wire.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Found<'a> {
    Null,
    Boolean(bool),
    Integer(i64),
    /// Above `i64::MAX`.
    Unsigned(u64),
    Float(f64),
    Text(&'a str),
    Object,
    Array,
}

impl Found<'_> {
    pub fn shown(self) -> Shown {
        match self {
            Found::Null => Shown::plain("null"),
            Found::Boolean(value) => Shown::plain(value),
            Found::Integer(value) => Shown::plain(value),
            Found::Unsigned(value) => Shown::plain(value),
            Found::Float(value) => Shown::plain(value),
            Found::Text(value) => Shown::text(value),
            Found::Object => Shown::plain("an object"),
            Found::Array => Shown::plain("an array"),
        }
    }

    /// The number a text spells, for wires that write numbers as text.
    pub fn number_in_text(text: &str) -> Option<Found<'static>> {
        let text = text.trim_ascii();
        match (text.parse::<i64>(), text.parse::<f64>()) {
            (Ok(value), _) => Some(Found::Integer(value)),
            (_, Ok(value)) => Some(Found::Float(value)),
            _ => None,
        }
    }
}

/// 2^63: the first float beyond `i64`.
const I64_END: f64 = 9_223_372_036_854_775_808.0;

/// Sets field `at` of the row in hand; null leaves it unset. `loose`: texts may spell numbers and booleans.
#[inline]
pub(super) fn assign(
    out: &mut BatchBuilder,
    at: usize,
    field: &Field,
    found: Found<'_>,
    loose: bool,
) -> Result<(), DecodeError> {
    match (field.scalar, found) {
        (_, Found::Null) => true,
        (Scalar::Float, Found::Float(value)) if value.is_finite() => out.float(at, value),
        (Scalar::Float, Found::Integer(value)) => out.float(at, value as f64),
        (Scalar::Float, Found::Unsigned(value)) => out.float(at, value as f64),
        (Scalar::Integer, Found::Integer(value)) => out.integer(at, value),
        (Scalar::Integer, Found::Float(value)) if value.fract() == 0.0 && (-I64_END..I64_END).contains(&value) => {
            out.integer(at, value as i64)
        }
        (Scalar::Boolean, Found::Boolean(value)) => out.boolean(at, value),
        (Scalar::Text, Found::Text(value)) => out.text(at, value),
        (Scalar::Bytes, Found::Text(value)) => out.bytes(at, value.as_bytes()),
        (_, found) => return assign_odd(out, at, field, found, loose),
    };
    Ok(())
}

/// What is rare: a text that spells the value, or an error.
#[cold]
fn assign_odd(
    out: &mut BatchBuilder,
    at: usize,
    field: &Field,
    found: Found<'_>,
    loose: bool,
) -> Result<(), DecodeError> {
    let name = || field.name.clone();
    if loose && let Found::Text(text) = found {
        let spelt = match field.scalar {
            Scalar::Boolean => match text.trim_ascii() {
                "true" | "1" => Some(Found::Boolean(true)),
                "false" | "0" => Some(Found::Boolean(false)),
                _ => None,
            },
            Scalar::Float | Scalar::Integer => Found::number_in_text(text),
            Scalar::Text | Scalar::Bytes => None,
        };
        if let Some(spelt) = spelt {
            return assign(out, at, field, spelt, false);
        }
    }
    match (field.scalar, found) {
        (Scalar::Float | Scalar::Integer, Found::Float(value)) if !value.is_finite() => {
            Err(DecodeError::NotFinite { name: name(), found: found.shown() })
        }
        (Scalar::Integer, Found::Float(value)) if value.fract() == 0.0 => {
            Err(DecodeError::OutOfRange { name: name(), found: found.shown() })
        }
        (Scalar::Integer, Found::Unsigned(_)) => Err(DecodeError::OutOfRange { name: name(), found: found.shown() }),
        (scalar, found) => {
            Err(DecodeError::WrongType { name: name(), expected: expected(scalar), found: found.shown() })
        }
    }
}

fn expected(scalar: Scalar) -> &'static str {
    match scalar {
        Scalar::Float => "a number",
        Scalar::Integer => "a whole number",
        Scalar::Boolean => "true or false",
        Scalar::Text => "text",
        Scalar::Bytes => "text",
    }
}
