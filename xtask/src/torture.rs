//! `cargo xtask torture`: builds the gateway and tortures it.

use crate::checkout::Checkout;
use crate::step::{Outcome, Steps, execute};
use crate::{setup, suite};

/// How to torture the gateway. Needs root, for loop devices and mounts.
#[derive(clap::Args)]
pub struct Options {
    /// Power cuts: the store's disk, copied at an instant, is all that is left
    #[arg(long, value_name = "N", default_value_t = 20)]
    cuts: u32,
    /// SIGKILLs, after the power cuts
    #[arg(long, value_name = "N", default_value_t = 20)]
    kills: u32,
    /// Fixes the order and the times of faults, as far as the machine keeps them
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Readings a second
    #[arg(long, default_value_t = 1_000)]
    rate: u32,
}

/// Sets up, builds, tortures; an error unless nothing acknowledged was lost and nothing else is wrong.
pub fn run(checkout: &Checkout, options: &Options) -> Outcome {
    let mut steps = Steps::default();
    steps.take("set up what torture needs", || setup::for_torture(checkout))?;
    steps.take("build the gateway", || execute(checkout.cargo("build").args(["--workspace", "--bins"])))?;
    steps.take("build the plugins", || suite::plugins(checkout))?;
    let Options { cuts, kills, seed, rate } = options;
    steps.take("torture", || {
        let mut torture = checkout.command(checkout.target.join("debug/torture"));
        for (name, value) in [("--cuts", cuts), ("--kills", kills), ("--rate", rate)] {
            torture.args([name, &value.to_string()]);
        }
        torture.args(["--seed", &seed.to_string()]);
        execute(&mut torture)
    })
}
