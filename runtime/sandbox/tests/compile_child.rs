//! Compiling in a child process, which is this very program: run with two files it compiles, run without it tests.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tempfile::TempDir;
use tidegate_record::{BatchBuilder, Field, Scalar, Schema};
use tidegate_sandbox::{CompileLimits, Compiler, Engine, EngineOptions, Input, Limits, Plugin, Runner, compile_main};

/// Its first argument where it is the child.
const COMPILE: &str = "compile";
/// Its first argument where its engine counts fuel: a process has one engine.
const COUNT: &str = "count";

fn main() -> ExitCode {
    let args: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if let [verb, input, output, seconds, bytes, fuel] = args.as_slice()
        && verb == Path::new(COMPILE)
    {
        let number = |text: &Path| text.to_str().and_then(|text| text.parse().ok()).expect("a number");
        let limits = CompileLimits { time: Duration::from_secs(number(seconds)), memory_bytes: number(bytes) };
        return match compile_main(input, output, &limits, fuel == Path::new("true")) {
            Ok(()) => ExitCode::SUCCESS,
            Err(reason) => {
                eprintln!("compiler: {reason}");
                ExitCode::FAILURE
            }
        };
    }
    if let [verb, folder] = args.as_slice()
        && verb == Path::new(COUNT)
    {
        println!("{}", counted(folder));
        return ExitCode::SUCCESS;
    }
    let tests: [(&str, fn()); 10] = [
        ("a_child_compiles_what_this_process_would", a_child_compiles_what_this_process_would),
        ("what_a_child_compiled_is_kept", what_a_child_compiled_is_kept),
        ("code_that_counts_fuel_is_compiled_and_kept_by_itself", code_that_counts_fuel_is_compiled_and_kept_by_itself),
        ("what_does_not_compile_is_told_by_the_child", what_does_not_compile_is_told_by_the_child),
        ("a_child_without_memory_costs_only_itself", a_child_without_memory_costs_only_itself),
        ("a_child_that_is_killed_costs_only_itself", a_child_that_is_killed_costs_only_itself),
        ("a_child_out_of_processor_time_costs_only_itself", a_child_out_of_processor_time_costs_only_itself),
        ("fifty_thousand_functions_meet_the_limit_of_time", fifty_thousand_functions_meet_the_limit_of_time),
        ("a_function_of_a_megabyte_meets_the_limit_of_memory", a_function_of_a_megabyte_meets_the_limit_of_memory),
        ("a_compiler_that_is_not_there_is_named", a_compiler_that_is_not_there_is_named),
    ];
    for (name, test) in tests {
        test();
        println!("test {name} ... ok");
    }
    ExitCode::SUCCESS
}

fn a_child_compiles_what_this_process_would() {
    let folder = folder();
    let here = Engine::new(EngineOptions::default()).expect("an engine");
    let child = child(&folder, own_exe(), &[COMPILE]);
    for file in ["deadband.wat", "threshold.wasm"] {
        let (a, b) = (load(&here, file).expect("loads"), load(&child, file).expect("loads"));
        assert_eq!((a.hash(), a.about(), a.kind()), (b.hash(), b.about(), b.kind()), "{file}");
        assert_eq!(kept(a), kept(b), "{file}");
    }
    let left = files(&folder).into_iter().filter(|name| !name.ends_with(".native")).collect::<Vec<_>>();
    assert!(left.is_empty(), "the child's files are gone: {left:?}");
}

fn what_a_child_compiled_is_kept() {
    let folder = folder();
    load(&child(&folder, own_exe(), &[COMPILE]), "deadband.wat").expect("compiles");
    // A compiler that does not compile anything: so it was the cache.
    let plugin = load(&child(&folder, "false".into(), &[]), "deadband.wat").expect("comes from the cache");
    assert_eq!(kept(plugin), [1, 0, 1]);
}

fn code_that_counts_fuel_is_compiled_and_kept_by_itself() {
    let folder = folder();
    let plugin = load(&child(&folder, own_exe(), &[COMPILE]), "deadband.wat").expect("compiles");
    assert!(!plugin.counts_fuel());
    let count = || {
        let child = Command::new(own_exe()).arg(COUNT).arg(folder.path()).output().expect("runs");
        assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
        String::from_utf8_lossy(&child.stdout).trim().parse::<u64>().expect("a number")
    };
    let fuel = count();
    assert!(fuel > 0);
    let kept_files = files(&folder);
    assert_eq!(kept_files.len(), 2, "one for each engine: {kept_files:?}");
    assert_eq!(count(), fuel, "out of the cache");
    assert_eq!(kept(load(&child(&folder, "false".into(), &[]), "deadband.wat").expect("is still there")), [1, 0, 1]);
}

/// The fuel that `deadband` takes for three records, compiled by a child for an engine that counts it.
fn counted(folder: &Path) -> u64 {
    let compiler = Compiler::Child { exe: own_exe(), args: vec![COMPILE.into()] };
    let cache_dir = Some(folder.join("cache"));
    let engine = Engine::new(EngineOptions { cache_dir, compiler, fuel: true, ..EngineOptions::default() });
    let mut runner = runner(load(&engine.expect("an engine"), "deadband.wat").expect("compiles"));
    assert_eq!(keep(&mut runner), [1, 0, 1]);
    runner.stats().fuel.load(Relaxed)
}

fn what_does_not_compile_is_told_by_the_child() {
    let broken = "(component (core module $m (func (result i32) (i64.const 0))) (core instance (instantiate $m)))";
    let folder = folder();
    let engine = child(&folder, own_exe(), &[COMPILE]);
    let error = engine.load_bytes(Path::new("broken.wat"), broken.as_bytes(), &Limits::default());
    let error = error.expect_err("is not valid").to_string();
    for part in ["plugin broken.wat: does not compile:", "exit status: 1: compiler: ", "type mismatch"] {
        assert!(error.contains(part), "{error} does not say {part}");
    }
}

fn a_child_without_memory_costs_only_itself() {
    let folder = folder();
    let error = load_bomb(&shell(&folder, "ulimit -v 200000"));
    says(&error, &["plugin bomb.wat: does not compile: the compiler ended with ", "memory"]);
    still_compiles(&folder);
}

fn a_child_that_is_killed_costs_only_itself() {
    let folder = folder();
    let error = load(&shell(&folder, "kill -9 $$"), "threshold.wasm").expect_err("killed");
    says(&error.to_string(), &["threshold.wasm: does not compile: the compiler ended with signal: 9 (SIGKILL)"]);
    still_compiles(&folder);
}

fn a_child_out_of_processor_time_costs_only_itself() {
    let folder = folder();
    let error = load_bomb(&shell(&folder, "ulimit -t 1"));
    says(&error, &["plugin bomb.wat: does not compile: the compiler ended with signal: "]);
    assert!(error.contains("SIGXCPU") || error.contains("SIGKILL"), "{error}");
    still_compiles(&folder);
}

fn fifty_thousand_functions_meet_the_limit_of_time() {
    let folder = folder();
    let function = "(func (param i32) (result i32) local.get 0 i32.const 3 i32.mul)";
    let many = format!("(component (core module {}))", function.repeat(50_000));
    // Less than it takes to begin.
    let engine = limited(&folder, CompileLimits { time: Duration::from_millis(1), ..CompileLimits::default() });
    let error = engine.load_bytes(Path::new("many.wat"), many.as_bytes(), &Limits::default()).expect_err("not in time");
    says(&error.to_string(), &["plugin many.wat: took longer to compile than 1ms; raise plugins.compile_time"]);
    still_compiles(&folder);
}

fn a_function_of_a_megabyte_meets_the_limit_of_memory() {
    let folder = folder();
    let error = load_bomb(&limited(&folder, CompileLimits { memory_bytes: 200 << 20, ..CompileLimits::default() }));
    says(&error, &["plugin bomb.wat: does not compile: the compiler ended with ", "memory"]);
    still_compiles(&folder);
}

fn a_compiler_that_is_not_there_is_named() {
    let folder = folder();
    let error = load(&child(&folder, "/nowhere/compiler".into(), &[]), "deadband.wat").expect_err("no compiler");
    says(&error.to_string(), &["the compiler \"/nowhere/compiler\" does not run: No such file"]);
    let error = Engine::new(EngineOptions {
        compiler: Compiler::Child { exe: own_exe(), args: Vec::new() },
        ..EngineOptions::default()
    });
    says(&error.expect_err("no folder").to_string(), &["needs a cache_dir for its files"]);
}

fn still_compiles(folder: &TempDir) {
    let plugin = load(&child(folder, own_exe(), &[COMPILE]), "deadband.wat").expect("the next one compiles");
    assert_eq!(kept(plugin), [1, 0, 1]);
}

fn says(error: &str, parts: &[&str]) {
    parts.iter().for_each(|part| assert!(error.contains(part), "{error} does not say {part}"));
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn files(folder: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path().join("cache")).expect("the cache");
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

fn own_exe() -> PathBuf {
    std::env::current_exe().expect("this program")
}

fn child(folder: &TempDir, exe: PathBuf, args: &[&str]) -> Engine {
    let compiler = Compiler::Child { exe, args: args.iter().map(ToString::to_string).collect() };
    let cache_dir = Some(folder.path().join("cache"));
    Engine::new(EngineOptions { cache_dir, compiler, ..EngineOptions::default() }).expect("an engine")
}

fn limited(folder: &TempDir, compile: CompileLimits) -> Engine {
    let compiler = Compiler::Child { exe: own_exe(), args: vec![COMPILE.into()] };
    let cache_dir = Some(folder.path().join("cache"));
    Engine::new(EngineOptions { cache_dir, compiler, compile, ..EngineOptions::default() }).expect("an engine")
}

/// The compiler behind a shell that does something first.
fn shell(folder: &TempDir, first: &str) -> Engine {
    let script = format!("{first}; exec \"$0\" {COMPILE} \"$@\"");
    child(folder, "/bin/sh".into(), &["-c", &script, own_exe().to_str().expect("a plain path")])
}

fn load(engine: &Engine, file: &str) -> Result<Arc<Plugin>, tidegate_sandbox::LoadError> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("target/tmp is in target");
    engine.load(&target.join("plugins").join(file), &Limits::default())
}

/// Why a function that takes 350 MB and some seconds does not compile.
fn load_bomb(engine: &Engine) -> String {
    // Every step needs the one before and leaves something in memory: nothing can be left out.
    let step = "local.get 0 local.get 1 i32.load local.get 1 local.get 0 i32.load offset=4 local.tee 0 i32.rotl \
                i32.rem_u i32.store ";
    let bomb = format!("(component (core module (memory 1) (func (param i32 i32) {})))", step.repeat(60_000));
    let error = engine.load_bytes(Path::new("bomb.wat"), bomb.as_bytes(), &Limits::default());
    error.expect_err("the compiler is out of its means").to_string()
}

/// What a filter keeps of 20, 20, 30.
fn kept(plugin: Arc<Plugin>) -> Vec<u8> {
    keep(&mut runner(plugin))
}

fn schema() -> Arc<Schema> {
    Arc::new(Schema::new(vec![Field::new("temp", Scalar::Float)]).expect("a schema"))
}

fn runner(plugin: Arc<Plugin>) -> Runner {
    let params = if plugin.has_state() { r#"{"band":0.5}"# } else { r#"{"field":"temp","above":25}"# };
    Runner::new(plugin, params, &schema(), &Limits::default()).expect("configures")
}

fn keep(runner: &mut Runner) -> Vec<u8> {
    let mut builder = BatchBuilder::new(schema());
    for value in [20.0, 20.0, 30.0] {
        assert!(builder.float(0, value));
        builder.end_row("d", 0).expect("a device");
    }
    runner.keep(Input::with_slots(&Arc::new(builder.finish()), &[0; 3])).expect("runs").keep
}
