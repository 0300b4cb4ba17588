//! One virtual sensor.

use super::{Kind, Values};
use rand::Rng as _;
use rand::rngs::StdRng;
use std::f64::consts::TAU;

const DAY_US: i64 = 86_400_000_000;

/// One virtual sensor.
#[derive(Debug)]
pub(super) struct Sensor {
    pub name: String,
    kind: Kind,
    /// What it hovers about: degrees, or the price now.
    level: f64,
    /// Where its day begins, as a share of a day.
    phase: f64,
}

/// Symbols of the first tickers; further ones are numbered.
const SYMBOLS: [&str; 12] =
    ["ACME", "BOLT", "CORE", "DELT", "ECHO", "FLUX", "GRID", "HALO", "IONS", "JUMP", "KILO", "LUMA"];

impl Sensor {
    pub fn new(kind: Kind, number: u32, rng: &mut StdRng) -> Self {
        let name = match (kind, SYMBOLS.get(number as usize)) {
            (Kind::Ticker, Some(symbol)) => (*symbol).to_owned(),
            (Kind::Ticker, None) => format!("S{number:04}"),
            (Kind::Climate, _) => format!("d{number:04}"),
        };
        let level = match kind {
            Kind::Climate => rng.random_range(18.0..24.0),
            Kind::Ticker => rng.random_range(20.0..400.0),
        };
        Sensor { name, kind, level, phase: rng.random_range(0.0..0.1) }
    }

    pub fn measure(&mut self, time: i64, spiked: bool, rng: &mut StdRng) -> Values {
        let noise = bell(rng);
        let sign = if rng.random_bool(0.5) { 1.0 } else { -1.0 };
        match self.kind {
            Kind::Climate => {
                let day = time.rem_euclid(DAY_US) as f64 / DAY_US as f64 + self.phase;
                let curve = (day * TAU).sin();
                let spike = if spiked { sign * rng.random_range(12.0..30.0) } else { 0.0 };
                let temp = self.level + 4.0 * curve + 0.15 * noise + spike;
                let hum = (45.0 - 10.0 * curve + bell(rng)).clamp(0.0, 100.0);
                Values::Climate { temp: decimals(temp, 100.0), hum: decimals(hum, 10.0) }
            }
            Kind::Ticker => {
                self.level = (self.level * (1.0 + 0.0005 * noise)).max(1.0);
                let spike = if spiked { 1.0 + sign * rng.random_range(0.1..0.3) } else { 1.0 };
                let volume = (bell(rng).abs() * 400.0) as i64 + 1;
                Values::Tick { price: decimals(self.level * spike, 100.0), volume }
            }
        }
    }
}

/// About a normal distribution: mean 0, deviation 1, never beyond 6.
fn bell(rng: &mut StdRng) -> f64 {
    (0..12).map(|_| rng.random_range(0.0..1.0)).sum::<f64>() - 6.0
}

fn decimals(value: f64, scale: f64) -> f64 {
    (value * scale).round() / scale
}
