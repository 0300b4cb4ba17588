//! How large records become as JSON, without writing them: requests are cut by it.
//!
//! It is a function of the records alone (and an upper bound, reached by text that needs no escapes and numbers of
//! full length), so the same records are cut the same way at every start.

use tidegate_record::{Batch, Identity, Values};
use tidegate_store::Partition;

/// `"time":"-009999-01-01T00:00:00.000000Z",`, braces and a line end.
const FRAME_BYTES: usize = 64;
/// `-1.7976931348623157e+308`.
const FLOAT_BYTES: usize = 24;
/// `-9223372036854775808`.
const INTEGER_BYTES: usize = 20;
/// `false`.
const BOOLEAN_BYTES: usize = 5;
/// `"_id":"///0123456789abcdef/18446744073709551615~255",` and a partition of ten digits.
const ID_BYTES: usize = 76;

/// `"_clock":"corrected",`: of every record whose time the gateway set, so that what becomes known of its clock between
/// two deliveries does not change how records are cut.
pub(super) const CLOCK_BYTES: usize = 21;

/// Most bytes each record of a partition may take as JSON.
#[derive(Debug)]
pub(super) struct Sizes {
    each: usize,
}

impl Sizes {
    pub(super) fn new(identity: &Identity, partition: &Partition) -> Self {
        Sizes { each: FRAME_BYTES + ID_BYTES + identity.gateway.len() + partition.stream.len() }
    }

    /// Of one record.
    pub(super) fn row(&self, batch: &Batch, row: usize) -> usize {
        let fields = batch.schema().fields().iter().zip(batch.columns());
        let values: usize = fields
            .filter(|(_, column)| column.is_valid(row))
            .map(|(field, column)| {
                field.name.len()
                    + 4
                    + match &column.values {
                        Values::Floats(_) => FLOAT_BYTES,
                        Values::Integers(_) => INTEGER_BYTES,
                        Values::Booleans(_) => BOOLEAN_BYTES,
                        Values::Texts(texts) => quoted(texts.at(row)),
                        Values::Bytes(bytes) => bytes.at(row).len().div_ceil(3) * 4 + 2,
                    }
            })
            .sum();
        self.each + "\"device\":,".len() + quoted(batch.device(row).as_bytes()) + values
    }
}

/// Text in quotes with its escapes.
fn quoted(text: &[u8]) -> usize {
    let escapes: usize = text
        .iter()
        .map(|byte| match byte {
            b'"' | b'\\' => 2,
            0..=0x1f => 6,
            _ => 1,
        })
        .sum();
    escapes + 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::{Identified, Request};
    use std::sync::Arc;
    use tidegate_record::{BatchBuilder, Field, Scalar, Schema};
    use tidegate_store::{ClockMark, Dates, Dating, Run};

    #[test]
    fn no_record_is_larger_than_it_is_taken_for() {
        let fields = [Scalar::Float, Scalar::Integer, Scalar::Boolean, Scalar::Text, Scalar::Bytes];
        let fields = fields.iter().map(|&s| Field::new(s.word(), s)).collect();
        let mut builder = BatchBuilder::new(Arc::new(Schema::new(fields).unwrap()));
        for (device, time, float, integer, text, bytes) in [
            ("a", 0, 0.0, 0, "", vec![]),
            ("q\"\\", i64::MAX, -f64::MAX, i64::MIN, "\u{1}\u{7f}\n\"\\ü€", vec![0; 1]),
            ("long", -1, f64::MIN_POSITIVE, i64::MAX, &"\u{0}".repeat(300), vec![255; 301]),
            ("nan", -377_000_000_000_000_000, f64::NAN, -1, "x", vec![1, 2, 3]),
        ] {
            builder.float(0, float);
            builder.integer(1, integer);
            builder.boolean(2, false);
            builder.text(3, text);
            builder.bytes(4, &bytes);
            builder.end_row(device, time).unwrap();
        }
        let batch = Arc::new(builder.finish());
        let identity = Identity { gateway: "g".into(), epoch: u64::MAX };
        let partition = Partition::new("s", u32::MAX);
        let sizes = Sizes::new(&identity, &partition);
        let mut request = Request::new(identity, partition);
        request.push(u64::MAX - 5, u8::MAX, batch.clone(), 0..4);
        for (row, record) in request.records().enumerate() {
            let json = serde_json::to_vec(&Identified(record)).unwrap();
            let most = sizes.row(&batch, row);
            assert!(json.len() < most, "row {row}: {} bytes, taken for {most}", json.len());
        }
        // The same where the gateway set their times, and its clock was set since.
        let corrected = Dating { since: 1, offset: 0, shift: 1, mark: Some(ClockMark::Corrected) };
        let run = Run { commit: 1, arrival: 0, wall: 0, trusted: false, stamped: Some(1), rows: 4 };
        let before: Vec<_> = request.records().map(|r| serde_json::to_vec(&Identified(r)).unwrap().len()).collect();
        request.date(Arc::new(Dates::of(&[run], |_| Some(corrected))));
        let after = request.records().map(|r| serde_json::to_vec(&Identified(r)).unwrap().len());
        assert_eq!(after.zip(before).map(|(a, b)| a - b).collect::<Vec<_>>(), [CLOCK_BYTES; 4]);
    }
}
