//! What an author is told who writes something wrong: at the line it stands in, with what would be right.
//!
//! Each file of `messages` does not compile. A line that ends in `//~ text` has an error that says so (with several texts
//! between ` | `); nothing else may be told anywhere else.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;
use tidegate_sdk::Json;

/// Where this test's own libraries are.
fn libraries() -> PathBuf {
    std::env::current_exe().expect("this test's file").parent().expect("a folder").to_path_buf()
}

/// The SDK as it was built for this test: the newest there is.
fn sdk(libraries: &Path) -> PathBuf {
    let is_ours = |name: &str| name.starts_with("libtidegate_sdk-") && name.ends_with(".rlib");
    let files = std::fs::read_dir(libraries).expect("libraries").map(|entry| entry.expect("an entry"));
    let ours = files.filter(|entry| is_ours(&entry.file_name().to_string_lossy()));
    let built =
        |entry: &std::fs::DirEntry| entry.metadata().and_then(|meta| meta.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    ours.max_by_key(built).expect("the SDK is built before this test").path()
}

/// Line and whole text of every error.
fn errors(case: &Path) -> Vec<(usize, String)> {
    let (libraries, out) = (libraries(), PathBuf::from(env!("CARGO_TARGET_TMPDIR")));
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(["--edition=2024", "--crate-type=lib", "--emit=metadata", "--error-format=json", "--cap-lints=allow"]);
    rustc.arg("--extern").arg(format!("tidegate={}", sdk(&libraries).display()));
    rustc.arg("-L").arg(format!("dependency={}", libraries.display()));
    rustc.env("CARGO_PKG_NAME", "wrong").env("CARGO_PKG_VERSION", "0.1.0").env("CARGO_PKG_DESCRIPTION", "");
    let output = rustc.arg("--out-dir").arg(out).arg(case).output().expect("rustc runs");
    assert!(!output.status.success(), "{} compiles", case.display());
    String::from_utf8_lossy(&output.stderr).lines().filter_map(|line| error(case, line)).collect()
}

fn get(value: &Json, key: &str) -> Option<Json> {
    value.get::<std::collections::HashMap<String, Json>>()?.get(key).cloned()
}

fn text(value: Option<Json>) -> String {
    value.and_then(|value| value.get::<String>().cloned()).unwrap_or_default()
}

fn error(case: &Path, line: &str) -> Option<(usize, String)> {
    let message: Json = line.parse().ok()?;
    let spans = get(&message, "spans")?;
    let spans = spans.get::<Vec<Json>>()?;
    if text(get(&message, "level")) != "error" || spans.is_empty() {
        return None;
    }
    let is_primary = |span: &&Json| get(span, "is_primary") == Some(Json::Boolean(true));
    let mut primary = spans.iter().find(is_primary)?.clone();
    // What stands in a macro of the SDK's is told where the author called it.
    while text(get(&primary, "file_name")) != case.display().to_string() {
        primary = get(&get(&primary, "expansion")?, "span")?;
    }
    let line = get(&primary, "line_start")?.get::<f64>().copied()?;
    Some((line as usize, text(get(&message, "rendered"))))
}

#[track_caller]
fn check(name: &str) {
    let case = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/messages")).join(name).with_extension("rs");
    let source = std::fs::read_to_string(&case).expect("the case");
    let errors = errors(&case);
    let all = || errors.iter().map(|(_, text)| text.as_str()).collect::<String>();
    let mut expected = Vec::new();
    for (index, line) in source.lines().enumerate() {
        let Some((_, texts)) = line.split_once("//~ ") else { continue };
        expected.push(index + 1);
        for text in texts.split(" | ") {
            let told = errors.iter().any(|(at, said)| *at == index + 1 && said.contains(text));
            assert!(told, "{name}, line {}: nothing says {text:?}\n{}", index + 1, all());
        }
    }
    assert!(!expected.is_empty(), "{name} expects nothing");
    // rustc tells some of it of the derive again.
    let first = |text: &str| text.lines().next().map(str::to_string);
    let is_told = |text: &str| errors.iter().any(|(at, said)| expected.contains(at) && first(said) == first(text));
    let elsewhere: Vec<_> = errors.iter().filter(|(at, said)| !expected.contains(at) && !is_told(said)).collect();
    assert!(elsewhere.is_empty(), "{name}: errors where none is expected\n{}", all());
}

#[test]
fn a_function_of_another_shape_is_told_which() {
    check("shapes");
}

#[test]
fn what_a_function_takes_and_gives_is_told() {
    check("results");
}

#[test]
fn a_struct_without_its_derive_is_named() {
    check("derives");
}

#[test]
fn a_type_no_field_and_no_parameter_has_is_named_with_those_they_may_have() {
    check("types");
}

#[test]
fn an_option_there_is_none_of_is_told_with_those_there_are() {
    check("options");
}

#[test]
fn a_crate_is_one_plugin() {
    check("two");
}
