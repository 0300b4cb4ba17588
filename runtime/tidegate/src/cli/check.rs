//! `tidegate check`.

use super::exit;
use crate::config::{self, Config};
use crate::topology;
use serde_json::json;
use std::path::Path;
use std::process::ExitCode;

/// Checks a configuration and loads its plugins; problems and warnings are printed, sorted by place.
pub fn check(file: &Path, json: bool) -> ExitCode {
    let (config, problems) = match config::load(file) {
        Ok(config) => {
            let problems = topology::check(&config);
            (Some(config), problems)
        }
        Err(errors) => (None, errors.lines()),
    };
    let warnings = config.as_ref().map(|config| config.warnings.clone()).unwrap_or_default();
    if json {
        let ok = problems.is_empty();
        println!("{}", json!({ "ok": ok, "problems": problems, "warnings": warnings }));
    } else {
        problems.iter().for_each(|problem| eprintln!("{problem}"));
        warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
        if let Some(config) = config.filter(|_| problems.is_empty()) {
            println!("{}", summary(&config));
        }
    }
    if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(exit::CONFIG) }
}

fn summary(config: &Config) -> String {
    let count = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    let parts = [
        count(config.sources.len(), "source"),
        count(config.streams.len(), "stream"),
        count(config.pipelines.len(), "pipeline"),
        count(config.sinks.len(), "sink"),
    ];
    format!("{}: {} is sound: {}", config.file.display(), config.gateway, parts.join(", "))
}
