//! Logs: text or JSON lines on standard error.

use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::Subscriber;

/// What is logged and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,tidegate_store=debug`.
    pub level: String,
    /// How a line is written.
    pub format: Format,
}

/// How a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// A JSON object a line.
    Json,
}

/// Whether `level` is a level or a filter; the error says why not.
pub fn check(level: &str) -> Result<(), String> {
    EnvFilter::builder().parse(level).map(|_| ()).map_err(|error| error.to_string())
}

/// Starts logging to standard error, once a process. `RUST_LOG` overrides the level.
///
/// Fails where something else logs already, or where a filter is not one.
pub fn start(options: &Options) -> Result<(), String> {
    let level = std::env::var("RUST_LOG").ok().filter(|level| !level.is_empty());
    let filter = match level {
        Some(level) => EnvFilter::builder().parse(&level).map_err(|error| format!("RUST_LOG={level:?}: {error}"))?,
        None => EnvFilter::builder().parse(&options.level).map_err(|error| error.to_string())?,
    };
    let lines = Subscriber::builder().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match options.format {
        Format::Text => {
            let colours = std::io::stderr().is_terminal();
            tracing::subscriber::set_global_default(lines.with_ansi(colours).finish())
        }
        Format::Json => tracing::subscriber::set_global_default(lines.json().flatten_event(true).finish()),
    };
    started.map_err(|error| error.to_string())
}
