//! `tidegate plugin swap`, `shadow` and `versions`: other versions of a running gateway's plugins.

use super::client::Client;
use super::operators::{Gateway, unknown};
use super::{exit, failed};
use clap::Args;
use serde_json::Value;
use std::fmt::Write as _;
use std::process::ExitCode;

/// What to swap.
#[derive(Debug, Args)]
pub struct SwapArgs {
    /// The pipeline
    pipeline: String,
    /// Which of its operators, from 1; left out: its only one
    operator: Option<usize>,
    #[command(flatten)]
    gateway: Gateway,
}

/// What is to run beside what.
#[derive(Debug, Args)]
pub struct ShadowArgs {
    /// The pipeline
    pipeline: String,
    /// Which of its operators, from 1
    operator: usize,
    /// The plugin to run beside it: a name in plugins.dir
    #[arg(required_unless_present_any = ["stop", "status"])]
    name: Option<String>,
    /// Have nothing run beside it any more
    #[arg(long, conflicts_with = "name")]
    stop: bool,
    /// Say how it does
    #[arg(long, conflicts_with_all = ["name", "stop"])]
    status: bool,
    /// It is stopped when it takes more than so many times the live one's nanoseconds a record
    #[arg(long, value_name = "TIMES", default_value_t = 100.0)]
    slower: f64,
    #[command(flatten)]
    gateway: Gateway,
}

/// Whose versions to show.
#[derive(Debug, Args)]
pub struct VersionsArgs {
    /// The pipeline; left out: all
    pipeline: Option<String>,
    /// Print a JSON object instead of lines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    gateway: Gateway,
}

/// Puts a new version in place.
pub(super) fn swap(args: &SwapArgs) -> ExitCode {
    told(&args.gateway, |client| {
        let operator = args.operator.map_or_else(|| only_operator(client, &args.pipeline), Ok)?;
        let swapped = change(client, &args.pipeline, operator, "swap", &[])?;
        let word = |key: &str| swapped[key].as_str().unwrap_or_default().to_string();
        let short = |key: &str| word(key).chars().take(12).collect::<String>();
        Ok(format!(
            "{} ({}) after {} ({}): {} slots carried over, a gap of {} us\n",
            word("to"),
            short("to_sha256"),
            word("from"),
            short("from_sha256"),
            swapped["slots"],
            swapped["gap_us"]
        ))
    })
}

/// Begins, stops or shows a shadow.
pub(super) fn shadow(args: &ShadowArgs) -> ExitCode {
    told(&args.gateway, |client| {
        let ShadowArgs { pipeline, operator, name, slower, .. } = args;
        let shown = match name {
            Some(name) => {
                let query = [("name", name.clone()), ("slower", slower.to_string())];
                change(client, pipeline, *operator, "shadow", &query)?
            }
            None if args.stop => change(client, pipeline, *operator, "unshadow", &[])?,
            None => {
                let shown = operators(client, pipeline)?;
                let found = shown.into_iter().find(|shown| shown["operator"].as_u64() == Some(*operator as u64));
                found.ok_or_else(|| format!("pipeline {pipeline} has no operator {operator}"))?
            }
        };
        Ok(page(&shown))
    })
}

/// Shows the versions that run.
pub(super) fn versions(args: &VersionsArgs) -> ExitCode {
    told(&args.gateway, |client| {
        let status: Value = client.json(&["api", "v1", "status"], &[])?;
        let all = status["pipelines"].as_object().cloned().unwrap_or_default();
        let wanted = all.iter().filter(|(name, _)| args.pipeline.as_ref().is_none_or(|only| only == *name));
        let wanted: Vec<_> = wanted.map(|(name, shown)| (name.clone(), shown["plugins"].clone())).collect();
        if wanted.is_empty() {
            return Err(match &args.pipeline {
                Some(pipeline) => unknown(pipeline, &all),
                None => "the gateway has no pipelines".into(),
            });
        }
        if args.json {
            let all: serde_json::Map<_, _> = wanted.into_iter().collect();
            return Ok(format!("{}\n", Value::Object(all)));
        }
        let mut out = String::new();
        for (name, plugins) in wanted {
            let _ = writeln!(out, "pipeline {name}");
            plugins.as_array().into_iter().flatten().for_each(|plugin| out += &page(plugin));
        }
        Ok(out)
    })
}

/// Asks a gateway; prints what is to be said.
fn told(gateway: &Gateway, ask: impl FnOnce(&Client) -> Result<String, String>) -> ExitCode {
    match gateway.client() {
        Err(code) => code,
        Ok(client) => match ask(&client) {
            Ok(said) => {
                print!("{said}");
                ExitCode::SUCCESS
            }
            Err(reason) => failed(exit::START, &reason),
        },
    }
}

pub(super) fn change(
    client: &Client,
    pipeline: &str,
    operator: usize,
    verb: &str,
    query: &[(&str, String)],
) -> Result<Value, String> {
    let operator = operator.to_string();
    let query: Vec<_> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Ok(client.change(&["api", "v1", "pipelines", pipeline, "operators", &operator, verb], &query)?)
}

/// The operators of a pipeline, as the gateway shows them.
pub(super) fn operators(client: &Client, pipeline: &str) -> Result<Vec<Value>, String> {
    let status: Value = client.json(&["api", "v1", "status"], &[])?;
    match status["pipelines"][pipeline]["plugins"].as_array() {
        Some(plugins) => Ok(plugins.clone()),
        None => Err(unknown(pipeline, &status["pipelines"].as_object().cloned().unwrap_or_default())),
    }
}

fn only_operator(client: &Client, pipeline: &str) -> Result<usize, String> {
    let plugins = operators(client, pipeline)?;
    if plugins.len() == 1 {
        return Ok(1);
    }
    let named: Vec<_> = plugins.iter().map(|plugin| format!("{} {}", plugin["operator"], plugin["name"])).collect();
    Err(format!("pipeline {pipeline} has {} operators: say which of {}", plugins.len(), named.join(", ")))
}

/// What is said of an operator's version.
pub(super) fn page(operator: &Value) -> String {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let short = |value: &Value| word(value).chars().take(12).collect::<String>();
    let mut out = format!(
        "operator {} ({}): {} {}\n",
        operator["operator"],
        word(&operator["name"]),
        word(&operator["plugin"]),
        short(&operator["sha256"])
    );
    if let Some(note) = operator["note"].as_str() {
        let _ = writeln!(out, "  {note}");
    }
    let beside = &operator["beside"];
    if beside.is_null() {
        return out;
    }
    let report = &beside["report"];
    let (role, state) = (word(&beside["role"]), word(&report["state"]));
    let _ = writeln!(out, "  {role}      {} {}: {state}", word(&report["plugin"]), short(&report["sha256"]));
    for said in [&report["reason"], &beside["outcome"]].into_iter().filter_map(Value::as_str) {
        let _ = writeln!(out, "              {said}");
    }
    let figures = ["records", "compared", "differ", "faults", "live_faults", "ns_per_record", "live_ns_per_record"];
    // Of windows, and where fuel is counted.
    let some = ["ns_per_window", "live_ns_per_window", "fuel_per_record", "live_fuel_per_record"];
    let some = some.into_iter().filter(|figure| report[figure].as_u64().is_some_and(|cost| cost > 0));
    for figure in figures.into_iter().chain(some) {
        let _ = writeln!(out, "  {figure:18}  {}", report[figure]);
    }
    for difference in report["differences"].as_array().into_iter().flatten() {
        let _ = writeln!(out, "  differs: {}", word(difference));
    }
    out
}
