//! Why a plugin could not be loaded or configured: what is wrong, where, and what to do about it.

use crate::{About, Fault, Grant, TrustProblem};
use std::fmt;
use std::path::PathBuf;

/// Why a plugin was not loaded.
#[derive(Debug, thiserror::Error)]
#[error("plugin {}: {problem}", file.display())]
pub struct LoadError {
    /// The plugin's file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub problem: Box<LoadProblem>,
}

/// What is wrong with a plugin's file.
#[derive(Debug, thiserror::Error)]
pub enum LoadProblem {
    /// The file cannot be read.
    #[error("cannot be read: {0}; is plugins.dir right?")]
    Read(#[from] std::io::Error),
    /// Larger than `module_bytes`.
    #[error("is larger than {max} bytes; raise plugins.module_bytes if this plugin is to be trusted with it")]
    Large {
        /// The limit.
        max: usize,
    },
    /// Not signed as it has to be.
    #[error(transparent)]
    Trust(#[from] TrustProblem),
    /// Text that is not WebAssembly text.
    #[error("is not WebAssembly text: {0}")]
    Text(String),
    /// Neither a component nor text.
    #[error("is not WebAssembly: a plugin is a component (.wasm) or its text (.wat)")]
    NotWasm,
    /// Native code from elsewhere.
    #[error("is compiled native code, which is never taken from a file: give the .wasm it was made from")]
    Native,
    /// A core module.
    #[error("is a core module, not a component: build it with `cargo xtask plugins`, or `wasm-tools component new`")]
    CoreModule,
    /// Does not compile.
    #[error("does not compile: {0}")]
    Compile(String),
    /// Compiling it takes too long.
    #[error("took longer to compile than {0:?}; raise plugins.compile_time if this plugin is to be trusted with it")]
    CompileTime(std::time::Duration),
    /// Needs functions that are not of the contract.
    #[error("imports what no gateway grants: {}; build it without them (no WASI; time is in the contract's clock)", .0.join(", "))]
    Imports(Vec<String>),
    /// Needs imports of the contract that were not granted.
    #[error("imports {}, which is not granted: write grant = [{}] beside it if it may have that", interfaces(.0), words(.0))]
    NotGranted(Vec<Grant>),
    /// Imports functions of the contract with other types.
    #[error("imports functions or types other than those of the contract: {0}; build it with sdk/wit")]
    ImportShape(String),
    /// Lacks an interface.
    #[error("does not export {missing}; it exports {}", list(.exports))]
    Missing {
        /// What is missing.
        missing: String,
        /// What there is.
        exports: Vec<String>,
    },
    /// Built for another version of the contract.
    #[error("is built for {found}; this gateway speaks {}: build it with the matching SDK", crate::plugin::PACKAGE)]
    Version {
        /// The interface found.
        found: String,
    },
    /// More than one kind.
    #[error("exports {0} and {1}: a plugin is of one kind")]
    Kinds(&'static str, &'static str),
    /// An interface is there but its functions or types are not those of the contract.
    #[error("exports {interface} with other functions or types than the contract: {detail}; build it with sdk/wit")]
    Shape {
        /// The interface.
        interface: String,
        /// What differs.
        detail: String,
    },
    /// It failed when asked about itself.
    #[error("failed when asked to describe itself: {0}")]
    Describe(Fault),
    /// Its parameters' schema is larger than [`About::PARAMS_BYTES_MAX`].
    #[error(
        "has {bytes} bytes of JSON Schema for its parameters, the most are {}: shorten its descriptions",
        About::PARAMS_BYTES_MAX
    )]
    Params {
        /// How large it is.
        bytes: usize,
    },
}

impl LoadProblem {
    /// The word on `/metrics`.
    pub fn word(&self) -> &'static str {
        match self {
            LoadProblem::Read(_) => "read",
            LoadProblem::Large { .. } => "module_bytes",
            LoadProblem::Trust(_) => "trust",
            LoadProblem::Compile(_) => "compile",
            LoadProblem::CompileTime(_) => "compile_time",
            LoadProblem::Imports(_) | LoadProblem::NotGranted(_) | LoadProblem::ImportShape(_) => "imports",
            LoadProblem::Describe(_) | LoadProblem::Params { .. } => "describe",
            LoadProblem::Text(_) | LoadProblem::NotWasm | LoadProblem::Native | LoadProblem::CoreModule => {
                "not_component"
            }
            LoadProblem::Missing { .. }
            | LoadProblem::Version { .. }
            | LoadProblem::Kinds(..)
            | LoadProblem::Shape { .. } => "contract",
        }
    }
}

fn interfaces(grants: &[Grant]) -> String {
    grants.iter().map(|grant| crate::plugin::interface(grant.word())).collect::<Vec<_>>().join(" and ")
}

fn words(grants: &[Grant]) -> String {
    grants.iter().map(|grant| format!("{:?}", grant.word())).collect::<Vec<_>>().join(", ")
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "nothing".into() } else { names.join(", ") }
}

/// One thing wrong with a plugin's parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// JSON pointer into the parameters, or a field's name.
    pub at: String,
    /// What is wrong there.
    pub message: String,
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.at.is_empty() { f.write_str(&self.message) } else { write!(f, "{}: {}", self.at, self.message) }
    }
}

/// Why a plugin was not configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigureError {
    /// It refuses its parameters, or reads fields the input has not.
    #[error("{plugin}: {}", .issues.iter().map(Issue::to_string).collect::<Vec<_>>().join("; "))]
    Issues {
        /// `name version`.
        plugin: String,
        /// All that is wrong.
        issues: Vec<Issue>,
    },
    /// It failed when configured.
    #[error("failed when configured: {0}")]
    Fault(Fault),
}

/// Why saved states could not be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// The plugin does not read states of that version.
    #[error("plugin {plugin} (state version {expected}) refuses the saved states of version {version}: {message}")]
    Refused {
        /// `name version`.
        plugin: String,
        /// The version saved.
        version: u32,
        /// The version it writes.
        expected: u32,
        /// Why, by the plugin.
        message: String,
    },
    /// It faulted on them.
    #[error(transparent)]
    Halted(#[from] crate::Halted),
}

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// There is one engine a process, and it has another stack limit.
    #[error("this process's WebAssembly engine has stack_bytes {has}, not {asked}")]
    Stack {
        /// The limit it has.
        has: usize,
        /// The limit asked for.
        asked: usize,
    },
    /// It counts fuel, or does not, and the other is asked for.
    #[error("this process's WebAssembly engine has fuel = {has}, not {}", !.has)]
    Fuel {
        /// Whether it does.
        has: bool,
    },
    /// wasmtime refuses to start.
    #[error("the WebAssembly engine does not start: {0}")]
    Start(String),
    /// The folder for compiled plugins is not safe to load native code from.
    #[error("plugin cache {}: {why}", folder.display())]
    Cache {
        /// The folder.
        folder: PathBuf,
        /// What is wrong and what to do.
        why: String,
    },
}
