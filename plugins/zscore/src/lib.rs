//! A detector: how many standard deviations a value lies from its device's recent mean.
//!
//! Mean and variance are exponentially weighted, per device. A value found unusual is taken in as if it lay at the
//! threshold: one spike does not blind the detector, and a lasting change of level is learned after a while.

use serde::{Deserialize, Serialize};
use tidegate::{Batch, Detect, Fault, Field, Finding, Issue, Params, Plan, Plugin, Scalar, Slots, State, rows};

/// What is unusual.
#[derive(Debug, Clone, Params)]
pub struct Options {
    /// The field to look at, a number.
    field: String,
    /// The weight of the newest value, above 0 and at most 1: 0.1 remembers about the last twenty.
    #[param(default = 0.1)]
    alpha: f64,
    /// So many standard deviations from the mean are unusual.
    #[param(default = 4.0)]
    threshold: f64,
    /// So many values of a device come before anything is unusual.
    #[param(default = 20)]
    warmup: u32,
    /// The least standard deviation taken for real, in the field's unit: steadier devices do not alarm at the last digit.
    #[param(default = 0.001)]
    min_deviation: f64,
}

/// What is remembered of a device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Recent {
    seen: u32,
    mean: f64,
    variance: f64,
}

/// The detector.
pub struct Zscore {
    options: Options,
    /// From so many values on, the first ones weigh no more than the others.
    settled: f64,
    devices: Slots<Recent>,
}

impl Plugin for Zscore {
    type Params = Options;

    fn configure(options: Options, fields: &[Field]) -> Result<(Self, Plan), Vec<Issue>> {
        let mut issues = Vec::new();
        let mut check = |holds: bool, at: &str, message: &str| {
            if !holds {
                issues.push(Issue::new(at, message));
            }
        };
        let field = fields.iter().find(|field| field.name == options.field);
        check(field.is_some(), "/field", "the input has no such field");
        let number = |field: &Field| matches!(field.scalar, Scalar::Float | Scalar::Integer);
        check(field.is_none_or(number), "/field", "is not a number");
        check(options.alpha > 0.0 && options.alpha <= 1.0, "/alpha", "is not above 0 and at most 1");
        check(options.threshold > 0.0, "/threshold", "is not above 0");
        check(options.min_deviation > 0.0, "/min_deviation", "is not above 0");
        if !issues.is_empty() {
            return Err(issues);
        }
        let plan = Plan { reads: vec![options.field.clone()], slots: true, ..Plan::default() };
        // One more than it takes: however a division rounds.
        let settled = 1.0 / options.alpha + 1.0;
        Ok((Zscore { options, settled, devices: Slots::default() }, plan))
    }
}

impl Detect for Zscore {
    fn score(&mut self, batch: &Batch, found: &mut Vec<(u32, Finding)>, _: &mut Vec<Fault>) -> Option<Vec<f64>> {
        let slots = batch.slots.as_deref().unwrap_or_default();
        let column = &batch.columns[0];
        let values = column.numbers().unwrap_or_default();
        let Zscore { options, settled, devices } = self;
        let Options { alpha, threshold, warmup, .. } = *options;
        devices.reserve(slots);
        rows(slots, &values, |row, slot, value| {
            if !column.is_valid(row) || !value.is_finite() {
                return;
            }
            let recent = devices.at(slot);
            let score = recent.score(value, options);
            let mut take_in = value;
            if score.abs() >= threshold && recent.seen >= warmup {
                found.push((row as u32, options.finding(score, value, recent.mean)));
                take_in = recent.at(threshold.copysign(score), options);
            }
            recent.take_in(take_in, alpha, *settled);
        });
        None
    }
}

impl Recent {
    fn deviation(&self, options: &Options) -> f64 {
        // Not `max`, which asks each time whether either is no number: the least never is, and is taken then.
        let deviation = self.variance.sqrt();
        if deviation > options.min_deviation { deviation } else { options.min_deviation }
    }

    fn score(&self, value: f64, options: &Options) -> f64 {
        (value - self.mean) / self.deviation(options)
    }

    /// The value with this score.
    fn at(&self, score: f64, options: &Options) -> f64 {
        self.mean + score * self.deviation(options)
    }

    fn take_in(&mut self, value: f64, alpha: f64, settled: f64) {
        // The first values weigh alike, so that the first of all does not linger.
        let seen = f64::from(self.seen);
        let alpha = if seen > settled { alpha } else { alpha.max(1.0 / (seen + 1.0)) };
        let delta = value - self.mean;
        self.mean += alpha * delta;
        self.variance = (1.0 - alpha) * (self.variance + alpha * delta * delta);
        self.seen = self.seen.saturating_add(1);
    }
}

impl Options {
    /// Warning at the threshold, critical at twice it.
    #[cold]
    fn finding(&self, score: f64, value: f64, mean: f64) -> Finding {
        let severity = (25.0 + 25.0 * score.abs() / self.threshold).clamp(50.0, 100.0) as u8;
        let side = if score > 0.0 { "above" } else { "below" };
        let reason =
            format!("{} {value} is {:.1} deviations {side} its recent mean {mean:.4}", self.field, score.abs());
        Finding::new(score, severity, reason)
    }
}

impl State for Zscore {
    fn save(&self, slot: u32, out: &mut Vec<u8>) {
        self.devices.save(slot, out);
    }

    fn load(&mut self, version: u32, slot: u32, state: &[u8]) -> Result<(), String> {
        self.devices.load(version, slot, state)
    }

    fn release(&mut self, slot: u32) {
        self.devices.release(slot);
    }
}

tidegate::export!(detect + state Zscore);

#[cfg(test)]
mod tests;
