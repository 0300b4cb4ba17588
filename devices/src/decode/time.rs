//! Event times on the wire.

use super::error::DecodeError;
use super::value::Found;
use super::{DecodeOptions, TimeUnit};
use std::time::Duration;
use tidegate_record::Wall;

/// How event times are read and bounded.
#[derive(Debug, Clone)]
pub(super) struct Times {
    unit: TimeUnit,
    numbers_in_text: bool,
    max_future_us: i64,
}

impl Times {
    /// `numbers_in_text`: CSV values are always text.
    pub fn new(options: &DecodeOptions, numbers_in_text: bool) -> Self {
        let max_future_us = i64::try_from(options.max_future.as_micros()).unwrap_or(i64::MAX);
        Times { unit: options.time_unit, numbers_in_text, max_future_us }
    }

    /// Microseconds since the epoch.
    #[inline]
    pub fn read(&self, found: Found<'_>) -> Result<i64, DecodeError> {
        let scale = match self.unit {
            TimeUnit::Seconds => 1_000_000,
            TimeUnit::Millis => 1_000,
            TimeUnit::Micros => 1,
            TimeUnit::Rfc3339 => return read_rfc3339(found),
        };
        match found {
            Found::Integer(value) => value.checked_mul(scale).ok_or_else(|| out_of_range(found)),
            Found::Float(value) => {
                let micros = (value * scale as f64).round();
                // Beyond 2^63 the cast would saturate.
                (micros.abs() < i64::MAX as f64).then_some(micros as i64).ok_or_else(|| out_of_range(found))
            }
            Found::Unsigned(_) => Err(out_of_range(found)),
            Found::Text(text) if self.numbers_in_text => match Found::number_in_text(text) {
                Some(number) => self.read(number),
                None => Err(self.wrong_type(found)),
            },
            _ => Err(self.wrong_type(found)),
        }
    }

    /// Refuses times further ahead of a trusted clock than `max_future`. A clock that is not trusted refuses nothing.
    #[inline]
    pub fn check(&self, micros: i64, wall: Wall) -> Result<(), DecodeError> {
        let ahead = micros.saturating_sub(wall.micros);
        if wall.trusted && ahead > self.max_future_us {
            return Err(DecodeError::Future { ahead: words(Duration::from_micros(ahead.unsigned_abs())) });
        }
        Ok(())
    }

    fn wrong_type(&self, found: Found<'_>) -> DecodeError {
        let expected = match self.unit {
            TimeUnit::Seconds => "a number of seconds since the epoch",
            TimeUnit::Millis => "a number of milliseconds since the epoch",
            TimeUnit::Micros => "a number of microseconds since the epoch",
            TimeUnit::Rfc3339 => "an RFC 3339 time",
        };
        DecodeError::WrongType { name: "time".into(), expected, found: found.shown() }
    }
}

fn read_rfc3339(found: Found<'_>) -> Result<i64, DecodeError> {
    let time = match found {
        Found::Text(text) => text.trim_ascii().parse::<jiff::Timestamp>().ok(),
        _ => None,
    };
    let wrong = || DecodeError::WrongType { name: "time".into(), expected: "an RFC 3339 time", found: found.shown() };
    time.map(|time| time.as_microsecond()).ok_or_else(wrong)
}

fn out_of_range(found: Found<'_>) -> DecodeError {
    DecodeError::OutOfRange { name: "time".into(), found: found.shown() }
}

/// `3 h`, `90 min`, `400 days`: whole units, rounded down.
fn words(ahead: Duration) -> String {
    match ahead.as_secs() {
        s if s >= 3 * 86_400 => format!("{} days", s / 86_400),
        s if s >= 3 * 3_600 => format!("{} h", s / 3_600),
        s if s >= 180 => format!("{} min", s / 60),
        s => format!("{s} s"),
    }
}
