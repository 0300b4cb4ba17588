//! What the plugins of the operators may be told, read and make: what a page draws a form of.

use super::Versions;
use crate::author;
use serde_json::{Map, Value, json};

impl Versions {
    /// By the names operators have them under. Where operators run several versions of one, that of the first.
    pub(in crate::topology) fn forms(&self) -> Value {
        let mut forms: Map<String, Value> = Map::new();
        for operator in &self.0.operators {
            let form = forms.entry(&operator.configured.plugin).or_insert_with(|| {
                let mut form = author::form(&operator.now().plugin);
                form["operators"] = json!([]);
                form
            });
            if let Some(operators) = form["operators"].as_array_mut() {
                operators.push(json!({ "pipeline": operator.pipeline, "operator": operator.number }));
            }
        }
        forms.into()
    }
}
