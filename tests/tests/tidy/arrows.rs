//! What `cargo metadata` says against the table of ARCHITECTURE.md.

use crate::source::read;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use tidegate_tests::parts::root;

type Arrows = BTreeMap<String, BTreeSet<String>>;

/// Holds that every crate's dependencies in the workspace are exactly those of the table.
pub fn hold() {
    let (allowed, real) = (allowed(), real());
    for (name, uses) in &real {
        let allowed = allowed.get(name).unwrap_or_else(|| panic!("{name} has no row under Arrows in ARCHITECTURE.md"));
        assert_eq!(uses, allowed, "{name}: what it depends on (left), what ARCHITECTURE.md allows (right)");
    }
    let rows: Vec<_> = allowed.keys().filter(|name| !real.contains_key(*name)).collect();
    assert!(rows.is_empty(), "rows of ARCHITECTURE.md for crates that are not there: {rows:?}");
}

/// The table: `` | `crate` | `crate` `crate` | ``. The row `plugins/*` holds for each plugin.
fn allowed() -> Arrows {
    let text = read("ARCHITECTURE.md");
    let section = text.split("\n## ").find(|section| section.starts_with("Arrows")).expect("a section Arrows");
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    let arrows: Arrows = rows
        .map(|row| {
            let (name, uses) = row.split_once("` |").expect("a row of two columns");
            let names = uses.split('`').skip(1).step_by(2);
            (name.to_owned(), names.map(str::to_owned).collect())
        })
        .collect();
    assert!(arrows.len() >= 8, "the table has {} rows", arrows.len());
    arrows
}

/// Dependencies among the crates of the workspace, those of tests apart.
fn real() -> Arrows {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--format-version", "1", "--no-deps", "--offline"]).current_dir(root());
    let output = command.output().expect("cargo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let mut arrows = Arrows::new();
    for package in packages {
        let dependencies = package["dependencies"].as_array().expect("dependencies").iter();
        let ours = dependencies.filter(|d| d["path"].is_string() && d["kind"] != "dev");
        let names = ours.map(|d| d["name"].as_str().expect("a name").to_owned());
        arrows.entry(row(package)).or_default().extend(names);
    }
    arrows
}

fn row(package: &Value) -> String {
    let manifest = package["manifest_path"].as_str().expect("a path");
    if manifest.contains("/plugins/") { "plugins/*".into() } else { package["name"].as_str().expect("a name").into() }
}
