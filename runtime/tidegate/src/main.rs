//! The `tidegate` command.

use std::process::ExitCode;
use tidegate::cli::{self, Command};

fn main() -> ExitCode {
    match cli::parse() {
        Command::Run { file } => cli::run(&file),
        Command::Check { file, json } => cli::check(&file, json),
        Command::Tap(options) => cli::tap(options),
        Command::CompilePlugin { input, output } => cli::compile_plugin(&input, &output),
    }
}
