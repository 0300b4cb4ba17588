//! A gateway process and its control API.

use crate::http::{self, Lines};
use crate::parts;
use crate::process::{Process, free_port};
use crate::wait::{eventually, poll};
use serde_json::Value;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Output};
use std::time::Duration;
use tempfile::TempDir;

/// Longest a start (and the recovery in it) may take.
const START_MAX: Duration = Duration::from_secs(60);
/// Longest a drain may take: the default `drain_timeout` and some.
const DRAIN_MAX: Duration = Duration::from_secs(30);
/// How long a tap that still owes records may be silent.
const TAP_PATIENCE: Duration = Duration::from_secs(10);
/// How long a tap that owes nothing is silent when it has shown all there is.
const TAP_QUIET: Duration = Duration::from_secs(1);

/// A gateway with a folder of its own: configuration, store and log stay over restarts.
#[derive(Debug)]
pub struct Gateway {
    folder: TempDir,
    control: SocketAddr,
    plugins: PathBuf,
    plugin_options: String,
    environment: Vec<(String, String)>,
    process: Option<Process>,
}

impl Gateway {
    /// A gateway that is not running yet. `config` is everything but `[gateway]`, `[control]`, `[plugins]` and
    /// `[store]`, whose further options may be given in `store`.
    pub fn configured(store: &str, config: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let control = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let plugins = parts::plugins();
        let (plugin_options, environment) = (String::new(), Vec::new());
        let gateway = Gateway { folder, control, plugins, plugin_options, environment, process: None };
        gateway.reconfigure(store, config);
        gateway
    }

    /// Is started with these variables from now on.
    pub fn environment(&mut self, variables: Vec<(String, String)>) {
        self.environment = variables;
    }

    /// Takes plugins from another folder from the next [`Gateway::reconfigure`] on.
    pub fn plugins_from(&mut self, folder: PathBuf) {
        self.plugins = folder;
    }

    /// Has further options in `[plugins]` from the next [`Gateway::reconfigure`] on.
    pub fn plugin_options(&mut self, options: &str) {
        self.plugin_options = options.to_owned();
    }

    /// Writes another configuration; it holds from the next start on.
    pub fn reconfigure(&self, store: &str, config: &str) {
        let text = format!(
            "[gateway]\nname = \"test-gateway\"\n[control]\nlisten = \"{}\"\n[plugins]\ndir = \"{}\"\n{}\n\
             [store]\npath = \"store\"\n{store}\n{config}",
            self.control,
            self.plugins.display(),
            self.plugin_options
        );
        fs::write(self.config(), text).expect("a configuration");
    }

    /// Starts it without waiting for anything.
    pub fn launch(&mut self) {
        assert!(self.process.is_none(), "the gateway is running");
        let mut command = Command::new(parts::gateway_binary());
        command.arg("run").arg(self.config()).env("RUST_BACKTRACE", "1").envs(self.environment.clone());
        self.process = Some(Process::spawn("gateway", &mut command, &self.folder.path().join("log")));
    }

    /// How it ended, if it has by itself.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process().ended()
    }

    /// Status and reasons of `/readyz`, or why it does not answer.
    pub fn probe(&self) -> Result<(u16, String), String> {
        http::get(self.control, "/readyz")
    }

    /// Starts it and waits until it answers.
    pub fn start(&mut self) {
        self.launch();
        eventually(START_MAX, "the gateway answers", || {
            if let Some(status) = self.process().ended() {
                panic!("the gateway ended with {status}:\n{}", self.log());
            }
            http::get(self.control, "/livez").map(|_| ())
        });
    }

    /// Starts it and waits until it is ready.
    pub fn start_ready(&mut self) {
        self.start();
        self.ready(START_MAX);
    }

    /// Waits until `/readyz` says yes.
    pub fn ready(&self, within: Duration) {
        eventually(within, "the gateway is ready", || match http::get(self.control, "/readyz")? {
            (200, _) => Ok(()),
            (status, reasons) => Err(format!("{status} {reasons}")),
        });
    }

    /// Status and body of `/readyz`.
    pub fn readiness(&self) -> (u16, String) {
        self.get("/readyz")
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process.take().expect("a running gateway").kill();
    }

    /// Whether it was started and not stopped or killed since.
    pub fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// SIGTERM: drains and ends.
    pub fn stop(&mut self) -> ExitStatus {
        self.process.take().expect("a running gateway").terminate(DRAIN_MAX)
    }

    /// Runs `tidegate VERB CONFIG` to its end.
    pub fn verb(&self, verb: &str) -> Output {
        Command::new(parts::gateway_binary()).arg(verb).arg(self.config()).output().expect("the gateway's binary")
    }

    /// Runs `tidegate plugin ARGS --config CONFIG` to its end; what it printed, or what it said was wrong.
    pub fn plugin(&self, args: &[&str]) -> Result<String, String> {
        let mut command = Command::new(parts::gateway_binary());
        command.arg("plugin").args(args).arg("--config").arg(self.config()).current_dir(self.folder.path());
        let output = command.output().expect("the gateway's binary");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// Runs `tidegate store ARGS --config CONFIG` to its end.
    pub fn store(&self, args: &[&str]) -> Output {
        let mut command = Command::new(parts::gateway_binary());
        command.arg("store").args(args).arg("--config").arg(self.config()).current_dir(self.folder.path());
        command.output().expect("the gateway's binary")
    }

    /// Status and body of a `GET` on the control API.
    pub fn get(&self, path: &str) -> (u16, String) {
        http::get(self.control, path).expect("an answer of the control API")
    }

    /// `/api/v1/status`.
    pub fn status(&self) -> Value {
        let (status, body) = self.get("/api/v1/status");
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).expect("JSON")
    }

    /// Every record a stream holds, as JSON: at least `expected` of them, and what comes with them.
    pub fn tap(&self, stream: &str, expected: usize) -> Vec<Value> {
        let mut lines = Lines::open(self.control, &format!("/api/v1/streams/{stream}/tap?from=start"));
        let mut records = Vec::with_capacity(expected);
        loop {
            let patience = if records.len() < expected { TAP_PATIENCE } else { TAP_QUIET };
            let Some(more) = lines.next(patience) else { return records };
            records.extend(more.iter().map(|line| serde_json::from_str::<Value>(line).expect("JSON lines")));
        }
    }

    /// How many records were ever appended to a stream.
    pub fn appended(&self, stream: &str) -> u64 {
        let status = self.status();
        let partitions = status["streams"][stream]["partitions"].as_array().cloned().unwrap_or_default();
        partitions.iter().filter_map(|partition| partition["appended"].as_u64()).sum()
    }

    /// How many records the ledger says were given up for `reason`.
    pub fn lost(&self, reason: &str) -> u64 {
        let status = self.status();
        let losses = status["store"]["losses"].as_array().cloned().unwrap_or_default();
        losses.iter().filter(|loss| loss["reason"] == reason).filter_map(|loss| loss["count"].as_u64()).sum()
    }

    /// For measurements: starts it without waiting; `Some(in_memory)` on core 0 alone, its streams on disk or not.
    pub fn spawn_on(&mut self, core_0: Option<bool>) {
        let mut command = match core_0 {
            Some(_) => Command::new("taskset"),
            None => Command::new(parts::gateway_binary()),
        };
        if let Some(in_memory) = core_0 {
            command.args(["-c", "0"]).arg(parts::gateway_binary());
            command.arg("run").args(in_memory.then_some("--in-memory"));
        } else {
            command.arg("run");
        }
        command.arg(self.config());
        self.process = Some(Process::spawn("gateway", &mut command, &self.folder.path().join("log")));
        eventually(START_MAX, "the gateway answers", || http::get(self.control, "/livez").map(|_| ()));
    }

    /// Processor time of the running gateway.
    pub fn cpu_seconds(&mut self) -> f64 {
        self.process().cpu_seconds()
    }

    /// Resident memory in bytes.
    pub fn resident_bytes(&mut self) -> u64 {
        self.process().resident_bytes()
    }

    /// Bytes it has had written to a disk (`write_bytes` of `/proc/PID/io`).
    pub fn written_bytes(&mut self) -> u64 {
        self.process().written_bytes()
    }

    /// What it has logged since its first start.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The sum of a counter over all label sets that contain each of `labels` (`sink="cloud"`).
    pub fn counter(&self, name: &str, labels: &[&str]) -> f64 {
        let (_, metrics) = self.get("/metrics");
        let samples = metrics.lines().filter(|line| !line.starts_with('#'));
        let of_name = samples.filter(|line| line.split(['{', ' ']).next() == Some(name));
        let matching = of_name.filter(|line| labels.iter().all(|label| line.contains(label)));
        matching.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Its folder.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().into()
    }

    /// Waits until a probe of it gives a value; its log is shown when it does not.
    pub fn eventually<T>(&self, within: Duration, what: &str, probe: impl FnMut() -> Result<T, String>) -> T {
        match poll(within, probe) {
            Ok(value) => value,
            Err(last) => panic!("not within {within:?}: {what}. Last seen: {last}\nreadiness: {:?}", self.readiness()),
        }
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("gateway.toml")
    }

    fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("a running gateway")
    }
}
