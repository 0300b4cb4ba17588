//! Human sizes and durations: `64KiB`, `10MB`, `200ms`, `7d`.

use std::fmt;
use std::time::Duration;

/// A number of bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Size(pub u64);

impl Size {
    pub const fn kib(count: u64) -> Self {
        Size(count << 10)
    }

    pub const fn mib(count: u64) -> Self {
        Size(count << 20)
    }

    pub const fn gib(count: u64) -> Self {
        Size(count << 30)
    }
}

const SIZE_UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

const DURATION_UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// A number of bytes for people: three digits or so and a binary unit.
pub(crate) struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let binary = SIZE_UNITS.iter().filter(|(name, _)| name.ends_with("iB"));
        match { binary }.find(|(_, factor)| self.0 >= *factor) {
            Some((name, factor)) => write!(f, "{:.1} {name}", self.0 as f64 / *factor as f64),
            None => write!(f, "{} B", self.0),
        }
    }
}

/// Bytes of `64KiB`, `10MB`, `1000`; units in any case.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    amount(text, &SIZE_UNITS, Some(1)).ok_or_else(|| {
        format!(
            "{text:?} is no size: write a whole number and a unit (B, KB, MB, GB, KiB, MiB, GiB), such as \"64KiB\""
        )
    })
}

/// A duration of `200ms`, `30s`, `5m`, `2h`, `7d`; it always has a unit.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    amount(text, &DURATION_UNITS, None).map(Duration::from_millis).ok_or_else(|| {
        format!("{text:?} is no duration: write a whole number and a unit (ms, s, m, h, d), such as \"30s\"")
    })
}

fn amount(text: &str, units: &[(&str, u64)], without_unit: Option<u64>) -> Option<u64> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim_start();
    let factor = match units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)) {
        Some((_, factor)) => *factor,
        None if unit.is_empty() => without_unit?,
        None => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_amount(f, self.0, &SIZE_UNITS)
    }
}

impl fmt::Debug for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A duration in the notation of the configuration, the largest unit that divides it.
pub(crate) struct Span(pub Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_amount(f, self.0.as_millis() as u64, &DURATION_UNITS)
    }
}

fn write_amount(f: &mut fmt::Formatter<'_>, amount: u64, units: &[(&str, u64)]) -> fmt::Result {
    let fits = |(_, factor): &&(&str, u64)| amount >= *factor && amount.is_multiple_of(*factor);
    match units.iter().find(fits) {
        Some((name, factor)) => write!(f, "{}{name}", amount / factor),
        None => write!(f, "{amount}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        let cases = [("64KiB", 65536), ("10MB", 10_000_000), ("1 gib", 1 << 30), ("17", 17), ("0", 0), ("5B", 5)];
        for (text, bytes) in cases {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for bad in ["", "KiB", "1.5MiB", "-1", "10XB", "99999999999GiB", "1 2"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
        assert_eq!([Size(65536), Size(1500), Size(10_000_000)].map(|s| s.to_string()), ["64KiB", "1500B", "10MB"]);
    }

    #[test]
    fn durations_are_read_and_written() {
        for (text, millis) in [("200ms", 200), ("30s", 30_000), ("5m", 300_000), ("2h", 7_200_000), ("7d", 604_800_000)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
            assert_eq!(Span(Duration::from_millis(millis)).to_string(), text);
        }
        for bad in ["", "30", "s", "1.5s", "10 parsecs", "999999999999999999d"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
