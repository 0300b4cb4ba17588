//! `cargo xtask demo`: builds the gateway and hands over to the demo.

use crate::checkout::Checkout;
use crate::step::{Outcome, Steps, execute};
use crate::{setup, suite};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

/// How to run the demo.
#[derive(clap::Args)]
pub struct Options {
    /// End after this many seconds, with an error unless everything arrived (for scripts)
    #[arg(long, value_parser = clap::value_parser!(u64).range(20..=86_400))]
    seconds: Option<u64>,
    /// Run a plugin of yours too, on the readings: its file or its folder
    #[arg(long, value_name = "PATH")]
    plugin: Option<PathBuf>,
    /// Its parameters, such as '{ above = 20.0 }'
    #[arg(long, requires = "plugin")]
    params: Option<String>,
    /// The window of an aggregate, such as 10s; left out: 5s
    #[arg(long, requires = "plugin", value_name = "DURATION")]
    window: Option<String>,
}

/// Sets up, builds, and becomes the demo, so that Ctrl-C goes to it.
pub fn run(checkout: &Checkout, options: &Options) -> Outcome {
    // The demo runs in the checkout, and a path is meant from where the person is.
    let plugin = options.plugin.as_deref().map(there).transpose()?;
    let mut steps = Steps::default();
    steps.take("set up what the build needs", || setup::for_demo(checkout))?;
    steps.take("build the gateway", || build(checkout))?;
    steps.take("build the plugins", || suite::plugins(checkout))?;
    let mut demo = checkout.command(checkout.target.join("debug/demo"));
    if let Some(seconds) = options.seconds {
        demo.args(["--seconds", &seconds.to_string()]);
    }
    if let Some(plugin) = plugin {
        demo.arg("--plugin").arg(plugin);
    }
    for (name, value) in [("--params", &options.params), ("--window", &options.window)] {
        if let Some(value) = value {
            demo.args([name, value]);
        }
    }
    Err(format!("the demo did not start: {}", demo.exec()).into())
}

fn there(plugin: &Path) -> Outcome<PathBuf> {
    plugin.canonicalize().map_err(|error| format!("the plugin {}: {error}", plugin.display()).into())
}

fn build(checkout: &Checkout) -> Outcome {
    execute(checkout.cargo("build").args(["--workspace", "--bins"]))
}
