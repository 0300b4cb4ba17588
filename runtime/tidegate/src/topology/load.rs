//! Which version of its plugin an operator begins with, and the bytes it is made of.

use super::kept::Kept;
use crate::config::{Config, OperatorConfig, did_you_mean};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tidegate_sandbox::{Engine, Limits, Plugin};

/// A plugin and the very bytes it was loaded from: what is to be kept of it.
pub(super) struct Loaded {
    pub plugin: Arc<Plugin>,
    pub bytes: Vec<u8>,
    /// Why it is not to begin by itself.
    pub doubt: Option<String>,
    /// Why it is not what the plugin's file holds, where it is not.
    pub note: Option<String>,
}

/// The plugin a start loads for an operator: what its file holds, or where that is distrusted or does not load what was kept.
///
/// Where that cannot be loaded any more (a worn card, another key) there is only what was sent away. A gateway that refused to
/// start would take in nothing and could not be asked why; one that ran it would make results that nobody wants and that
/// cannot be taken back. So it starts, readings are kept, and the pipeline stands as by a quarantine, until a person releases it:
/// `release_after` is for faults, which may pass.
pub(super) fn for_start(config: &Config, engine: &Engine, operator: &OperatorConfig) -> Result<Loaded, String> {
    let (name, kept) = (&operator.plugin, Kept::of(config));
    let limits = limits(config, operator);
    let loaded = from_folder(config, engine, operator, &limits);
    let distrusted = match kept.distrusted(name) {
        Ok(Some(distrusted)) => distrusted,
        Ok(None) => return loaded,
        Err(error) => {
            let doubt = format!(
                "whether the file of {name} holds a version that was sent away is not known ({error}): release it to have it \
                 run and then `tidegate plugin swap` it to have a restart take it, too"
            );
            return loaded.map(|loaded| Loaded { doubt: Some(doubt), ..loaded });
        }
    };
    let instead = || {
        let instead = from_file(&kept.version(&distrusted.good), engine, operator, &limits)?;
        let is_intact = instead.plugin.sha256() == distrusted.good;
        if is_intact { Ok(instead) } else { Err("its copy is damaged".to_string()) }
    };
    let loaded = match loaded {
        Ok(loaded) => loaded,
        // It may be half of what was tried: what ran last goes on.
        Err(error) => {
            let note = format!("{} What ran last goes on: put a good file in its place", ended(&error));
            return instead().map_or(Err(error), |instead| Ok(Loaded { note: Some(note), ..instead }));
        }
    };
    let tried = loaded.plugin.sha256();
    if !distrusted.is_of(&tried) {
        return Ok(loaded);
    }
    Ok(match instead() {
        Ok(instead) => Loaded { note: Some(not_taken(name, &tried)), ..instead },
        Err(error) => {
            let error = error.lines().next().unwrap_or_default();
            let doubt = format!(
                "the file of {name} holds version {tried:.12}, which was sent away or not tried to its end, and what ran \
                 before, {:.12}, does not load any more ({error}): put a good file in its place and restart, or release it to \
                 have it run and then `tidegate plugin swap` it to have a restart take it, too",
                distrusted.good
            );
            Loaded { doubt: Some(doubt), ..loaded }
        }
    })
}

/// The first line of an error, as a sentence.
fn ended(error: &str) -> String {
    format!("{}.", error.lines().next().unwrap_or_default().trim_end_matches(['.', ':']))
}

/// What a person should know of a plugin's file that holds a distrusted version.
pub(super) fn not_taken(name: &str, tried: &str) -> String {
    format!(
        "the file of {name} holds version {tried:.12}, which was sent away or not tried to its end: what ran before goes on, \
         after a restart too; replace the file, try it again by `tidegate plugin canary`, or take it by `swap`"
    )
}

/// What a plugin's file in `plugins.dir` holds: of the operator's kind, and granted what it is.
pub(super) fn from_folder(
    config: &Config,
    engine: &Engine,
    operator: &OperatorConfig,
    limits: &Limits,
) -> Result<Loaded, String> {
    let file = file(config, &operator.plugin);
    let loaded = from_file(&file, engine, operator, limits);
    loaded.map_err(|error| if file.exists() { error } else { error + &others(config, &operator.plugin) })
}

/// What plugins there are, where one is not.
fn others(config: &Config, plugin: &str) -> String {
    let files =
        std::fs::read_dir(&config.plugins.dir).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let plugins =
        files.filter(|file| file.extension().is_some_and(|extension| extension == "wasm" || extension == "wat"));
    let mut names: Vec<_> = plugins.filter_map(|file| Some(file.file_stem()?.to_string_lossy().into_owned())).collect();
    names.sort();
    let meant = did_you_mean(plugin, names.iter().map(String::as_str));
    if names.is_empty() { String::new() } else { format!(" There are {}{meant}", names.join(", ")) }
}

fn from_file(file: &Path, engine: &Engine, operator: &OperatorConfig, limits: &Limits) -> Result<Loaded, String> {
    let (plugin, bytes) = engine.load_with_bytes(file, limits).map_err(|error| error.to_string())?;
    if plugin.kind() != operator.kind {
        let kind = plugin.kind().word();
        return Err(format!("{} is a plugin of kind {kind}: write {kind} = {:?}", file.display(), operator.plugin));
    }
    Ok(Loaded { plugin, bytes, doubt: None, note: None })
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
