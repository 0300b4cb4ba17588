//! Records as JSON, a line each.

use serde::ser::{SerializeMap as _, Serializer as _};
use std::ops::Range;
use tidegate_record::{Identity, RecordId};
use tidegate_store::{Block, Dates, Partition};

/// Some records of a block: the identity as `_id`, what is to be said of the time as `_clock`, then what the record holds.
pub fn lines(
    identity: &Identity,
    partition: &Partition,
    (block, dates): (&Block, &Dates),
    rows: Range<usize>,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(rows.len() * 128);
    for row in rows {
        let offset = block.first.0 + row as u64;
        let Partition { stream, number } = partition;
        let id = RecordId { identity, stream, partition: *number, offset, pass: block.pass };
        let mut line = serde_json::Serializer::new(&mut out);
        let written = line.serialize_map(None).and_then(|mut map| {
            map.serialize_entry("_id", &id.to_string())?;
            let (shift, clock) = dates.at(row);
            if let Some(mark) = clock {
                map.serialize_entry("_clock", mark.word())?;
            }
            block.batch.row(row).shifted(shift).serialize_entries(&mut map)?;
            map.end()
        });
        debug_assert!(written.is_ok(), "records are JSON: {written:?}");
        out.push(b'\n');
    }
    out
}
