//! `cargo xtask plugins`: builds every plugin in `plugins/` to `target/plugins/NAME.wasm`, and copies those that are
//! WebAssembly text.
//!
//! A crate is built for `wasm32-unknown-unknown` and made a component here, in process: no other tool to install. The
//! build has a target folder of its own, so that it does not wait for the cargo that runs this.

use crate::step::Outcome;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const TRIPLE: &str = "wasm32-unknown-unknown";
const PROFILE: &str = "plugin";

/// Builds every plugin of `root/plugins` into `target/plugins`.
pub fn build(root: &Path, target: &Path) -> Outcome {
    let (crates, texts) = find(&root.join("plugins"))?;
    let (build, out) = (target.join("plugin-build"), target.join("plugins"));
    compile(root, &build, &crates)?;
    fs::create_dir_all(&out).map_err(|error| at(&out, error))?;
    for name in &crates {
        let module = build.join(TRIPLE).join(PROFILE).join(format!("{}.wasm", name.replace('-', "_")));
        replace(&out.join(format!("{name}.wasm")), &component(&module)?)?;
    }
    for text in &texts {
        let bytes = fs::read(text).map_err(|error| at(text, error))?;
        replace(&out.join(text.file_name().unwrap_or_default()), &bytes)?;
    }
    Ok(())
}

/// The crates among the plugins, by name, and the texts.
fn find(plugins: &Path) -> Outcome<(Vec<String>, Vec<PathBuf>)> {
    let (mut crates, mut texts) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(plugins).map_err(|error| at(plugins, error))? {
        let folder = entry.map_err(|error| at(plugins, error))?.path();
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = folder.join(format!("{name}.wat"));
        if folder.join("Cargo.toml").is_file() {
            crates.push(name);
        } else if text.is_file() {
            texts.push(text);
        }
    }
    crates.sort();
    texts.sort();
    Ok((crates, texts))
}

fn compile(root: &Path, build: &Path, crates: &[String]) -> Outcome {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root).args(["build", "--quiet", "--target", TRIPLE, "--profile", PROFILE, "--target-dir"]);
    cargo.arg(build);
    for name in crates {
        cargo.args(["--package", name]);
    }
    // Flags of a coverage or sanitizer run are for the host.
    cargo.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS").env_remove("CARGO_BUILD_TARGET");
    let status = cargo.status().map_err(|error| format!("cargo does not start: {error}"))?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("plugins do not build; is their target there? rustup target add {TRIPLE}").into()),
    }
}

/// A component of a core module that carries its interface types, as the SDK makes them.
fn component(module: &Path) -> Outcome<Vec<u8>> {
    let bytes = fs::read(module).map_err(|error| at(module, error))?;
    let mut encoder = wit_component::ComponentEncoder::default();
    let encoded = encoder.validate(true).module(&bytes).and_then(|encoder| encoder.encode());
    encoded.map_err(|error| format!("{}: makes no component: {error:#}", module.display()).into())
}

/// Writes a file all or nothing: a gateway may be reading the old one.
fn replace(file: &Path, bytes: &[u8]) -> Outcome {
    let new = file.with_extension("new");
    Ok(fs::write(&new, bytes).and_then(|()| fs::rename(&new, file)).map_err(|error| at(file, error))?)
}

fn at(path: &Path, error: std::io::Error) -> String {
    format!("{}: {error}", path.display())
}
