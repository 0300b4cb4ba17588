//! Simulated devices: climate sensors over MQTT, and a meter on a pseudo serial port.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};
use tidegate_devices::serial::pty::Pty;
use tidegate_devices::simulator::{Options, PublishOptions, Simulator, publish, write_lines};
use tidegate_tests::runtime;
use tokio_util::sync::CancellationToken;

/// Climate sensors and their readings a second, all together.
const SENSORS: u32 = 50;
const SENSORS_RATE: f64 = 500.0;
/// Readings a second of the meter.
const METER_RATE: f64 = 5.0;
/// Share of readings far off: these are what the detector is to find.
const SPIKES: f64 = 0.001;

/// Publishes to the gateway's listener until `stop`.
pub fn sensors(url: String, stop: CancellationToken) {
    let options = Options { devices: SENSORS, rate: SENSORS_RATE, spike: SPIKES, seed: 7, ..now() };
    let publishing = PublishOptions { url, topic: "sensors".into(), client_id: "demo-sensors".into(), count: None };
    runtime().spawn(async move {
        if let Err(error) = publish(publishing, Simulator::new(options), stop).await {
            eprintln!("the sensors stopped: {error}");
        }
    });
}

/// A meter at the far end of a pseudo serial line.
pub struct Meter(Pty);

impl Meter {
    /// Makes the line.
    pub fn plugged() -> io::Result<Self> {
        let _guard = runtime().enter();
        Pty::open().map(Meter)
    }

    /// The port the gateway opens.
    pub fn port(&self) -> &Path {
        &self.0.path
    }

    /// Writes lines until `stop`.
    pub fn run(mut self, stop: CancellationToken) {
        let options = Options { devices: 1, rate: METER_RATE, spike: SPIKES, seed: 8, ..now() };
        runtime().spawn(async move {
            if let Err(error) = write_lines(&mut self.0.far, Simulator::new(options), None, stop).await {
                eprintln!("the meter stopped: {error}");
            }
        });
    }
}

#[allow(clippy::disallowed_methods, reason = "devices have clocks")]
fn now() -> Options {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Options { start: now.as_micros() as i64, ..Options::default() }
}
