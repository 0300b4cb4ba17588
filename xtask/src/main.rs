//! `cargo xtask`: everything a person or CI does with this checkout.

mod bench;
mod checkout;
mod demo;
mod plugins;
mod setup;
mod step;
mod suite;
mod torture;

use checkout::Checkout;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Everything a person or CI does with this checkout")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// The gateway on this machine: embedded broker, simulated devices, a local upstream; Ctrl-C ends it
    Demo(demo::Options),
    /// Lints and every test, the end-to-end ones against real parts
    Test(suite::Options),
    /// Cut the gateway's power and kill it under load, and account for every reading; needs root
    Torture(torture::Options),
    /// Measure the release build: takes both cores for some minutes
    Bench,
    /// Install what the tests need; what is there already is left alone
    Setup,
    /// Build the plugins into target/plugins
    Plugins,
    /// Security advisories of the dependencies (fetches the advisory database: needs the network)
    Audit,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let checkout = Checkout::find();
    let outcome = match cli.verb {
        Verb::Demo(options) => demo::run(&checkout, &options),
        Verb::Test(options) => suite::run(&checkout, &options),
        Verb::Torture(options) => torture::run(&checkout, &options),
        Verb::Bench => bench::run(&checkout),
        Verb::Setup => setup::for_tests(&checkout),
        Verb::Plugins => suite::plugins(&checkout),
        Verb::Audit => suite::audit(&checkout),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
