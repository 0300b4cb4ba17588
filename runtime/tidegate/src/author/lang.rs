//! The languages plugins are begun and built in.

use std::path::Path;

/// A language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Lang {
    /// Rust, with the SDK.
    Rust,
    /// C, freestanding, with one header.
    C,
    /// WebAssembly text.
    Wat,
    /// JavaScript, in QuickJS.
    Js,
    /// Python, in CPython.
    Python,
    /// Go, by its own compiler.
    Go,
}

impl Lang {
    /// Every one.
    pub const ALL: [Lang; 6] = [Lang::Rust, Lang::C, Lang::Wat, Lang::Js, Lang::Python, Lang::Go];

    /// What a person writes for it.
    pub fn word(self) -> &'static str {
        match self {
            Lang::Rust => "rust",
            Lang::C => "c",
            Lang::Wat => "wat",
            Lang::Js => "js",
            Lang::Python => "python",
            Lang::Go => "go",
        }
    }

    /// The file that says a folder's plugin is in this language.
    pub fn mark(self) -> &'static str {
        match self {
            Lang::Rust => "Cargo.toml",
            Lang::C => "plugin.c",
            Lang::Wat => "plugin.wat",
            Lang::Js => "plugin.js",
            Lang::Python => "plugin.py",
            Lang::Go => "plugin.go",
        }
    }

    /// The language of the plugin in a folder, by the files there.
    pub fn of(folder: &Path) -> Result<Lang, String> {
        Lang::ALL.into_iter().find(|lang| folder.join(lang.mark()).is_file()).ok_or_else(|| {
            let marks = Lang::ALL.map(Lang::mark).join(", ");
            let remedy = "tidegate plugin new NAME begins a plugin";
            format!("{}: there is none of {marks}; {remedy}", folder.display())
        })
    }
}
