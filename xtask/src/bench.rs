//! `cargo xtask bench`: builds for release and runs the measurements.

use crate::checkout::Checkout;
use crate::step::{Outcome, Steps, execute};
use crate::{setup, suite};

/// Where the figures go, in the checkout; git ignores it.
const FIGURES: &str = "bench.json";

/// Sets up, builds, measures; ends with a table and [`FIGURES`].
pub fn run(checkout: &Checkout) -> Outcome {
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
