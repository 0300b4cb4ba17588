//! What can be asked for.

use crate::checkout::Checkout;
use crate::step::Outcome;
use crate::{bench, demo, fuzz, setup, suite, torture};

/// What to do.
#[derive(clap::Subcommand)]
pub enum Verb {
    /// The gateway on this machine: simulated devices that connect to it, a local upstream; Ctrl-C ends it
    Demo(demo::Options),
    /// Lints and every test, the end-to-end ones against real parts
    Test(suite::Options),
    /// Cut the gateway's power and kill it under load, and account for every reading; needs root
    Torture(torture::Options),
    /// Try to break what takes bytes from outside: blocks, frames, configuration, replies of plugins
    Fuzz(fuzz::Options),
    /// Measure the release build: takes both cores for some minutes
    Bench(bench::Options),
    /// Install what the tests need; what is there already is left alone
    Setup,
    /// Build the plugins into target/plugins
    Plugins,
    /// Security advisories of the dependencies (fetches the advisory database: needs the network)
    Audit,
}

impl Verb {
    /// Does it.
    pub fn run(&self, checkout: &Checkout) -> Outcome {
        match self {
            Verb::Demo(options) => demo::run(checkout, options),
            Verb::Test(options) => suite::run(checkout, options),
            Verb::Torture(options) => torture::run(checkout, options),
            Verb::Fuzz(options) => fuzz::run(checkout, options),
            Verb::Bench(options) => bench::run(checkout, options),
            Verb::Setup => setup::for_tests(checkout),
            Verb::Plugins => suite::plugins(checkout),
            Verb::Audit => suite::audit(checkout),
        }
    }
}
