//! Floats: decimals as integers where that gives back the very same bits, else the bits themselves.

use super::Damage;
use super::ints::Ints;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// A column of floats as stored. The order of the variants is part of the format.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Floats<'a> {
    /// `q / 10^exponent`, but for a few odd rows whose bits are listed.
    Decimals {
        exponent: u8,
        #[serde(borrow)]
        digits: Ints<'a>,
        odd_rows: Vec<u32>,
        odd_bits: Vec<u64>,
    },
    /// The bits, eight planes of one byte a row, lowest first.
    Bits(#[serde(borrow, with = "serde_bytes")] Cow<'a, [u8]>),
}

/// Most decimals tried. 10^9 and the digits below stay exact in a double.
const EXPONENT_MAX: u8 = 9;
const POWERS: [f64; EXPONENT_MAX as usize + 1] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
/// Digits beyond this are not tried: the rounding below is exact only up to here.
const DIGITS_MAX: f64 = (1u64 << 51) as f64;
/// Adding and taking away 1.5 * 2^52 rounds to the nearest integer.
const ROUND: f64 = 6_755_399_441_055_744.0;

impl Floats<'_> {
    pub(super) fn encode(values: &[f64]) -> Floats<'static> {
        // Odd rows cost some 10 bytes each; beyond one in sixteen the bits are as good.
        let odd_max = 4 + values.len() / 16;
        decimals(values, odd_max).unwrap_or_else(|| bits(values))
    }

    pub(super) fn decode(&self, rows: usize) -> Result<Vec<f64>, Damage> {
        match self {
            Floats::Decimals { exponent, digits, odd_rows, odd_bits } => {
                let power = *POWERS.get(usize::from(*exponent)).ok_or_else(|| Damage::new("unknown exponent"))?;
                let mut values: Vec<f64> = digits.decode(rows)?.into_iter().map(|q| q as f64 / power).collect();
                if odd_rows.len() != odd_bits.len() {
                    return Err(Damage::new("odd rows do not match their bits"));
                }
                for (&row, &bits) in odd_rows.iter().zip(odd_bits) {
                    let value =
                        values.get_mut(row as usize).ok_or_else(|| Damage::new("an odd row is out of range"))?;
                    *value = f64::from_bits(bits);
                }
                Ok(values)
            }
            Floats::Bits(data) => {
                if data.len() != rows * 8 {
                    return Err(Damage::new("a column of floats has another length"));
                }
                let plane = |row: usize, byte: usize| u64::from(data[byte * rows + row]) << (byte * 8);
                Ok((0..rows).map(|row| f64::from_bits((0..8).map(|byte| plane(row, byte)).sum())).collect())
            }
        }
    }
}

fn decimals(values: &[f64], odd_max: usize) -> Option<Floats<'static>> {
    let exponent = exponent(values, odd_max)?;
    let power = POWERS[usize::from(exponent)];
    let mut digits = Vec::with_capacity(values.len());
    let (mut odd_rows, mut odd_bits) = (Vec::new(), Vec::new());
    let mut last = 0;
    for (row, &value) in values.iter().enumerate() {
        match digits_of(value, power) {
            Some(q) => last = q,
            None if odd_rows.len() == odd_max => return None,
            None => {
                odd_rows.push(row as u32);
                odd_bits.push(value.to_bits());
            }
        }
        digits.push(last);
    }
    Some(Floats::Decimals { exponent, digits: Ints::encode(&digits), odd_rows, odd_bits })
}

/// The least exponent that fits all but `odd_max` values. A value that fits one fits every larger one too (the quotient
/// is the same number), up to the digits' limit, which [`decimals`] checks again.
fn exponent(values: &[f64], odd_max: usize) -> Option<u8> {
    let (mut exponent, mut odd) = (0, 0);
    for &value in values {
        if digits_of(value, POWERS[usize::from(exponent)]).is_some() {
            continue;
        }
        match (exponent + 1..=EXPONENT_MAX).find(|&e| digits_of(value, POWERS[usize::from(e)]).is_some()) {
            Some(larger) => exponent = larger,
            None if odd == odd_max => return None,
            None => odd += 1,
        }
    }
    Some(exponent)
}

/// `q` where `q / power` is `value` to the bit (so never for NaN, infinities and -0.0).
fn digits_of(value: f64, power: f64) -> Option<i64> {
    let rounded = (value * power + ROUND) - ROUND;
    let same = (rounded / power).to_bits() == value.to_bits();
    // -0.0 survives the division but not the integer.
    let plain = rounded.abs() < DIGITS_MAX && (rounded != 0.0 || value.to_bits() == 0);
    (same && plain).then_some(rounded as i64)
}

fn bits(values: &[f64]) -> Floats<'static> {
    let rows = values.len();
    let mut data = vec![0u8; rows * 8];
    for (row, value) in values.iter().enumerate() {
        for (byte, part) in value.to_bits().to_le_bytes().into_iter().enumerate() {
            data[byte * rows + row] = part;
        }
    }
    Floats::Bits(Cow::Owned(data))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(values: &[f64]) {
        let back = Floats::encode(values).decode(values.len()).unwrap();
        let bits = |v: &[f64]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&back), bits(values));
    }

    #[test]
    fn decimals_are_found_and_odd_values_kept_to_the_bit() {
        let mut values: Vec<f64> = (0..200).map(|i| f64::from(i * 7 % 400) / 100.0).collect();
        assert!(matches!(Floats::encode(&values), Floats::Decimals { exponent: 2, .. }));
        values[3] = -0.0;
        values[50] = f64::from_bits(0x7ff8_0000_dead_beef);
        values[51] = f64::NEG_INFINITY;
        assert!(matches!(Floats::encode(&values), Floats::Decimals { .. }));
        check(&values);
    }

    #[test]
    fn the_edges_round_trip() {
        check(&[]);
        check(&[f64::MAX, f64::MIN_POSITIVE, 5e-324, 1e15, 2251799813685248.0, -2251799813685247.0, 0.1 + 0.2]);
        check(&[f64::NAN, -f64::NAN, f64::INFINITY, -0.0, 0.0]);
    }

    proptest! {
        #[test]
        fn any_bits_round_trip(values in prop::collection::vec(any::<u64>().prop_map(f64::from_bits), 0..100)) {
            check(&values);
        }

        #[test]
        fn any_decimals_round_trip(
            digits in prop::collection::vec(any::<i32>(), 0..100),
            exponent in 0u8..12,
        ) {
            check(&digits.iter().map(|&d| f64::from(d) / 10f64.powi(exponent.into())).collect::<Vec<_>>());
        }
    }
}
