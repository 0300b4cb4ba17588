//! What was measured, as lines for people and a file for machines.

use serde_json::{Map, Value, json};

/// Named figures in the order they were taken.
#[derive(Default)]
pub struct Report {
    figures: Map<String, Value>,
}

impl Report {
    /// Notes and prints a figure.
    pub fn figure(&mut self, of: &str, what: &str, value: f64, unit: &str) {
        println!("{of:<32} {what:<44} {value:>12.3} {unit}");
        let entry = self.figures.entry(of).or_insert_with(|| json!({}));
        entry[format!("{what} ({unit})")] = json!(value);
    }

    /// Takes over what another measurement wrote.
    pub fn include(&mut self, of: &str, path: &str) {
        let text = std::fs::read_to_string(path).expect("a file of figures");
        self.figures.insert(of.into(), serde_json::from_str(&text).expect("JSON"));
    }

    /// Writes the file.
    pub fn write(&self, path: &str) {
        let text = serde_json::to_string_pretty(&self.figures).expect("plain data");
        std::fs::write(path, text + "\n").expect("a file to write to");
        println!("written to {path}");
    }
}
