//! Runs of integers: the writing that takes the fewest varint bytes is chosen for each run.

use super::Damage;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// How a run of integers is written. The numbers are part of the format and never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Mode {
    /// `base` is the smallest; each value is a varint of what it is above it.
    OverMin = 0,
    /// `base` is the first value; zigzag varints of the differences follow.
    Delta = 1,
    /// `base` is the first value; zigzag varints of the differences of the differences follow.
    DeltaOfDelta = 2,
}

/// A run of integers as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ints<'a> {
    mode: u8,
    /// Every value was divided by this (times in whole milliseconds or seconds).
    unit: u32,
    base: i64,
    #[serde(borrow, with = "serde_bytes")]
    data: Cow<'a, [u8]>,
}

/// Units tried on times, largest first.
const UNITS: [u32; 2] = [1_000_000, 1_000];

impl Ints<'_> {
    /// Writes `values`.
    pub(super) fn encode(values: &[i64]) -> Ints<'static> {
        encode(values, 1)
    }

    /// Writes microseconds, in the largest unit that loses nothing.
    pub(super) fn encode_times(times: &[i64]) -> Ints<'static> {
        let fits = |unit: &&u32| times.iter().all(|t| t % i64::from(**unit) == 0);
        match UNITS.iter().find(fits) {
            Some(&unit) => {
                let scaled: Vec<i64> = times.iter().map(|t| t / i64::from(unit)).collect();
                encode(&scaled, unit)
            }
            None => encode(times, 1),
        }
    }

    /// Reads exactly `rows` values.
    pub(super) fn decode(&self, rows: usize) -> Result<Vec<i64>, Damage> {
        let mut reader = Varints { data: &self.data };
        let mut out = Vec::with_capacity(rows);
        match self.mode {
            m if m == Mode::OverMin as u8 => {
                for _ in 0..rows {
                    out.push(self.base.wrapping_add(reader.next()? as i64));
                }
            }
            m if m == Mode::Delta as u8 => {
                let mut value = self.base;
                for row in 0..rows {
                    if row > 0 {
                        value = value.wrapping_add(unzigzag(reader.next()?));
                    }
                    out.push(value);
                }
            }
            m if m == Mode::DeltaOfDelta as u8 => {
                let (mut value, mut delta) = (self.base, 0i64);
                for row in 0..rows {
                    if row > 0 {
                        delta = delta.wrapping_add(unzigzag(reader.next()?));
                        value = value.wrapping_add(delta);
                    }
                    out.push(value);
                }
            }
            other => return Err(Damage::new(format!("unknown writing {other} of integers"))),
        }
        if !reader.data.is_empty() {
            return Err(Damage::new("bytes are left behind a run of integers"));
        }
        if self.unit != 1 {
            out.iter_mut().for_each(|v| *v = v.wrapping_mul(i64::from(self.unit)));
        }
        Ok(out)
    }
}

fn encode(values: &[i64], unit: u32) -> Ints<'static> {
    let Some(&first) = values.first() else {
        return Ints { mode: Mode::OverMin as u8, unit, base: 0, data: Cow::Borrowed(&[]) };
    };
    let min = values.iter().copied().min().unwrap_or(first);
    let (mut over_min, mut delta, mut delta_of_delta) = (0, 0, 0);
    let (mut last, mut last_delta) = (first, 0i64);
    for &value in values {
        let difference = value.wrapping_sub(last);
        over_min += varint_len(value.wrapping_sub(min) as u64);
        delta += varint_len(zigzag(difference));
        delta_of_delta += varint_len(zigzag(difference.wrapping_sub(last_delta)));
        (last, last_delta) = (value, difference);
    }
    // The first value is the base of the latter two and is not written again.
    let (delta, delta_of_delta) = (delta - 1, delta_of_delta - 1);
    let least = over_min.min(delta).min(delta_of_delta);
    let mut writer = Writer { data: vec![0; least], at: 0 };
    let (mode, base) = if least == delta_of_delta {
        let mut last_delta = 0i64;
        for pair in values.windows(2) {
            let difference = pair[1].wrapping_sub(pair[0]);
            writer.push(zigzag(difference.wrapping_sub(last_delta)));
            last_delta = difference;
        }
        (Mode::DeltaOfDelta, first)
    } else if least == delta {
        values.windows(2).for_each(|pair| writer.push(zigzag(pair[1].wrapping_sub(pair[0]))));
        (Mode::Delta, first)
    } else {
        values.iter().for_each(|value| writer.push(value.wrapping_sub(min) as u64));
        (Mode::OverMin, min)
    };
    debug_assert_eq!(writer.at, least, "the length was foretold");
    Ints { mode: mode as u8, unit, base, data: Cow::Owned(writer.data) }
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// Bytes of the varint of `value`: one for each seven bits begun.
fn varint_len(value: u64) -> usize {
    let log2 = 63 - (value | 1).leading_zeros() as usize;
    (log2 * 9 + 73) / 64
}

struct Writer {
    data: Vec<u8>,
    at: usize,
}

impl Writer {
    fn push(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.data[self.at] = value as u8 | 0x80;
            self.at += 1;
            value >>= 7;
        }
        self.data[self.at] = value as u8;
        self.at += 1;
    }
}

struct Varints<'a> {
    data: &'a [u8],
}

impl Varints<'_> {
    fn next(&mut self) -> Result<u64, Damage> {
        let mut value = 0u64;
        for (index, &byte) in self.data.iter().enumerate().take(10) {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                self.data = &self.data[index + 1..];
                return Ok(value);
            }
        }
        Err(Damage::new("a run of integers ends early"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip(values: &[i64]) {
        assert_eq!(Ints::encode(values).decode(values.len()).as_deref(), Ok(values));
        assert_eq!(Ints::encode_times(values).decode(values.len()).as_deref(), Ok(values));
    }

    #[test]
    fn the_extremes_round_trip() {
        round_trip(&[]);
        round_trip(&[i64::MIN, i64::MAX, 0, -1, 1, i64::MAX, i64::MIN]);
        round_trip(&[i64::MAX]);
    }

    #[test]
    fn regular_times_take_a_byte_a_row() {
        let times: Vec<i64> = (0..1000).map(|i| 1_767_225_600_000_000 + i * 250_000).collect();
        assert!(Ints::encode_times(&times).data.len() <= 1002);
    }

    #[test]
    fn the_length_of_a_varint_is_foretold() {
        for shift in 0..64 {
            for value in [1u64 << shift, (1u64 << shift) - 1, u64::MAX >> shift] {
                let mut writer = Writer { data: vec![0; 10], at: 0 };
                writer.push(value);
                assert_eq!(writer.at, varint_len(value), "{value}");
            }
        }
    }

    #[test]
    fn runs_that_are_cut_short_or_too_long_are_damage() {
        let ints = Ints::encode(&[1, 500, 3]);
        assert!(ints.decode(4).is_err());
        assert!(ints.decode(2).is_err());
    }

    proptest! {
        #[test]
        fn any_integers_round_trip(values in prop::collection::vec(any::<i64>(), 0..200)) {
            round_trip(&values);
        }

        #[test]
        fn small_integers_round_trip(values in prop::collection::vec(-300i64..300, 0..200)) {
            round_trip(&values);
        }
    }
}
