//! Parameters: a JSON object from the configuration, read into a struct, and described by a JSON Schema.

use std::collections::BTreeMap;
use tinyjson::JsonValue;

/// A JSON value.
pub type Json = JsonValue;

/// One thing wrong with parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// JSON pointer into the parameters, or a field's name.
    pub at: String,
    /// What is wrong there.
    pub message: String,
}

impl Issue {
    /// An issue.
    pub fn new(at: impl Into<String>, message: impl Into<String>) -> Self {
        Issue { at: at.into(), message: message.into() }
    }
}

#[diagnostic::on_unimplemented(
    message = "`{Self}` holds no parameters",
    label = "not read from parameters",
    note = "write #[derive(Params)] over the struct"
)]
/// Parameters; derive it for a struct with named fields.
///
/// A field is needed unless it is an `Option` or has `#[param(default = …)]`; its doc comment becomes its description.
pub trait Params: Sized {
    /// The schema of the object.
    fn schema() -> Schema;
    /// Takes the fields out of the object; `None` where issues were noted.
    fn read(reader: &mut ParamsReader) -> Option<Self>;
}

impl Params for () {
    fn schema() -> Schema {
        Schema::default()
    }

    fn read(_: &mut ParamsReader) -> Option<()> {
        Some(())
    }
}

#[diagnostic::on_unimplemented(
    message = "a parameter cannot be `{Self}`",
    label = "no type of a parameter",
    note = "it is f64, i64, u32, bool, String, or an Option or a Vec of these"
)]
/// The type of one parameter.
pub trait Param: Sized {
    /// Its JSON Schema, without braces: `"type":"number"`.
    fn schema() -> String;
    /// The value; the error says what was expected.
    fn read(value: &Json) -> Result<Self, String>;
    /// What it is where nothing is given; only options have that.
    fn absent() -> Option<Self> {
        None
    }
}

macro_rules! param {
    ($type:ty, $schema:literal, $expected:literal, $read:expr) => {
        impl Param for $type {
            fn schema() -> String {
                $schema.into()
            }

            fn read(value: &Json) -> Result<Self, String> {
                let read: fn(&Json) -> Option<Self> = $read;
                read(value).ok_or_else(|| format!("expected {}", $expected))
            }
        }
    };
}

/// Largest integer a JSON number (a double) holds exactly.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

fn whole(value: &Json) -> Option<f64> {
    value.get::<f64>().copied().filter(|v| v.fract() == 0.0 && v.abs() <= EXACT_MAX)
}

param!(f64, r#""type":"number""#, "a number", |v| v.get::<f64>().copied());
param!(i64, r#""type":"integer""#, "a whole number", |v| whole(v).map(|v| v as i64));
param!(u32, r#""type":"integer","minimum":0"#, "a whole number from 0 to 4294967295", |v| {
    whole(v).filter(|&v| (0.0..=f64::from(u32::MAX)).contains(&v)).map(|v| v as u32)
});
param!(bool, r#""type":"boolean""#, "true or false", |v| v.get::<bool>().copied());
param!(String, r#""type":"string""#, "a text", |v| v.get::<String>().cloned());

impl<T: Param> Param for Option<T> {
    fn schema() -> String {
        T::schema()
    }

    fn read(value: &Json) -> Result<Self, String> {
        if value.is_null() { Ok(None) } else { T::read(value).map(Some) }
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl<T: Param> Param for Vec<T> {
    fn schema() -> String {
        format!(r#""type":"array","items":{{{}}}"#, T::schema())
    }

    fn read(value: &Json) -> Result<Self, String> {
        let items = value.get::<Vec<Json>>().ok_or("expected a list")?;
        items.iter().map(T::read).collect()
    }
}

/// A JSON Schema of an object, being put together.
#[derive(Debug, Default)]
pub struct Schema {
    properties: Vec<String>,
    required: Vec<&'static str>,
}

impl Schema {
    /// Adds a parameter; `unit` is UCUM text, `default` JSON, each empty where there is none.
    pub fn param<T: Param>(mut self, name: &'static str, description: &str, unit: &str, default: &str) -> Self {
        let mut property = format!("{}:{{{}", quoted(name), T::schema());
        if !description.is_empty() {
            property.push_str(&format!(",\"description\":{}", quoted(description)));
        }
        if !unit.is_empty() {
            property.push_str(&format!(",\"unit\":{}", quoted(unit)));
        }
        match default {
            "" if T::absent().is_none() => self.required.push(name),
            "" => {}
            default => property.push_str(&format!(",\"default\":{default}")),
        }
        property.push('}');
        self.properties.push(property);
        self
    }

    /// As text.
    pub fn json(&self) -> String {
        self.json_beside("")
    }

    /// As text, with what else is said of the plugin: `,"x-fields":{…}`.
    pub(crate) fn json_beside(&self, more: &str) -> String {
        let required: Vec<String> = self.required.iter().map(|name| quoted(name)).collect();
        format!(
            "{{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"type\":\"object\",\"properties\":{{{}}},\
             \"required\":[{}],\"additionalProperties\":false{more}}}",
            self.properties.join(","),
            required.join(",")
        )
    }
}

/// A text as JSON.
pub(crate) fn quoted(text: &str) -> String {
    Json::from(text.to_string()).stringify().unwrap_or_default()
}

/// The object parameters are taken out of, and what was wrong with it.
#[derive(Debug)]
pub struct ParamsReader {
    object: BTreeMap<String, Json>,
    known: Vec<&'static str>,
    issues: Vec<Issue>,
}

impl ParamsReader {
    /// Takes a parameter; notes an issue where it is missing or of another type.
    pub fn take<T: Param>(&mut self, name: &'static str, default: Option<T>) -> Option<T> {
        self.known.push(name);
        match self.object.remove(name) {
            Some(value) => T::read(&value).map_err(|message| self.issue(name, message)).ok(),
            None => default.or_else(T::absent).or_else(|| {
                self.issue(name, "is missing".into());
                None
            }),
        }
    }

    fn issue(&mut self, name: &str, message: String) {
        self.issues.push(Issue { at: format!("/{name}"), message });
    }
}

/// Reads parameters; tells all that is wrong with them.
pub(crate) fn read_params<P: Params>(text: &str) -> Result<P, Vec<Issue>> {
    let parsed: Result<Json, _> = text.parse();
    let object = match parsed {
        Ok(Json::Object(object)) => object.into_iter().collect(),
        Ok(_) => return Err(vec![Issue::new("", "parameters are a JSON object")]),
        Err(error) => return Err(vec![Issue::new("", format!("parameters are not JSON: {error}"))]),
    };
    let mut reader = ParamsReader { object, known: Vec::new(), issues: Vec::new() };
    let params = P::read(&mut reader);
    let known = reader.known.join(", ");
    for name in std::mem::take(&mut reader.object).into_keys() {
        reader.issue(&name, format!("there is no such parameter; known: {known}"));
    }
    match params {
        Some(params) if reader.issues.is_empty() => Ok(params),
        _ => Err(reader.issues),
    }
}
