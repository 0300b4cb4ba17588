//! `cargo xtask bench`: builds for release and runs the measurements.

use crate::checkout::Checkout;
use crate::step::{Outcome, Steps, execute};
use crate::{setup, suite};

/// Where the figures go, in the checkout; git ignores it.
const FIGURES: &str = "bench.json";

/// What to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Only this; all but the backlog where nothing is named
    what: Option<What>,
    /// How much backlog
    #[arg(long, value_name = "N", default_value_t = 2.0)]
    gib: f64,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum What {
    /// Memory under gigabytes of backlog, and how long a store of them takes to open
    Backlog,
    /// Bytes written to the disk for a byte of JSON that comes in
    Writes,
    /// What a plugin that never returns costs the pipelines beside it
    Hostile,
    /// How long a pipeline stands still while a plugin of it is swapped
    Swaps,
}

/// Sets up, builds, measures.
pub fn run(checkout: &Checkout, options: &Options) -> Outcome {
    match options.what {
        Some(What::Backlog) => one(checkout, "backlog", &[&options.gib.to_string()]),
        Some(What::Writes) => one(checkout, "bench", &[FIGURES, "writes"]),
        Some(What::Hostile) => one(checkout, "bench", &[FIGURES, "hostile"]),
        Some(What::Swaps) => one(checkout, "bench", &[FIGURES, "swaps"]),
        None => everything(checkout),
    }
}

/// A measurement by a binary of the tests.
fn one(checkout: &Checkout, binary: &str, arguments: &[&str]) -> Outcome {
    let mut steps = Steps::default();
    steps.take("set up what the build and the broker need", || setup::for_tests(checkout))?;
    steps.take("build for release", || {
        let crates = ["tidegate", "tidegate-tests"];
        execute(checkout.cargo("build").arg("--release").args(crates.map(|c| ["-p", c]).concat()).arg("--bins"))
    })?;
    steps.take("build the plugins", || suite::plugins(checkout))?;
    steps.take("measure", || execute(checkout.command(checkout.target.join("release").join(binary)).args(arguments)))
}

/// Ends with a table and [`FIGURES`].
fn everything(checkout: &Checkout) -> Outcome {
    let mut steps = Steps::default();
    steps.take("set up what the build needs", || setup::for_demo(checkout))?;
    steps.take("build for release", || {
        let crates = ["tidegate", "tidegate-tests", "tidegate-devices", "tidegate-sandbox"];
        let targets = ["--bins", "--example", "bare_subscriber", "--example", "plugins_bench"];
        execute(checkout.cargo("build").arg("--release").args(crates.map(|c| ["-p", c]).concat()).args(targets))
    })?;
    steps.take("build the plugins", || suite::plugins(checkout))?;
    let release = checkout.target.join("release");
    let examples = release.join("examples");
    let plugins = checkout.target.join("plugins_bench.json");
    steps.take("measure plugins against the same code native", || {
        execute(checkout.command(examples.join("plugins_bench")).arg(&plugins))
    })?;
    steps.take("measure the gateway", || {
        let mut bench = checkout.command(release.join("bench"));
        execute(bench.arg(checkout.root.join(FIGURES)).arg(examples.join("bare_subscriber")).arg(&plugins))
    })
}
