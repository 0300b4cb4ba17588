//! Power cuts and kills of a gateway under load, and what became of its readings. Started by `cargo xtask torture`.

#![allow(clippy::expect_used, reason = "what it lacks of itself ends it, by name")]

use std::process::ExitCode;
use tidegate_tests::torture::{Options, Trial};

const USAGE: &str = "usage: torture --cuts N --kills N --seed S --rate R";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(options) = options(&arguments) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    println!(
        "seed {}: {} power cuts, {} kills, {} readings a second",
        options.seed, options.cuts, options.kills, options.rate
    );
    match Trial::run(options) {
        Ok(verdict) if verdict.violations.is_empty() => {
            println!("\n{verdict}\nnothing acknowledged is lost");
            ExitCode::SUCCESS
        }
        Ok(verdict) => {
            println!("\n{verdict}");
            ExitCode::FAILURE
        }
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn options(arguments: &[String]) -> Option<Options> {
    let mut options = Options { cuts: 0, kills: 0, seed: 1, rate: 1_000, progress: true };
    for pair in arguments.chunks(2) {
        let [name, value] = pair else { return None };
        match name.as_str() {
            "--cuts" => options.cuts = value.parse().ok()?,
            "--kills" => options.kills = value.parse().ok()?,
            "--seed" => options.seed = value.parse().ok()?,
            "--rate" => options.rate = value.parse().ok()?,
            _ => return None,
        }
    }
    Some(options)
}
