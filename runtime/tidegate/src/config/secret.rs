//! Secrets and the files that hold them. What is read here goes straight into a component's own secret type, whose
//! `Debug` shows nothing.

use super::context::Context;
use super::section::Section;
use std::path::Path;

/// Most bytes a file holding a secret may have.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// The secret of `key`, or of the file its twin `file_key` names. Both at once are a problem; neither is `None`.
pub(super) fn read(section: &mut Section<'_>, key: &'static str, file_key: &'static str) -> Option<String> {
    let text = section.text(key);
    let file = section.text(file_key);
    if text.is_some() && file.is_some() {
        section.problem(file_key, format!("given together with {key}: leave one of them out"));
    }
    match file {
        Some(file) => from_file(section, file_key, &file),
        None => text,
    }
}

/// The secret in the file that the option `key` of this section names.
pub(super) fn from_file(section: &Section<'_>, key: &str, file: &str) -> Option<String> {
    read_file(section.context, &section.path_of(key), file)
}

/// The secret in `file`, a path as written in the option at `path`.
pub(super) fn read_file(context: &Context<'_>, path: &str, file: &str) -> Option<String> {
    let file = context.resolve(file);
    match contents(&file) {
        Ok(text) => {
            if world_readable(&file) {
                let remedy = "anyone on this machine can read it: chmod 600";
                context.warning_at(path, format!("{}: {remedy}", file.display()));
            }
            Some(text)
        }
        Err(reason) => {
            context.problem_at(path, format!("cannot read the secret in {}: {reason}", file.display()));
            None
        }
    }
}

fn contents(path: &Path) -> Result<String, String> {
    let bytes = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if bytes > SECRET_BYTES_MAX {
        return Err(format!("{bytes} bytes are more than the {SECRET_BYTES_MAX} a secret may have"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let text = text.trim_end_matches(['\n', '\r']);
    if text.is_empty() { Err("the file is empty".into()) } else { Ok(text.into()) }
}

fn world_readable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o004 != 0)
}
