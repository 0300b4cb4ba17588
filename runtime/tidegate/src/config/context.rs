//! What reading one file collects: problems, warnings, and where each option stands.

use super::{Errors, Problem};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Looks up an environment variable.
pub(super) type Env<'c> = &'c dyn Fn(&str) -> Option<String>;

/// One file being read.
pub(super) struct Context<'c> {
    file: &'c str,
    text: &'c str,
    /// Relative paths are relative to this folder.
    base: PathBuf,
    env: Env<'c>,
    notes: RefCell<Notes>,
}

#[derive(Default)]
struct Notes {
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    /// Byte offset of every option and section that is given, by path.
    places: BTreeMap<String, usize>,
    #[cfg(test)]
    asked: Vec<Asked>,
}

/// An option the readers asked for: what the reference is held against.
#[cfg(test)]
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub path: String,
    /// Whether it is in the file.
    pub given: bool,
    /// The default, where there is one, and what was read, both as the reader sees them.
    pub default: Option<String>,
    pub read: Option<String>,
}

impl<'c> Context<'c> {
    pub fn new(file: &'c Path, name: &'c str, text: &'c str, env: Env<'c>) -> Self {
        let base = file.parent().map(Path::to_path_buf).unwrap_or_default();
        Context { file: name, text, base, env, notes: RefCell::default() }
    }

    /// Something is wrong at byte `at`.
    pub fn problem(&self, at: usize, path: &str, message: impl Into<String>) {
        let problem = self.located(at, path, message.into());
        self.notes.borrow_mut().problems.push(problem);
    }

    /// Something is wrong with the option or section at `path` (or, when it is not given, with what encloses it).
    pub fn problem_at(&self, path: &str, message: impl Into<String>) {
        self.problem(self.place(path), path, message);
    }

    /// Something is unwise at `path`.
    pub fn warning_at(&self, path: &str, message: impl Into<String>) {
        let warning = self.located(self.place(path), path, message.into());
        self.notes.borrow_mut().warnings.push(warning);
    }

    /// Notes where an option or section stands.
    pub fn note_place(&self, path: &str, at: usize) {
        self.notes.borrow_mut().places.insert(path.into(), at);
    }

    /// Whether an option or section is in the file.
    pub fn is_given(&self, path: &str) -> bool {
        self.notes.borrow().places.contains_key(path)
    }

    pub fn variable(&self, name: &str) -> Option<String> {
        (self.env)(name)
    }

    /// `path` as seen from the file's folder.
    pub fn resolve(&self, path: &str) -> PathBuf {
        self.base.join(path)
    }

    #[cfg(test)]
    pub fn note_asked(&self, asked: Asked) {
        self.notes.borrow_mut().asked.push(asked);
    }

    #[cfg(test)]
    pub fn asked(&self) -> Vec<Asked> {
        self.notes.borrow().asked.clone()
    }

    /// Everything that is wrong.
    pub fn into_errors(self) -> Errors {
        Errors::new(self.file, self.notes.into_inner().problems)
    }

    /// The warnings as lines of text, or everything that is wrong.
    pub fn finish(self) -> Result<Vec<String>, Errors> {
        let Notes { problems, mut warnings, .. } = self.notes.into_inner();
        if !problems.is_empty() {
            return Err(Errors::new(self.file, problems));
        }
        warnings.sort();
        Ok(warnings.iter().map(|warning| warning.line_in(self.file)).collect())
    }

    /// Where `path` stands, or the nearest section around it.
    pub fn place(&self, path: &str) -> usize {
        let notes = self.notes.borrow();
        let mut path = path;
        loop {
            match (notes.places.get(path), path.rfind('.')) {
                (Some(at), _) => return *at,
                (None, Some(dot)) => path = &path[..dot],
                (None, None) => return 0,
            }
        }
    }

    fn located(&self, at: usize, path: &str, message: String) -> Problem {
        let before = &self.text[..at.min(self.text.len())];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Problem {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            path: path.into(),
            message,
        }
    }
}
