//! `tests/CATALOGUE.md` against the tests there are.

use crate::source::read;
use std::collections::BTreeMap;

/// Fewest failures and tests the table has.
const ROWS_MIN: usize = 12;

/// Holds that every failure of the table has a test, and that every test named is there.
pub fn hold() {
    let mut texts: BTreeMap<&str, String> = BTreeMap::new();
    let table = read("tests/CATALOGUE.md");
    let rows: Vec<(&str, &str)> = table.lines().filter_map(row).collect();
    assert!(rows.len() >= ROWS_MIN, "the catalogue has {} rows", rows.len());
    let mut missing = Vec::new();
    for (failure, tests) in rows {
        let named: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        if named.is_empty() {
            missing.push(format!("{failure}: no test"));
        }
        for test in named {
            let (file, name) = test.split_once("::").unwrap_or_else(|| panic!("{test} is no FILE::NAME"));
            let text = texts.entry(file).or_insert_with(|| read(file));
            if !is_there(text, name) {
                missing.push(format!("{failure}: {file} has no test {name}"));
            }
        }
    }
    assert!(missing.is_empty(), "tests/CATALOGUE.md:\n{}", missing.join("\n"));
}

/// `| failure | tests |`, but for the head of the table.
fn row(line: &str) -> Option<(&str, &str)> {
    let (failure, tests) = line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | ")?;
    (!failure.starts_with("failure")).then_some((failure, tests))
}

/// Whether `text` has a function `name` that is a test.
fn is_there(text: &str, name: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
    let begins = |line: &&str| {
        let line = line.strip_prefix("async ").unwrap_or(line);
        line.strip_prefix("fn ").and_then(|line| line.strip_prefix(name)).is_some_and(|rest| rest.starts_with('('))
    };
    let Some(at) = lines.iter().position(begins) else { return false };
    let before = lines[..at].iter().rev().take_while(|line| line.starts_with("#[") || line.starts_with("//"));
    { before }.any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
}

#[test]
fn a_test_is_a_function_under_an_attribute_of_that_name() {
    let text =
        "#[test]\nfn whole() {}\nfn plain() {}\n    #[tokio::test(start_paused = true)]\n    async fn later() {}";
    for (name, expected) in [("whole", true), ("whol", false), ("plain", false), ("later", true), ("none", false)] {
        assert_eq!(is_there(text, name), expected, "{name}");
    }
}
