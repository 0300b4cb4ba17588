//! `[plugins]`: where they are and what they may use.

use super::context::Context;
use super::section::Section;
use super::units::Size;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tidegate_sandbox::{CompileLimits, EngineOptions, Grants, Limits, LogLimits, Trust};
use toml::de::DeTable;

/// Plugins as configured.
#[derive(Debug, Clone)]
pub struct PluginsConfig {
    /// Where a plugin's file is found by its name.
    pub dir: PathBuf,
    /// Where compiled plugins are kept; `None`: `plugin-cache` in the store's folder.
    pub cache_dir: Option<PathBuf>,
    /// What becomes of a plugin whose file changes while the gateway runs.
    pub on_change: OnChange,
    /// Most stack a call may use, bytes.
    pub stack_bytes: usize,
    /// Whether what calls take in fuel is counted.
    pub fuel: bool,
    /// What compiling one may take.
    pub compile: CompileLimits,
    /// Whose plugins are run.
    pub trust: Trust,
    /// What an instance may use.
    pub limits: Limits,
}

/// What becomes of a plugin whose file changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnChange {
    /// Nothing before the next start, or `tidegate plugin swap`.
    Ignore,
    /// It takes the place of what runs.
    Swap,
    /// It runs beside it first, and takes its place if it keeps to the bounds of a canary.
    Canary,
}

pub(super) fn read(root: &mut Section<'_>) -> PluginsConfig {
    let limits = Limits::default();
    let stack_bytes = EngineOptions::default().stack_bytes;
    root.section("plugins", |section| {
        let dir = section.or("dir", "plugins".to_string());
        let cache_dir = Some(section.or("cache_dir", String::new())).filter(|dir| !dir.is_empty());
        let fuel = section.or("fuel", false);
        PluginsConfig {
            dir: section.context.resolve(&dir),
            cache_dir: cache_dir.map(|dir| section.context.resolve(&dir)),
            on_change: section.word(
                "on_change",
                "ignore",
                &[("ignore", OnChange::Ignore), ("swap", OnChange::Swap), ("canary", OnChange::Canary)],
            ),
            stack_bytes: size(section, "stack_bytes", stack_bytes, Size::kib(64), Size::mib(1)),
            fuel,
            compile: compile(section),
            trust: trust(section),
            limits: Limits {
                memory_bytes: size(section, "memory_bytes", limits.memory_bytes, Size::mib(1), Size::gib(1)),
                table_elements: section.within("table_elements", limits.table_elements, 1_000..=10_000_000),
                instances: section.within("instances", limits.instances, 1..=1_000),
                memories: section.within("memories", limits.memories, 1..=100),
                call_time: section.within(
                    "call_time",
                    limits.call_time,
                    Duration::from_millis(5)..=Duration::from_secs(60),
                ),
                call_fuel: call_fuel(section, fuel),
                output_bytes: size(section, "output_bytes", limits.output_bytes, Size::kib(64), Size::mib(256)),
                output_records: section.within("output_records", limits.output_records, 1..=10_000_000),
                state_slot_bytes: size(section, "state_slot_bytes", limits.state_slot_bytes, Size(64), Size::mib(64)),
                state_bytes: size(section, "state_bytes", limits.state_bytes, Size::kib(64), Size::gib(1)),
                module_bytes: size(section, "module_bytes", limits.module_bytes, Size::kib(1), Size::mib(256)),
                faults_max: section.within("faults_max", limits.faults_max, 1..=1_000_000),
                log: log(section, limits.log),
                // Nothing for all of them: an operator is granted what it needs.
                grants: Grants::default(),
                tables: limits.tables,
            },
        }
    })
}

/// The options of `[plugins]` that are limits of a plugin and its calls.
const LIMITS: [&str; 16] = [
    "call_fuel",
    "call_time",
    "faults_max",
    "instances",
    "log_call_bytes",
    "log_call_lines",
    "log_minute_bytes",
    "log_minute_lines",
    "memories",
    "memory_bytes",
    "module_bytes",
    "output_bytes",
    "output_records",
    "state_bytes",
    "state_slot_bytes",
    "table_elements",
];

/// The limits there are with these options of `[plugins]`, read as a configuration's are. The error is a sentence.
pub fn limits(options: &BTreeMap<String, String>) -> Result<Limits, String> {
    let mut text = "[plugins]\n".to_string();
    if options.contains_key("call_fuel") {
        text += "fuel = true\n";
    }
    for (name, value) in options {
        if !LIMITS.contains(&name.as_str()) {
            return Err(format!("{name:?} is none of {}", LIMITS.join(", ")));
        }
        let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        let value = if is_number { value.clone() } else { format!("{value:?}") };
        text += &format!("{name} = {value}\n");
    }
    let table = DeTable::parse(&text).map_err(|error| error.message().to_string())?;
    let nothing = |_: &str| None;
    let context = Context::new(Path::new(""), "", &text, &nothing);
    let config = Section::root(&context, table.get_ref(), read);
    match context.finish() {
        Ok(_) => Ok(config.limits),
        Err(errors) => {
            let told = errors.problems().iter().map(|problem| format!("{}: {}", problem.path, problem.message));
            Err(told.collect::<Vec<_>>().join("; "))
        }
    }
}

/// A limit that nothing would hold to is a mistake.
fn call_fuel(section: &mut Section<'_>, is_counted: bool) -> Option<u64> {
    let most = section.within("call_fuel", 0, 0..=1_000_000_000_000_000);
    if most > 0 && !is_counted {
        section.problem("call_fuel", "is a limit only where fuel is counted: write fuel = true");
    }
    (most > 0).then_some(most)
}

fn compile(section: &mut Section<'_>) -> CompileLimits {
    let default = CompileLimits::default();
    let time = Duration::from_secs(1)..=Duration::from_secs(3600);
    // With less than this the compiler does not even begin.
    let memory = Size::mib(256)..=Size::gib(64);
    CompileLimits {
        time: section.within("compile_time", default.time, time),
        memory_bytes: section.within("compile_memory_bytes", Size(default.memory_bytes), memory).0,
    }
}

/// The keys, read. Where one cannot be, nobody is trusted and the configuration has a problem.
fn trust(section: &mut Section<'_>) -> Trust {
    let files = section.or::<Vec<String>>("trusted_keys", Vec::new());
    let require_signed = section.or("require_signed", false);
    if require_signed && files.is_empty() {
        let remedy = "name the .pub files of who may sign (`tidegate plugin keygen` makes them)";
        section.problem("require_signed", format!("needs trusted_keys: {remedy}"));
    }
    let files: Vec<_> = files.iter().map(|file| section.context.resolve(file)).collect();
    Trust::read(&files, require_signed).unwrap_or_else(|problems| {
        problems.iter().for_each(|problem| section.problem("trusted_keys", problem.to_string()));
        Trust::default()
    })
}

fn log(section: &mut Section<'_>, default: LogLimits) -> LogLimits {
    LogLimits {
        call_lines: section.within("log_call_lines", default.call_lines, 0..=10_000),
        call_bytes: size(section, "log_call_bytes", default.call_bytes, Size(0), Size::mib(1)),
        minute_lines: section.within("log_minute_lines", default.minute_lines, 0..=1_000_000),
        minute_bytes: size(section, "log_minute_bytes", default.minute_bytes, Size(0), Size::mib(64)),
    }
}

fn size(section: &mut Section<'_>, key: &'static str, default: usize, min: Size, max: Size) -> usize {
    section.within(key, Size(default as u64), min..=max).0 as usize
}
