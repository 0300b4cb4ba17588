//! Dead letters of a source.

use std::sync::Arc;
use tidegate_record::{Batch, BatchBuilder, Wall, streams};

/// Most bytes of a frame that its dead letter keeps.
pub const LETTER_BYTES_MAX: usize = 64 * 1024;

/// Collects the dead letters of a parcel.
#[derive(Debug)]
pub(crate) struct Letters {
    source: String,
    builder: BatchBuilder,
}

/// Why a frame is set aside.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cause<'a> {
    /// `frame`, `decode`, `time` or `topic`.
    pub stage: &'a str,
    /// A sentence.
    pub reason: &'a str,
    /// The topic or port it came from.
    pub origin: &'a str,
}

impl Letters {
    pub fn new(source: &str) -> Self {
        Letters { source: source.into(), builder: BatchBuilder::new(Arc::new(streams::dead_letters())) }
    }

    /// Sets a frame aside; `frame_bytes` is its true length.
    pub fn push(&mut self, cause: Cause<'_>, frame: &[u8], frame_bytes: u64, wall: Wall) {
        let values = [("stage", cause.stage), ("reason", cause.reason), ("origin", cause.origin)];
        for (name, value) in values {
            if let Some(at) = self.builder.schema().position(name) {
                self.builder.text(at, value);
            }
        }
        if let Some(at) = self.builder.schema().position("frame") {
            self.builder.bytes(at, &frame[..frame.len().min(LETTER_BYTES_MAX)]);
        }
        if let Some(at) = self.builder.schema().position("frame_bytes") {
            self.builder.integer(at, i64::try_from(frame_bytes).unwrap_or(i64::MAX));
        }
        if let Err(error) = self.builder.end_row(&self.source, wall.micros) {
            unreachable!("a source's name is a device id: {error}");
        }
    }

    pub fn rows(&self) -> usize {
        self.builder.rows()
    }

    /// What was collected.
    pub fn finish(&mut self) -> Batch {
        self.builder.finish()
    }
}
