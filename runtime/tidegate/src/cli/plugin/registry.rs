//! `tidegate plugin push` and `pull`.

use crate::author::{self, Place, PullOptions};
use crate::cli::runtime;
use crate::config;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;
use tidegate_sandbox::{Limits, Trust};

/// What to put where.
#[derive(Debug, Args)]
pub struct PushArgs {
    /// REGISTRY/REPO:TAG
    place: String,
    /// The plugin (.wasm), or its folder
    #[arg(default_value = ".")]
    plugin: PathBuf,
    /// Speak to a registry on another machine without TLS
    #[arg(long)]
    insecure: bool,
}

/// What to take from where.
#[derive(Debug, Args)]
pub struct PullArgs {
    /// REGISTRY/REPO:TAG, or REGISTRY/REPO@sha256:… for exactly that one
    place: String,
    /// Into plugins.dir of this configuration, by its trusted_keys, require_signed and module_bytes
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Into this folder
    #[arg(long, value_name = "FOLDER", required_unless_present = "config", conflicts_with = "config")]
    dir: Option<PathBuf>,
    /// Its name there, without .wasm; left out: the repository's last part
    #[arg(long)]
    name: Option<String>,
    /// Take it only where this key (NAME.pub) signed it; may be given again
    #[arg(long = "key", value_name = "FILE", conflicts_with = "config")]
    keys: Vec<PathBuf>,
    /// Speak to a registry on another machine without TLS
    #[arg(long)]
    insecure: bool,
}

pub(super) fn push(args: &PushArgs) -> Result<ExitCode, String> {
    let place = Place::parse(&args.place, args.insecure)?;
    let file = author::file_of(&args.plugin)?;
    let digest = runtime()?.block_on(author::within(author::push(&file, &place)))?;
    println!("{place}: {}\n  pinned as {digest}", file.display());
    Ok(ExitCode::SUCCESS)
}

pub(super) fn pull(args: PullArgs) -> Result<ExitCode, String> {
    let place = Place::parse(&args.place, args.insecure)?;
    let (dir, trust, bytes_max) = match args.config {
        Some(file) => {
            let plugins = config::load(&file).map_err(|errors| errors.to_string())?.plugins;
            (plugins.dir, plugins.trust, plugins.limits.module_bytes)
        }
        None => {
            let trust = Trust::read(&args.keys, !args.keys.is_empty())
                .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
            (args.dir.unwrap_or_default(), trust, Limits::default().module_bytes)
        }
    };
    let options = PullOptions { dir, name: args.name, trust, bytes_max };
    let pulled = runtime()?.block_on(author::within(author::pull(&place, &options)))?;
    let signed = match pulled.signer {
        Some(id) => format!("signed by {id}"),
        None => "signed by nobody that is trusted here".into(),
    };
    println!("{}: {} bytes, {signed}\n  pinned as {}", pulled.file.display(), pulled.bytes, pulled.digest);
    Ok(ExitCode::SUCCESS)
}
