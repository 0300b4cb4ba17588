//! The one WebAssembly engine of the process.

use crate::{EngineError, Limits, LoadError, Plugin};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where plugins are compiled.
#[derive(Debug, Clone)]
pub enum Compiler {
    /// In a child process (`exe args… in.wasm out.cwasm`, which calls [`crate::compile_main`]): the gateway's memory
    /// does not grow by the compiler's, and a plugin made to choke it costs only the child.
    Child {
        /// The program, most often the gateway itself.
        exe: PathBuf,
        /// Its arguments before the two files.
        args: Vec<String>,
    },
    /// Here.
    InProcess,
}

/// How the engine is set up.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Where compiled plugins are kept; `None`: nowhere.
    pub cache_dir: Option<PathBuf>,
    /// Where they are compiled.
    pub compiler: Compiler,
    /// Most stack a call may use, in bytes.
    pub stack_bytes: usize,
}

impl Default for EngineOptions {
    /// No cache, compiled in process, 256 KiB of stack.
    fn default() -> Self {
        EngineOptions { cache_dir: None, compiler: Compiler::InProcess, stack_bytes: 256 << 10 }
    }
}

/// The engine: loads plugins.
#[derive(Debug, Clone)]
pub struct Engine {
    options: Arc<EngineOptions>,
}

impl Engine {
    /// The process's engine. There is exactly one underneath, however often this is called.
    pub fn new(options: EngineOptions) -> Result<Engine, EngineError> {
        Ok(Engine { options: Arc::new(options) })
    }

    /// Loads a plugin from a `.wasm` component or a `.wat` text of one.
    pub fn load(&self, path: &Path, limits: &Limits) -> Result<Arc<Plugin>, LoadError> {
        self.load_bytes(path, &[], limits)
    }

    /// Loads a plugin from bytes; `file` names it in errors.
    pub fn load_bytes(&self, file: &Path, _bytes: &[u8], _limits: &Limits) -> Result<Arc<Plugin>, LoadError> {
        let _ = &self.options;
        Err(LoadError { file: file.into(), problem: crate::LoadProblem::NotWasm })
    }
}
