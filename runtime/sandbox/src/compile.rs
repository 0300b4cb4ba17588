//! Compiling components, off the data path: in a child process, or here where nobody minds the memory.

use crate::cache::Cache;
use crate::engine::Shared;
use crate::stats::CLOCK;
use crate::{CompileLimits, Compiler, LoadProblem, fault};
use metrics::histogram;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;
use tidegate_record::Clock;
use wasmtime::{Config, WasmFeatures};

/// Threads of a compiling child.
const THREADS: u64 = 2;
/// Between two looks at a compiling child.
const CHILD_POLL: Duration = Duration::from_millis(5);

/// How plugins are compiled and run. Features no plugin needs are off; multi-memory, bulk memory and reference types
/// stay on, since components with an interpreter inside need them. `fuel`: code counts what it takes.
pub(crate) fn config(fuel: bool) -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true);
    config.consume_fuel(fuel);
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
    let began = CLOCK.boot();
    let native = match (&engine.compiler, &engine.cache) {
        (Compiler::Child { exe, args }, Some(cache)) => {
            compile_in_child(Command::new(exe).args(args), cache, wasm, engine)
        }
        _ => compile_here(&engine.wasmtime, wasm).map_err(LoadProblem::Compile),
    };
    histogram!("tidegate_plugin_compile_seconds").record((CLOCK.boot() - began) as f64 / 1e6);
    native
}

/// What the gateway's hidden subcommand calls: compiles `input` (a component) to `output`. Sets this process's own
/// limits on memory and processor time first, so call it in a process of its own. `fuel`: for an engine that counts it.
/// An error is a sentence for stderr.
pub fn compile_main(input: &Path, output: &Path, limits: &CompileLimits, fuel: bool) -> Result<(), String> {
    limit_process(libc::RLIMIT_AS, limits.memory_bytes)?;
    // For when nobody waits for it any more. A second is the least there is.
    limit_process(libc::RLIMIT_CPU, THREADS * (limits.time.as_secs() + 1))?;
    let wasm = std::fs::read(input).map_err(|error| format!("{}: {error}", input.display()))?;
    let engine = wasmtime::Engine::new(&config(fuel)).map_err(|error| format!("{error:#}"))?;
    let native = compile_here(&engine, &wasm)?;
    std::fs::write(output, native).map_err(|error| format!("{}: {error}", output.display()))
}

fn compile_in_child(
    command: &mut Command,
    cache: &Cache,
    wasm: &[u8],
    engine: &Shared,
) -> Result<Vec<u8>, LoadProblem> {
    let at_files =
        |error: io::Error| LoadProblem::Compile(format!("the compiler's files in the plugin cache: {error}"));
    let (input, output) = cache.scratch(wasm).map_err(at_files)?;
    command.arg(input.path()).arg(output.path());
    let CompileLimits { time, memory_bytes } = engine.compile;
    command.arg(time.as_secs().to_string()).arg(memory_bytes.to_string()).arg(engine.fuel.to_string());
    run_child(command, time)?;
    std::fs::read(output.path()).map_err(at_files)
}

/// The error is bounded: it may quote the component, and a child's parent reads it only at the end.
fn compile_here(engine: &wasmtime::Engine, wasm: &[u8]) -> Result<Vec<u8>, String> {
    match catch_unwind(AssertUnwindSafe(|| engine.precompile_component(wasm))) {
        Ok(Ok(native)) => Ok(native),
        Ok(Err(error)) => Err(fault::bounded(format!("{error:#}"))),
        Err(_) => Err("the compiler panicked on it".into()),
    }
}

/// Runs a compiling child to its end or its deadline.
fn run_child(command: &mut Command, time_max: Duration) -> Result<(), LoadProblem> {
    let program = command.get_program().to_os_string();
    let fails = |error: io::Error| LoadProblem::Compile(format!("the compiler {program:?} does not run: {error}"));
    // Arenas and worker threads each reserve address space, which is limited.
    command.env("MALLOC_ARENA_MAX", "2").env("RAYON_NUM_THREADS", THREADS.to_string()).env("RUST_BACKTRACE", "0");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(fails)?;
    let mut waited = Duration::ZERO;
    while child.try_wait().map_err(fails)?.is_none() {
        if waited >= time_max {
            child.kill().and_then(|()| child.wait()).map_err(fails)?;
            return Err(LoadProblem::CompileTime(time_max));
        }
        thread::sleep(CHILD_POLL);
        waited += CHILD_POLL;
    }
    let output = child.wait_with_output().map_err(fails)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim().lines().next().unwrap_or_default();
    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
    Err(LoadProblem::Compile(fault::bounded(format!("the compiler ended with {}{said}", output.status))))
}

/// Lowers a limit of this process: one that is lower already, the service manager's say, stays.
fn limit_process(resource: libc::__rlimit_resource_t, max: u64) -> Result<(), String> {
    let fails = || format!("cannot limit the compiler's resources: {}", io::Error::last_os_error());
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid rlimit for the duration of the call.
    if unsafe { libc::getrlimit(resource, &mut limit) } != 0 {
        return Err(fails());
    }
    limit = libc::rlimit { rlim_cur: max.min(limit.rlim_cur), rlim_max: max.min(limit.rlim_max) };
    // SAFETY: `limit` is a valid rlimit for the duration of the call.
    if unsafe { libc::setrlimit(resource, &limit) } != 0 { Err(fails()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_that_takes_too_long_is_ended() {
        let error = run_child(Command::new("sleep").arg("600"), Duration::from_millis(50)).expect_err("too slow");
        let remedy = "raise plugins.compile_time if this plugin is to be trusted with it";
        assert_eq!(error.to_string(), format!("took longer to compile than 50ms; {remedy}"));
    }

    #[test]
    fn a_limit_is_never_raised() {
        let now = |resource| {
            let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            // SAFETY: `limit` is a valid rlimit for the duration of the call.
            assert_eq!(unsafe { libc::getrlimit(resource, &mut limit) }, 0);
            (limit.rlim_cur, limit.rlim_max)
        };
        let before = now(libc::RLIMIT_CORE);
        limit_process(libc::RLIMIT_CORE, u64::MAX).expect("nothing to do");
        assert_eq!(now(libc::RLIMIT_CORE), before);
    }
}
