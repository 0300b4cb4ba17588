//! Compiling components, off the data path: in a child process, or here where nobody minds the memory.

use crate::engine::Shared;
use crate::{Compiler, LoadProblem};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;
use wasmtime::{Config, WasmFeatures};

/// Longest a compilation may take: the largest plugins known (18 MB of Python) take 13 s.
const COMPILE_TIME_MAX: Duration = Duration::from_secs(120);
/// Most address space a compiling child may have.
const COMPILE_MEMORY_BYTES_MAX: u64 = 3 << 30;
/// Between two looks at a compiling child.
const CHILD_POLL: Duration = Duration::from_millis(5);

/// How plugins are compiled and run. Features no plugin needs are off; multi-memory, bulk memory and reference types
/// stay on, since components with an interpreter inside need them.
pub(crate) fn config() -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true);
    config.wasm_component_model(true);
    config.concurrency_support(false);
    config.wasm_features(
        WasmFeatures::THREADS
            | WasmFeatures::SHARED_EVERYTHING_THREADS
            | WasmFeatures::MEMORY64
            | WasmFeatures::GC
            | WasmFeatures::FUNCTION_REFERENCES
            | WasmFeatures::EXCEPTIONS
            | WasmFeatures::LEGACY_EXCEPTIONS
            | WasmFeatures::TAIL_CALL
            | WasmFeatures::RELAXED_SIMD
            | WasmFeatures::STACK_SWITCHING
            | WasmFeatures::WIDE_ARITHMETIC
            | WasmFeatures::CUSTOM_PAGE_SIZES,
        false,
    );
    config.wasm_features(WasmFeatures::MULTI_MEMORY | WasmFeatures::BULK_MEMORY | WasmFeatures::REFERENCE_TYPES, true);
    config
}

/// Compiles a component to native code for this machine, where the engine's options say.
pub(crate) fn compile(engine: &Shared, wasm: &[u8]) -> Result<Vec<u8>, LoadProblem> {
    match (&engine.compiler, &engine.cache) {
        (Compiler::Child { exe, args }, Some(cache)) => {
            let (input, output) = cache.scratch(wasm)?;
            run_child(Command::new(exe).args(args).arg(input.path()).arg(output.path()))?;
            Ok(std::fs::read(output.path())?)
        }
        _ => compile_here(&engine.wasmtime, wasm).map_err(LoadProblem::Compile),
    }
}

/// What the gateway's hidden subcommand calls: compiles `input` (a component) to `output`. Sets this process's own
/// limits on memory and processor time first, so call it in a process of its own. An error is a sentence for stderr.
pub fn compile_main(input: &Path, output: &Path) -> Result<(), String> {
    limit_process(libc::RLIMIT_AS, COMPILE_MEMORY_BYTES_MAX)?;
    limit_process(libc::RLIMIT_CPU, COMPILE_TIME_MAX.as_secs())?;
    let wasm = std::fs::read(input).map_err(|error| format!("{}: {error}", input.display()))?;
    let engine = wasmtime::Engine::new(&config()).map_err(|error| format!("{error:#}"))?;
    let native = compile_here(&engine, &wasm)?;
    std::fs::write(output, native).map_err(|error| format!("{}: {error}", output.display()))
}

fn compile_here(engine: &wasmtime::Engine, wasm: &[u8]) -> Result<Vec<u8>, String> {
    match catch_unwind(AssertUnwindSafe(|| engine.precompile_component(wasm))) {
        Ok(Ok(native)) => Ok(native),
        Ok(Err(error)) => Err(format!("{error:#}")),
        Err(_) => Err("the compiler panicked on it".into()),
    }
}

/// Runs a compiling child to its end or its deadline.
fn run_child(command: &mut Command) -> Result<(), LoadProblem> {
    let failed = |why: String| Err(LoadProblem::Compile(why));
    // Arenas and worker threads each reserve address space, which is limited.
    command.env("MALLOC_ARENA_MAX", "2").env("RAYON_NUM_THREADS", "2");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let mut waited = Duration::ZERO;
    while child.try_wait()?.is_none() {
        if waited >= COMPILE_TIME_MAX {
            child.kill()?;
            child.wait()?;
            return failed(format!("it took longer than {} s", COMPILE_TIME_MAX.as_secs()));
        }
        thread::sleep(CHILD_POLL);
        waited += CHILD_POLL;
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim().lines().next_back().unwrap_or_default();
    failed(format!("the compiler ended with {}{}{said}", output.status, if said.is_empty() { "" } else { ": " }))
}

fn limit_process(resource: libc::__rlimit_resource_t, max: u64) -> Result<(), String> {
    let limit = libc::rlimit { rlim_cur: max, rlim_max: max };
    // SAFETY: `limit` is a valid rlimit for the duration of the call.
    match unsafe { libc::setrlimit(resource, &limit) } {
        0 => Ok(()),
        _ => Err(format!("cannot limit the compiler's resources: {}", std::io::Error::last_os_error())),
    }
}
