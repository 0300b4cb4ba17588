//! What the demo is told, by `cargo xtask demo`.

use std::path::PathBuf;

/// Everything in one terminal.
#[derive(Debug, Default, clap::Parser)]
pub struct Options {
    /// End by itself, with an outage of the upstream in the middle
    #[arg(long, value_parser = clap::value_parser!(u64).range(20..=86_400))]
    pub seconds: Option<u64>,
    /// A plugin of the person's own: its file, or its folder
    #[arg(long, value_name = "PATH")]
    pub plugin: Option<PathBuf>,
    /// Its parameters: an inline table of TOML, as in a configuration, or an object of JSON
    #[arg(long, requires = "plugin")]
    pub params: Option<String>,
    /// The window of an aggregate
    #[arg(long, requires = "plugin", value_name = "DURATION")]
    pub window: Option<String>,
}
