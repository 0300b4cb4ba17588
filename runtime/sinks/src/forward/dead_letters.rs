//! Records refused for good, as dead letters.

use crate::Request;
use crate::upstream::{Record, Refused};
use std::sync::Arc;
use tidegate_record::{BatchBuilder, Wall, streams};
use tidegate_store::Append;

/// Most bytes of a refused record (as JSON) kept in its dead letter; `frame_bytes` has its true length.
pub const FRAME_BYTES_MAX: usize = 64 * 1024;

/// Most bytes of an upstream's words kept in a dead letter or shown in a status.
pub const REASON_BYTES_MAX: usize = 512;

/// The dead letters of a request's refused records, which are in order.
pub(super) fn of(sink: &str, request: &Request, refused: &[Refused], wall: Wall) -> Vec<Append> {
    let mut builder = BatchBuilder::new(Arc::new(streams::dead_letters()));
    let stream: Arc<str> = streams::DEAD_LETTERS.into();
    for (record, reason) in records(request, refused) {
        set(&mut builder, &record, reason);
        // A sink's name is a configured name and so always a device's.
        if builder.end_row(sink, wall.micros).is_err() {
            builder.rollback();
        }
    }
    let pieces = Arc::new(builder.finish()).pieces().into_iter();
    pieces.map(|batch| Append { stream: stream.clone(), batch }).collect()
}

/// The refused records with the reasons.
pub(super) fn records<'a>(request: &'a Request, refused: &'a [Refused]) -> impl Iterator<Item = (Record<'a>, &'a str)> {
    let mut refused = refused.iter().peekable();
    request.records().enumerate().filter_map(move |(index, record)| {
        let refused = refused.next_if(|r| r.index == index)?;
        Some((record, refused.reason.as_str()))
    })
}

/// Cuts text at a character, at most `max` bytes.
pub(super) fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

fn set(builder: &mut BatchBuilder, record: &Record<'_>, reason: &str) {
    let frame = serde_json::to_vec(&record.row).unwrap_or_default();
    let origin = format!("{}/{}@{}", record.id.stream, record.id.partition, record.id.offset);
    let schema = builder.schema().clone();
    let place = |name| schema.position(name).unwrap_or_else(|| unreachable!("dead letters have {name}"));
    builder.text(place("stage"), "upstream");
    builder.text(place("reason"), cut(reason, REASON_BYTES_MAX));
    builder.text(place("origin"), &origin);
    builder.bytes(place("frame"), &frame[..frame.len().min(FRAME_BYTES_MAX)]);
    builder.integer(place("frame_bytes"), frame.len() as i64);
}
