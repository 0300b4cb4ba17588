//! Configuring: parameters that do not fit, and plans the host cannot accept.

use crate::guest::{Guest, engine, says, schema};
use std::path::Path;
use tidegate_record::Scalar;
use tidegate_sandbox::{ConfigureError, Issue, Kind, Limits, Runner};

/// A plugin that refuses its parameters with these issues.
fn refusing(issues: &[(&str, &str)]) -> Guest {
    let mut guest = Guest::filter("unreachable");
    let mut words = Vec::new();
    for (at, message) in issues {
        words.extend(guest.image.list(at.as_bytes(), at.len()));
        words.extend(guest.image.list(message.as_bytes(), message.len()));
    }
    let words = guest.image.words(&words);
    let answer = guest.image.words(&[1, words, issues.len() as u32]);
    guest.configure = format!("(return (i32.const {answer}))");
    guest
}

#[test]
fn a_refusal_is_told_in_the_plugins_words() {
    let refused = refusing(&[("/rate", "is odd"), ("", "and so is the rest")]).refused();
    assert_eq!(refused.to_string(), "hostile 1.0.0: /rate: is odd; and so is the rest");
}

#[test]
fn a_refusal_is_bounded() {
    let long = "x".repeat(2000);
    let issues: Vec<(&str, &str)> = (0..100).map(|_| ("/a", "b")).chain([("/a", long.as_str())]).collect();
    let ConfigureError::Issues { issues, .. } = refusing(&issues).refused() else { panic!("it refuses") };
    assert_eq!(issues.len(), 32);
    let ConfigureError::Issues { issues, .. } = refusing(&[("/a", &long)]).refused() else { panic!("it refuses") };
    assert_eq!(issues, [Issue { at: "/a".into(), message: "x".repeat(512) }]);
}

#[test]
fn a_shipped_plugin_says_what_is_wrong_with_a_parameter() {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("target/tmp is in target");
    let plugin = engine().load(&target.join("plugins/threshold.wasm"), &Limits::default());
    let plugin = plugin.expect("run `cargo xtask plugins` first");
    let refused = |params: &str| {
        Runner::new(plugin.clone(), params, &schema(), &Limits::default()).err().expect("refused").to_string()
    };
    says(refused(r#"{"field":"temp","above":"warm"}"#), &["threshold 0.1.0: /above: expected a number"]);
    says(
        refused(r#"{"field":"temp","above":1,"abvoe":2}"#),
        &["/abvoe: there is no such parameter; known: field, above"],
    );
    says(refused(r#"{"field":"hum","above":1}"#), &["/field: the input has no field hum"]);
    says(refused("[1]"), &["parameters are a JSON object"]);
    says(refused("{"), &["parameters are not JSON"]);
}

#[test]
fn a_plan_reads_fields_that_are_there_once() {
    let refused = Guest { reads: &["temp", "gone", "temp"], ..Guest::filter("unreachable") }.refused();
    let part = "hostile 1.0.0: gone: the input has no such field; it has temp; temp: the plugin reads this field twice";
    assert_eq!(refused.to_string(), part);
}

#[test]
fn a_plan_fits_the_kind() {
    let refused = Guest { emits: &[("made", Scalar::Float)], ..Guest::filter("unreachable") }.refused();
    says(refused, &["a filter makes no fields of its own, this one emits some"]);
    let refused = Guest { slots: false, ..Guest::new(Kind::Aggregate) }.refused();
    says(refused, &["the plugin keeps state but does not ask for slots"]);
    let refused =
        Guest { emits: &[("a", Scalar::Float), ("a", Scalar::Text)], ..Guest::new(Kind::Transform) }.refused();
    says(refused, &["the plugin emits unusable fields: "]);
}

#[test]
fn a_fault_while_configured_is_told() {
    let mut guest = Guest::filter("unreachable");
    guest.configure = "unreachable".into();
    says(guest.refused(), &["failed when configured: plugin hostile 1.0.0: trap: wasm `unreachable`"]);
    let mut guest = Guest::filter("unreachable");
    guest.configure = "(loop $forever (br $forever))".into();
    says(guest.refused(), &["failed when configured: plugin hostile 1.0.0: deadline: ran longer than call_time"]);
}
