//! The demo: a gateway with everything around it on this machine. Started by `cargo xtask demo`.
//!
//! config/quickstart.toml says what the gateway does; here are the devices, the upstream and the terminal.

#![allow(clippy::expect_used, reason = "a demo that lacks a part of itself ends with its name")]

mod board;
mod devices;
mod events;
mod options;
mod own;
mod scene;
mod tally;

use clap::Parser as _;
use events::Events;
use options::Options;
use scene::Scene;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let options = Options::parse();
    let mut scene = match Scene::set(&options) {
        Ok(scene) => scene,
        Err(reason) => {
            eprintln!("error: {reason}");
            return ExitCode::FAILURE;
        }
    };
    board::welcome(&scene);
    let events = Events::of_terminal(options.seconds.map(Duration::from_secs));
    board::show(&mut scene, &events);
    let problems = scene.strike();
    board::farewell(&scene, &problems);
    if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
