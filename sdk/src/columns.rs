//! Columns, as the host hands them over.

use crate::{Blobs, Column, Scalar, Values};

/// A byte a value, 1 where `keep` holds.
///
/// Eight values a turn: the sandbox looks at the clock once a turn, and that costs more than a comparison.
pub fn mask(values: &[f64], mut keep: impl FnMut(f64) -> bool) -> Vec<u8> {
    let mut mask = vec![0; values.len()];
    let (bytes, values) = (mask.chunks_exact_mut(8), values.chunks_exact(8));
    let rest = values.remainder();
    for (bytes, values) in bytes.zip(values) {
        for (byte, &value) in bytes.iter_mut().zip(values) {
            *byte = u8::from(keep(value));
        }
    }
    let from = mask.len() - rest.len();
    mask[from..].iter_mut().zip(rest).for_each(|(byte, &value)| *byte = u8::from(keep(value)));
    mask
}

/// Calls `each` with the number, the slot and the value of every row, in order.
///
/// Four rows a turn, for the same reason as in [`mask`].
#[inline(always)]
pub fn rows(slots: &[u32], values: &[f64], mut each: impl FnMut(usize, u32, f64)) {
    let (slots, slots_left) = slots.as_chunks::<4>();
    let (values, values_left) = values.as_chunks::<4>();
    let mut row = 0;
    for (slots, values) in slots.iter().zip(values) {
        each(row, slots[0], values[0]);
        each(row + 1, slots[1], values[1]);
        each(row + 2, slots[2], values[2]);
        each(row + 3, slots[3], values[3]);
        row += 4;
    }
    for (&slot, &value) in slots_left.iter().zip(values_left) {
        each(row, slot, value);
        row += 1;
    }
}

/// One more than the highest slot, 0 where there is none: so much room a batch needs.
///
/// Four slots a turn, none of which waits for another.
pub fn slots_end(slots: &[u32]) -> usize {
    let (fours, left) = slots.as_chunks::<4>();
    let [mut a, mut b, mut c, mut d] = [0; 4];
    for &[first, second, third, fourth] in fours {
        (a, b, c, d) = (a.max(first), b.max(second), c.max(third), d.max(fourth));
    }
    let most = left.iter().fold(a.max(b).max(c.max(d)), |most, &slot| most.max(slot));
    if slots.is_empty() { 0 } else { most as usize + 1 }
}

impl Column {
    /// Floats, some of them null.
    pub fn floats(values: impl IntoIterator<Item = Option<f64>>) -> Column {
        let (values, valid): (Vec<f64>, Vec<u8>) =
            values.into_iter().map(|value| (value.unwrap_or(0.0), u8::from(value.is_some()))).unzip();
        Column { values: Values::Floats(values), valid: valid.contains(&0).then_some(valid) }
    }

    /// Integers without nulls.
    pub fn integers(values: impl IntoIterator<Item = i64>) -> Column {
        Column { values: Values::Integers(values.into_iter().collect()), valid: None }
    }

    /// The rows named, in that order.
    pub fn take(&self, rows: &[u32]) -> Column {
        fn pick<T: Copy>(values: &[T], rows: &[u32]) -> Vec<T> {
            rows.iter().map(|&row| values[row as usize]).collect()
        }
        let blobs = |blobs: &Blobs| {
            let mut taken = Blobs::none();
            rows.iter().for_each(|&row| taken.push(blobs.at(row as usize)));
            taken
        };
        let values = match &self.values {
            Values::Floats(values) => Values::Floats(pick(values, rows)),
            Values::Integers(values) => Values::Integers(pick(values, rows)),
            Values::Booleans(values) => Values::Booleans(pick(values, rows)),
            Values::Texts(texts) => Values::Texts(blobs(texts)),
            Values::Bytes(bytes) => Values::Bytes(blobs(bytes)),
        };
        Column { values, valid: self.valid.as_ref().map(|valid| pick(valid, rows)) }
    }

    /// Whether row `row` has a value.
    pub fn is_valid(&self, row: usize) -> bool {
        self.valid.as_ref().is_none_or(|valid| valid[row] != 0)
    }

    /// What its values are.
    pub fn scalar(&self) -> Scalar {
        match &self.values {
            Values::Floats(_) => Scalar::Float,
            Values::Integers(_) => Scalar::Integer,
            Values::Booleans(_) => Scalar::Boolean,
            Values::Texts(_) => Scalar::Text,
            Values::Bytes(_) => Scalar::Bytes,
        }
    }

    /// The values as floats, where they are floats or integers (which lose precision beyond 2^53).
    pub fn numbers(&self) -> Option<std::borrow::Cow<'_, [f64]>> {
        match &self.values {
            Values::Floats(values) => Some(values.as_slice().into()),
            Values::Integers(values) => Some(values.iter().map(|&value| value as f64).collect()),
            _ => None,
        }
    }
}

impl Scalar {
    /// The word configuration uses: `f64`, `i64`, `bool`, `text`, `bytes`.
    pub fn word(self) -> &'static str {
        match self {
            Scalar::Float => "f64",
            Scalar::Integer => "i64",
            Scalar::Boolean => "bool",
            Scalar::Text => "text",
            Scalar::Bytes => "bytes",
        }
    }

    /// The scalar a word names.
    pub fn from_word(word: &str) -> Option<Self> {
        let all = [Scalar::Float, Scalar::Integer, Scalar::Boolean, Scalar::Text, Scalar::Bytes];
        all.into_iter().find(|scalar| scalar.word() == word)
    }
}

impl Blobs {
    /// No values.
    pub fn none() -> Blobs {
        Blobs { offsets: vec![0], data: Vec::new() }
    }

    /// Value `index`.
    pub fn at(&self, index: usize) -> &[u8] {
        &self.data[self.offsets[index] as usize..self.offsets[index + 1] as usize]
    }

    /// Appends a value.
    pub fn push(&mut self, value: &[u8]) {
        self.data.extend_from_slice(value);
        self.offsets.push(self.data.len() as u32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_has_a_byte_a_value_at_every_length() {
        for len in 0..40 {
            let values: Vec<f64> = (0..len).map(f64::from).collect();
            let expected: Vec<u8> = values.iter().map(|v| u8::from(v % 3.0 == 0.0)).collect();
            assert_eq!(mask(&values, |v| v % 3.0 == 0.0), expected);
        }
    }

    #[test]
    fn every_row_is_given_once_and_in_order() {
        for len in 0..13 {
            let slots: Vec<u32> = (0..len).collect();
            let values: Vec<f64> = slots.iter().map(|&slot| f64::from(slot) / 2.0).collect();
            let mut seen = Vec::new();
            rows(&slots, &values, |row, slot, value| seen.push((row, slot, value)));
            assert_eq!(seen, (0..).zip(slots).zip(values).map(|((row, slot), v)| (row, slot, v)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_end_of_slots_is_one_more_than_the_highest_wherever_it_stands() {
        assert_eq!((slots_end(&[]), slots_end(&[0]), slots_end(&[u32::MAX])), (0, 1, 1 << 32));
        for len in 1..13 {
            for highest in 0..len {
                let slots: Vec<u32> = (0..len).map(|at| if at == highest { 40 } else { at }).collect();
                assert_eq!(slots_end(&slots), 41, "{slots:?}");
            }
        }
    }

    #[test]
    fn floats_without_nulls_have_no_validity() {
        assert_eq!(Column::floats([Some(1.0)]).valid, None);
        assert_eq!(Column::floats([Some(1.0), None]).valid, Some(vec![1, 0]));
    }
}
