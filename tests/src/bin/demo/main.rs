//! The demo: a gateway with everything around it on this machine. Started by `cargo xtask demo`.
//!
//! config/quickstart.toml says what the gateway does; here are the devices, the upstream and the terminal.

#![allow(clippy::expect_used, reason = "a demo that lacks a part of itself ends with its name")]

mod board;
mod devices;
mod events;
mod scene;
mod tally;

use events::Events;
use scene::Scene;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let seconds = match seconds() {
        Ok(seconds) => seconds,
        Err(usage) => {
            eprintln!("{usage}");
            return ExitCode::from(2);
        }
    };
    let mut scene = match Scene::set() {
        Ok(scene) => scene,
        Err(reason) => {
            eprintln!("error: {reason}");
            return ExitCode::FAILURE;
        }
    };
    board::welcome(&scene);
    let events = Events::of_terminal(seconds);
    board::show(&mut scene, &events);
    let problems = scene.strike();
    board::farewell(&scene, &problems);
    if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// `--seconds N`: end by itself, with an outage of the upstream in the middle.
fn seconds() -> Result<Option<Duration>, &'static str> {
    let usage = "usage: demo [--seconds N], N at least 20";
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Ok(None),
        ["--seconds", number] => match number.parse() {
            Ok(number @ 20..=86_400) => Ok(Some(Duration::from_secs(number))),
            _ => Err(usage),
        },
        _ => Err(usage),
    }
}
