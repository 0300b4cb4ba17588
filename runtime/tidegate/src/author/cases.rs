//! `cases.yaml`: records in, records out, beside the plugin.

use crate::tables;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tidegate_pipeline::WindowOptions;
use tidegate_record::{Field, Scalar, Schema};
use tidegate_sandbox::Tables;

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cases {
    /// The fields of the records, such as `temp: f64`; left out: what the plugin says it reads. A case may have its own.
    fields: Option<BTreeMap<String, String>>,
    /// Parameters; a case may have its own.
    #[serde(default)]
    params: Map<String, Value>,
    /// Aggregates: the window; a case may have its own.
    window: Option<WindowText>,
    /// What the plugin may look up; a case may have its own.
    #[serde(default)]
    tables: BTreeMap<String, TableText>,
    /// What is tried.
    pub cases: Vec<Case>,
}

/// One thing tried.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// A sentence of what must hold.
    pub name: String,
    fields: Option<BTreeMap<String, String>>,
    params: Option<Map<String, Value>>,
    window: Option<WindowText>,
    tables: Option<BTreeMap<String, TableText>>,
    /// When the records arrived, seconds since the epoch: what a plugin's clock says.
    #[serde(default)]
    pub arrival: u32,
    /// Records: `device`, `time` (seconds since the epoch, or RFC 3339; 0 where it is left out), and fields.
    #[serde(default, rename = "in")]
    pub given: Vec<Map<String, Value>>,
    /// The records made of them, in order; `device` and `time` are compared where they stand.
    #[serde(default, rename = "out")]
    pub expected: Vec<Map<String, Value>>,
    /// Fields that are not compared.
    #[serde(default)]
    pub ignore: Vec<String>,
    /// Records at fault.
    #[serde(default)]
    pub faults: Vec<FaultText>,
    /// How many records come late.
    #[serde(default)]
    pub late: usize,
    /// The parameters are refused, at these places (such as `/above`).
    pub refused: Option<Vec<String>>,
}

/// A record at fault.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultText {
    /// Which, from 0.
    pub record: u64,
    /// A part of the reason.
    #[serde(default)]
    pub reason: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct WindowText {
    tumbling: String,
    #[serde(default = "zero")]
    lateness: String,
}

/// A table's rows, written out.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct TableText {
    key: String,
    #[serde(default)]
    fields: BTreeMap<String, String>,
    rows: Vec<Map<String, Value>>,
}

fn zero() -> String {
    "0ms".into()
}

impl Cases {
    /// Reads the file; the error names it, the place and what is wrong.
    pub fn read(file: &Path) -> Result<Cases, String> {
        let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let cases: Cases = serde_yaml_ng::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))?;
        if cases.cases.is_empty() {
            return Err(format!("{}: there are no cases", file.display()));
        }
        match cases.cases.iter().find(|case| case.given.is_empty() && case.refused.is_none()) {
            Some(case) => Err(format!("{}: case {:?} tries nothing: write in, or refused", file.display(), case.name)),
            None => Ok(cases),
        }
    }

    /// The fields of a case's records; `read` are those the plugin says it reads.
    pub fn schema(&self, case: &Case, read: Option<Vec<Field>>) -> Result<Arc<Schema>, String> {
        let fields = match case.fields.as_ref().or(self.fields.as_ref()) {
            Some(written) => fields(written)?,
            None => read.ok_or("the plugin does not say which fields it reads: write fields: { temp: f64 }")?,
        };
        Schema::new(fields).map(Arc::new).map_err(|error| error.to_string())
    }

    /// What its plugin may look up.
    pub fn tables(&self, case: &Case) -> Result<Arc<Tables>, String> {
        let table = |(name, text): (&String, &TableText)| {
            let rows = serde_json::to_vec(&text.rows).map_err(|error| error.to_string())?;
            let table = tables::of_json(&text.key, &fields(&text.fields)?, rows);
            Ok((name.clone(), table.map_err(|wrong| format!("table {name}{}", wrong.join("; ")))?))
        };
        let texts = case.tables.as_ref().unwrap_or(&self.tables);
        texts.iter().map(table).collect::<Result<Vec<_>, String>>().map(|tables| Arc::new(Tables::new(tables)))
    }

    /// Its parameters, a JSON object.
    pub fn params(&self, case: &Case) -> String {
        Value::Object(case.params.as_ref().unwrap_or(&self.params).clone()).to_string()
    }

    /// Its window.
    pub fn window(&self, case: &Case) -> Result<Option<WindowOptions>, String> {
        let Some(window) = case.window.as_ref().or(self.window.as_ref()) else { return Ok(None) };
        let micros = |text: &str| {
            let duration = crate::config::units::parse_duration(text)?;
            i64::try_from(duration.as_micros()).map_err(|_| format!("{text:?} is too long"))
        };
        let (size, lateness) = (micros(&window.tumbling)?, micros(&window.lateness)?);
        if size < 1 {
            return Err(format!("a window of {:?} is none", window.tumbling));
        }
        Ok(Some(WindowOptions { size, lateness, idle: Duration::from_secs(30).as_micros() as i64 }))
    }
}

fn fields(words: &BTreeMap<String, String>) -> Result<Vec<Field>, String> {
    let field = |(name, word): (&String, &String)| match Scalar::from_word(word) {
        Some(scalar) => Ok(Field::new(name, scalar)),
        None => Err(format!("field {name}: {word:?} is none of f64, i64, bool, text, bytes")),
    };
    words.iter().map(field).collect()
}
