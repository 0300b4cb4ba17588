//! Begins a plugin: a folder with something that builds, runs and is tested, to be made one's own.

use super::{Lang, templates};
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
    /// What it is written in.
    pub lang: Lang,
    /// Where the SDK for Rust is: the `sdk` folder of Tidegate's source.
    pub sdk: Option<PathBuf>,
}

/// Makes the folder; gives the files in it.
pub fn new(options: &NewOptions) -> Result<Vec<PathBuf>, String> {
    let NewOptions { folder, kind, lang, sdk } = options;
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(is_part) || name.len() > 64 {
        let rule = "a-z, 0-9 and '-', beginning with a letter, at most 64";
        return Err(format!("{name:?} is no name of a plugin: {rule}"));
    }
    let sdk = match lang {
        Lang::Rust => sdk_of(sdk.as_deref())?.display().to_string(),
        _ => String::new(),
    };
    let files = templates::files(*lang, *kind).ok_or_else(|| {
        let word = lang.word();
        format!(
            "there is no template of a {kind} in {word}: filter, detect and aggregate there are, and all kinds in rust"
        )
    })?;
    fs::create_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut written = Vec::new();
    for (file, text) in files {
        let path = folder.join(file);
        let text = text.replace("@name@", &name).replace("@sdk@", &sdk);
        write(&path, &text).map_err(|error| format!("{}: {error}", path.display()))?;
        written.push(path);
    }
    Ok(written)
}

/// The SDK a plugin in Rust depends on.
fn sdk_of(sdk: Option<&Path>) -> Result<PathBuf, String> {
    let meant = "the folder sdk of Tidegate's source is meant";
    let sdk = sdk.ok_or_else(|| format!("a plugin in Rust needs --sdk PATH (or TIDEGATE_SDK): {meant}"))?;
    let sdk = sdk.canonicalize().map_err(|error| format!("the SDK {}: {error}", sdk.display()))?;
    match sdk.join("wit").is_dir() {
        true => Ok(sdk),
        false => Err(format!("the SDK {}: there is no wit in it; {meant}", sdk.display())),
    }
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text)
}
