//! Moments of values, one value at a time (Welford), merged without losing precision (Chan).

use serde::{Deserialize, Serialize};

/// What is remembered of the values of one field.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    n: u64,
    mean: f64,
    /// Sum of squared differences from the mean.
    m2: f64,
    min: f64,
    max: f64,
    sum: f64,
    first: f64,
    last: f64,
}

impl Default for Moments {
    fn default() -> Self {
        let (min, max) = (f64::INFINITY, f64::NEG_INFINITY);
        Moments { n: 0, mean: 0.0, m2: 0.0, min, max, sum: 0.0, first: 0.0, last: 0.0 }
    }
}

impl Moments {
    /// Takes in a value; NaN is nothing.
    #[inline]
    pub fn add(&mut self, value: f64) {
        if value.is_nan() {
            return;
        }
        if self.n == 0 {
            self.first = value;
        }
        self.n += 1;
        let delta = value - self.mean;
        self.mean += delta / self.n as f64;
        self.m2 += delta * (value - self.mean);
        self.min = if value < self.min { value } else { self.min };
        self.max = if value > self.max { value } else { self.max };
        self.sum += value;
        self.last = value;
    }

    /// Takes in the moments of later values.
    pub fn merge(&mut self, later: &Moments) {
        if later.n == 0 {
            return;
        }
        if self.n == 0 {
            *self = *later;
            return;
        }
        let (n, m) = (self.n as f64, later.n as f64);
        let delta = later.mean - self.mean;
        self.mean += delta * m / (n + m);
        self.m2 += later.m2 + delta * delta * n * m / (n + m);
        self.n += later.n;
        self.min = self.min.min(later.min);
        self.max = self.max.max(later.max);
        self.sum += later.sum;
        self.last = later.last;
    }

    /// Least, greatest, mean, sample standard deviation, first, last, sum.
    pub fn results(&self) -> [Option<f64>; 7] {
        let any = |value: f64| (self.n > 0).then_some(value);
        let stddev = (self.n > 1).then(|| (self.m2 / (self.n - 1) as f64).max(0.0).sqrt());
        [any(self.min), any(self.max), any(self.mean), stddev, any(self.first), any(self.last), any(self.sum)]
    }
}
