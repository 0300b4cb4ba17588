//! `cargo xtask`: everything a person or CI does with this checkout.

mod bench;
mod checkout;
mod demo;
mod fuzz;
mod languages;
mod plugins;
mod setup;
mod step;
mod suite;
mod torture;
mod verb;

use checkout::Checkout;
use clap::Parser;
use std::process::ExitCode;
use verb::Verb;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Everything a person or CI does with this checkout")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

fn main() -> ExitCode {
    match Cli::parse().verb.run(&Checkout::find()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
