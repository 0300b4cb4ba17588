//! Virtual sensors: the same seed gives the same readings, good days and bad.

mod publish;
mod sensors;
mod write;

pub use publish::{PublishOptions, Published, publish};
pub use write::write_lines;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use sensors::Sensor;
use std::fmt::Write as _;
use std::time::Duration;

/// What the sensors measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// `temp` (two decimals, a daily curve with noise) and `hum`.
    #[default]
    Climate,
    /// `price` (a random walk, two decimals) and `volume` (whole): a device is a symbol.
    Ticker,
}

/// A fleet of virtual sensors. Shares are from 0 to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// What they measure.
    pub kind: Kind,
    /// How many there are.
    pub devices: u32,
    /// Readings a second, all devices together.
    pub rate: f64,
    /// Fixes every reading.
    pub seed: u64,
    /// The event time of the first reading, microseconds since the epoch.
    pub start: i64,
    /// Share of readings that carry a time `late_by` ago.
    pub late: f64,
    /// How late those are.
    pub late_by: Duration,
    /// Share of readings that come twice.
    pub duplicate: f64,
    /// Share of readings that are far off.
    pub spike: f64,
    /// Event times are up to this much off, either way.
    pub jitter: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            kind: Kind::Climate,
            devices: 10,
            rate: 10.0,
            seed: 1,
            start: 1_767_225_600_000_000,
            late: 0.0,
            late_by: Duration::from_secs(60),
            duplicate: 0.0,
            spike: 0.0,
            jitter: Duration::ZERO,
        }
    }
}

/// One reading, and what is odd about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// `d0042`, or a symbol.
    pub device: String,
    /// Event time, microseconds since the epoch.
    pub time: i64,
    /// What was measured.
    pub values: Values,
    /// It is far off.
    pub spiked: bool,
    /// It carries an old time.
    pub late: bool,
    /// It is the reading before once more.
    pub duplicate: bool,
}

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Values {
    /// Of a climate sensor.
    Climate {
        /// Degrees Celsius.
        temp: f64,
        /// Relative humidity in percent.
        hum: f64,
    },
    /// Of a ticker.
    Tick {
        /// In the symbol's currency.
        price: f64,
        /// Pieces traded.
        volume: i64,
    },
}

impl Reading {
    /// `{"device":"d0042","ts":1700000000123,"temp":21.53,"hum":40.1}`
    pub fn json(&self) -> String {
        let mut out = format!(r#"{{"device":"{}","ts":{},"#, self.device, self.time / 1000);
        _ = match self.values {
            Values::Climate { temp, hum } => write!(out, r#""temp":{temp:.2},"hum":{hum:.1}}}"#),
            Values::Tick { price, volume } => write!(out, r#""price":{price:.2},"volume":{volume}}}"#),
        };
        out
    }

    /// `d0042,1700000000123,21.53,40.1`
    pub fn csv(&self) -> String {
        let Reading { device, time, .. } = self;
        match self.values {
            Values::Climate { temp, hum } => format!("{device},{},{temp:.2},{hum:.1}", time / 1000),
            Values::Tick { price, volume } => format!("{device},{},{price:.2},{volume}", time / 1000),
        }
    }
}

/// The readings of a fleet, without end.
#[derive(Debug)]
pub struct Simulator {
    options: Options,
    rng: StdRng,
    sensors: Vec<Sensor>,
    count: u64,
    repeat: Option<Reading>,
}

impl Simulator {
    /// A fleet of at least one device at a rate above zero.
    pub fn new(options: Options) -> Self {
        let options = Options { devices: options.devices.max(1), rate: options.rate.max(1e-3), ..options };
        let mut rng = StdRng::seed_from_u64(options.seed);
        let sensors = (0..options.devices).map(|number| Sensor::new(options.kind, number, &mut rng)).collect();
        Simulator { options, rng, sensors, count: 0, repeat: None }
    }

    /// As it was asked for.
    pub fn options(&self) -> &Options {
        &self.options
    }

    fn reading(&mut self) -> Reading {
        if let Some(repeat) = self.repeat.take() {
            return repeat;
        }
        let Options { devices, rate, late, late_by, duplicate, spike, jitter, start, .. } = self.options;
        let due = start + (self.count as f64 / rate * 1e6) as i64;
        let sensor = &mut self.sensors[(self.count % u64::from(devices)) as usize];
        self.count += 1;
        let jitter = jitter.as_micros() as i64;
        let off = if jitter > 0 { self.rng.random_range(-jitter..=jitter) } else { 0 };
        let is_late = self.rng.random_bool(late.clamp(0.0, 1.0));
        let spiked = self.rng.random_bool(spike.clamp(0.0, 1.0));
        let values = sensor.measure(due, spiked, &mut self.rng);
        let time = due + off - if is_late { late_by.as_micros() as i64 } else { 0 };
        let reading = Reading { device: sensor.name.clone(), time, values, spiked, late: is_late, duplicate: false };
        if self.rng.random_bool(duplicate.clamp(0.0, 1.0)) {
            self.repeat = Some(Reading { duplicate: true, ..reading.clone() });
        }
        reading
    }
}

impl Iterator for Simulator {
    type Item = Reading;

    fn next(&mut self) -> Option<Reading> {
        Some(self.reading())
    }
}

/// Hands readings over at the fleet's rate: how many are due now.
#[derive(Debug)]
struct Pace {
    start: tokio::time::Instant,
    rate: f64,
    sent: u64,
}

/// How often due readings are sent.
const TURN: Duration = Duration::from_millis(10);

impl Pace {
    fn new(rate: f64) -> Self {
        Pace { start: tokio::time::Instant::now(), rate, sent: 0 }
    }

    /// Waits a turn and gives how many readings are due.
    async fn due(&mut self) -> u64 {
        tokio::time::sleep(TURN).await;
        let due = (self.start.elapsed().as_secs_f64() * self.rate) as u64;
        let count = due.saturating_sub(self.sent);
        self.sent += count;
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bad_days() -> Options {
        let (late, duplicate, spike) = (0.05, 0.02, 0.01);
        Options {
            devices: 7,
            rate: 100.0,
            late,
            duplicate,
            spike,
            jitter: Duration::from_millis(50),
            ..Default::default()
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_readings() {
        let take = |seed| Simulator::new(Options { seed, ..bad_days() }).take(500).collect::<Vec<_>>();
        assert_eq!(take(3), take(3));
        assert_ne!(take(3), take(4));
    }

    #[test]
    fn oddities_come_at_about_their_share() {
        let readings: Vec<Reading> = Simulator::new(bad_days()).take(20_000).collect();
        let share = |odd: fn(&Reading) -> bool| readings.iter().filter(|r| odd(r)).count() as f64 / 20_000.0;
        assert!((share(|r| r.late) - 0.05).abs() < 0.01);
        assert!((share(|r| r.duplicate) - 0.02).abs() < 0.01);
        assert!((share(|r| r.spiked) - 0.01).abs() < 0.005);
    }

    #[test]
    fn good_days_are_in_order_and_spikes_stand_out() {
        let options = Options { devices: 1, rate: 1.0, ..Default::default() };
        let calm: Vec<Reading> = Simulator::new(options.clone()).take(3_600).collect();
        assert!(calm.windows(2).all(|w| w[1].time - w[0].time == 1_000_000));
        let temps = |readings: &[Reading]| -> Vec<f64> {
            readings.iter().map(|r| if let Values::Climate { temp, .. } = r.values { temp } else { f64::NAN }).collect()
        };
        let steps = temps(&calm).windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f64::max);
        assert!(steps < 2.0, "a calm sensor jumped by {steps}");
        let spiky: Vec<Reading> = Simulator::new(Options { spike: 0.01, ..options }).take(3_600).collect();
        let at = spiky.iter().position(|r| r.spiked).expect("a spike in an hour");
        let temps = temps(&spiky);
        assert!((temps[at] - temps[at - 1]).abs() > 8.0, "{} after {}", temps[at], temps[at - 1]);
    }

    #[test]
    fn readings_are_written_as_json_and_csv() {
        let values = Values::Climate { temp: 21.5, hum: 40.0 };
        let (device, time) = ("d0042".to_owned(), 1_700_000_000_123_000);
        let reading = Reading { device, time, values, spiked: false, late: false, duplicate: false };
        assert_eq!(reading.json(), r#"{"device":"d0042","ts":1700000000123,"temp":21.50,"hum":40.0}"#);
        assert_eq!(reading.csv(), "d0042,1700000000123,21.50,40.0");
        let tick = Simulator::new(Options { kind: Kind::Ticker, ..Default::default() }).next().unwrap();
        let json: serde_json::Value = serde_json::from_str(&tick.json()).unwrap();
        assert!(json["price"].as_f64().unwrap() > 0.0 && json["volume"].is_i64(), "{json}");
    }
}
