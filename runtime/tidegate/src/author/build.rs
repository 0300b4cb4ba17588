//! From an author's crate to a component beside it.

use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const TRIPLE: &str = "wasm32-unknown-unknown";

/// A plugin that was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The component.
    pub file: PathBuf,
    /// Its size.
    pub bytes: u64,
}

/// What cargo says while it builds, of which one line is wanted.
#[derive(Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    manifest_path: PathBuf,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

/// Builds the crate in `folder` for WebAssembly and makes it a component, `NAME.wasm` in that folder. What the compiler
/// says goes to standard error.
pub fn build(folder: &Path) -> Result<Built, String> {
    let folder = folder.canonicalize().map_err(|error| format!("{}: {error}", folder.display()))?;
    let manifest = folder.join("Cargo.toml");
    if !manifest.is_file() {
        let remedy = "tidegate plugin new NAME begins one (plugins in WebAssembly text need no build)";
        return Err(format!("{}: there is no Cargo.toml; {remedy}", folder.display()));
    }
    let module = compile(&folder, &manifest)?;
    let bytes = std::fs::read(&module).map_err(|error| format!("{}: {error}", module.display()))?;
    let mut encoder = wit_component::ComponentEncoder::default();
    let component = encoder.validate(true).module(&bytes).and_then(|encoder| encoder.encode()).map_err(|error| {
        let remedy = "is a function marked, such as #[tidegate::filter]?";
        format!("{}: makes no component ({remedy}): {error:#}", module.display())
    })?;
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let file = folder.join(format!("{name}.wasm"));
    // All or nothing: a gateway may be reading the old one.
    let new = file.with_extension("wasm.new");
    let written = std::fs::write(&new, &component).and_then(|()| std::fs::rename(&new, &file));
    written.map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(Built { file, bytes: component.len() as u64 })
}

/// Runs cargo; gives the module it made.
fn compile(folder: &Path, manifest: &Path) -> Result<PathBuf, String> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(folder).args(["build", "--release", "--target", TRIPLE]);
    cargo.arg("--message-format=json-render-diagnostics").stderr(Stdio::inherit());
    // Flags of a coverage or sanitizer run are for the host.
    cargo.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS").env_remove("CARGO_BUILD_TARGET");
    let output = cargo.output().map_err(|error| format!("cargo does not start: {error}; is Rust installed?"))?;
    if !output.status.success() {
        return Err(format!("it does not build; is the target there? rustup target add {TRIPLE}"));
    }
    let lines = output.stdout.split(|&byte| byte == b'\n');
    let artifacts = lines.filter_map(|line| serde_json::from_slice::<Message>(line).ok());
    let ours = |message: &Message| message.reason == "compiler-artifact" && message.manifest_path == manifest;
    let is_wasm = |file: &PathBuf| file.extension().is_some_and(|extension| extension == "wasm");
    let module = artifacts.filter(ours).flat_map(|message| message.filenames).find(is_wasm);
    module.ok_or_else(|| format!("{}: it makes no .wasm; [lib] crate-type = [\"cdylib\"]", manifest.display()))
}
