//! Moments of values, one value at a time, merged without looking at the values again.
//!
//! Sums are of differences from the first value, which is one of those described: so squares of the differences add up
//! to at most n + 1 times those from the mean (shifted data, Chan, Golub and LeVeque,
//! <https://doi.org/10.1080/00031305.1983.10483115>), whatever the offset. Unlike Welford's way there is no division a
//! value, and values of different slots do not wait for each other.

use serde::{Deserialize, Serialize};

/// What is remembered of the values of one field.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    n: u64,
    first: f64,
    last: f64,
    min: f64,
    max: f64,
    /// Of the differences from the first value.
    sum: f64,
    /// Of their squares.
    squares: f64,
}

/// As version 1 of the state had them: Welford's mean and sum of squares.
#[derive(Deserialize)]
pub struct Welford {
    n: u64,
    mean: f64,
    m2: f64,
    min: f64,
    max: f64,
    _sum: f64,
    first: f64,
    last: f64,
}

impl Default for Moments {
    fn default() -> Self {
        let (min, max) = (f64::INFINITY, f64::NEG_INFINITY);
        Moments { n: 0, first: 0.0, last: 0.0, min, max, sum: 0.0, squares: 0.0 }
    }
}

impl From<Welford> for Moments {
    fn from(w: Welford) -> Self {
        let (n, offset) = (w.n as f64, w.mean - w.first);
        let (sum, squares) = (n * offset, w.m2 + n * offset * offset);
        Moments { n: w.n, first: w.first, last: w.last, min: w.min, max: w.max, sum, squares }
    }
}

impl Moments {
    /// How many values there were.
    pub fn n(&self) -> u64 {
        self.n
    }

    /// Takes in a value, unless it is NaN; whether it did.
    #[inline(always)]
    pub fn add(&mut self, value: f64) -> bool {
        if value.is_nan() {
            return false;
        }
        if self.n == 0 {
            self.first = value;
        }
        self.n += 1;
        let difference = value - self.first;
        self.sum += difference;
        self.squares += difference * difference;
        // Seldom so: a branch that is foreseen costs less than a store.
        if value < self.min {
            self.min = value;
        }
        if value > self.max {
            self.max = value;
        }
        self.last = value;
        true
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
        let (m, offset) = (later.n as f64, later.first - self.first);
        self.squares += later.squares + 2.0 * offset * later.sum + m * offset * offset;
        self.sum += later.sum + m * offset;
        self.n += later.n;
        self.min = self.min.min(later.min);
        self.max = self.max.max(later.max);
        self.last = later.last;
    }

    /// Least, greatest, mean, sample standard deviation, first, last, sum.
    pub fn results(&self) -> [Option<f64>; 7] {
        let any = |value: f64| (self.n > 0).then_some(value);
        let n = self.n as f64;
        let (mean, sum) = (self.first + self.sum / n, self.first * n + self.sum);
        // Rounding may leave it a little below 0; what is not finite among the values stays not a number.
        let variance = || {
            let squares = self.squares - self.sum * self.sum / n;
            if squares < 0.0 { 0.0 } else { squares / (n - 1.0) }
        };
        let stddev = (self.n > 1).then(|| variance().sqrt());
        [any(self.min), any(self.max), any(mean), stddev, any(self.first), any(self.last), any(sum)]
    }
}
