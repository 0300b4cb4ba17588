//! What makes plugins of JavaScript, Python and Go, for the tests: what is fetched is pinned, with hashes, in `target/tools`.

use crate::checkout::Checkout;
use crate::setup::there;
use crate::step::{Outcome, execute, works};
use std::fs;

/// The first 1.x that has `go:wasmexport`.
const GO_MINOR: u32 = 24;

/// The first of Node.js that componentize-qjs runs on.
const NODE_MAJOR: u32 = 18;

/// componentize-qjs, by npm; its scripts are not run, it brings its program ready.
pub fn javascript(checkout: &Checkout) -> Outcome {
    let told = checkout.command("node").arg("--version").output()?;
    let told = String::from_utf8_lossy(&told.stdout).trim().to_string();
    let major = told.strip_prefix('v').and_then(|rest| rest.split('.').next()?.parse::<u32>().ok());
    if major.is_none_or(|major| major < NODE_MAJOR) {
        let wanted = format!("plugins in JavaScript need {NODE_MAJOR} or later, first on the PATH");
        return Err(format!("node says it is {told:?}: {wanted}").into());
    }
    let folder = checkout.target.join("tools/javascript");
    let program = folder.join("node_modules/.bin/componentize-qjs");
    let wanted = checkout.root.join("xtask/componentize-qjs");
    // npm ci takes away what was there, so what is half there is no better than nothing.
    let lock = fs::read(wanted.join("package-lock.json"))?;
    let installed = fs::read(folder.join("package-lock.json")).is_ok_and(|installed| installed == lock);
    if installed && works(checkout.command(&program).arg("--help")) {
        return there("componentize-qjs");
    }
    fs::create_dir_all(&folder)?;
    for file in ["package.json", "package-lock.json"] {
        fs::copy(wanted.join(file), folder.join(file))?;
    }
    let mut npm = checkout.command("npm");
    execute(npm.current_dir(&folder).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]))
}

/// componentize-py, by pip into an environment of its own.
pub fn python(checkout: &Checkout) -> Outcome {
    let folder = checkout.target.join("tools/python");
    let program = folder.join("bin/componentize-py");
    let wanted = checkout.root.join("xtask/componentize-py.txt");
    let version = fs::read_to_string(&wanted)?;
    let version = version.split([' ', '=']).find(|part| part.starts_with(|c: char| c.is_ascii_digit()));
    let told = checkout.command(&program).arg("--version").output();
    let is_there = |told: &str| version.is_some_and(|version| told.trim().ends_with(version));
    if told.is_ok_and(|told| is_there(&String::from_utf8_lossy(&told.stdout))) {
        return there("componentize-py");
    }
    // Without a pip of its own: where pip is another package, venv cannot make one.
    execute(checkout.command("python3").args(["-m", "venv", "--clear", "--without-pip"]).arg(&folder))?;
    // So that of outside is run by the Python in there, as `pip --python` does from 22.3 on.
    let pip = "import os, pip; print(os.path.dirname(os.path.realpath(pip.__file__)))";
    let pip = checkout.command("python3").args(["-c", pip]).output()?;
    if !pip.status.success() {
        return Err("python3 has no pip: install python3-pip".into());
    }
    execute(
        checkout
            .command(folder.join("bin/python"))
            .arg(String::from_utf8_lossy(&pip.stdout).trim())
            .args(["install", "-q", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"])
            .arg("--require-hashes")
            .arg("--requirement")
            .arg(&wanted),
    )
}

/// Go is there already; but Debian's may be too old to export functions by name.
pub fn go(checkout: &Checkout) -> Outcome {
    let told = checkout.command("go").args(["env", "GOVERSION"]).output()?;
    let told = String::from_utf8_lossy(&told.stdout).trim().to_string();
    let minor = told.strip_prefix("go1.").and_then(|rest| rest.split('.').next()?.parse::<u32>().ok());
    match minor {
        Some(minor) if minor >= GO_MINOR => there(&told),
        _ => Err(format!("go says it is {told:?}: plugins in Go need 1.{GO_MINOR} or later, first on the PATH").into()),
    }
}

#[cfg(test)]
mod tests {
    /// What an author is told to install is what the tests install.
    #[test]
    fn templates_name_the_versions_that_are_tested() {
        let template = include_str!("../../runtime/tidegate/src/author/templates/js/package.json");
        let tested = include_str!("../componentize-qjs/package.json");
        let line = template.lines().find(|line| line.contains("componentize-qjs")).expect("a dependency");
        assert!(tested.lines().any(|tested| tested == line), "{line}");
        let template = include_str!("../../runtime/tidegate/src/author/templates/python/requirements.txt");
        let tested = include_str!("../componentize-py.txt");
        let go = include_str!("../../runtime/tidegate/src/author/templates/go/go.mod.txt");
        assert!(go.ends_with(&format!("go 1.{}\n", super::GO_MINOR)), "{go}");
        let build = include_str!("../../runtime/tidegate/src/author/build/go.rs");
        assert!(build.contains(&format!("least: Some((1, {}))", super::GO_MINOR)), "{build}");
        let build = include_str!("../../runtime/tidegate/src/author/build/script.rs");
        assert!(build.contains(&format!("least: Some(({}, 0))", super::NODE_MAJOR)), "{build}");
        assert!(template.starts_with("componentize-py==") && tested.starts_with(template.trim()), "{template}");
    }
}
