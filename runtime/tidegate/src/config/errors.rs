//! What is wrong with a configuration: all of it at once, each with its place.

use std::fmt;

/// One thing that is wrong (or, among the warnings, unwise).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Line, from 1; 0 where the file as a whole is meant.
    pub line: usize,
    /// Column in characters, from 1; 0 where the file as a whole is meant.
    pub column: usize,
    /// The option, such as `sources.field.url`; empty where there is none.
    pub path: String,
    /// What is wrong and what to do.
    pub message: String,
}

/// A configuration that cannot be used: every problem found, sorted by place.
///
/// Displayed it is one line a problem: `gateway.toml:12:3: sources.field.tpye: unknown option; did you mean "type"?`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errors {
    file: String,
    problems: Vec<Problem>,
}

impl std::error::Error for Errors {}

impl Errors {
    pub(super) fn new(file: &str, mut problems: Vec<Problem>) -> Self {
        problems.sort();
        problems.dedup();
        Errors { file: file.into(), problems }
    }

    /// The problems, sorted by place.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Each problem as a line of text.
    pub fn lines(&self) -> Vec<String> {
        self.problems.iter().map(|problem| problem.line_in(&self.file)).collect()
    }
}

impl Problem {
    /// This problem as a line of text: `file:line:column: path: message`.
    pub fn line_in(&self, file: &str) -> String {
        let Problem { line, column, path, message } = self;
        let place = if *line == 0 { String::new() } else { format!(":{line}:{column}") };
        let colon = if path.is_empty() { "" } else { ": " };
        format!("{file}{place}: {path}{colon}{message}")
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines().join("\n"))
    }
}
