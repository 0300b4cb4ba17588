//! `cargo xtask demo`: builds the gateway and hands over to the demo.

use crate::checkout::Checkout;
use crate::step::{Outcome, Steps, execute};
use crate::{setup, suite};
use std::os::unix::process::CommandExt;

/// How to run the demo.
#[derive(clap::Args)]
pub struct Options {
    /// End after this many seconds, with an error unless everything arrived (for scripts)
    #[arg(long)]
    seconds: Option<u64>,
}

/// Sets up, builds, and becomes the demo, so that Ctrl-C goes to it.
pub fn run(checkout: &Checkout, options: &Options) -> Outcome {
    let mut steps = Steps::default();
    steps.take("set up what the build needs", || setup::for_demo(checkout))?;
    steps.take("build the gateway", || build(checkout))?;
    steps.take("build the plugins", || suite::plugins(checkout))?;
    let mut demo = checkout.command(checkout.target.join("debug/demo"));
    if let Some(seconds) = options.seconds {
        demo.args(["--seconds", &seconds.to_string()]);
    }
    Err(format!("the demo did not start: {}", demo.exec()).into())
}

fn build(checkout: &Checkout) -> Outcome {
    execute(checkout.cargo("build").args(["--workspace", "--bins"]))
}
