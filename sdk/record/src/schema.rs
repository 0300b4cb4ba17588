//! The fields of a stream.

use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fmt;

/// Most fields a schema may have.
pub const FIELDS_MAX: usize = 256;
/// Most bytes a field or stream name may have.
pub const NAME_BYTES_MAX: usize = 64;

/// The kind of value a field holds. Stored: the numbers are part of the on-disk format and never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Scalar {
    /// IEEE 754 double.
    Float = 0,
    /// Signed 64-bit integer.
    Integer = 1,
    /// True or false.
    Boolean = 2,
    /// Valid UTF-8.
    Text = 3,
    /// Any bytes (frames in the dead letters).
    Bytes = 4,
}

impl Scalar {
    /// The word configuration and documents use: `f64`, `i64`, `bool`, `text`, `bytes`.
    pub fn word(self) -> &'static str {
        match self {
            Scalar::Float => "f64",
            Scalar::Integer => "i64",
            Scalar::Boolean => "bool",
            Scalar::Text => "text",
            Scalar::Bytes => "bytes",
        }
    }

    /// The scalar a configuration word names.
    pub fn from_word(word: &str) -> Option<Self> {
        [Scalar::Float, Scalar::Integer, Scalar::Boolean, Scalar::Text, Scalar::Bytes]
            .into_iter()
            .find(|s| s.word() == word)
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One named, typed, nullable value of a record.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Field {
    /// Unique in its schema; never `device` or `time`, which every record has.
    pub name: String,
    /// What its values are.
    pub scalar: Scalar,
    /// UCUM text (`Cel`, `%`, `kPa`), or empty.
    pub unit: String,
}

impl Field {
    /// A field without a unit.
    pub fn new(name: impl Into<String>, scalar: Scalar) -> Self {
        Field { name: name.into(), scalar, unit: String::new() }
    }
}

/// The fields of a stream, in order. `device` and `time` are implied and come first everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Schema {
    fields: Vec<Field>,
}

/// Why a list of fields is no schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// A name is used twice.
    #[error("field {0:?} is declared twice")]
    Twice(String),
    /// `device` and `time` are part of every record.
    #[error("field {0:?} is part of every record already: leave it out")]
    Reserved(String),
    /// A name that could not be written in a topic, a metric or a file name.
    #[error(
        "field name {0:?} is not usable: 1 to {NAME_BYTES_MAX} of a-z, A-Z, 0-9, '_' and '-', beginning with a letter or '_'"
    )]
    Name(String),
    /// More than [`FIELDS_MAX`].
    #[error("{0} fields are more than the {FIELDS_MAX} a record may have")]
    TooMany(usize),
}

/// Whether `name` may name a field or a stream: `[A-Za-z_][A-Za-z0-9_-]{0,63}`.
pub fn valid_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    let first_ok = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    first_ok && name.len() <= NAME_BYTES_MAX && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

impl Schema {
    /// Checks names and count.
    pub fn new(fields: Vec<Field>) -> Result<Self, SchemaError> {
        if fields.len() > FIELDS_MAX {
            return Err(SchemaError::TooMany(fields.len()));
        }
        let mut seen = HashSet::new();
        for field in &fields {
            if field.name == "device" || field.name == "time" {
                return Err(SchemaError::Reserved(field.name.clone()));
            }
            if !valid_name(&field.name) {
                return Err(SchemaError::Name(field.name.clone()));
            }
            if !seen.insert(&field.name) {
                return Err(SchemaError::Twice(field.name.clone()));
            }
        }
        Ok(Schema { fields })
    }

    /// The declared fields, in order.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Where `name` stands among the fields.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|f| f.name == name)
    }

    /// A number that is the same for equal schemas on every machine: XXH3-64 over `name NUL scalar unit NUL` of each
    /// field in order. A stored block names its schema by it.
    pub fn id(&self) -> u64 {
        let mut bytes = Vec::with_capacity(self.fields.len() * 16);
        for field in &self.fields {
            bytes.extend_from_slice(field.name.as_bytes());
            bytes.extend_from_slice(&[0, field.scalar as u8]);
            bytes.extend_from_slice(field.unit.as_bytes());
            bytes.push(0);
        }
        xxhash_rust::xxh3::xxh3_64(&bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        let new = |name: &str| Schema::new(vec![Field::new(name, Scalar::Float)]);
        assert!(new("temp_c-2").is_ok());
        assert_eq!(new("device"), Err(SchemaError::Reserved("device".into())));
        for bad in ["", "2x", "a b", "ä", &"x".repeat(65)] {
            assert_eq!(new(bad), Err(SchemaError::Name(bad.into())));
        }
        let twice = vec![Field::new("a", Scalar::Float), Field::new("a", Scalar::Text)];
        assert_eq!(Schema::new(twice), Err(SchemaError::Twice("a".into())));
    }

    #[test]
    fn the_id_is_part_of_the_format() {
        let schema = Schema::new(vec![Field { name: "temp".into(), scalar: Scalar::Float, unit: "Cel".into() }]);
        assert_eq!(schema.map(|s| s.id()), Ok(xxhash_rust::xxh3::xxh3_64(b"temp\0\0Cel\0")));
    }
}
