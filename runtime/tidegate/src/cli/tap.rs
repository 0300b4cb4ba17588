//! `tidegate tap`: a stream of a running gateway, printed.

use super::{exit, failed, runtime};
use crate::config;
use clap::Args;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// What to print, from where.
#[derive(Debug, Args)]
pub struct TapOptions {
    /// The stream
    stream: String,
    /// The gateway's configuration: its control.listen is asked
    #[arg(long, value_name = "FILE", conflicts_with = "url")]
    config: Option<PathBuf>,
    /// The gateway's local HTTP
    #[arg(long, default_value = "http://127.0.0.1:9780")]
    url: String,
    /// End after so many records
    #[arg(short = 'n', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Where to begin: start, end, or an offset
    #[arg(long, default_value = "end")]
    from: String,
}

/// Prints a stream until it ends, is interrupted, or nobody reads any more.
pub fn tap(options: TapOptions) -> ExitCode {
    let base = match &options.config {
        Some(file) => match config::load(file) {
            Ok(config) => format!("http://{}", config.control.listen),
            Err(errors) => {
                eprintln!("{errors}");
                return ExitCode::from(exit::CONFIG);
            }
        },
        None => options.url.trim_end_matches('/').to_string(),
    };
    match runtime().and_then(|runtime| runtime.block_on(print(&base, &options))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => failed(exit::START, &reason),
    }
}

async fn print(base: &str, options: &TapOptions) -> Result<(), String> {
    let mut url = url::Url::parse(base).map_err(|error| format!("{base:?} is no URL: {error}"))?;
    let path = ["api", "v1", "streams", &options.stream, "tap"];
    url.path_segments_mut().map_err(|()| format!("{base:?} is no URL of a gateway"))?.pop_if_empty().extend(path);
    url.query_pairs_mut().append_pair("from", &options.from);
    if let Some(count) = options.count {
        url.query_pairs_mut().append_pair("limit", &count.to_string());
    }
    let unreachable = |error: reqwest::Error| format!("no gateway answers at {base}: {}", root_cause(&error));
    // The gateway is on this machine: a proxy is not.
    let client = reqwest::Client::builder().no_proxy().build().map_err(unreachable)?;
    let mut response = client.get(url).send().await.map_err(unreachable)?;
    if !response.status().is_success() {
        let status = response.status();
        let body = response.text().await.unwrap_or_default();
        let said: Option<serde_json::Value> = serde_json::from_str(&body).ok();
        let reason = said.as_ref().and_then(|said| said["error"].as_str()).unwrap_or(body.trim());
        return Err(format!("{status}: {reason}"));
    }
    let mut out = std::io::stdout().lock();
    loop {
        let Some(chunk) = response.chunk().await.map_err(|error| format!("the tap broke off: {error}"))? else {
            return Ok(());
        };
        if out.write_all(&chunk).and_then(|()| out.flush()).is_err() {
            return Ok(());
        }
    }
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
