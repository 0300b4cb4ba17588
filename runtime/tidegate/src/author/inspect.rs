//! What a plugin is, for a person about to use it.

use serde::Serialize;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tidegate_record::{Field, Scalar};
use tidegate_sandbox::{Limits, Plugin};

/// A plugin, looked into.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inspected {
    /// Its file.
    pub file: PathBuf,
    /// Its name, which configuration uses when the file is named so.
    pub name: String,
    /// Its version.
    pub version: String,
    /// One line.
    pub summary: String,
    /// filter, transform, detect, aggregate or codec.
    pub kind: &'static str,
    /// The contract it speaks.
    pub contract: &'static str,
    /// Whether it keeps state in slots.
    pub state: bool,
    /// The imports it must be granted.
    pub imports: Vec<&'static str>,
    /// Bytes of the file.
    pub bytes: u64,
    /// SHA-256 of the component, hexadecimal.
    pub sha256: String,
    /// Ids of the keys it says it is signed by; nothing of that is verified.
    pub signed_by: Vec<String>,
    /// What it may be told.
    pub params: Vec<Parameter>,
    /// The fields it reads; `None` where it does not say, for its parameters name them.
    pub reads: Option<Vec<FieldSaid>>,
    /// The fields it emits.
    pub emits: Option<Vec<FieldSaid>>,
}

/// A field, as the plugin tells people of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FieldSaid {
    /// Its name.
    pub name: String,
    /// f64, i64, bool, text, bytes.
    pub r#type: String,
    /// Its unit.
    pub unit: Option<String>,
    /// Whether it may be null.
    pub nulls: bool,
    /// The table it is looked up in.
    pub table: Option<String>,
    /// What it means.
    pub help: String,
}

/// A parameter, from the JSON Schema the plugin gives.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// number, integer, boolean, string, array.
    pub r#type: String,
    /// Whether it must be given.
    pub required: bool,
    /// What it is where it is not given.
    pub default: Option<Value>,
    /// Its unit.
    pub unit: Option<String>,
    /// The least it may be, and the most.
    pub minimum: Option<Value>,
    #[allow(missing_docs)]
    pub maximum: Option<Value>,
    /// The only values it may have.
    pub r#enum: Option<Vec<Value>>,
    /// What it does: its title and its description.
    pub help: String,
}

/// Loads a plugin and asks what it is.
pub fn inspect(file: &Path, limits: &Limits) -> Result<Inspected, String> {
    let bytes = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let plugin = super::load(file, limits)?;
    let about = plugin.about();
    Ok(Inspected {
        file: file.canonicalize().map_err(|error| format!("{}: {error}", file.display()))?,
        name: about.name.clone(),
        version: about.version.clone(),
        summary: about.summary.clone(),
        kind: plugin.kind().word(),
        contract: tidegate_sandbox::PACKAGE,
        state: plugin.has_state(),
        imports: plugin.imports().iter().map(|grant| grant.word()).collect(),
        bytes: bytes.len() as u64,
        sha256: plugin.sha256(),
        signed_by: tidegate_sandbox::signers(&bytes).iter().map(ToString::to_string).collect(),
        params: params(&about.params),
        reads: reads(&about.params),
        emits: fields(&about.params, "emits"),
    })
}

/// What a page draws a form for a plugin of: what it is, and as `params` the JSON Schema of its parameters, with its fields
/// as `x-fields`.
pub fn form(plugin: &Plugin) -> Value {
    let about = plugin.about();
    let schema: Value = serde_json::from_str(&about.params).unwrap_or_default();
    let imports: Vec<&str> = plugin.imports().iter().map(|grant| grant.word()).collect();
    json!({
        "name": about.name,
        "version": about.version,
        "summary": about.summary,
        "kind": plugin.kind().word(),
        "contract": tidegate_sandbox::PACKAGE,
        "state": plugin.has_state(),
        "imports": imports,
        "sha256": plugin.sha256(),
        "params": schema,
    })
}

impl Parameter {
    /// What a person writes for it: `number, in Cel, needed: What it does`.
    pub fn told(&self) -> String {
        let unit = self.unit.as_ref().map(|unit| format!(", in {unit}")).unwrap_or_default();
        let given = match (&self.default, self.required) {
            (Some(default), _) => format!(", default {default}"),
            (None, true) => ", needed".into(),
            (None, false) => String::new(),
        };
        format!("{}{unit}{}{given}{}", self.r#type, self.bounds(), ended(&self.help))
    }

    /// `, at least 0, at most 1`, `, one of "low", "high"`, or nothing.
    pub fn bounds(&self) -> String {
        let bound = |word: &str, value: &Option<Value>| {
            value.as_ref().map(|value| format!(", {word} {value}")).unwrap_or_default()
        };
        let words = |values: &Vec<Value>| values.iter().map(Value::to_string).collect::<Vec<_>>().join(", ");
        let one_of = self.r#enum.as_ref().map(|values| format!(", one of {}", words(values))).unwrap_or_default();
        bound("at least", &self.minimum) + &bound("at most", &self.maximum) + &one_of
    }
}

/// The fields a plugin says it reads, in its parameters' schema; none where those depend on its parameters.
pub(super) fn reads(schema: &str) -> Option<Vec<FieldSaid>> {
    fields(schema, "reads")
}

/// The fields of records that a plugin says it reads.
pub fn read_fields(plugin: &Plugin) -> Option<Vec<Field>> {
    let read = reads(&plugin.about().params)?;
    // Every record has a device.
    let own = read.into_iter().filter(|field| field.table.is_none() && field.name != "device");
    own.map(|field| Some(Field::new(&field.name, Scalar::from_word(&field.r#type)?))).collect()
}

fn fields(schema: &str, which: &str) -> Option<Vec<FieldSaid>> {
    let schema: Value = serde_json::from_str(schema).unwrap_or_default();
    let text = |value: &Value, key: &str| value[key].as_str().map(str::to_string);
    let field = |value: &Value| {
        Some(FieldSaid {
            name: text(value, "name")?,
            r#type: text(value, "type").unwrap_or_else(|| "any".into()),
            unit: text(value, "unit"),
            nulls: value["nulls"].as_bool().unwrap_or(true),
            table: text(value, "table"),
            help: text(value, "description").unwrap_or_default(),
        })
    };
    Some(schema["x-fields"][which].as_array()?.iter().filter_map(field).collect())
}

impl FieldSaid {
    /// What a person reads of it: `f64, in Cel, never null: What it means`.
    pub fn told(&self) -> String {
        let unit = self.unit.as_ref().map(|unit| format!(", in {unit}")).unwrap_or_default();
        let table = self.table.as_ref().map(|table| format!(", of table {table}")).unwrap_or_default();
        let nulls = if self.nulls { "" } else { ", never null" };
        format!("{}{unit}{table}{nulls}{}", self.r#type, ended(&self.help))
    }
}

/// `: its help`, or nothing.
fn ended(help: &str) -> String {
    if help.is_empty() { String::new() } else { format!(": {help}") }
}

/// The parameters a JSON Schema names; none where it is no schema.
pub fn params(schema: &str) -> Vec<Parameter> {
    let schema: Value = serde_json::from_str(schema).unwrap_or_default();
    let text = |value: &Value, key: &str| value[key].as_str().map(str::to_string);
    let is_required = |name: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
    let parameter = |(name, property): (&String, &Value)| Parameter {
        name: name.clone(),
        r#type: text(property, "type").unwrap_or_else(|| "any".into()),
        required: is_required(name),
        default: property.get("default").cloned(),
        unit: text(property, "unit"),
        minimum: property.get("minimum").cloned(),
        maximum: property.get("maximum").cloned(),
        r#enum: property["enum"].as_array().cloned(),
        help: ["title", "description"].into_iter().filter_map(|key| text(property, key)).collect::<Vec<_>>().join(": "),
    };
    schema["properties"].as_object().map(|all| all.iter().map(parameter).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the contract says a gateway shows of a parameter.
    #[test]
    fn a_parameter_is_told_with_all_its_schema_says() {
        let schema = r#"{"properties":{
            "share":{"type":"number","title":"Share","description":"Of the mean.","unit":"%","minimum":0,"maximum":100,"default":5},
            "side":{"type":"string","enum":["low","high"]}},"required":["side"]}"#;
        let told: Vec<String> = params(schema).iter().map(Parameter::told).collect();
        let share = "number, in %, at least 0, at most 100, default 5: Share: Of the mean.";
        assert_eq!(told, [share, "string, one of \"low\", \"high\", needed"]);
    }
}
