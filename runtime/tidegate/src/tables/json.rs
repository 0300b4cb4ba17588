//! Tables from JSON: a list of objects, whose names are the columns. What an object lacks is null.

use super::{Cell, Rows, Visit};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::collections::HashMap;
use std::fmt;
use tidegate_record::FIELDS_MAX;

/// From here on, to either side, serde gives integers as doubles: -2^63.
const INTEGER_END: f64 = 9_223_372_036_854_775_808.0;

/// A file's text.
pub(super) struct Json {
    text: Vec<u8>,
    names: Vec<String>,
}

impl Json {
    pub(super) fn new(text: Vec<u8>) -> Result<Self, String> {
        let (mut names, mut places) = (Vec::new(), HashMap::new());
        let mut see = |record: Record| {
            for (name, _) in record {
                if names.len() > FIELDS_MAX {
                    break;
                }
                if !places.contains_key(&name) {
                    places.insert(name.clone(), names.len());
                    names.push(name);
                }
            }
            names.len() <= FIELDS_MAX
        };
        walk(&text, &mut see)?;
        if names.len() > FIELDS_MAX {
            return Err(format!("its objects have more names than the {FIELDS_MAX} columns a table may have"));
        }
        Ok(Json { text, names })
    }
}

impl Rows for Json {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn each(&mut self, visit: Visit<'_>) -> Result<(), String> {
        let places: HashMap<&str, usize> =
            self.names.iter().enumerate().map(|(at, name)| (name.as_str(), at)).collect();
        let mut number = 0;
        walk(&self.text, &mut |record: Record| {
            number += 1;
            let mut cells = vec![Cell::Null; self.names.len()];
            for (name, scalar) in &record {
                let place = places.get(name.as_str()).and_then(|&at| cells.get_mut(at));
                place.into_iter().for_each(|cell| *cell = scalar.cell());
            }
            visit(number, &cells)
        })
    }

    fn noun(&self) -> &'static str {
        "record"
    }
}

/// An object, in the order of the file.
type Record = Vec<(String, Plain)>;

/// A value an object may have.
enum Plain {
    Null,
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
}

impl Plain {
    fn cell(&self) -> Cell<'_> {
        match self {
            Plain::Null => Cell::Null,
            Plain::Text(text) => Cell::Text(text),
            Plain::Integer(value) => Cell::Integer(*value),
            Plain::Float(value) => Cell::Float(*value),
            Plain::Boolean(value) => Cell::Boolean(*value),
        }
    }
}

/// Gives every object of the list; serde's errors name line and column.
fn walk(text: &[u8], visit: &mut dyn FnMut(Record) -> bool) -> Result<(), String> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    reader.deserialize_seq(List(visit)).and_then(|()| reader.end()).map_err(|error| error.to_string())
}

struct List<'v>(&'v mut dyn FnMut(Record) -> bool);

impl<'de> Visitor<'de> for List<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects, such as [{\"device\":\"d1\",\"site\":\"north\"}]")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(record) = list.next_element_seed(Object)? {
            if !(self.0)(record) {
                while list.next_element::<IgnoredAny>()?.is_some() {}
            }
        }
        Ok(())
    }
}

struct Object;

impl<'de> DeserializeSeed<'de> for Object {
    type Value = Record;

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<Record, D::Error> {
        value.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object {
    type Value = Record;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object, such as {\"device\":\"d1\",\"site\":\"north\"}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Record, A::Error> {
        let mut record: Record = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            if record.len() == FIELDS_MAX {
                let most = format!("more names in one object than the {FIELDS_MAX} columns a table may have");
                return Err(A::Error::custom(most));
            }
            if record.iter().any(|(other, _)| *other == name) {
                return Err(A::Error::custom(format!("{name:?} stands twice in one object")));
            }
            record.push((name, map.next_value_seed(Value)?));
        }
        Ok(record)
    }
}

struct Value;

impl<'de> DeserializeSeed<'de> for Value {
    type Value = Plain;

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<Plain, D::Error> {
        value.deserialize_any(self)
    }
}

impl Visitor<'_> for Value {
    type Value = Plain;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number, true, false or null")
    }

    fn visit_unit<E>(self) -> Result<Plain, E> {
        Ok(Plain::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Plain, E> {
        Ok(Plain::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Plain, E> {
        Ok(Plain::Integer(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Plain, E> {
        let integer = i64::try_from(value);
        integer.map(Plain::Integer).map_err(|_| E::custom(format!("{value} is beyond an i64: write it as a text")))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Plain, E> {
        // Digits alone that no integer holds come as this, too, rounded; which of both it was is not told.
        match value.abs() < INTEGER_END {
            true => Ok(Plain::Float(value)),
            false => Err(E::custom(format!("{value:e} has digits that are lost in an f64: write it as a text"))),
        }
    }

    fn visit_str<E>(self, text: &str) -> Result<Plain, E> {
        Ok(Plain::Text(text.into()))
    }
}
