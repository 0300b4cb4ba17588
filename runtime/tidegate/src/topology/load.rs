//! Which version of its plugin an operator begins with, and the bytes it is made of.

use super::kept::Kept;
use crate::config::{Config, OperatorConfig};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tidegate_sandbox::{Engine, Limits, Plugin};

/// A plugin and the very bytes it was loaded from: what is to be kept of it.
pub(super) struct Loaded {
    pub plugin: Arc<Plugin>,
    pub bytes: Vec<u8>,
}

/// The plugin a start loads for an operator: what its file holds, or where that is distrusted what was kept.
pub(super) fn for_start(config: &Config, engine: &Engine, operator: &OperatorConfig) -> Result<Loaded, String> {
    let limits = limits(config, operator);
    let loaded = from_folder(config, engine, operator, &limits)?;
    let Some(kept) = Kept::of(config).instead_of(&operator.plugin, &loaded.plugin.sha256()) else { return Ok(loaded) };
    let instead = from_file(&kept, engine, operator, &limits);
    instead.or_else(|error| {
        let plugin = &operator.plugin;
        tracing::warn!(plugin, %error, "the version kept does not load: what was distrusted is loaded all the same");
        Ok(loaded)
    })
}

/// What a plugin's file in `plugins.dir` holds: of the operator's kind, and granted what it is.
pub(super) fn from_folder(
    config: &Config,
    engine: &Engine,
    operator: &OperatorConfig,
    limits: &Limits,
) -> Result<Loaded, String> {
    from_file(&file(config, &operator.plugin), engine, operator, limits)
}

fn from_file(file: &Path, engine: &Engine, operator: &OperatorConfig, limits: &Limits) -> Result<Loaded, String> {
    let (plugin, bytes) = engine.load_with_bytes(file, limits).map_err(|error| error.to_string())?;
    if plugin.kind() != operator.kind {
        let kind = plugin.kind().word();
        return Err(format!("{} is a plugin of kind {kind}: write {kind} = {:?}", file.display(), operator.plugin));
    }
    Ok(Loaded { plugin, bytes })
}

pub(super) fn limits(config: &Config, operator: &OperatorConfig) -> Limits {
    Limits { grants: operator.grants.clone(), ..config.plugins.limits.clone() }
}

/// The file a plugin's name stands for: the `.wat` where there is no `.wasm`.
pub(super) fn file(config: &Config, plugin: &str) -> PathBuf {
    let wasm = config.plugins.dir.join(format!("{plugin}.wasm"));
    let wat = config.plugins.dir.join(format!("{plugin}.wat"));
    if !wasm.exists() && wat.exists() { wat } else { wasm }
}
