//! What a plugin says of the parameters and fields it did not take, for who is to write them.

use super::inspect::{FieldSaid, Parameter, params, reads};
use tidegate_pipeline::{BuildError, OperatorOptions};
use tidegate_record::Schema;
use tidegate_sandbox::{ConfigureError, Issue};

/// An error with the help of the plugin that made it; `input`: the fields of the first operator's records.
pub fn explained(operators: &[OperatorOptions], input: &Schema, error: &BuildError) -> String {
    let BuildError::Configure { operator, source: ConfigureError::Issues { issues, .. }, .. } = error else {
        return error.to_string();
    };
    let Some(options) = operators.get(operator - 1) else { return error.to_string() };
    // What later operators are given is made by those before.
    let input = (*operator == 1).then_some(input);
    format!("{error}{}", help(&options.plugin.about().params, issues, input))
}

/// `; above is number, in Cel, default 20: what it does`, one after the other.
pub(super) fn help(schema: &str, issues: &[Issue], input: Option<&Schema>) -> String {
    let known = params(schema);
    let top = |issue: &Issue| issue.at.strip_prefix('/').and_then(|at| at.split('/').next()).map(str::to_string);
    let named: Vec<String> = issues.iter().filter_map(top).collect();
    // Where a name is none of them, it may be meant for any.
    let is_strange = named.iter().any(|name| !known.iter().any(|param| param.name == *name));
    let told = |param: &Parameter| format!("{} is {}", param.name, param.told());
    let mut parts: Vec<String> =
        known.iter().filter(|param| is_strange || named.contains(&param.name)).map(told).collect();
    let read = reads(schema).unwrap_or_default();
    let is_at = |field: &&FieldSaid| field.table.is_none() && issues.iter().any(|issue| issue.at == field.name);
    parts.extend(read.iter().filter(is_at).map(|field| format!("it reads {} {}", field.name, field.told())));
    // A field is named by itself, or in a parameter.
    let is_of_input = |issue: &Issue| !issue.at.is_empty() && !issue.at.starts_with('/');
    if issues.iter().any(|issue| is_of_input(issue) || issue.message.contains("the input")) {
        parts.extend(input.map(|input| format!("the input has {}", words(input))));
    }
    let ends = parts.len().saturating_sub(1);
    let part =
        |(at, part): (usize, &String)| format!("; {}", if at == ends { part } else { part.trim_end_matches('.') });
    parts.iter().enumerate().map(part).collect()
}

fn words(schema: &Schema) -> String {
    let fields = schema.fields().iter().map(|field| format!("{} {}", field.name, field.scalar.word()));
    let fields: Vec<String> = fields.collect();
    if fields.is_empty() { "no fields".into() } else { fields.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_record::{Field, Scalar};

    const SCHEMA: &str = r#"{"properties":{"above":{"type":"number","unit":"Cel","default":20,"description":"Kept above"},
        "below":{"type":"number"}},"x-fields":{"reads":[{"name":"temp","type":"f64","unit":"Cel","nulls":false,
        "description":"Of the air"},{"name":"hum","type":"f64","nulls":true}],"emits":[]}}"#;

    #[test]
    fn what_is_refused_is_told_by_the_plugins_own_words() {
        let input = Schema::new(vec![Field::new("t", Scalar::Integer)]).unwrap();
        let told = |places: &[&str]| {
            let issue = |at: &&str| Issue { at: at.to_string(), message: "no".into() };
            help(SCHEMA, &places.iter().map(issue).collect::<Vec<_>>(), Some(&input))
        };
        assert_eq!(told(&["/above/0"]), "; above is number, in Cel, default 20: Kept above");
        assert_eq!(told(&["/over"]), "; above is number, in Cel, default 20: Kept above; below is number");
        let temp = "; it reads temp f64, in Cel, never null: Of the air; the input has t i64";
        assert_eq!(told(&["temp"]), temp);
        assert_eq!(told(&["pressure"]), "; the input has t i64");
        assert_eq!(told(&[""]), "");
    }
}
