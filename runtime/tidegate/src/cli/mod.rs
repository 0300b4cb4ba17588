//! What a person types.

mod canary;
mod check;
mod client;
mod operators;
mod outage;
mod plugin;
mod run;
mod store;
mod tap;
mod versions;

pub use check::{CheckOptions, check};
pub use plugin::{PluginCommand, plugin};
pub use run::run;
pub use store::{StoreCommand, store};
pub use tap::{TapOptions, tap};

use clap::{Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use tidegate_sandbox::CompileLimits;

/// Exit codes; 2 is a command line that is not understood.
pub mod exit {
    /// All is well.
    pub const DONE: u8 = 0;
    /// The configuration has problems (they are on standard error).
    pub const CONFIG: u8 = 1;
    /// It could not be started or reached, or did not come to its end: a port in use, a store that does not open, no gateway to
    /// ask, a canary that was stopped before there was a verdict.
    pub const START: u8 = 3;
    /// The drain did not end in time, or was cut short by a second signal. What was acknowledged is durable all the same.
    pub const DRAIN: u8 = 4;
    /// A store was looked over and something in it is wrong.
    pub const DAMAGED: u8 = 5;
    /// A plugin could not be made, built or loaded, a case of it does not hold, it is over its budget, or a canary was sent away.
    pub const PLUGIN: u8 = 6;
}

const AFTER_HELP: &str = "Exit codes: 0 done, 1 the configuration has problems, 2 wrong usage, 3 could not be started \
                          or reached, 4 the drain was cut short, 5 the store has damage, 6 a plugin or one of its cases fails, or a \
                          canary was sent away";

#[derive(Parser)]
#[command(name = "tidegate", version, about = "A small, trustworthy stream processor for gateways", after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the gateway until SIGTERM or SIGINT, then drain; a second signal ends it at once
    Run {
        /// The configuration
        file: PathBuf,
        /// Keep the store in memory, for a trial: nothing is written, and all of it is gone at the end
        #[arg(long)]
        in_memory: bool,
    },
    /// Check a configuration and the plugins it names, and say everything that is wrong
    Check(CheckOptions),
    /// Print a stream of a running gateway, a JSON object a line
    Tap(TapOptions),
    /// Look at a store and work on it: beside the running gateway, or in its folder while none has it open
    #[command(subcommand)]
    Store(StoreCommand),
    /// Write plugins: begin, build, test, measure and inspect them
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Compile a plugin (what a gateway runs in a process of its own)
    #[command(hide = true)]
    CompilePlugin {
        /// The component
        input: PathBuf,
        /// Where the compiled plugin goes
        output: PathBuf,
        /// How long it may take
        seconds: u64,
        /// Most address space it may have
        bytes: u64,
        /// Whether it counts fuel
        #[arg(action = clap::ArgAction::Set)]
        fuel: bool,
    },
}

/// The command line of this process. Ends the process where it is not understood or asks for help.
pub fn parse() -> Command {
    Cli::parse().command
}

/// Compiles a plugin; this process's own memory and processor time are limited from here on.
pub fn compile_plugin(input: &Path, output: &Path, seconds: u64, bytes: u64, fuel: bool) -> ExitCode {
    let limits = CompileLimits { time: Duration::from_secs(seconds), memory_bytes: bytes };
    match tidegate_sandbox::compile_main(input, output, &limits, fuel) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => failed(exit::START, &reason),
    }
}

/// Says on standard error what went wrong.
fn failed(code: u8, reason: &str) -> ExitCode {
    eprintln!("tidegate: {reason}");
    ExitCode::from(code)
}

/// Everything here is asynchronous but the command line.
fn runtime() -> Result<tokio::runtime::Runtime, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| format!("the asynchronous runtime does not start: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn commands_are_understood() {
        let parsed = |line: &str| Cli::try_parse_from(line.split(' ')).map(|cli| format!("{:?}", cli.command));
        assert_eq!(parsed("tidegate run g.toml").ok().as_deref(), Some("Run { file: \"g.toml\", in_memory: false }"));
        assert!(parsed("tidegate run g.toml --in-memory").is_ok_and(|run| run.contains("in_memory: true")));
        assert!(parsed("tidegate tap readings -n 3 --from start").is_ok());
        assert!(parsed("tidegate tap readings --url http://x --config y").is_err());
        assert!(parsed("tidegate store verify --dir store --json").is_ok());
        assert!(parsed("tidegate store ls --url http://127.0.0.1:9780").is_ok());
        assert!(parsed("tidegate store peek readings --config g.toml -n 3 --from 17").is_ok());
        assert!(parsed("tidegate store ls").is_err(), "it is not guessed which store is meant");
        assert!(parsed("tidegate store ls --dir store --url http://127.0.0.1:9780").is_err());
        assert!(parsed("tidegate store repair --dir store --aside streams.broken-1").is_ok());
        assert!(parsed("tidegate store compact --config g.toml").is_ok());
        assert!(parsed("tidegate store export readings --dir store --out x.csv --to 2026-01-31T08:00:00Z").is_ok());
        assert!(parsed("tidegate store replay cloud --dir store --from yesterday").is_err());
        assert!(parsed("tidegate store purge readings --dir store --before 17 --held").is_ok());
        assert!(parsed("tidegate store backup x.pack --url http://127.0.0.1:9780").is_ok());
        assert!(parsed("tidegate store restore x.pack --dir store --replace").is_ok());
        assert!(parsed("tidegate store verify").is_err(), "it is not guessed which store is meant");
        assert!(parsed("tidegate store verify --dir store --config g.toml").is_err());
        assert!(parsed("tidegate").is_err());
    }
}
