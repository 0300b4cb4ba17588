//! The rules of STYLE that a machine can hold: sizes, homes, arrows, banned words.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod arrows;
mod catalogue;
mod source;

use source::{File, files};

/// Most lines of a file, its tests apart.
const FILE_LINES_MAX: usize = 400;
/// Most lines of a `main.rs`: it is a table of contents.
const MAIN_LINES_MAX: usize = 60;
/// Most lines of the architecture document.
const ARCHITECTURE_LINES_MAX: usize = 200;

/// A third-party crate and the only folders that may name it.
const HOMES: &[(&str, &[&str])] = &[
    ("axum", &["runtime/tidegate/src/http"]),
    // `csv` is also the name of a decoder.
    ("csv", &["runtime/tidegate/src/tables", "devices/src/decode"]),
    ("oci_client", &["runtime/tidegate/src/author/registry"]),
    ("parquet", &["runtime/tidegate/src/cli/store/export"]),
    ("rdkafka", &["runtime/sinks", "tests"]),
    ("reqwest", &["runtime/sinks", "runtime/tidegate/src/cli"]),
    ("rumqttc", &["devices"]),
    ("rusqlite", &["runtime/tidegate/src/tables"]),
    ("sled", &["runtime/store"]),
    ("tokio_serial", &["devices"]),
    ("wasmsign2", &["runtime/sandbox"]),
    ("wasmtime", &["runtime/sandbox"]),
];

/// Words that stand nowhere.
const BANNED: &[(&str, &str)] = &[
    ("#[ignore", "a test that does not run holds nothing"),
    ("unbounded_channel(", "every queue has a named limit"),
    ("mpsc::channel()", "every queue has a named limit"),
    ("crossbeam_channel::unbounded", "every queue has a named limit"),
    ("todo!(", "unfinished"),
    ("unimplemented!(", "unfinished"),
    ("dbg!(", "left over"),
];

/// Where tests may sleep, and why.
const TESTS_MAY_SLEEP: &[(&str, &str)] = &[
    ("tests/src/wait.rs", "polls the state of other processes"),
    ("devices/tests/common/mod.rs", "polls the state of what is under test"),
    ("tests/src/bin/bench/blaster.rs", "sends so many readings a second"),
    ("tests/src/bin/bench/firehose.rs", "memory at rest is what is left after a while"),
    ("tests/src/bin/demo/events.rs", "the times of a scripted demo"),
    ("tests/tests/simulation/world.rs", "virtual time"),
    ("tests/tests/simulation/port.rs", "virtual time"),
    ("tests/fuzz/src/custody.rs", "virtual time"),
    ("tests/fuzz/src/listener.rs", "virtual time"),
];

#[test]
fn files_stay_small() {
    hold("lines", |file| {
        let lines = file.product_lines().count();
        (lines > FILE_LINES_MAX).then(|| format!("{lines} lines, at most {FILE_LINES_MAX}")).into_iter().collect()
    });
}

#[test]
fn mains_are_tables_of_contents() {
    hold("main", |file| {
        let main = file.path.ends_with("/main.rs") && file.path.contains("/src/");
        let lines = file.text.lines().count();
        (main && lines > MAIN_LINES_MAX)
            .then(|| format!("{lines} lines, at most {MAIN_LINES_MAX}"))
            .into_iter()
            .collect()
    });
}

#[test]
fn the_architecture_fits_its_pages() {
    let text = source::read("ARCHITECTURE.md");
    let lines = text.lines().count();
    assert!((20..=ARCHITECTURE_LINES_MAX).contains(&lines), "ARCHITECTURE.md has {lines} lines");
}

#[test]
fn third_party_crates_have_one_home() {
    hold("homes", |file| {
        let foreign = |(_, homes): &&(&str, &[&str])| !homes.iter().any(|home| file.path.starts_with(home));
        let mut found = Vec::new();
        for (name, _) in HOMES.iter().filter(foreign) {
            let lines = file.code_lines().filter(|(_, line)| names_crate(line, name));
            found.extend(lines.map(|(number, _)| format!("line {number}: {name} is not at home here")));
        }
        found
    });
}

#[test]
fn banned_words_stand_nowhere() {
    hold("words", |file| {
        let mut found = Vec::new();
        for (word, reason) in BANNED {
            let lines = file.code_lines().filter(|(_, line)| line.contains(word) && !line.contains('"'));
            found.extend(lines.map(|(number, _)| format!("line {number}: {word} ({reason})")));
        }
        found
    });
}

#[test]
fn tests_do_not_sleep_to_wait() {
    hold("sleep", |file| {
        if TESTS_MAY_SLEEP.iter().any(|(path, _)| file.path == *path) {
            return Vec::new();
        }
        let lines = file.test_lines().filter(|(_, line)| line.contains("sleep(") && !line.contains('"'));
        lines.map(|(number, _)| format!("line {number}: wait for what must become true instead")).collect()
    });
}

#[test]
fn no_test_forgets_to_assert() {
    hold("assert", |file| {
        let forgets = |line: &str| line.starts_with("matches!(") && line.ends_with(';');
        let lines = file.code_lines().filter(|(_, line)| forgets(line.trim()));
        lines.map(|(number, _)| format!("line {number}: matches! without assert!")).collect()
    });
}

#[test]
fn every_select_says_which_branch_comes_first() {
    hold("select", |file| {
        let lines: Vec<_> = file.code_lines().collect();
        let random = lines.windows(2).filter(|pair| pair[0].1.ends_with("select! {") && pair[1].1.trim() != "biased;");
        random.map(|pair| format!("line {}: without biased, chance decides", pair[0].0)).collect()
    });
}

#[test]
fn every_failure_of_the_catalogue_has_its_tests() {
    catalogue::hold();
}

#[test]
fn crates_depend_as_the_architecture_says() {
    arrows::hold();
}

/// Whether `line` has a path that begins with the crate `name`.
fn names_crate(line: &str, name: &str) -> bool {
    let begins = |at: usize| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
    line.match_indices(name).any(|(at, _)| begins(at) && line[at + name.len()..].starts_with("::"))
        || line.trim() == format!("use {name};")
}

/// Panics with everything that breaks a rule in any file.
fn hold(rule: &str, check: impl Fn(&File) -> Vec<String>) {
    let files = files();
    assert!(files.len() > 30, "only {} files were found", files.len());
    let broken: Vec<String> =
        files.iter().flat_map(|file| check(file).into_iter().map(|what| format!("{}: {what}", file.path))).collect();
    assert!(broken.is_empty(), "{rule}:\n{}", broken.join("\n"));
}
