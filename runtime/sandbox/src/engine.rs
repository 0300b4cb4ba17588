//! The one WebAssembly engine of the process.

use crate::cache::{self, Cache};
use crate::{EngineError, Limits, LoadError, LoadProblem, Plugin, Trust, compile, load, ticker};
use metrics::counter;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Where plugins are compiled.
#[derive(Debug, Clone)]
pub enum Compiler {
    /// In a child process (`exe args… in.wasm out.cwasm seconds bytes fuel`, which calls [`crate::compile_main`]): the gateway's memory
    /// does not grow by the compiler's, and a plugin made to choke it costs only the child. Needs a `cache_dir`.
    Child {
        /// The program, most often the gateway itself.
        exe: PathBuf,
        /// Its arguments before the two files.
        args: Vec<String>,
    },
    /// Here.
    InProcess,
}

/// What compiling a plugin in a child may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompileLimits {
    /// How long it may take: the largest plugins known (18 MB of Python) take 13 s.
    pub time: Duration,
    /// Most address space the child may have.
    pub memory_bytes: u64,
}

impl Default for CompileLimits {
    fn default() -> Self {
        CompileLimits { time: Duration::from_secs(120), memory_bytes: 3 << 30 }
    }
}

/// How the engine is set up.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Where compiled plugins are kept, a folder only this user may write; `None`: nowhere.
    pub cache_dir: Option<PathBuf>,
    /// Where they are compiled.
    pub compiler: Compiler,
    /// What that may take.
    pub compile: CompileLimits,
    /// Most stack a call may use, in bytes.
    pub stack_bytes: usize,
    /// Whether code is compiled to count fuel.
    pub fuel: bool,
    /// Whose plugins are loaded.
    pub trust: Trust,
}

impl Default for EngineOptions {
    /// No cache, compiled in process, 256 KiB of stack, no fuel counted, anybody's plugins.
    fn default() -> Self {
        EngineOptions {
            cache_dir: None,
            compiler: Compiler::InProcess,
            compile: CompileLimits::default(),
            stack_bytes: 256 << 10,
            fuel: false,
            trust: Trust::default(),
        }
    }
}

/// The engine: loads plugins.
#[derive(Debug, Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) wasmtime: wasmtime::Engine,
    pub(crate) cache: Option<Cache>,
    pub(crate) compiler: Compiler,
    pub(crate) compile: CompileLimits,
    pub(crate) fuel: bool,
    pub(crate) trust: Trust,
}

/// wasmtime mixes up types between engines (RUSTSEC-2026-0222): there is one.
static WASMTIME: Mutex<Option<(wasmtime::Engine, Fixed)>> = Mutex::new(None);

/// What is the engine's own, and so of the first call in a process.
#[derive(Debug, Clone, Copy)]
struct Fixed {
    stack_bytes: usize,
    fuel: bool,
}

impl Engine {
    /// The process's engine. There is exactly one underneath, however often this is called; its stack limit, and
    /// whether it counts fuel, are those of the first call.
    pub fn new(options: EngineOptions) -> Result<Engine, EngineError> {
        let EngineOptions { stack_bytes, fuel, .. } = options;
        let wasmtime = shared_wasmtime(Fixed { stack_bytes, fuel })?;
        let cache = options.cache_dir.map(Cache::open).transpose()?;
        if cache.is_none() && matches!(options.compiler, Compiler::Child { .. }) {
            let why = "a compiler in a child process needs a cache_dir for its files".into();
            return Err(EngineError::Cache { folder: PathBuf::new(), why });
        }
        let EngineOptions { compiler, compile, trust, .. } = options;
        Ok(Engine { shared: Arc::new(Shared { wasmtime, cache, compiler, compile, fuel, trust }) })
    }

    /// Loads a plugin from a `.wasm` component or the `.wat` text of one.
    pub fn load(&self, file: &Path, limits: &Limits) -> Result<Arc<Plugin>, LoadError> {
        self.load_with_bytes(file, limits).map(|(plugin, _)| plugin)
    }

    /// The same, with the bytes it was loaded from, for who keeps them: a moment later the file may hold another version.
    pub fn load_with_bytes(&self, file: &Path, limits: &Limits) -> Result<(Arc<Plugin>, Vec<u8>), LoadError> {
        let bytes = load::read(file, limits).map_err(|problem| refused(file, problem))?;
        let plugin = self.load_bytes(file, &bytes, limits)?;
        Ok((plugin, bytes))
    }

    /// Lets go of compiled plugins but those of `running` and a few that were used last.
    pub fn forget_all_but(&self, running: &[Arc<Plugin>]) {
        let key = |plugin: &Arc<Plugin>| cache::key(plugin.hash(), &self.shared.wasmtime);
        self.shared.cache.iter().for_each(|cache| cache.tidy(&running.iter().map(key).collect::<Vec<_>>()));
    }

    /// Loads a plugin from the bytes of such a file; `file` names it in errors.
    pub fn load_bytes(&self, file: &Path, bytes: &[u8], limits: &Limits) -> Result<Arc<Plugin>, LoadError> {
        let loaded = load::load(&self.shared, bytes, limits);
        loaded.map(Arc::new).map_err(|problem| refused(file, problem))
    }
}

fn refused(file: &Path, problem: LoadProblem) -> LoadError {
    counter!("tidegate_plugin_loads_refused_total", "reason" => problem.word()).increment(1);
    LoadError { file: file.into(), problem: Box::new(problem) }
}

fn shared_wasmtime(asked: Fixed) -> Result<wasmtime::Engine, EngineError> {
    let mut shared = WASMTIME.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((engine, has)) = &*shared {
        return match (has.stack_bytes == asked.stack_bytes, has.fuel == asked.fuel) {
            (true, true) => Ok(engine.clone()),
            (false, _) => Err(EngineError::Stack { has: has.stack_bytes, asked: asked.stack_bytes }),
            (_, false) => Err(EngineError::Fuel { has: has.fuel }),
        };
    }
    let mut config = compile::config(asked.fuel);
    config.max_wasm_stack(asked.stack_bytes);
    let start = |error: String| EngineError::Start(error);
    let engine = wasmtime::Engine::new(&config).map_err(|error| start(format!("{error:#}")))?;
    ticker::start(engine.clone()).map_err(|error| start(error.to_string()))?;
    *shared = Some((engine.clone(), asked));
    Ok(engine)
}
