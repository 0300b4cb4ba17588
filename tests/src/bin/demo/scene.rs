//! Everything that runs in the demo, and its end.

use crate::devices::{self, Meter};
use crate::options::Options;
use crate::own::{self, Own};
use crate::tally::Tally;
use serde_json::Value;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;
use tidegate_tests::process::Process;
use tidegate_tests::upstream::Upstream;
use tidegate_tests::wait::poll;
use tidegate_tests::{http, parts};
use tokio_util::sync::CancellationToken;

/// Addresses of config/quickstart.toml.
pub const CONTROL: &str = "127.0.0.1:9780";
pub const LISTENER: &str = "127.0.0.1:1883";
pub const UPSTREAM: &str = "127.0.0.1:9781";
/// Where it delivers.
pub const AGGREGATES: &str = "/aggregates";
pub const ANOMALIES: &str = "/anomalies";

const START_MAX: Duration = Duration::from_secs(30);
const CATCH_UP_MAX: Duration = Duration::from_secs(30);
const DRAIN_MAX: Duration = Duration::from_secs(20);

/// The running demo.
pub struct Scene {
    /// The upstream.
    pub upstream: Upstream,
    /// What it got on [`AGGREGATES`].
    pub aggregates: Tally,
    /// What it got on [`ANOMALIES`].
    pub anomalies: Tally,
    /// The person's own plugin, and what came of it.
    pub own: Option<(Own, Tally)>,
    /// What the gateway is configured by.
    pub config: PathBuf,
    /// Whether the upstream takes anything now, and whether it ever did not.
    pub paused: bool,
    was_paused: bool,
    gateway: Process,
    devices: CancellationToken,
    folder: TempDir,
}

impl Scene {
    /// Starts the upstream, the gateway and the devices. The error is a sentence.
    pub fn set(options: &Options) -> Result<Self, String> {
        let own = Own::of(options)?;
        for address in [CONTROL, LISTENER, UPSTREAM] {
            TcpListener::bind(address).map_err(|error| {
                format!("{address} cannot be listened on ({error}): end what runs there, or the other demo")
            })?;
        }
        let folder = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
        let (config, plugins) = placed(own.as_ref(), folder.path())?;
        let meter = Meter::plugged().map_err(|error| format!("no pseudo serial port: {error}"))?;
        let upstream = Upstream::listen_on(address(UPSTREAM));
        let gateway = |verb: &str| {
            let mut command = Command::new(parts::gateway_binary());
            command.arg(verb).arg(&config);
            command.env("TIDEGATE_STORE", folder.path().join("store")).env("TIDEGATE_PLUGINS", &plugins);
            command.env("TIDEGATE_METER", meter.port());
            command
        };
        if own.is_some() {
            sound(gateway("check"))?;
        }
        let mut command = gateway("run");
        // Ctrl-C is for this process, which then drains the gateway.
        command.process_group(0);
        let gateway = Process::spawn("gateway", &mut command, &folder.path().join("log"));
        let devices = CancellationToken::new();
        let mut scene = Scene {
            upstream,
            aggregates: Tally::default(),
            anomalies: Tally::default(),
            own: own.map(|own| (own, Tally::default())),
            config,
            paused: false,
            was_paused: false,
            gateway,
            devices,
            folder,
        };
        scene.wait_for_gateway()?;
        devices::sensors(format!("mqtt://{LISTENER}"), scene.devices.clone());
        meter.run(scene.devices.clone());
        Ok(scene)
    }

    /// Pauses the upstream, or lets it go on.
    pub fn toggle(&mut self) {
        self.paused = !self.paused;
        self.was_paused |= self.paused;
        self.upstream.pause(self.paused);
    }

    /// Counts what came since the last call, and gives the gateway's status.
    pub fn look(&mut self) -> Result<Value, String> {
        self.paused = self.upstream.is_paused();
        for arrival in self.upstream.take_arrivals() {
            match (arrival.path.as_str(), &mut self.own) {
                (AGGREGATES, _) => self.aggregates.add(&arrival),
                (ANOMALIES, _) => self.anomalies.add(&arrival),
                (own::PATH, Some((_, tally))) => tally.add(&arrival),
                (other, _) => eprintln!("the upstream was sent something to {other}"),
            }
        }
        if let Some(status) = self.gateway.ended() {
            return Err(format!("the gateway ended with {status}; its log:\n{}", self.gateway.log()));
        }
        let (_, body) = http::get(address(CONTROL), "/api/v1/status")?;
        serde_json::from_str(&body).map_err(|error| format!("the gateway's status is no JSON: {error}"))
    }

    /// Ends devices, waits until everything is delivered, drains the gateway. Gives what was not as it should be.
    pub fn strike(&mut self) -> Vec<String> {
        self.devices.cancel();
        if self.paused {
            self.toggle();
        }
        let mut problems = Vec::new();
        println!("\nthe devices stop; the gateway delivers what it holds and drains …");
        let delivered = poll(CATCH_UP_MAX, || match waiting(&self.look()?) {
            0 => Ok(()),
            waiting => Err(format!("{waiting} records were still waiting for delivery")),
        });
        problems.extend(delivered.err());
        let status = self.gateway.terminate(DRAIN_MAX);
        if !status.success() {
            problems.push(format!("the gateway ended with {status}; its log:\n{}", self.gateway.log()));
        }
        // What was delivered while it drained.
        let _ = self.look();
        // The person's own plugin may rightly make nothing of what the devices send.
        let own = self.own.iter().map(|(own, tally)| (own.name.as_str(), tally, 0));
        let ours = [("aggregate", &self.aggregates, 1), ("anomaly", &self.anomalies, 1)];
        problems.extend(ours.into_iter().chain(own).flat_map(|(what, tally, least)| amiss(what, tally, least)));
        if self.was_paused && self.aggregates.refused_requests + self.anomalies.refused_requests == 0 {
            problems.push("nothing was sent while the upstream was paused".into());
        }
        problems
    }

    /// The gateway's log.
    pub fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn wait_for_gateway(&mut self) -> Result<(), String> {
        poll(START_MAX, || {
            if let Some(status) = self.gateway.ended() {
                // Nothing to wait for any more.
                return Ok(Err(format!("the gateway ended with {status}; its log:\n{}", self.gateway.log())));
            }
            match http::get(address(CONTROL), "/readyz")? {
                (200, _) => Ok(Ok(())),
                (_, reasons) => Err(format!("the gateway does not become ready: {reasons}")),
            }
        })?
    }
}

/// What is not as it should be with records that came.
fn amiss(what: &str, tally: &Tally, least: u64) -> Vec<String> {
    let none = (tally.records < least).then(|| format!("no {what} record reached the upstream"));
    let lost = (tally.missing > 0).then(|| format!("of {what} records {} are missing at the upstream", tally.missing));
    none.into_iter().chain(lost).collect()
}

/// Whether a check finds nothing, so that what a person has to mend is told without a log around it.
fn sound(mut check: Command) -> Result<(), String> {
    let output = check.output().map_err(|error| format!("the gateway does not start: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(said.trim().into()) }
}

/// The configuration, and the folder of the plugins it names: as they are, or with the person's own beside them.
fn placed(own: Option<&Own>, folder: &Path) -> Result<(PathBuf, PathBuf), String> {
    let quickstart = parts::root().join("config/quickstart.toml");
    let Some(own) = own else { return Ok((quickstart, parts::plugins())) };
    let (config, plugins) = (folder.join("demo.toml"), folder.join("plugins"));
    own.link(&plugins)?;
    let text = fs::read_to_string(&quickstart).map_err(|error| format!("{}: {error}", quickstart.display()))?;
    fs::write(&config, own.configuration(&text)).map_err(|error| format!("{}: {error}", config.display()))?;
    Ok((config, plugins))
}

/// Records that sinks have not delivered yet.
pub fn waiting(status: &Value) -> u64 {
    let streams = status["streams"].as_object().into_iter().flatten();
    let partitions = streams.flat_map(|(_, stream)| stream["partitions"].as_array().into_iter().flatten());
    let readers = partitions.flat_map(|partition| partition["readers"].as_object().into_iter().flatten());
    readers.filter(|(name, _)| name.starts_with("sink/")).filter_map(|(_, reader)| reader["behind"].as_u64()).sum()
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address in this file")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_of_ones_own_may_keep_nothing_and_lose_nothing() {
        assert!(amiss("warm", &Tally::default(), 0).is_empty());
        assert_eq!(amiss("aggregate", &Tally::default(), 1), ["no aggregate record reached the upstream"]);
        let mut lost = Tally::default();
        lost.missing = 2;
        assert_eq!(amiss("warm", &lost, 0), ["of warm records 2 are missing at the upstream"]);
    }
}
