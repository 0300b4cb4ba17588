//! `cargo xtask fuzz`: the targets of `tests/fuzz` under libFuzzer, as many at a time as there are cores.

use crate::checkout::Checkout;
use crate::setup;
use crate::step::{Outcome, Steps, execute};
use std::collections::VecDeque;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The folder of the inputs that are kept, one folder a target.
const CORPUS: &str = "tests/fuzz/corpus";
/// Most bytes of an input: no more is needed to reach everything.
const INPUT_BYTES_MAX: usize = 4096;
/// Most memory of a target's process. What a single input may take, the target itself holds.
const MEMORY_MIB_MAX: usize = 2048;
/// An input that takes so long is a finding.
const INPUT_SECONDS_MAX: usize = 20;
/// Lines of a target's log that are shown when it finds something.
const LOG_LINES: usize = 60;

/// What to fuzz.
#[derive(clap::Args)]
pub struct Options {
    /// Only these targets; all where none is named
    target: Vec<String>,
    /// How long each target is fuzzed
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Fixes what is tried, as far as the machine keeps its pace; 0 takes another one each time
    #[arg(long, default_value_t = 0)]
    seed: u32,
    /// Add to the kept inputs what was found to reach further
    #[arg(long)]
    keep: bool,
}

/// Builds and fuzzes; an error names every input that broke a property.
pub fn run(checkout: &Checkout, options: &Options) -> Outcome {
    let targets = targets(checkout, &options.target)?;
    let mut steps = Steps::default();
    steps.take("set up what the build needs", || setup::for_demo(checkout))?;
    steps.take("build the fuzz targets", || build(checkout))?;
    let run = Run { checkout, seconds: options.seconds, seed: options.seed };
    steps.take("fuzz", || run.all(&targets))?;
    if options.keep {
        steps.take("keep what reaches further", || targets.iter().try_for_each(|target| run.keep(target)))?;
    }
    steps.print();
    Ok(())
}

/// Every target for `seconds` each, always the same seed: a step of `cargo xtask test`.
pub fn briefly(checkout: &Checkout, seconds: u32) -> Outcome {
    build(checkout)?;
    Run { checkout, seconds, seed: 1 }.all(&targets(checkout, &[])?)
}

/// Those named, or every folder of the corpus: a test holds that they are the targets there are.
fn targets(checkout: &Checkout, named: &[String]) -> Outcome<Vec<String>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(checkout.root.join(CORPUS))? {
        all.push(entry?.file_name().to_string_lossy().into_owned());
    }
    all.sort();
    if let Some(unknown) = named.iter().find(|name| !all.contains(name)) {
        return Err(format!("there is no target {unknown}: it is one of {}", all.join(", ")).into());
    }
    Ok(if named.is_empty() { all } else { named.to_vec() })
}

/// The crates of the workspace, instrumented, beside what a test build left in the target folder.
fn build(checkout: &Checkout) -> Outcome {
    let mut command = checkout.cargo("build");
    command.args(["--workspace", "--example", "fuzz", "--features", "tidegate-fuzz/libfuzzer"]);
    execute(command.env("RUSTC_WORKSPACE_WRAPPER", checkout.root.join("tests/fuzz/instrument")))
}

struct Run<'a> {
    checkout: &'a Checkout,
    seconds: u32,
    seed: u32,
}

impl Run<'_> {
    /// Fuzzes every target; all of them end before the first finding is told.
    fn all(&self, targets: &[String]) -> Outcome {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut found = Vec::new();
        let mut waiting = targets.iter();
        let mut running: VecDeque<(&String, Child)> = VecDeque::new();
        loop {
            while running.len() < cores
                && let Some(target) = waiting.next()
            {
                running.push_back((target, self.start(target)?));
            }
            // They take the same time, so the oldest is the first to end.
            let Some((target, mut child)) = running.pop_front() else { break };
            let status = child.wait()?;
            println!("    {target}: {}", self.last_line(target));
            if !status.success() {
                self.show_log(target);
                found.push(target.as_str());
            }
        }
        if found.is_empty() {
            return Ok(());
        }
        let (names, crashes) = (found.join(", "), self.folder("crashes"));
        Err(format!(
            "{names}: an input breaks a property, see above. It lies in {}: move it to {CORPUS}/TARGET, and \
             `cargo test -p tidegate-fuzz` shows it",
            crashes.display()
        )
        .into())
    }

    fn start(&self, target: &str) -> Outcome<Child> {
        let (finds, crashes) = (self.folder("finds").join(target), self.folder("crashes"));
        fs::create_dir_all(&finds)?;
        fs::create_dir_all(&crashes)?;
        let log = File::create(self.log(target))?;
        let mut command = self.program(target);
        command
            .arg(format!("-max_total_time={}", self.seconds))
            .arg(format!("-seed={}", self.seed))
            .arg(format!("-max_len={INPUT_BYTES_MAX}"))
            .arg(format!("-rss_limit_mb={MEMORY_MIB_MAX}"))
            .arg(format!("-timeout={INPUT_SECONDS_MAX}"))
            .arg(format!("-artifact_prefix={}/{target}-", crashes.display()))
            .args([finds, self.corpus(target)]);
        Ok(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()?)
    }

    /// Takes over into the corpus what was found and reaches further.
    fn keep(&self, target: &str) -> Outcome {
        let mut command = self.program(target);
        command.arg("-merge=1").arg(self.corpus(target)).arg(self.folder("finds").join(target));
        execute(command.stderr(File::create(self.log(target))?))
    }

    fn program(&self, target: &str) -> Command {
        let mut command = self.checkout.command(self.checkout.target.join("debug/examples/fuzz"));
        command.env("TIDEGATE_FUZZ", target);
        command
    }

    fn corpus(&self, target: &str) -> PathBuf {
        self.checkout.root.join(CORPUS).join(target)
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.checkout.target.join("fuzz").join(name)
    }

    fn log(&self, target: &str) -> PathBuf {
        self.folder("").join(format!("{target}.log"))
    }

    fn last_line(&self, target: &str) -> String {
        lines(&self.log(target)).pop().unwrap_or_default()
    }

    fn show_log(&self, target: &str) {
        let lines = lines(&self.log(target));
        lines[lines.len().saturating_sub(LOG_LINES)..].iter().for_each(|line| println!("    | {line}"));
    }
}

fn lines(file: &Path) -> Vec<String> {
    let bytes = fs::read(file).unwrap_or_default();
    String::from_utf8_lossy(&bytes).lines().map(str::to_string).collect()
}
