//! The `tidegate` command.

use std::process::ExitCode;
use tidegate::cli::{self, Command};
use tidegate::memory;
use tidegate::topology::Medium;

fn main() -> ExitCode {
    memory::settle();
    match cli::parse() {
        Command::Run { file, in_memory } => cli::run(&file, if in_memory { Medium::Memory } else { Medium::Disk }),
        Command::Check(options) => cli::check(&options),
        Command::Tap(options) => cli::tap(options),
        Command::Store(command) => cli::store(command),
        Command::Plugin(command) => cli::plugin(command),
        Command::CompilePlugin { input, output, seconds, bytes, fuel } => {
            cli::compile_plugin(&input, &output, seconds, bytes, fuel)
        }
    }
}
