//! `tidegate tap`: a stream of a running gateway, printed.

use super::client::Client;
use super::{exit, failed};
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
    match print(&base, &options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => failed(exit::START, &reason),
    }
}

fn print(base: &str, options: &TapOptions) -> Result<(), String> {
    let count = options.count.map(|count| count.to_string());
    let mut query = vec![("from", options.from.as_str())];
    query.extend(count.as_deref().map(|count| ("limit", count)));
    let mut out = std::io::stdout().lock();
    let path = ["api", "v1", "streams", &options.stream, "tap"];
    Client::new(base)?.pieces(&path, &query, |piece| out.write_all(piece).and_then(|()| out.flush()).is_ok())
}
