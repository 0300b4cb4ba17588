//! What the plugins of the operators may be told, read and make: what a page draws a form of.

use super::Versions;
use crate::author;
use serde_json::{Value, json};
use std::collections::BTreeSet;

impl Versions {
    /// The names operators have their plugins under.
    pub(in crate::topology) fn names(&self) -> Vec<String> {
        let names: BTreeSet<&String> = self.0.operators.iter().map(|operator| &operator.configured.plugin).collect();
        names.into_iter().cloned().collect()
    }

    /// One of them. Where operators run several versions of it, that of the first.
    pub(in crate::topology) fn form(&self, name: &str) -> Option<Value> {
        let operators = || self.0.operators.iter().filter(|operator| operator.configured.plugin == name);
        // The plugin is let go of before its schema is parsed: a swap waits for who holds it.
        let plugin = operators().next()?.now().plugin.clone();
        let mut form = author::form(&plugin);
        let runs = operators().map(|operator| json!({ "pipeline": operator.pipeline, "operator": operator.number }));
        form["operators"] = runs.collect();
        Some(form)
    }
}
