//! A configuration's text: every problem has its place, and the same text always says the same.

use crate::Verdict;
use crate::allocation::within;
use std::path::Path;
use tidegate::config;

pub fn run(input: &[u8]) -> Verdict {
    let Ok(text) = std::str::from_utf8(input) else { return Verdict::Refused };
    if text.contains("_file") || text.contains("librdkafka") {
        // Files are this machine's, not the input's.
        return Verdict::Refused;
    }
    // The tree of the text, the typed configuration and a line a problem.
    let read = || within(1024 * text.len() + (1 << 20), || config::parse(Path::new("gateway.toml"), text, &variable));
    match (read(), read()) {
        (Ok(config), Ok(again)) => {
            assert_eq!(format!("{config:?}"), format!("{again:?}"));
            assert!(
                config.warnings.iter().all(|warning| warning.starts_with("gateway.toml:")),
                "{:?}",
                config.warnings
            );
            Verdict::Accepted
        }
        (Err(errors), Err(again)) => {
            assert_eq!(errors, again);
            assert!(!errors.problems().is_empty(), "refused without a reason");
            errors.problems().iter().for_each(|problem| assert_placed(problem, text));
            assert_eq!(errors.to_string().lines().count(), errors.problems().len(), "a line a problem: {errors}");
            Verdict::Refused
        }
        (first, second) => panic!("taken once and refused once: {first:?}, {second:?}"),
    }
}

fn assert_placed(problem: &config::Problem, text: &str) {
    let lines = text.matches('\n').count() + 1;
    assert!((1..=lines).contains(&problem.line), "{problem:?} of a text of {lines} lines");
    let line = text.split('\n').nth(problem.line - 1).unwrap_or_default();
    assert!((1..=line.chars().count() + 1).contains(&problem.column), "{problem:?} in the line {line:?}");
    assert!(!problem.message.trim().is_empty(), "{problem:?} says nothing");
    assert!(!problem.message.contains(char::is_control), "{problem:?} is no line of text");
}

fn variable(name: &str) -> Option<String> {
    match name {
        "SITE" => Some("plant-7".into()),
        "EMPTY" => Some(String::new()),
        "GARBAGE" => Some("${SITE}\n\"\u{0}".into()),
        _ => None,
    }
}
