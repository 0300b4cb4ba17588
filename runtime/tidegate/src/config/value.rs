//! One value of the file: read as a type, with its place for what is wrong with it.

use super::context::Context;
use super::interpolate;
use super::section::Section;
use super::units::{Size, Span, parse_duration, parse_size};
use std::fmt::Debug;
use std::net::SocketAddr;
use std::time::Duration;
use toml::Spanned;
use toml::de::DeValue;

/// A value and where it stands.
#[derive(Clone)]
pub(super) struct Value<'c> {
    pub context: &'c Context<'c>,
    pub path: String,
    pub inner: &'c Spanned<DeValue<'c>>,
}

/// A type an option may have. The error is a sentence without the path.
pub(super) trait Read: Sized + Debug {
    fn read(value: &Value<'_>) -> Result<Self, String>;

    /// The value in the notation of the file.
    fn show(&self) -> String {
        format!("{self:?}")
    }
}

impl Value<'_> {
    /// The byte it begins at.
    pub fn at(&self) -> usize {
        self.inner.span().start
    }

    /// The value as `T`; what is wrong is noted.
    pub fn get<T: Read>(&self) -> Option<T> {
        T::read(self).map_err(|message| self.problem(message)).ok()
    }

    /// Reads this value as a section; `None` where it is none.
    pub fn section<T>(&self, read: impl FnOnce(&mut Section<'_>) -> T) -> Option<T> {
        Section::of(self, read)
    }

    pub fn problem(&self, message: impl Into<String>) {
        self.context.problem(self.at(), &self.path, message);
    }

    fn expected(&self, what: &str) -> String {
        format!("expected {what}, found {}", kind(self.inner.get_ref()))
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number with a decimal point",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}

impl Read for String {
    fn read(value: &Value<'_>) -> Result<Self, String> {
        match value.inner.get_ref() {
            DeValue::String(text) => interpolate::expand(text, &|name| value.context.variable(name)),
            _ => Err(value.expected("text in quotes")),
        }
    }
}

impl Read for bool {
    fn read(value: &Value<'_>) -> Result<Self, String> {
        match value.inner.get_ref() {
            DeValue::Boolean(flag) => Ok(*flag),
            _ => Err(value.expected("true or false")),
        }
    }
}

impl Read for i64 {
    fn read(value: &Value<'_>) -> Result<Self, String> {
        match value.inner.get_ref() {
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_err(|_| format!("{number} is too large for an integer")),
            _ => Err(value.expected("an integer")),
        }
    }
}

macro_rules! read_integer {
    ($($type:ty),*) => {$(
        impl Read for $type {
            fn read(value: &Value<'_>) -> Result<Self, String> {
                let number = i64::read(value)?;
                <$type>::try_from(number)
                    .map_err(|_| format!("{number} is outside of 0 to {}", (<$type>::MAX as u64).min(i64::MAX as u64)))
            }
        }
    )*};
}
read_integer!(u8, u16, u32, u64, usize);

impl Read for f64 {
    fn read(value: &Value<'_>) -> Result<Self, String> {
        let number = match value.inner.get_ref() {
            DeValue::Integer(_) => return i64::read(value).map(|number| number as f64),
            DeValue::Float(number) => number.as_str().replace('_', "").parse::<f64>().ok(),
            _ => return Err(value.expected("a number")),
        };
        number.filter(|number| number.is_finite()).ok_or_else(|| "is no number to be used here".into())
    }
}

impl Read for Size {
    fn read(value: &Value<'_>) -> Result<Self, String> {
        match value.inner.get_ref() {
            DeValue::Integer(_) => u64::read(value).map(Size),
            DeValue::String(_) => parse_size(&String::read(value)?).map(Size),
            _ => Err(value.expected("a size such as \"64KiB\"")),
        }
    }
}

impl Read for Duration {
    fn read(value: &Value<'_>) -> Result<Self, String> {
        match value.inner.get_ref() {
            DeValue::String(_) => parse_duration(&String::read(value)?),
            _ => Err(value.expected("a duration such as \"30s\"")),
        }
    }

    fn show(&self) -> String {
        Span(*self).to_string()
    }
}

impl Read for SocketAddr {
    fn read(value: &Value<'_>) -> Result<Self, String> {
        let text = String::read(value)?;
        text.parse().map_err(|_| format!("{text:?} is no address and port, such as \"127.0.0.1:9780\""))
    }
}

impl Read for Vec<String> {
    fn read(value: &Value<'_>) -> Result<Self, String> {
        let DeValue::Array(items) = value.inner.get_ref() else {
            return Err(value.expected("a list of texts"));
        };
        let item = |(index, inner)| {
            let item = Value { inner, path: format!("{}[{index}]", value.path), ..value.clone() };
            String::read(&item).map_err(|message| format!("item {}: {message}", index + 1))
        };
        items.iter().enumerate().map(item).collect()
    }
}

/// Any table as JSON text (a plugin's parameters); variables in its texts are expanded.
impl Read for serde_json::Value {
    fn read(value: &Value<'_>) -> Result<Self, String> {
        let inside = |name: &str, inner| Value { inner, path: format!("{}.{name}", value.path), ..value.clone() };
        let named = |name: &str, message: String| format!("{name}: {message}");
        Ok(match value.inner.get_ref() {
            DeValue::String(_) => String::read(value)?.into(),
            DeValue::Integer(_) => i64::read(value)?.into(),
            DeValue::Float(number) => {
                let float = number.as_str().parse::<f64>().ok().and_then(serde_json::Number::from_f64);
                float.ok_or_else(|| format!("{number} cannot be handed to a plugin"))?.into()
            }
            DeValue::Boolean(flag) => (*flag).into(),
            DeValue::Datetime(time) => time.to_string().into(),
            DeValue::Array(items) => {
                let item = |(index, inner): (usize, _)| {
                    let name = index.to_string();
                    Self::read(&inside(&name, inner)).map_err(|message| named(&name, message))
                };
                serde_json::Value::Array(items.iter().enumerate().map(item).collect::<Result<_, _>>()?)
            }
            DeValue::Table(entries) => {
                let mut object = serde_json::Map::new();
                for (name, inner) in entries {
                    let name = name.get_ref().to_string();
                    let json = Self::read(&inside(&name, inner)).map_err(|message| named(&name, message))?;
                    object.insert(name, json);
                }
                serde_json::Value::Object(object)
            }
        })
    }
}
