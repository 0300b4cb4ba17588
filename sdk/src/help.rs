//! What a plugin says of the fields it reads and emits, for people: beside its parameters' schema, as `x-fields`.

use crate::params::quoted;
use crate::{Emits, Record, Scalar};

/// The fields of a plugin whose fields do not depend on its parameters.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FieldsHelp {
    /// Those it reads of a record.
    pub reads: Vec<FieldHelp>,
    /// Those it emits.
    pub emits: Vec<FieldHelp>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldHelp {
    /// Its name.
    pub name: String,
    /// What its values are.
    pub scalar: Scalar,
    /// UCUM text, or empty.
    pub unit: String,
    /// Whether it may be null; a record where one may not be is set aside.
    pub nulls: bool,
    /// The table it is looked up in; empty: it is a field of the record.
    pub table: &'static str,
    /// What it means.
    pub help: String,
}

/// What a record's fields mean, by the doc comments of the struct.
pub(crate) fn reads<R: Record>() -> Vec<FieldHelp> {
    let help = |at: usize| R::HELP.get(at).copied().unwrap_or_default();
    let own = R::FIELDS.iter().enumerate().map(|(at, &(name, scalar, nulls))| {
        let (unit, help) = help(at);
        FieldHelp { name: name.into(), scalar, unit: unit.into(), nulls, table: "", help: help.into() }
    });
    let looked = R::LOOKUPS.iter().flat_map(|lookup| {
        lookup.fields.iter().map(|&(name, scalar, nulls)| FieldHelp {
            name: name.into(),
            scalar,
            unit: String::new(),
            nulls: nulls || !lookup.needed,
            table: lookup.table,
            help: String::new(),
        })
    });
    own.chain(looked).collect()
}

/// What emitted fields mean.
pub(crate) fn emits<E: Emits>() -> Vec<FieldHelp> {
    let help = E::help();
    let field = |(at, field): (usize, crate::Field)| FieldHelp {
        name: field.name,
        scalar: field.scalar,
        unit: field.unit,
        nulls: true,
        table: "",
        help: help.get(at).copied().unwrap_or_default().into(),
    };
    E::fields().into_iter().enumerate().map(field).collect()
}

impl FieldsHelp {
    /// As JSON.
    pub(crate) fn json(&self) -> String {
        let list = |fields: &[FieldHelp]| fields.iter().map(FieldHelp::json).collect::<Vec<_>>().join(",");
        format!("{{\"reads\":[{}],\"emits\":[{}]}}", list(&self.reads), list(&self.emits))
    }
}

impl FieldHelp {
    fn json(&self) -> String {
        let mut json = format!("{{\"name\":{},\"type\":\"{}\"", quoted(&self.name), self.scalar.word());
        for (key, text) in [("unit", self.unit.as_str()), ("table", self.table), ("description", &self.help)] {
            if !text.is_empty() {
                json.push_str(&format!(",\"{key}\":{}", quoted(text)));
            }
        }
        json.push_str(&format!(",\"nulls\":{}}}", self.nulls));
        json
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Readings.
    #[derive(tidegate_sdk_macros::Record)]
    struct Reading {
        /// In the room's
        /// middle.
        #[record(unit = "Cel")]
        temp: f64,
        #[record(name = "rel-hum")]
        hum: Option<f64>,
        #[record(table = "sites")]
        site: Option<Site>,
    }

    #[derive(tidegate_sdk_macros::Record)]
    struct Site {
        name: String,
    }

    #[derive(tidegate_sdk_macros::Emits)]
    struct Made {
        /// How far from the "target".
        #[record(unit = "K")]
        off: f64,
    }

    #[test]
    fn fields_are_told_with_their_units_and_doc_comments() {
        let reading = Reading { temp: 1.0, hum: None, site: Some(Site { name: "north".into() }) };
        assert!(reading.hum.is_none() && reading.temp > 0.0 && reading.site.is_some_and(|site| site.name == "north"));
        assert_eq!(Made { off: 1.0 }.off, 1.0);
        let told = FieldsHelp { reads: reads::<Reading>(), emits: emits::<Made>() }.json();
        assert_eq!(
            told,
            r#"{"reads":[{"name":"temp","type":"f64","unit":"Cel","description":"In the room's middle.","nulls":false},"#
                .to_string()
                + r#"{"name":"rel-hum","type":"f64","nulls":true},{"name":"device","type":"text","nulls":true},"#
                + r#"{"name":"name","type":"text","table":"sites","nulls":true}],"#
                + r#""emits":[{"name":"off","type":"f64","unit":"K","description":"How far from the \"target\".","nulls":true}]}"#
        );
        assert!(told.parse::<crate::Json>().is_ok());
    }
}
