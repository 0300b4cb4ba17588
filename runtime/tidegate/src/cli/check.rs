//! `tidegate check`.

use super::outage::{self, Outage};
use super::{exit, failed};
use crate::config::units::parse_duration;
use crate::config::{self, Config};
use crate::topology;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// What to check.
#[derive(Debug, Args)]
pub struct CheckOptions {
    /// The configuration
    file: PathBuf,
    /// Print a JSON object instead of lines
    #[arg(long)]
    json: bool,
    /// Say what an outage of the upstream of this length needs (72h), on this machine, and refuse caps its disk cannot hold
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    outage: Option<Duration>,
    /// Records a second into each stream during the outage; without it the running gateway is measured
    #[arg(long, value_name = "RECORDS", requires = "outage", value_parser = rate)]
    rate: Option<f64>,
    /// How long to measure
    #[arg(long, value_name = "DURATION", requires = "outage", default_value = "10s", value_parser = over)]
    over: Duration,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate >= 0.0);
    rate.ok_or_else(|| "write records a second, such as 100".into())
}

fn over(text: &str) -> Result<Duration, String> {
    let over = parse_duration(text)?;
    if over >= Duration::from_secs(1) { Ok(over) } else { Err("measure for a second at least".into()) }
}

/// Checks a configuration and loads its plugins; problems and warnings are printed, sorted by place.
pub fn check(options: &CheckOptions) -> ExitCode {
    let (config, mut problems, mut warnings) = match config::load(&options.file) {
        Ok(config) => {
            let (problems, warnings) = topology::check(&config);
            (Some(config), problems, warnings)
        }
        Err(errors) => (None, errors.lines(), Vec::new()),
    };
    warnings.splice(0..0, config.iter().flat_map(|config| config.warnings.clone()));
    let outage = options.outage.map(|lasts| Outage { lasts, rate: options.rate, over: options.over });
    let assessed = config.as_ref().zip(outage).map(|(config, outage)| outage::assess(config, &outage)).transpose();
    let assessed = match assessed {
        Ok(assessed) => assessed,
        Err(reason) => return failed(exit::START, &reason),
    };
    if let Some(assessed) = &assessed {
        problems.extend(assessed.problems.iter().cloned());
        warnings.extend(assessed.warnings.iter().cloned());
    }
    if options.json {
        let ok = problems.is_empty();
        println!("{}", json!({ "ok": ok, "problems": problems, "warnings": warnings, "outage": assessed }));
    } else {
        problems.iter().for_each(|problem| eprintln!("{problem}"));
        warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
        assessed.iter().for_each(|assessed| print!("{}", assessed.lines()));
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
