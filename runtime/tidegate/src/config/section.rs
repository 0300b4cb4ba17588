//! Reading a section: every option asked for is known, what is left over is unknown.

use super::context::Context;
use super::suggest::did_you_mean;
use super::value::{Read, Value};
use std::ops::RangeInclusive;
use tidegate_record::valid_name;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One section of the file (or its absence: then every option has its default).
///
/// A reader asks for its options by name; each ask makes the name known. What is wrong is noted and a stand-in given,
/// so that one pass finds everything; a configuration with problems is never used.
pub(super) struct Section<'c> {
    pub context: &'c Context<'c>,
    /// `sources.field`; empty for the whole file.
    pub path: String,
    at: usize,
    table: Option<&'c DeTable<'c>>,
    known: Vec<&'static str>,
    /// What is left over is not looked at: the section's kind is not known.
    ignored: bool,
}

impl<'c> Section<'c> {
    /// Reads the whole file with `read`.
    pub fn root<T>(context: &'c Context<'c>, table: &'c DeTable<'c>, read: impl FnOnce(&mut Self) -> T) -> T {
        Self::inside(context, String::new(), 0, Some(table)).read(read)
    }

    /// Reads a value that is a section by itself.
    pub fn of<T>(value: &Value<'c>, read: impl FnOnce(&mut Self) -> T) -> Option<T> {
        let table = as_table(value)?;
        Some(Self::inside(value.context, value.path.clone(), value.at(), Some(table)).read(read))
    }

    fn inside(context: &'c Context<'c>, path: String, at: usize, table: Option<&'c DeTable<'c>>) -> Self {
        Section { context, path, at, table, known: Vec::new(), ignored: false }
    }

    /// Lets `read` take the options, then reports those it did not ask for.
    fn read<T>(mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let out = read(&mut self);
        for (name, value) in self.table.into_iter().flatten() {
            let name_text: &str = name.get_ref();
            if !self.ignored && !self.known.contains(&name_text) {
                let what = if value.get_ref().is_table() { "section" } else { "option" };
                let hint = did_you_mean(name_text, self.known.iter().copied());
                self.context.problem(name.span().start, &self.path_of(name_text), format!("unknown {what}{hint}"));
            }
        }
        out
    }

    /// The path of an option of this section.
    pub fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.into() } else { format!("{}.{key}", self.path) }
    }

    /// Something is wrong with an option of this section.
    pub fn problem(&self, key: &str, message: impl Into<String>) {
        self.context.problem_at(&self.path_of(key), message);
    }

    /// Leaves the rest of the section unread: what it means depends on an option that is wrong.
    pub fn ignore(&mut self) {
        self.ignored = true;
    }

    /// Options that exist, but not in a section like this one.
    pub fn not_here(&mut self, keys: &[&'static str], why: &str) {
        for &key in keys {
            self.known.push(key);
            if let Some((name, _)) = self.table.and_then(|table| table.get_key_value(key)) {
                self.context.problem(name.span().start, &self.path_of(key), why);
            }
        }
    }

    /// Whether an option is given.
    pub fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// An option with a default.
    pub fn or<T: Read>(&mut self, key: &'static str, default: T) -> T {
        let read = self.value(key).and_then(|value| value.get());
        self.note(key, Some(&default), read.as_ref());
        read.unwrap_or(default)
    }

    /// An option with a default and limits.
    pub fn within<T>(&mut self, key: &'static str, default: T, limits: RangeInclusive<T>) -> T
    where
        T: Read + PartialOrd,
    {
        let read = self.value(key).and_then(|value| value.get::<T>());
        self.note(key, Some(&default), read.as_ref());
        self.limited(key, read, limits).unwrap_or(default)
    }

    /// An option without a default.
    pub fn opt<T: Read>(&mut self, key: &'static str) -> Option<T> {
        let read = self.value(key).and_then(|value| value.get());
        self.note(key, None, read.as_ref());
        read
    }

    /// An option without a default, with limits.
    pub fn opt_within<T>(&mut self, key: &'static str, limits: RangeInclusive<T>) -> Option<T>
    where
        T: Read + PartialOrd,
    {
        let read = self.opt(key);
        self.limited(key, read, limits)
    }

    /// A text without a default; empty is as if it were not given.
    pub fn text(&mut self, key: &'static str) -> Option<String> {
        self.opt::<String>(key).filter(|text| !text.is_empty())
    }

    /// An option that must be given. `None` after the problem was noted.
    pub fn needed<T: Read>(&mut self, key: &'static str) -> Option<T> {
        if !self.has(key) {
            self.missing(key);
        }
        self.opt(key)
    }

    /// A text that must be given and not be empty; empty after the problem was noted.
    pub fn needed_text(&mut self, key: &'static str) -> String {
        let text: Option<String> = self.needed(key);
        if text.as_deref() == Some("") {
            self.problem(key, "must not be empty");
        }
        text.unwrap_or_default()
    }

    /// One of several words (or numbers written like them), with a default.
    pub fn word<T: Clone>(&mut self, key: &'static str, default: &str, words: &[(&str, T)]) -> T {
        let chosen = self.needed_or(key, Some(default), words);
        chosen.unwrap_or_else(|| words[0].1.clone())
    }

    /// One of several words that must be given.
    pub fn needed_word<T: Clone>(&mut self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        self.needed_or(key, None, words)
    }

    fn needed_or<T: Clone>(&mut self, key: &'static str, default: Option<&str>, words: &[(&str, T)]) -> Option<T> {
        let read: Option<String> = match self.value(key) {
            Some(value) if value.inner.get_ref().is_integer() => value.get::<i64>().map(|number| number.to_string()),
            Some(value) => Some(value.get::<String>()?),
            None => None,
        };
        self.note(key, default.map(str::to_string).as_ref(), read.as_ref());
        let Some(word) = read.as_deref().or(default) else {
            self.missing(key);
            return None;
        };
        let found = words.iter().find(|(name, _)| *name == word);
        if found.is_none() {
            let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
            let hint = did_you_mean(word, names.iter().copied());
            self.problem(key, format!("{word:?} is none of {}{hint}", names.join(", ")));
        }
        found.map(|(_, chosen)| chosen.clone())
    }

    /// A section inside this one; where it is not given, its options have their defaults.
    pub fn section<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Self) -> T) -> T {
        let (table, at) = match self.value(key) {
            Some(value) => (as_table(&value), value.at()),
            None => (None, self.at),
        };
        let path = self.path_of(key);
        Self::inside(self.context, path, at, table).read(read)
    }

    /// A section that may be left out.
    pub fn optional<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.has(key) { Some(self.section(key, read)) } else { self.forget(key) }
    }

    /// A list of sections.
    pub fn sections<T>(&mut self, key: &'static str, mut read: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let DeValue::Array(items) = value.inner.get_ref() else {
            value.problem("expected a list of sections");
            return Vec::new();
        };
        let mut out = Vec::new();
        for (index, inner) in items.iter().enumerate() {
            let item = Value { inner, path: format!("{}[{index}]", value.path), ..value.clone() };
            self.context.note_place(&item.path, item.at());
            let (table, at, path) = (as_table(&item), item.at(), item.path);
            out.push(Self::inside(self.context, path, at, table).read(&mut read));
        }
        out
    }

    /// The sections of a section whose names are the operator's to choose, in the order of the file.
    pub fn named<T>(&mut self, key: &'static str, mut read: impl FnMut(&str, &mut Self) -> T) -> Vec<T> {
        let mut out = Vec::new();
        for (name, value) in self.entries(key) {
            if !valid_name(&name) {
                let rule = "1 to 64 of a-z, A-Z, 0-9, '_' and '-', beginning with a letter or '_'";
                self.context.problem_at(&value.path, format!("{name:?} is no usable name: {rule}"));
            }
            let (table, at) = (as_table(&value), self.context.place(&value.path));
            let section = Self::inside(self.context, value.path, at, table);
            out.push(section.read(|section| read(&name, section)));
        }
        out
    }

    /// The entries of a section whose keys are free, in the order of the file.
    pub fn entries(&mut self, key: &'static str) -> Vec<(String, Value<'c>)> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let Some(table) = as_table(&value) else { return Vec::new() };
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(name, _)| name.span().start);
        let entry = |(name, inner): (&'c Spanned<_>, &'c Spanned<DeValue<'c>>)| {
            let text: &str = AsRef::<str>::as_ref(name.get_ref() as &std::borrow::Cow<'c, str>);
            let path = format!("{}.{text}", value.path);
            let at = if inner.get_ref().is_table() { name.span().start } else { inner.span().start };
            self.context.note_place(&path, at);
            (text.to_string(), Value { context: self.context, path, inner })
        };
        entries.into_iter().map(entry).collect()
    }

    /// An option that is not given but needed.
    fn missing(&self, key: &str) {
        self.context.problem(self.at, &self.path_of(key), "is needed and not given");
    }

    /// Notes a value outside of its limits.
    pub fn limited<T: Read + PartialOrd>(&self, key: &str, read: Option<T>, limits: RangeInclusive<T>) -> Option<T> {
        let read = read?;
        if !limits.contains(&read) {
            self.problem(
                key,
                format!("{} is outside of {} to {}", read.show(), limits.start().show(), limits.end().show()),
            );
        }
        Some(read)
    }

    /// The value of an option, which is known from now on.
    fn value(&mut self, key: &'static str) -> Option<Value<'c>> {
        self.known.push(key);
        self.note::<()>(key, None, None);
        let (name, inner) = self.table?.get_key_value(key)?;
        let path = self.path_of(key);
        let at = if inner.get_ref().is_table() { name.span().start } else { inner.span().start };
        self.context.note_place(&path, at);
        Some(Value { context: self.context, path, inner })
    }

    fn forget<T>(&mut self, key: &'static str) -> Option<T> {
        self.known.push(key);
        None
    }

    #[cfg(test)]
    fn note<T: std::fmt::Debug>(&self, key: &str, default: Option<&T>, read: Option<&T>) {
        let [default, read] = [default, read].map(|value| value.map(|value| format!("{value:?}")));
        self.context.note_asked(super::context::Asked { path: self.path_of(key), given: self.has(key), default, read });
    }

    #[cfg(not(test))]
    fn note<T>(&self, _key: &str, _default: Option<&T>, _read: Option<&T>) {}
}

fn as_table<'c>(value: &Value<'c>) -> Option<&'c DeTable<'c>> {
    match value.inner.get_ref() {
        DeValue::Table(table) => Some(table),
        _ => {
            value.problem("expected a section");
            None
        }
    }
}
