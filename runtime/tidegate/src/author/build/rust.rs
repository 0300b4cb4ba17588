//! Rust, by cargo.

use super::read;
use crate::author::Lang;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const TRIPLE: &str = "wasm32-unknown-unknown";

/// What cargo says while it builds, of which one line is wanted.
#[derive(Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    manifest_path: PathBuf,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

/// Builds the crate in `folder` for WebAssembly and makes it a component; it carries its interfaces.
pub fn component(folder: &Path) -> Result<Vec<u8>, String> {
    let manifest = folder.join(Lang::Rust.mark());
    let module = compile(folder, &manifest)?;
    let bytes = read(&module)?;
    let mut encoder = wit_component::ComponentEncoder::default();
    encoder.validate(true).module(&bytes).and_then(|encoder| encoder.encode()).map_err(|error| {
        let remedy = "is a function marked, such as #[tidegate::filter]?";
        format!("{}: makes no component ({remedy}): {error:#}", module.display())
    })
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
        return Err(match has_target(folder) {
            false => format!("the target {TRIPLE} is not there: rustup target add {TRIPLE}"),
            true => "it does not build: what cargo says is above".into(),
        });
    }
    let lines = output.stdout.split(|&byte| byte == b'\n');
    let artifacts = lines.filter_map(|line| serde_json::from_slice::<Message>(line).ok());
    let ours = |message: &Message| message.reason == "compiler-artifact" && message.manifest_path == manifest;
    let is_wasm = |file: &PathBuf| file.extension().is_some_and(|extension| extension == "wasm");
    let module = artifacts.filter(ours).flat_map(|message| message.filenames).find(is_wasm);
    module.ok_or_else(|| format!("{}: it makes no .wasm; [lib] crate-type = [\"cdylib\"]", manifest.display()))
}

/// Whether Rust's library is there for WebAssembly; where nobody can say, it is taken to be.
fn has_target(folder: &Path) -> bool {
    let mut rustc = Command::new("rustc");
    rustc.current_dir(folder).args(["--print", "target-libdir", "--target", TRIPLE]);
    let told = rustc.output().ok().filter(|output| output.status.success());
    told.is_none_or(|told| Path::new(String::from_utf8_lossy(&told.stdout).trim()).is_dir())
}
