//! Steps: each says what it does, how long it took, and what to do when it failed.

use std::error::Error;
use std::process::Command;
use std::time::{Duration, Instant};

/// What a step ends in; the error is a sentence for the person at the terminal.
pub type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Steps carried out so far.
#[derive(Default)]
pub struct Steps {
    done: Vec<(&'static str, Duration)>,
}

impl Steps {
    /// Carries out a step under its name.
    #[allow(clippy::disallowed_methods, reason = "how long a step takes is the machine's time, not the data's")]
    pub fn take<T>(&mut self, name: &'static str, step: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
        println!("\n==> {name}");
        let start = Instant::now();
        let result = step();
        self.done.push((name, start.elapsed()));
        result.map_err(|error| format!("{name}: {error}").into())
    }

    /// Prints how long each step took.
    pub fn print(&self) {
        println!();
        for (name, took) in &self.done {
            println!("{:>8.1} s  {name}", took.as_secs_f64());
        }
    }
}

/// Shows and runs a command; anything but exit status 0 is an error that names it.
pub fn execute(command: &mut Command) -> Outcome {
    let line = line(command);
    println!("    $ {line}");
    let status = command.status().map_err(|error| format!("`{line}` did not start: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{line}` ended with {status}").into()) }
}

/// Whether a command runs and ends well; its output is thrown away.
pub fn works(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// Whether a program is on the PATH.
pub fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain([std::path::PathBuf::from("/usr/sbin")]).any(|dir| dir.join(program).is_file())
}

fn line(command: &Command) -> String {
    let name = std::path::Path::new(command.get_program()).file_name().unwrap_or_default();
    let mut line = name.to_string_lossy().into_owned();
    for arg in command.get_args() {
        line.push(' ');
        line.push_str(&arg.to_string_lossy());
    }
    line
}
