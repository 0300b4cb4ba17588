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
        execute(checkout.cargo("build").args(["--release", "-p", "tidegate", "-p", "tidegate-tests", "--bins"]))?;
        execute(checkout.cargo("build").args(["--release", "-p", "tidegate-devices", "--example", "bare_subscriber"]))
    })?;
    steps.take("build the plugins", || suite::plugins(checkout))?;
    let release = checkout.target.join("release");
    steps.take("measure", || {
        let mut bench = checkout.command(release.join("bench"));
        execute(bench.arg(checkout.root.join(FIGURES)).arg(release.join("examples/bare_subscriber")))
    })
}
