//! `tidegate plugin keygen`, `sign` and `verify`.

use crate::author;
use crate::config;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// What to sign.
#[derive(Debug, Args)]
pub struct SignArgs {
    /// The plugin (.wasm; of a .wat a .wasm is made), or its folder
    #[arg(default_value = ".")]
    plugin: PathBuf,
    /// The secret key (NAME.key)
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Where the signed plugin goes; left out: where the plugin is
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What to verify.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The plugin (.wasm), or its folder
    #[arg(default_value = ".")]
    plugin: PathBuf,
    /// A public key (NAME.pub) that may have signed it; may be given again
    #[arg(long = "key", value_name = "FILE", required_unless_present = "config")]
    keys: Vec<PathBuf>,
    /// Take plugins.trusted_keys of this configuration
    #[arg(long, value_name = "FILE", conflicts_with = "keys")]
    config: Option<PathBuf>,
}

pub(super) fn keygen(name: &std::path::Path) -> Result<ExitCode, String> {
    let (id, secret, public) = author::keygen(name)?;
    println!("key {id}");
    println!("  {}  signs: keep it secret, off the gateway, and keep a copy", secret.display());
    println!("  {}  verifies: plugins.trusted_keys of every gateway names it", public.display());
    Ok(ExitCode::SUCCESS)
}

pub(super) fn sign(args: &SignArgs) -> Result<ExitCode, String> {
    let file = author::file_of(&args.plugin)?;
    let (id, out) = author::sign(&file, &args.key, args.out.as_deref())?;
    println!("{}: signed by {id}", out.display());
    Ok(ExitCode::SUCCESS)
}

pub(super) fn verify(args: &VerifyArgs) -> Result<ExitCode, String> {
    let file = author::file_of(&args.plugin)?;
    let id = match &args.config {
        Some(config) => {
            let config = config::load(config).map_err(|errors| errors.to_string())?;
            author::verify_with(&file, &config.plugins.trust)?
        }
        None => author::verify(&file, &args.keys)?,
    };
    println!("{}: signed by {id}, and unchanged since", file.display());
    Ok(ExitCode::SUCCESS)
}
