//! The Rust files of the checkout and which of their lines are what.

use std::path::Path;
use tidegate_tests::parts::root;

/// Folders with Rust in them.
const FOLDERS: &[&str] = &["sdk", "plugins", "devices", "runtime", "tests", "xtask"];

/// A Rust file.
pub struct File {
    /// From the root of the checkout, with `/`.
    pub path: String,
    /// All of it.
    pub text: String,
}

impl File {
    /// Lines before the tests at its end, numbered from 1; none of a file of tests.
    pub fn product_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let end = if self.is_test() { 0 } else { self.tests_begin() };
        self.lines().take(end)
    }

    /// Lines of tests.
    pub fn test_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let begin = if self.is_test() { 0 } else { self.tests_begin() };
        self.lines().skip(begin).filter(is_code)
    }

    /// Lines that are not comments.
    pub fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines().filter(is_code)
    }

    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.contains("/tests/") || self.path.starts_with("tests/")
    }

    fn tests_begin(&self) -> usize {
        // Not `mod tests;`: those are in a file of their own.
        self.text.lines().position(|line| line == "mod tests {").unwrap_or(usize::MAX)
    }
}

/// Every Rust file.
pub fn files() -> Vec<File> {
    let mut files = Vec::new();
    FOLDERS.iter().for_each(|folder| collect(&root().join(folder), &mut files));
    files
}

/// A file of the checkout.
pub fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn collect(folder: &Path, files: &mut Vec<File>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() && !path.ends_with("target") {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
            files.push(File { text: read(&name), path: name });
        }
    }
}

fn is_code(line: &(usize, &str)) -> bool {
    !line.1.trim_start().starts_with("//")
}
