//! Configuration: the text of a TOML file to typed options of every component, with all problems at once.
//!
//! A [`section::Section`] is asked for each option by name, type, default and limits; what is asked for is known, what
//! is left over is not. So the readers below are the list of options, and a test holds `config/gateway.toml`, which
//! documents them, complete against it.

mod checks;
mod context;
mod decode;
mod errors;
mod gateway;
mod interpolate;
#[cfg(feature = "kafka")]
mod kafka;
mod mqtt;
mod mqtt_listener;
mod pipelines;
mod plugins;
mod secret;
mod section;
mod serial;
mod sinks;
mod sources;
mod store;
mod streams;
mod suggest;
mod tables;
#[cfg(test)]
mod tests;
pub(crate) mod units;
mod uplink;
mod url;
mod value;

pub use errors::{Errors, Problem};
pub use gateway::ControlConfig;
pub use pipelines::{Late, OperatorConfig, PipelineConfig, WindowConfig};
pub use plugins::{OnChange, PluginsConfig, limits as plugin_limits};
pub use sinks::{SinkConfig, SinkKind};
pub use sources::{SourceConfig, SourceKind};
pub use streams::StreamConfig;
pub(crate) use suggest::did_you_mean;
pub use tables::{TableConfig, TableFormat};

use crate::log;
use context::Context;
use section::Section;
use std::path::{Path, PathBuf};
use toml::de::DeTable;

/// Most bytes a configuration may have.
const CONFIG_BYTES_MAX: u64 = 1 << 20;

/// A whole, checked configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it was read from.
    pub file: PathBuf,
    /// The gateway's name: part of every record's identity.
    pub gateway: String,
    /// When the wall clock is trusted.
    pub clock: tidegate_record::TrustRule,
    /// Logs.
    pub log: log::Options,
    /// The local HTTP and the drain.
    pub control: ControlConfig,
    /// Plugins.
    pub plugins: PluginsConfig,
    /// What plugins may look things up in.
    pub tables: Vec<TableConfig>,
    /// The store; its clock is the caller's to set.
    pub store: tidegate_store::Options,
    /// The device under the store, and what may be written to it.
    pub flash: crate::flash::Options,
    /// Every stream: those declared, those pipelines make, `dead_letters` and `ledger`.
    pub streams: Vec<StreamConfig>,
    /// The sources.
    pub sources: Vec<SourceConfig>,
    /// The pipelines.
    pub pipelines: Vec<PipelineConfig>,
    /// The sinks.
    pub sinks: Vec<SinkConfig>,
    /// The uplink they share, where one is configured.
    pub uplink: Option<tidegate_sinks::UplinkOptions>,
    /// What is allowed and unwise, each a line of text with its place.
    pub warnings: Vec<String>,
}

/// Reads and checks a configuration file. The error holds everything that is wrong with it.
pub fn load(path: &Path) -> Result<Config, Errors> {
    let text = text(path).map_err(|reason| {
        let message = format!("cannot be read: {reason}");
        let problem = Problem { line: 0, column: 0, path: String::new(), message };
        Errors::new(&path.display().to_string(), vec![problem])
    })?;
    parse(path, &text, &|name| std::env::var(name).ok())
}

fn text(path: &Path) -> Result<String, String> {
    let bytes = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if bytes > CONFIG_BYTES_MAX {
        return Err(format!("{bytes} bytes are more than {CONFIG_BYTES_MAX}"));
    }
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}

/// Checks the text of a configuration file that stands at `path` (for messages, and for relative paths in it), with
/// environment variables from `env`.
pub fn parse(path: &Path, text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Config, Errors> {
    let name = path.display().to_string();
    let context = Context::new(path, &name, text, env);
    let (table, syntax) = DeTable::parse_recoverable(text);
    for error in &syntax {
        let message = error.message().lines().collect::<Vec<_>>().join(", ");
        context.problem(error.span().map_or(0, |span| span.start), "", format!("not TOML: {message}"));
    }
    if !syntax.is_empty() {
        // Half a file would only bring problems that are none.
        return Err(context.into_errors());
    }
    let config = read(path, table.get_ref(), &context);
    let warnings = context.finish()?;
    Ok(Config { warnings, ..config })
}

/// Reads every section, then what must hold between them; what is wrong is noted in the context.
fn read<'c>(path: &Path, table: &'c DeTable<'c>, context: &'c Context<'c>) -> Config {
    let mut config = Section::root(context, table, |root| {
        let (gateway, clock) = gateway::gateway(root);
        let (store, max_future, flash) = store::read(root, &gateway);
        Config {
            file: path.into(),
            gateway,
            clock,
            log: gateway::log(root),
            control: gateway::control(root),
            plugins: plugins::read(root),
            tables: tables::read(root),
            streams: streams::read(root),
            sources: sources::read(root, max_future),
            pipelines: pipelines::read(root),
            sinks: sinks::read(root),
            uplink: uplink::read(root),
            warnings: Vec::new(),
            store,
            flash,
        }
    });
    for pipeline in &config.pipelines {
        if !pipeline.to.is_empty() && !config.streams.iter().any(|stream| stream.name == pipeline.to) {
            config.streams.push(StreamConfig::made_by_pipelines(&pipeline.to));
        }
    }
    checks::check(&config, context);
    config
}
