//! `cargo xtask test`: lints, every test, the fuzz targets for 50 s each, then one closing line.

use crate::checkout::Checkout;
use crate::step::{Outcome, Steps, execute};
use crate::{fuzz, plugins, setup};
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

/// What to test.
#[derive(clap::Args)]
pub struct Options {
    /// Leave out rustfmt, clippy and cargo-deny
    #[arg(long)]
    skip_lints: bool,
    /// How long each fuzz target runs; 0 leaves them out, as a filter does
    #[arg(long, value_name = "N", default_value_t = 50)]
    fuzz_seconds: u32,
    /// Run only tests whose name contains one of these
    filter: Vec<String>,
}

/// Tests counted over all test binaries.
#[derive(Default, Debug, PartialEq, Eq)]
struct Tally {
    passed: u64,
    failed: u64,
}

/// Sets up, lints, builds and tests.
pub fn run(checkout: &Checkout, options: &Options) -> Outcome {
    let mut steps = Steps::default();
    let outcome = take_all(checkout, options, &mut steps);
    steps.print();
    let tally = outcome?;
    println!("\n{} passed, {} failed", tally.passed, tally.failed);
    match tally {
        Tally { failed: 0, passed: 1.. } => Ok(()),
        Tally { failed: 0, passed: 0 } => Err("no test has this in its name".into()),
        Tally { .. } => Err("tests failed: see above".into()),
    }
}

/// Builds every plugin of `plugins/` into `target/plugins`.
pub fn plugins(checkout: &Checkout) -> Outcome {
    plugins::build(&checkout.root, &checkout.target)
}

/// Holds the dependencies against the advisory database.
pub fn audit(checkout: &Checkout) -> Outcome {
    setup::for_tests(checkout)?;
    run_deny(checkout, &["advisories"])
}

fn take_all(checkout: &Checkout, options: &Options, steps: &mut Steps) -> Outcome<Tally> {
    steps.take("set up what the tests need", || setup::for_tests(checkout))?;
    if !options.skip_lints {
        steps.take("rustfmt", || execute(checkout.cargo("fmt").args(["--all", "--check"])))?;
        steps.take("cargo-deny", || run_deny(checkout, &["licenses", "bans", "sources"]))?;
        steps.take("clippy", || {
            execute(checkout.cargo("clippy").args(["--workspace", "--all-targets", "--", "-D", "warnings"]))
        })?;
    }
    // The end-to-end tests start the gateway's binary, which `cargo test` alone does not build.
    steps.take("build the gateway and the tests", || {
        execute(checkout.cargo("build").args(["--workspace", "--all-targets"]))
    })?;
    steps.take("build the plugins", || plugins(checkout))?;
    let tally = steps.take("test", || test(checkout, &options.filter))?;
    if options.fuzz_seconds > 0 && options.filter.is_empty() && tally.failed == 0 {
        steps.take("fuzz", || fuzz::briefly(checkout, options.fuzz_seconds))?;
    }
    Ok(tally)
}

fn run_deny(checkout: &Checkout, checks: &[&str]) -> Outcome {
    execute(
        checkout
            .command(checkout.cargo_deny())
            .args(["--workspace", "--all-features", "check", "--hide-inclusion-graph"])
            .args(checks),
    )
}

/// Runs all tests, shows what they print, and counts them. Failing tests are counted, not an error.
fn test(checkout: &Checkout, filter: &[String]) -> Outcome<Tally> {
    let mut command = checkout.cargo("test");
    command.args(["--workspace", "--no-fail-fast", "--"]).args(filter).stdout(Stdio::piped());
    println!("    $ cargo test --workspace --no-fail-fast -- {}", filter.join(" "));
    let mut child = command.spawn()?;
    let mut tally = Tally::default();
    let mut stdout = std::io::stdout().lock();
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).lines() {
            let line = line?;
            tally.add(&line);
            writeln!(stdout, "{line}")?;
        }
    }
    let status = child.wait()?;
    if !status.success() && tally.failed == 0 {
        return Err(format!("`cargo test` ended with {status}").into());
    }
    Ok(tally)
}

impl Tally {
    /// Adds what a line like `test result: ok. 5 passed; 0 failed; …` says; other lines say nothing.
    fn add(&mut self, line: &str) {
        let Some((_, counts)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". ")) else {
            return;
        };
        for count in counts.split("; ") {
            match count.split_once(' ') {
                Some((number, "passed")) => self.passed += number.parse::<u64>().unwrap_or(0),
                Some((number, "failed")) => self.failed += number.parse::<u64>().unwrap_or(0),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_all_binaries_are_added_up() {
        let mut tally = Tally::default();
        tally.add("test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s");
        tally.add("test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s");
        tally.add("test a ... ok");
        assert_eq!(tally, Tally { passed: 6, failed: 2 });
    }
}
