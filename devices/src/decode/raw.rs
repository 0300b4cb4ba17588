//! Frames as they are: a record a frame, for a codec behind it.

use super::Target;
use super::error::DecodeError;
use super::row::Row;
use crate::OptionsError;
use tidegate_record::{BatchBuilder, Scalar, Schema};

/// Where a frame and its topic go.
#[derive(Debug)]
pub(super) struct Raw {
    frame: usize,
    topic: Option<usize>,
}

impl Raw {
    /// `taken`: what the topic's template brings.
    pub fn new(schema: &Schema, taken: &[Target]) -> Result<Self, OptionsError> {
        let place = |name: &str, scalar: Scalar| {
            let at = schema.position(name).filter(|&at| schema.fields()[at].scalar == scalar);
            at.filter(|&at| !taken.contains(&Target::Field(at)))
        };
        let Some(frame) = place("frame", Scalar::Bytes) else {
            let remedy = "give the stream fields = { frame = \"bytes\", topic = \"text\" }";
            return Err(OptionsError::new("decode.format", format!("raw frames need a field for them: {remedy}")));
        };
        Ok(Raw { frame, topic: place("topic", Scalar::Text) })
    }

    pub fn decode(
        &mut self,
        topic: Option<&str>,
        frame: &[u8],
        row: &mut Row<'_>,
        out: &mut BatchBuilder,
    ) -> Result<usize, DecodeError> {
        row.begin();
        out.bytes(self.frame, frame);
        if let Some(at) = self.topic {
            out.text(at, topic.unwrap_or_default());
        }
        row.end(out)?;
        Ok(1)
    }
}
