//! Begins a plugin: a folder with something that builds, runs and is tested, to be made one's own.

use std::fs;
use std::path::{Path, PathBuf};
use tidegate_sandbox::Kind;

/// What to begin.
#[derive(Debug, Clone)]
pub struct NewOptions {
    /// The folder, whose last part is the plugin's name.
    pub folder: PathBuf,
    /// What it does.
    pub kind: Kind,
    /// Where the SDK is: the `sdk` folder of Tidegate's source.
    pub sdk: PathBuf,
}

/// Makes the folder; gives the files in it.
pub fn new(options: &NewOptions) -> Result<Vec<PathBuf>, String> {
    let NewOptions { folder, kind, sdk } = options;
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(is_part) || name.len() > 64 {
        let rule = "a-z, 0-9 and '-', beginning with a letter, at most 64";
        return Err(format!("{name:?} is no name of a plugin: {rule}"));
    }
    let sdk = sdk.canonicalize().map_err(|error| format!("the SDK {}: {error}", sdk.display()))?;
    if !sdk.join("wit").is_dir() {
        let meant = "the folder sdk of Tidegate's source is meant";
        return Err(format!("the SDK {}: there is no wit in it; {meant}", sdk.display()));
    }
    fs::create_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let (lib, cases) = template(*kind);
    let fill = |text: &str| text.replace("@name@", &name).replace("@sdk@", &sdk.display().to_string());
    let mut written = Vec::new();
    for (file, text) in [("Cargo.toml", MANIFEST), ("src/lib.rs", lib), ("cases.yaml", cases), (".gitignore", IGNORE)] {
        let path = folder.join(file);
        write(&path, &fill(text)).map_err(|error| format!("{}: {error}", path.display()))?;
        written.push(path);
    }
    Ok(written)
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text)
}

const IGNORE: &str = "target\n";

/// `[workspace]`: it is its own, wherever it lies.
const MANIFEST: &str = r#"[package]
name = "@name@"
version = "0.1.0"
edition = "2024"
description = "What it does, in one line: gateways show it"

[lib]
crate-type = ["cdylib", "rlib"]

[dependencies]
tidegate = { package = "tidegate-sdk", path = "@sdk@" }

# Names stay in for backtraces, everything else goes.
[profile.release]
lto = true
codegen-units = 1
panic = "abort"
strip = "debuginfo"

[workspace]
"#;

/// `src/lib.rs` and `cases.yaml` of a kind.
fn template(kind: Kind) -> (&'static str, &'static str) {
    macro_rules! template {
        ($kind:literal) => {
            (
                include_str!(concat!("templates/", $kind, ".rs.txt")),
                include_str!(concat!("templates/", $kind, ".cases.yaml")),
            )
        };
    }
    match kind {
        Kind::Filter => template!("filter"),
        Kind::Transform => template!("transform"),
        Kind::Detect => template!("detect"),
        Kind::Aggregate => template!("aggregate"),
        Kind::Codec => template!("codec"),
    }
}
