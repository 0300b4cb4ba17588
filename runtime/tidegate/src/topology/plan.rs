//! From a configuration to what can be built: plugins loaded, every stream's fields known.

use super::load;
use crate::author;
use crate::config::{Config, OperatorConfig, PipelineConfig, PluginsConfig};
use crate::tables;
use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tidegate_pipeline::{Chain, OperatorOptions, PipelineOptions, WindowOptions};
use tidegate_record::Schema;
use tidegate_sandbox::{Compiler, Engine, EngineOptions, Plugin};
use tidegate_store::{Hold, StreamSpec};

/// A stream holds back what its pipeline's last checkpoint has not seen: it must not fill up with it. Small commits take
/// more bytes stored than in memory, which is what a pipeline counts.
const CHECKPOINTS_A_STREAM: u64 = 8;

/// What should be known of operators: by pipeline, and number from 1.
pub(super) type Notes = BTreeMap<(String, usize), String>;

/// Everything checked, nothing begun.
pub struct Plan {
    /// Every stream with its readers.
    pub streams: Vec<StreamSpec>,
    /// Every pipeline with the fields of its input.
    pub pipelines: Vec<(PipelineOptions, Arc<Schema>)>,
    /// What is unwise about the plugins, a sentence each.
    pub warnings: Vec<String>,
    /// Which operators' files are not what is loaded, and why.
    pub notes: Notes,
    /// The very bytes each plugin was loaded from, by the SHA-256 of its component: what a start keeps. A plugin's file may
    /// hold another version by then.
    pub versions: BTreeMap<String, Vec<u8>>,
}

/// Where compiled plugins are kept: beside the store unless the configuration says otherwise.
pub(super) fn cache_dir(config: &Config) -> PathBuf {
    config.plugins.cache_dir.clone().unwrap_or_else(|| config.store.path.join("plugin-cache"))
}

/// The same, made where it is not there.
pub(super) fn made_cache_dir(config: &Config) -> Result<PathBuf, String> {
    let folder = cache_dir(config);
    private_folder(&folder).map_err(|e| format!("plugins.cache_dir: {} cannot be made: {e}", folder.display()))?;
    Ok(folder)
}

/// Makes a folder where it is not there, which only its owner may look into, whatever the umask; what it lies in is anybody's.
pub(super) fn private_folder(folder: &Path) -> io::Result<()> {
    folder.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// The engine, with its compiled plugins in `cache_dir`.
pub(super) fn engine(config: &Config, cache_dir: PathBuf) -> Result<Engine, String> {
    let exe = std::env::current_exe().map_err(|e| format!("this program's own file cannot be found: {e}"))?;
    let compiler = Compiler::Child { exe, args: vec!["compile-plugin".into()] };
    let PluginsConfig { stack_bytes, fuel, compile, ref trust, .. } = config.plugins;
    let trust = trust.clone();
    let options = EngineOptions { cache_dir: Some(cache_dir), compiler, compile, stack_bytes, fuel, trust };
    Engine::new(options).map_err(|error| error.to_string())
}

/// Loads plugins, configures operators, finds out the fields of every stream. The error holds all problems.
pub fn plan(config: &Config, engine: &Engine) -> Result<Plan, Vec<String>> {
    let mut problems = Vec::new();
    let mut config = config.clone();
    match tables::load(&config.tables) {
        Ok(tables) => config.plugins.limits.tables = tables,
        Err(wrong) => problems.extend(wrong),
    }
    let (config, has_tables) = (&config, problems.is_empty());
    let (mut pipelines, mut versions, mut notes) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    for pipeline in &config.pipelines {
        match options(config, engine, pipeline, (&mut versions, &mut notes)) {
            // Without them, what a plugin says of its tables would only bring problems that are none.
            Ok(_) if !has_tables && pipeline.operators.iter().any(|operator| operator.grants.lookup) => {}
            Ok(options) => pipelines.push(options),
            Err(several) => problems.extend(several),
        }
    }
    let mut schemas: BTreeMap<String, Arc<Schema>> = BTreeMap::new();
    for stream in &config.streams {
        schemas.extend(stream.schema.iter().map(|schema| (stream.name.clone(), schema.clone())));
    }
    let pipelines = derive(pipelines, &mut schemas, &mut problems);
    let streams = specs(config, &schemas, &mut problems);
    let mut warnings = [unsigned(config, &pipelines), doubted(&pipelines)].concat();
    warnings.extend(notes.iter().map(|((name, number), note)| format!("pipelines.{name}, operator {number}: {note}")));
    if problems.is_empty() { Ok(Plan { streams, pipelines, warnings, notes, versions }) } else { Err(problems) }
}

/// Plugins nobody has signed where keys are given: they run, for signatures are not required.
fn unsigned(config: &Config, pipelines: &[(PipelineOptions, Arc<Schema>)]) -> Vec<String> {
    let mut warnings = Vec::new();
    for (options, _) in pipelines.iter().filter(|_| config.plugins.trust.is_asked_for()) {
        let operators = options.operators.iter().enumerate();
        for (index, operator) in operators.filter(|(_, operator)| operator.plugin.signer().is_none()) {
            warnings.push(format!(
                "pipelines.{}, operator {}: plugin {} is not signed and is run all the same: `tidegate plugin sign` it, \
                 and set plugins.require_signed",
                options.name,
                index + 1,
                operator.plugin.about().name
            ));
        }
    }
    warnings
}

/// Plugins that were sent away, where there is nothing to load instead: their pipelines will stand.
fn doubted(pipelines: &[(PipelineOptions, Arc<Schema>)]) -> Vec<String> {
    let mut warnings = Vec::new();
    for (options, _) in pipelines {
        let operators = (1..).zip(&options.operators);
        let doubts = operators.filter_map(|(number, operator)| Some((number, operator.doubt.as_ref()?)));
        warnings
            .extend(doubts.map(|(number, doubt)| format!("pipelines.{}, operator {number}: {doubt}", options.name)));
    }
    warnings
}

fn options(
    config: &Config,
    engine: &Engine,
    pipeline: &PipelineConfig,
    (versions, notes): (&mut BTreeMap<String, Vec<u8>>, &mut Notes),
) -> Result<PipelineOptions, Vec<String>> {
    let mut problems = Vec::new();
    let mut operators = Vec::new();
    for (index, operator) in pipeline.operators.iter().enumerate() {
        match load::for_start(config, engine, operator) {
            Ok(loaded) => {
                versions.insert(loaded.plugin.sha256(), loaded.bytes);
                let at = (pipeline.name.clone(), index + 1);
                notes.extend(loaded.note.map(|note| (at, note)));
                operators.push(operator_options(config, operator, loaded.plugin, loaded.doubt));
            }
            Err(error) => problems.push(format!("pipelines.{}, operator {}: {error}", pipeline.name, index + 1)),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let inputs = config.streams.iter().filter(|stream| pipeline.from.contains(&stream.name));
    let smallest = inputs.map(|stream| stream.retention.max_bytes).min().unwrap_or(u64::MAX);
    Ok(PipelineOptions {
        name: pipeline.name.as_str().into(),
        from: pipeline.from.iter().map(|s| s.as_str().into()).collect(),
        to: pipeline.to.as_str().into(),
        operators,
        checkpoint_interval: pipeline.checkpoint_interval,
        checkpoint_bytes: pipeline.checkpoint_bytes.min(smallest / CHECKPOINTS_A_STREAM),
    })
}

fn operator_options(
    config: &Config,
    operator: &OperatorConfig,
    plugin: Arc<Plugin>,
    doubt: Option<String>,
) -> OperatorOptions {
    let window = operator.window.map(|window| WindowOptions {
        size: micros(window.tumbling),
        lateness: micros(window.lateness),
        idle: micros(window.idle),
    });
    OperatorOptions {
        plugin,
        params: operator.params_json.clone(),
        limits: load::limits(config, operator),
        window,
        keep: operator.keep.clone(),
        max_keys: operator.max_keys,
        on_quarantine: operator.on_quarantine,
        release_after: operator.release_after,
        doubt,
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// Builds each pipeline once its inputs' fields are known, so that its output's are.
fn derive(
    mut waiting: Vec<PipelineOptions>,
    schemas: &mut BTreeMap<String, Arc<Schema>>,
    problems: &mut Vec<String>,
) -> Vec<(PipelineOptions, Arc<Schema>)> {
    let mut out = Vec::new();
    loop {
        let known = |options: &PipelineOptions| options.from.iter().all(|from| schemas.contains_key(&**from));
        let (ready, rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(known);
        waiting = rest;
        if ready.is_empty() {
            // What is left reads a stream of a pipeline that has a problem already.
            return out;
        }
        for options in ready {
            let name = &options.name;
            let input = schemas[&*options.from[0]].clone();
            if let Some(other) = options.from.iter().find(|from| schemas[&***from] != input) {
                problems.push(format!("pipelines.{name}: {} and {other} have different fields", options.from[0]));
                continue;
            }
            match Chain::build(&options, &input) {
                Ok(chain) => {
                    let made = chain.schema();
                    let declared = schemas.entry(options.to.to_string()).or_insert_with(|| made.clone());
                    if declared != made {
                        problems.push(format!(
                            "pipelines.{name}: it makes {}, but stream {:?} has {}: leave streams.{}.fields out, or \
                             give another `to`",
                            words(made),
                            options.to,
                            words(declared),
                            options.to
                        ));
                    }
                }
                Err(error) => {
                    let told = author::explained(&options.operators, &input, &error);
                    problems.push(format!("pipelines.{name}: {told}"));
                }
            }
            out.push((options, input));
        }
    }
}

fn words(schema: &Schema) -> String {
    let fields: Vec<String> = schema.fields().iter().map(|f| format!("{} {}", f.name, f.scalar)).collect();
    if fields.is_empty() { "no fields".into() } else { format!("the fields {}", fields.join(", ")) }
}

fn specs(config: &Config, schemas: &BTreeMap<String, Arc<Schema>>, problems: &mut Vec<String>) -> Vec<StreamSpec> {
    let mut specs = Vec::new();
    for stream in &config.streams {
        let Some(schema) = schemas.get(&stream.name) else {
            if problems.is_empty() {
                problems.push(format!("streams.{}: nothing says which fields it has", stream.name));
            }
            continue;
        };
        let pipelines = config.pipelines.iter().filter(|p| p.from.contains(&stream.name));
        let sinks = config.sinks.iter().filter(|s| s.forward.stream == stream.name);
        let mut readers: Vec<(String, Hold)> =
            pipelines.map(|p| (format!("pipeline/{}", p.name), Hold::Snapshot)).collect();
        readers.extend(sinks.map(|s| (format!("sink/{}", s.forward.name), Hold::Cursor)));
        specs.push(StreamSpec {
            name: stream.name.clone(),
            schema: schema.clone(),
            partitions: 1,
            retention: stream.retention.clone(),
            readers,
        });
    }
    specs
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn what_runs_as_native_code_lies_where_only_its_owner_may_look_whatever_the_umask() {
        let folder = tempfile::tempdir().unwrap();
        let made = folder.path().join("store/plugin-cache");
        (0..2).for_each(|_| private_folder(&made).unwrap());
        let mode = |folder: &Path| std::fs::metadata(folder).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&made), 0o700);
    }
}
