//! JavaScript and Python: the interpreter becomes a part of the component, started and with the script read in.
//!
//! Both tools make components that import nothing: what the interpreters want of WASI is stubbed inside, and traps.

use super::{read, tool::Tool, world};
use crate::author::Lang;
use std::ffi::OsStr;
use std::path::Path;

const COMPONENTIZE_QJS: Tool = Tool {
    name: "componentize-qjs",
    beside: Some("node_modules/.bin"),
    ask: &[],
    least: None,
    remedy: "in the plugin's folder, npm install --ignore-scripts brings it (Node.js 18 or later)",
};
/// What runs it.
const NODE: Tool = Tool {
    name: "node",
    beside: None,
    ask: &["--version"],
    least: Some((18, 0)),
    remedy: "install Node.js 18 or later (https://nodejs.org; Debian: apt-get install nodejs npm), first on the PATH",
};
const COMPONENTIZE_PY: Tool = Tool {
    name: "componentize-py",
    beside: Some(".venv/bin"),
    ask: &["--version"],
    least: Some((0, 25)),
    remedy: "in the plugin's folder, python3 -m venv .venv && .venv/bin/pip install -r requirements.txt brings it",
};

/// Builds `plugin.js` to a component.
pub fn javascript(folder: &Path) -> Result<Vec<u8>, String> {
    let (wit, world, script) = (world::FOLDER, world::NAME, Lang::Js.mark());
    let arguments = ["--stub-wasi", "--sync", "--wit", wit, "--world", world, "--js", script, "--output"];
    NODE.command(folder)?;
    made_by(&COMPONENTIZE_QJS, folder, &arguments)
}

/// Builds `plugin.py` to a component.
pub fn python(folder: &Path) -> Result<Vec<u8>, String> {
    let (wit, world) = (world::FOLDER, world::NAME);
    let arguments =
        ["--quiet", "--wit-path", wit, "--world", world, "componentize", "--stub-wasi", "plugin", "--output"];
    made_by(&COMPONENTIZE_PY, folder, &arguments)
}

fn made_by(tool: &Tool, folder: &Path, arguments: &[&str]) -> Result<Vec<u8>, String> {
    let work = tempfile::tempdir().map_err(|error| format!("a folder for the build: {error}"))?;
    let component = work.path().join("plugin.wasm");
    let arguments = arguments.iter().map(OsStr::new).chain([component.as_os_str()]);
    tool.run(tool.command(folder)?.args(arguments))?;
    read(&component)
}
