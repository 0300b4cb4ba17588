//! `tidegate plugin release`: what is asked of an operator of a running gateway.

use super::client::Client;
use super::{exit, failed};
use crate::config;
use clap::Args;
use serde_json::Value;
use std::path::PathBuf;
use std::process::ExitCode;

/// Which running gateway.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Gateway {
    /// Its configuration: says where it listens, and what token changes need
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Its local HTTP
    #[arg(long)]
    url: Option<String>,
}

/// Which plugin to put back.
#[derive(Debug, Args)]
pub struct ReleaseArgs {
    /// The pipeline
    pipeline: String,
    /// Which of its operators, from 1; left out: the one in quarantine
    operator: Option<usize>,
    #[command(flatten)]
    gateway: Gateway,
}

impl Gateway {
    /// A client of it; what is wrong is told on standard error.
    pub(super) fn client(&self) -> Result<Client, ExitCode> {
        let say = |reason: String| failed(exit::START, &reason);
        let Some(file) = &self.config else { return Client::new(self.url.as_deref().unwrap_or_default()).map_err(say) };
        let config = config::load(file).map_err(|errors| {
            eprintln!("{errors}");
            ExitCode::from(exit::CONFIG)
        })?;
        let client = Client::new(&format!("http://{}", config.control.listen)).map_err(say)?;
        Ok(client.bearing(config.control.token))
    }
}

/// Has a plugin in quarantine work again.
pub(super) fn release(args: &ReleaseArgs) -> ExitCode {
    let client = match args.gateway.client() {
        Ok(client) => client,
        Err(code) => return code,
    };
    let operator = args.operator.map_or_else(|| in_quarantine(&client, &args.pipeline), Ok);
    let released = operator.and_then(|operator| Ok((operator, ask(&client, &args.pipeline, operator, "release")?)));
    match released {
        Ok((operator, answer)) => {
            let plugin = answer["plugin"].as_str().unwrap_or_default();
            println!("operator {operator} ({plugin}) of pipeline {} works again", args.pipeline);
            ExitCode::SUCCESS
        }
        Err(reason) => failed(exit::START, &reason),
    }
}

/// Has an operator do something; what the gateway says of it.
pub(super) fn ask(client: &Client, pipeline: &str, operator: usize, verb: &str) -> Result<Value, String> {
    let operator = operator.to_string();
    Ok(client.change(&["api", "v1", "pipelines", pipeline, "operators", &operator, verb], &[])?)
}

/// The operator of a pipeline that is in quarantine, where it is one.
fn in_quarantine(client: &Client, pipeline: &str) -> Result<usize, String> {
    let status: Value = client.json(&["api", "v1", "status"], &[])?;
    let pipelines = &status["pipelines"];
    let Some(shown) = pipelines.get(pipeline) else {
        return Err(unknown(pipeline, &pipelines.as_object().cloned().unwrap_or_default()));
    };
    let held = shown["quarantined"].as_array().map_or(&[][..], |held| held);
    let operators: Vec<_> = held.iter().filter_map(|held| held["operator"].as_u64()).collect();
    match operators[..] {
        [operator] => Ok(operator as usize),
        [] => Err(format!("no operator of pipeline {pipeline} is in quarantine")),
        _ => Err(format!("operators {operators:?} of pipeline {pipeline} are in quarantine: say which")),
    }
}

/// What is said of a pipeline that the gateway has not, with those it has.
pub(super) fn unknown(pipeline: &str, all: &serde_json::Map<String, Value>) -> String {
    let known: Vec<_> = all.keys().map(String::as_str).collect();
    match known[..] {
        [] => format!("there is no pipeline {pipeline:?}; the gateway has none"),
        _ => format!("there is no pipeline {pipeline:?}; there are {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipeline_there_is_none_of_is_told_with_those_there_are() {
        let said = |all: Value| unknown("climat", all.as_object().expect("an object"));
        assert_eq!(
            said(serde_json::json!({"climate": {}, "power": {}})),
            "there is no pipeline \"climat\"; there are climate, power"
        );
        assert_eq!(said(serde_json::json!({})), "there is no pipeline \"climat\"; the gateway has none");
    }
}
