//! Columns: the values of one field for every row of a batch.

use crate::Scalar;
use std::ops::Range;

/// Variable-length values: value `i` is `data[offsets[i]..offsets[i + 1]]`.
///
/// `offsets` has one entry more than there are values, starts at 0 and never falls; both are private so that this
/// always holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blobs {
    offsets: Vec<u32>,
    data: Vec<u8>,
}

impl Default for Blobs {
    fn default() -> Self {
        Blobs { offsets: vec![0], data: Vec::new() }
    }
}

impl Blobs {
    /// Blobs of the parts, or `None` where `offsets` does not describe `data`.
    pub fn from_parts(offsets: Vec<u32>, data: Vec<u8>) -> Option<Self> {
        let starts = offsets.first() == Some(&0);
        let ends = offsets.last().is_some_and(|&last| last as usize == data.len());
        (starts && ends && offsets.is_sorted()).then_some(Blobs { offsets, data })
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Value `index`; panics when there is none, as slices do.
    pub fn at(&self, index: usize) -> &[u8] {
        &self.data[self.offsets[index] as usize..self.offsets[index + 1] as usize]
    }

    /// Value `index` as text; empty where it is not UTF-8 (which no text column holds).
    pub fn text(&self, index: usize) -> &str {
        std::str::from_utf8(self.at(index)).unwrap_or_default()
    }

    /// Appends a value. The caller keeps `data` under 4 GiB (batches are bounded far below).
    pub fn push(&mut self, value: &[u8]) {
        self.data.extend_from_slice(value);
        self.offsets.push(self.data.len() as u32);
    }

    /// Forgets all but the first `len` values.
    pub fn truncate(&mut self, len: usize) {
        if len < self.len() {
            self.offsets.truncate(len + 1);
            self.data.truncate(self.offsets[len] as usize);
        }
    }

    /// The start of each value, and the end of the last.
    pub fn offsets(&self) -> &[u32] {
        &self.offsets
    }

    /// All values' bytes, one after another.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// All values in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.offsets.windows(2).map(|w| &self.data[w[0] as usize..w[1] as usize])
    }

    fn slice(&self, rows: Range<usize>) -> Self {
        let base = self.offsets[rows.start];
        let end = self.offsets[rows.end];
        Blobs {
            offsets: self.offsets[rows.start..=rows.end].iter().map(|o| o - base).collect(),
            data: self.data[base as usize..end as usize].to_vec(),
        }
    }

    fn take(&self, rows: &[u32]) -> Self {
        let mut out = Blobs { offsets: Vec::with_capacity(rows.len() + 1), data: Vec::new() };
        out.offsets.push(0);
        for &row in rows {
            out.push(self.at(row as usize));
        }
        out
    }

    fn extend_from(&mut self, other: &Blobs, rows: &Range<usize>) {
        let (from, to) = (other.offsets[rows.start], other.offsets[rows.end]);
        let base = self.data.len() as u32;
        self.data.extend_from_slice(&other.data[from as usize..to as usize]);
        self.offsets.extend(other.offsets[rows.start + 1..=rows.end].iter().map(|offset| offset - from + base));
    }
}

/// The values of a column; where a row is null its value is zero, false or empty.
#[derive(Debug, Clone)]
pub enum Values {
    /// Doubles.
    Floats(Vec<f64>),
    /// Signed 64-bit integers.
    Integers(Vec<i64>),
    /// One byte a row, 0 or 1.
    Booleans(Vec<u8>),
    /// Valid UTF-8 in every row.
    Texts(Blobs),
    /// Any bytes.
    Bytes(Blobs),
}

impl PartialEq for Values {
    /// Bit by bit, so that NaN equals itself and a round trip can be checked.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Values::Floats(a), Values::Floats(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(x, y)| x.to_bits() == y.to_bits())
            }
            (Values::Integers(a), Values::Integers(b)) => a == b,
            (Values::Booleans(a), Values::Booleans(b)) => a == b,
            (Values::Texts(a), Values::Texts(b)) | (Values::Bytes(a), Values::Bytes(b)) => a == b,
            _ => false,
        }
    }
}

impl Values {
    /// No values of this scalar.
    pub fn empty(scalar: Scalar) -> Self {
        match scalar {
            Scalar::Float => Values::Floats(Vec::new()),
            Scalar::Integer => Values::Integers(Vec::new()),
            Scalar::Boolean => Values::Booleans(Vec::new()),
            Scalar::Text => Values::Texts(Blobs::default()),
            Scalar::Bytes => Values::Bytes(Blobs::default()),
        }
    }

    /// What the values are.
    pub fn scalar(&self) -> Scalar {
        match self {
            Values::Floats(_) => Scalar::Float,
            Values::Integers(_) => Scalar::Integer,
            Values::Booleans(_) => Scalar::Boolean,
            Values::Texts(_) => Scalar::Text,
            Values::Bytes(_) => Scalar::Bytes,
        }
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        match self {
            Values::Floats(v) => v.len(),
            Values::Integers(v) => v.len(),
            Values::Booleans(v) => v.len(),
            Values::Texts(b) | Values::Bytes(b) => b.len(),
        }
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends the value a null row holds.
    pub(crate) fn push_zero(&mut self) {
        match self {
            Values::Floats(v) => v.push(0.0),
            Values::Integers(v) => v.push(0),
            Values::Booleans(v) => v.push(0),
            Values::Texts(b) | Values::Bytes(b) => b.push(&[]),
        }
    }

    pub(crate) fn truncate(&mut self, rows: usize) {
        match self {
            Values::Floats(v) => v.truncate(rows),
            Values::Integers(v) => v.truncate(rows),
            Values::Booleans(v) => v.truncate(rows),
            Values::Texts(b) | Values::Bytes(b) => b.truncate(rows),
        }
    }

    fn slice(&self, rows: Range<usize>) -> Self {
        match self {
            Values::Floats(v) => Values::Floats(v[rows].to_vec()),
            Values::Integers(v) => Values::Integers(v[rows].to_vec()),
            Values::Booleans(v) => Values::Booleans(v[rows].to_vec()),
            Values::Texts(b) => Values::Texts(b.slice(rows)),
            Values::Bytes(b) => Values::Bytes(b.slice(rows)),
        }
    }

    fn take(&self, rows: &[u32]) -> Self {
        match self {
            Values::Floats(v) => Values::Floats(pick(v, rows)),
            Values::Integers(v) => Values::Integers(pick(v, rows)),
            Values::Booleans(v) => Values::Booleans(pick(v, rows)),
            Values::Texts(b) => Values::Texts(b.take(rows)),
            Values::Bytes(b) => Values::Bytes(b.take(rows)),
        }
    }

    fn extend_from(&mut self, other: &Values, rows: &Range<usize>) {
        match (self, other) {
            (Values::Floats(a), Values::Floats(b)) => a.extend_from_slice(&b[rows.clone()]),
            (Values::Integers(a), Values::Integers(b)) => a.extend_from_slice(&b[rows.clone()]),
            (Values::Booleans(a), Values::Booleans(b)) => a.extend_from_slice(&b[rows.clone()]),
            (Values::Texts(a), Values::Texts(b)) | (Values::Bytes(a), Values::Bytes(b)) => a.extend_from(b, rows),
            (a, b) => unreachable!("columns of one schema agree: {} and {}", a.scalar(), b.scalar()),
        }
    }
}

/// The rows of `values` that `rows` names, in that order.
pub(crate) fn pick<T: Copy>(values: &[T], rows: &[u32]) -> Vec<T> {
    rows.iter().map(|&row| values[row as usize]).collect()
}

/// One field of a batch: values and which of them are null.
#[derive(Debug, Clone)]
pub struct Column {
    /// A value a row.
    pub values: Values,
    /// One byte a row, 1 = there, 0 = null; `None` where nothing is null. Bytes, not bits, so that a column crosses
    /// into a sandbox as one copy; blocks pack it to bits.
    pub valid: Option<Vec<u8>>,
}

impl PartialEq for Column {
    /// Equal values and the same nulls; a validity without a 0 says no more than none.
    fn eq(&self, other: &Self) -> bool {
        let rows = self.values.len();
        self.values == other.values && (0..rows).all(|row| self.is_valid(row) == other.is_valid(row))
    }
}

impl Column {
    /// No rows.
    pub fn empty(scalar: Scalar) -> Self {
        Column { values: Values::empty(scalar), valid: None }
    }

    /// A column without nulls.
    pub fn of(values: Values) -> Self {
        Column { values, valid: None }
    }

    /// What its values take, in bytes.
    pub fn memory_bytes(&self) -> usize {
        let values = match &self.values {
            Values::Floats(values) => size_of_val(&values[..]),
            Values::Integers(values) => size_of_val(&values[..]),
            Values::Booleans(values) => values.len(),
            Values::Texts(blobs) | Values::Bytes(blobs) => blobs.data().len() + size_of_val(blobs.offsets()),
        };
        values + self.valid.as_ref().map_or(0, Vec::len)
    }

    /// `rows` nulls.
    pub fn nulls(scalar: Scalar, rows: usize) -> Self {
        let mut values = Values::empty(scalar);
        (0..rows).for_each(|_| values.push_zero());
        Column { values, valid: (rows > 0).then(|| vec![0; rows]) }
    }

    /// Whether row `row` has a value.
    pub fn is_valid(&self, row: usize) -> bool {
        self.valid.as_ref().is_none_or(|v| v[row] != 0)
    }

    /// The rows in `rows`.
    pub fn slice(&self, rows: Range<usize>) -> Self {
        Column { values: self.values.slice(rows.clone()), valid: self.valid.as_ref().map(|v| v[rows].to_vec()) }
    }

    /// The rows named, in that order.
    pub fn take(&self, rows: &[u32]) -> Self {
        Column { values: self.values.take(rows), valid: self.valid.as_ref().map(|v| pick(v, rows)) }
    }

    /// Appends the rows of a column of the same scalar.
    pub fn extend(&mut self, other: &Column) {
        self.extend_from(other, &(0..other.values.len()));
    }

    /// Appends some rows of a column of the same scalar.
    pub fn extend_from(&mut self, other: &Column, rows: &Range<usize>) {
        let before = self.values.len();
        self.values.extend_from(&other.values, rows);
        match (&mut self.valid, other.valid.as_ref().map(|valid| &valid[rows.clone()])) {
            (None, None) => {}
            (Some(mine), Some(theirs)) => mine.extend_from_slice(theirs),
            (Some(mine), None) => mine.resize(self.values.len(), 1),
            (mine @ None, Some(theirs)) => {
                let mut all = vec![1; before];
                all.extend_from_slice(theirs);
                *mine = Some(all);
            }
        }
    }

    /// Forgets all rows, not the room they took.
    pub fn clear(&mut self) {
        self.values.truncate(0);
        self.valid = None;
    }
}
