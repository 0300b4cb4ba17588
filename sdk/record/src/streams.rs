//! Schemas of the streams every gateway has.

use crate::{Field, Scalar, Schema};

/// The stream of frames and records set aside. Never blocks anyone: its oldest go first.
pub const DEAD_LETTERS: &str = "dead_letters";
/// The stream of everything given up: the loss ledger. Never blocks anyone.
pub const LEDGER: &str = "ledger";

/// The field of a window's result that says where the window ends, microseconds since the epoch: a time like the
/// record's own.
pub const WINDOW_END: &str = "window_end";

/// Fields of a dead letter. `device` is the source or pipeline it comes from, `time` when it was set aside.
///
/// `stage`: `frame`, `decode`, `time`, `plugin`, `upstream`; `reason`: a sentence; `origin`: topic, port or
/// `stream/partition@offset`; `plugin`: `name version` where a plugin faulted; `frame`: the bytes, cut at the source's
/// limit (`frame_bytes` has the true length).
pub fn dead_letters() -> Schema {
    schema(&[
        ("stage", Scalar::Text),
        ("reason", Scalar::Text),
        ("origin", Scalar::Text),
        ("plugin", Scalar::Text),
        ("frame", Scalar::Bytes),
        ("frame_bytes", Scalar::Integer),
    ])
}

/// Fields of a ledger entry. `device` is the stream (or source) that lost, `time` when it was noted.
///
/// `reason`: `cap`, `age`, `late`, `decode`, `fault`, `refused`, `quarantined`, `full`; `first`..`last`: the offsets
/// where they are known; `count`: records (frames where nothing was decoded); `stage`: who gave them up.
pub fn ledger() -> Schema {
    schema(&[
        ("partition", Scalar::Integer),
        ("reason", Scalar::Text),
        ("stage", Scalar::Text),
        ("count", Scalar::Integer),
        ("first", Scalar::Integer),
        ("last", Scalar::Integer),
    ])
}

fn schema(fields: &[(&str, Scalar)]) -> Schema {
    let fields = fields.iter().map(|&(name, scalar)| Field::new(name, scalar)).collect();
    Schema::new(fields).unwrap_or_else(|error| unreachable!("built-in schema: {error}"))
}
