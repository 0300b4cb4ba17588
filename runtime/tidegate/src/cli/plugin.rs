//! `tidegate plugin`: the loop of who writes plugins.

mod bench;
mod limits;
#[cfg(feature = "oci")]
mod registry;
mod trust;

use super::canary::{self, CanaryArgs};
use super::operators::{self, ReleaseArgs};
use super::versions::{self, ShadowArgs, SwapArgs, VersionsArgs};
use super::{exit, failed};
use crate::author::{self, Cases, Counted, Inspected, Lang, LinesOptions, NewOptions, Verdict};
use bench::BenchArgs;
use clap::{Args, Subcommand};
use limits::LimitArgs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tidegate_sandbox::Kind;
use trust::{SignArgs, VerifyArgs};

/// What to do with a plugin.
#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// Begin a plugin: a folder with code, tests and cases, ready to build
    New(NewArgs),
    /// Build the plugin in a folder to NAME.wasm there, by the toolchain of its language
    Build {
        /// The folder
        #[arg(default_value = ".")]
        folder: PathBuf,
    },
    /// Run the cases beside a plugin in the sandbox: whole, record by record, and cut at random with restarts; windows merged, slots used again
    Test(TestArgs),
    /// Measure nanoseconds and fuel a record by records a call, and the start of an instance
    Bench(BenchArgs),
    /// Say what a plugin is: kind, parameters, size, hash, who says to have signed it
    Inspect {
        /// The plugin (.wasm or .wat), or its folder
        #[arg(default_value = ".")]
        plugin: PathBuf,
        /// Print a JSON object instead of lines
        #[arg(long)]
        json: bool,
        /// Other limits
        #[command(flatten)]
        limits: LimitArgs,
    },
    /// Have a plugin that a running gateway put in quarantine work again
    Release(ReleaseArgs),
    /// Make a key to sign plugins with: NAME.key and NAME.pub
    Keygen {
        /// Where, without an extension: keys/ops
        name: PathBuf,
    },
    /// Sign a plugin, so that gateways that trust the key run it
    Sign(SignArgs),
    /// Put a plugin into an OCI registry
    #[cfg(feature = "oci")]
    Push(registry::PushArgs),
    /// Take a plugin out of an OCI registry: its digest is verified, and its signature where keys are given
    #[cfg(feature = "oci")]
    Pull(registry::PullArgs),
    /// Say who of some keys signed a plugin; an error where none did, or it was changed since
    Verify(VerifyArgs),
    /// Have a running gateway put a plugin's file, read anew, in the place of what runs: no record lost or taken twice
    Swap(SwapArgs),
    /// Have a plugin run beside an operator of a running gateway: what it makes is compared and thrown away
    Shadow(ShadowArgs),
    /// Have a new version run beside an operator, and take its place by itself if it keeps to bounds
    Canary(CanaryArgs),
    /// Say which versions the operators of a running gateway run, and how what runs beside them does
    Versions(VersionsArgs),
}

/// What to begin.
#[derive(Debug, Args)]
pub struct NewArgs {
    /// The folder to make; its last part is the plugin's name
    folder: PathBuf,
    /// filter, transform, detect, aggregate or codec
    #[arg(long, value_parser = kind)]
    kind: Kind,
    /// What to write it in
    #[arg(long, value_enum, default_value_t = Lang::Rust)]
    lang: Lang,
    /// The SDK for Rust: the folder `sdk` of Tidegate's source
    #[arg(long, env = "TIDEGATE_SDK", value_name = "PATH")]
    sdk: Option<PathBuf>,
}

/// What to test.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// The plugin (.wasm or .wat), or its folder
    #[arg(default_value = ".")]
    plugin: PathBuf,
    /// The cases; left out: cases.yaml beside the plugin
    #[arg(long, value_name = "FILE")]
    cases: Option<PathBuf>,
    /// Instead of cases: lines on stdin, payload or [topic] payload, decoded as this source of the configuration decodes
    #[arg(long, value_name = "NAME", requires = "config", conflicts_with = "cases")]
    source: Option<String>,
    /// The configuration that has the source
    #[arg(long, value_name = "FILE", requires = "source")]
    config: Option<PathBuf>,
    /// With lines: parameters, a JSON object; left out: as the configuration has them for this plugin
    #[arg(long, requires = "source", value_parser = object)]
    params: Option<String>,
    #[command(flatten)]
    limits: LimitArgs,
}

fn kind(word: &str) -> Result<Kind, String> {
    let words = || Kind::ALL.map(Kind::word).join(", ");
    Kind::ALL.into_iter().find(|kind| kind.word() == word).ok_or_else(|| format!("expected one of {}", words()))
}

/// An object as plugins are given it, without spaces.
fn object(text: &str) -> Result<String, String> {
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text)
        .map_err(|error| format!("expected a JSON object, such as {{\"above\":30.0}}: {error}"))?;
    Ok(serde_json::Value::Object(object).to_string())
}

/// Carries out a subcommand.
pub fn plugin(command: PluginCommand) -> ExitCode {
    let done = match command {
        PluginCommand::New(args) => begin(args),
        PluginCommand::Build { folder } => author::build(&folder).map(|built| {
            println!("{}: {} bytes", built.file.display(), built.bytes);
            ExitCode::SUCCESS
        }),
        PluginCommand::Test(args) => test(&args),
        PluginCommand::Bench(args) => bench::bench(args),
        PluginCommand::Inspect { plugin, json, limits } => inspect(&plugin, json, &limits),
        PluginCommand::Release(args) => return operators::release(&args),
        PluginCommand::Keygen { name } => trust::keygen(&name),
        PluginCommand::Sign(args) => trust::sign(&args),
        #[cfg(feature = "oci")]
        PluginCommand::Push(args) => registry::push(&args),
        #[cfg(feature = "oci")]
        PluginCommand::Pull(args) => registry::pull(args),
        PluginCommand::Verify(args) => trust::verify(&args),
        PluginCommand::Swap(args) => return versions::swap(&args),
        PluginCommand::Shadow(args) => return versions::shadow(&args),
        PluginCommand::Canary(args) => return canary::canary(&args),
        PluginCommand::Versions(args) => return versions::versions(&args),
    };
    done.unwrap_or_else(|reason| failed(exit::PLUGIN, &reason))
}

fn begin(args: NewArgs) -> Result<ExitCode, String> {
    let NewArgs { folder, kind, lang, sdk } = args;
    let written = author::new(&NewOptions { folder: folder.clone(), kind, lang, sdk })?;
    written.iter().for_each(|file| println!("{}", file.display()));
    let folder = folder.display();
    let first = match lang {
        Lang::Rust => format!("cargo test --manifest-path {folder}/Cargo.toml\n      "),
        Lang::Js => format!("(cd {folder} && npm install --ignore-scripts)\n      "),
        Lang::Python => {
            let venv = format!("python3 -m venv {folder}/.venv");
            format!("{venv} && {folder}/.venv/bin/pip install -r {folder}/requirements.txt\n      ")
        }
        _ => String::new(),
    };
    let limits = if lang == Lang::Python { " --limit module_bytes=32MiB --limit instances=64" } else { "" };
    println!("\nnext: {first}tidegate plugin build {folder} && tidegate plugin test {folder}{limits}");
    Ok(ExitCode::SUCCESS)
}

fn test(args: &TestArgs) -> Result<ExitCode, String> {
    let file = author::file_of(&args.plugin)?;
    if let (Some(source), Some(config)) = (&args.source, &args.config) {
        return test_lines(
            &file,
            args,
            LinesOptions { config: config.clone(), source: source.clone(), params: args.params.clone() },
        );
    }
    let beside = || file.parent().unwrap_or(Path::new("")).join("cases.yaml");
    let cases = Cases::read(&args.cases.clone().unwrap_or_else(beside))?;
    let limits = args.limits.limits();
    let plugin = author::load(&file, &limits)?;
    let verdicts = author::run(&plugin, &cases, &limits);
    let (about, kind) = (plugin.about(), plugin.kind());
    println!("{} {} ({kind})", about.name, about.version);
    for Verdict { name, wrong } in &verdicts {
        println!("  {} {name}", if wrong.is_empty() { "ok    " } else { "FAILED" });
        wrong.iter().for_each(|line| println!("         {line}"));
    }
    let failed = verdicts.iter().filter(|verdict| !verdict.wrong.is_empty()).count();
    println!("{} passed, {failed} failed", verdicts.len() - failed);
    Ok(ExitCode::from(if failed == 0 { 0 } else { exit::PLUGIN }))
}

fn test_lines(file: &Path, args: &TestArgs, options: LinesOptions) -> Result<ExitCode, String> {
    let limits = args.limits.limits();
    let plugin = author::load(file, &limits)?;
    let (input, mut out) = (std::io::stdin().lock(), std::io::stdout().lock());
    let Counted { lines, records, set_aside } = author::lines(file, &plugin, &options, &limits, input, &mut out)?;
    eprintln!("{lines} lines, {records} records made, {set_aside} set aside");
    Ok(ExitCode::SUCCESS)
}

fn inspect(plugin: &Path, json: bool, limits: &LimitArgs) -> Result<ExitCode, String> {
    let inspected = author::inspect(&author::file_of(plugin)?, &limits.limits())?;
    match json {
        true => println!("{}", serde_json::json!(inspected)),
        false => print!("{}", page(&inspected)),
    }
    Ok(ExitCode::SUCCESS)
}

/// What is said of a plugin.
fn page(plugin: &Inspected) -> String {
    let Inspected { name, version, summary, kind, contract, state, imports, bytes, sha256, signed_by, params, .. } =
        plugin;
    let imports = match imports[..] {
        [] => "none".to_string(),
        _ => format!("{0} (an operator needs grant = {imports:?})", imports.join(", ")),
    };
    let state = if *state { "kept in slots, over restarts" } else { "none" };
    let signed = match signed_by[..] {
        [] => "no".to_string(),
        _ => format!("by {}, it says: tidegate plugin verify", signed_by.join(" and ")),
    };
    let mut out = format!(
        "{name} {version}: {summary}\n  kind      {kind}\n  contract  {contract}\n  state     {state}\n  imports   {imports}\n  \
         size      {bytes} bytes\n  sha256    {sha256}\n  signed    {signed}\n"
    );
    if params.is_empty() {
        out += "  parameters: none\n";
    } else {
        out += "  parameters:\n";
    }
    let width = params.iter().map(|param| param.name.len()).max().unwrap_or(0);
    for param in params {
        let unit = param.unit.as_ref().map(|unit| format!(" {unit}")).unwrap_or_default();
        let told = match (&param.default, param.required) {
            (Some(default), _) => format!(" (default {default}{unit})"),
            (None, true) => " (needed)".into(),
            (None, false) => " (may be left out)".into(),
        };
        let bounds = param.bounds();
        out += &format!("    {:width$}  {:8}{unit}{bounds} {}{told}\n", param.name, param.r#type, param.help);
    }
    for (what, fields) in [("reads", &plugin.reads), ("emits", &plugin.emits)] {
        let fields = fields.as_deref().unwrap_or_default();
        out += if fields.is_empty() { String::new() } else { format!("  {what}:\n") }.as_str();
        let width = fields.iter().map(|field| field.name.len()).max().unwrap_or(0);
        fields.iter().for_each(|field| out += &format!("    {:width$}  {}\n", field.name, field.told()));
    }
    out
}
