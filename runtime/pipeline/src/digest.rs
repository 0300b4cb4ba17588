//! What a plugin answered, as a number that another answer does not give.

use tidegate_record::{Blobs, Column, Values};
use xxhash_rust::xxh3::xxh3_64;

/// 2^64 over the golden ratio: odd, with bits all over.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
/// Words that are hashed at a time.
const WORDS: usize = 128;

/// A running digest: XXH3-64 of each answer, chained. Floats go in by their bits: the sandbox makes NaNs one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Digest(pub u64);

impl Digest {
    /// Takes in a number.
    pub fn number(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(29) ^ number).wrapping_mul(FACTOR);
    }

    /// Takes in bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.number(xxh3_64(bytes));
    }

    /// Takes in numbers.
    pub fn numbers(&mut self, numbers: &[u32]) {
        self.words(numbers, |number| number.to_le_bytes());
    }

    /// Takes in a column.
    pub fn column(&mut self, column: &Column) {
        match &column.values {
            Values::Floats(values) => self.words(values, |value| value.to_bits().to_le_bytes()),
            Values::Integers(values) => self.words(values, |value| value.to_le_bytes()),
            Values::Booleans(values) => self.bytes(values),
            Values::Texts(blobs) | Values::Bytes(blobs) => self.blobs(blobs),
        }
        if let Some(valid) = &column.valid {
            self.bytes(valid);
        }
    }

    fn blobs(&mut self, blobs: &Blobs) {
        self.numbers(blobs.offsets());
        self.bytes(blobs.data());
    }

    fn words<T: Copy, const N: usize>(&mut self, words: &[T], bytes: impl Fn(T) -> [u8; N]) {
        self.number(words.len() as u64);
        let mut buffer = [[0; N]; WORDS];
        for some in words.chunks(WORDS) {
            buffer.iter_mut().zip(some).for_each(|(place, word)| *place = bytes(*word));
            self.number(xxh3_64(buffer[..some.len()].as_flattened()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64], valid: Option<Vec<u8>>) -> Digest {
        let mut digest = Digest::default();
        digest.column(&Column { values: Values::Floats(values.to_vec()), valid });
        digest
    }

    #[test]
    fn another_answer_is_another_digest() {
        let values: Vec<f64> = (0..300).map(f64::from).collect();
        let one = of(&values, None);
        assert_eq!(one, of(&values, None));
        for row in [0, 127, 128, 299] {
            let mut other = values.clone();
            other[row] += 0.5;
            assert_ne!(one, of(&other, None), "row {row}");
        }
        assert_ne!(one, of(&values[..299], None));
        assert_ne!(one, of(&values, Some(vec![1; 300])));
        assert_ne!(of(&[0.0], None), of(&[-0.0], None));
    }

    #[test]
    fn the_order_of_answers_counts() {
        let (mut one, mut other) = (Digest::default(), Digest::default());
        one.bytes(&[1, 0]);
        one.bytes(&[0, 1]);
        other.bytes(&[0, 1]);
        other.bytes(&[1, 0]);
        assert_ne!(one, other);
    }
}
