//! A place in a stream as a person says it.

use std::fmt;
use std::str::FromStr;
use tidegate_record::rfc3339;
use tidegate_store::{Block, Error, Offline, Partition, Position, Store, offset_at};

/// An offset, or when a record arrived by the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub enum When {
    /// Of a record.
    Offset(u64),
    /// Microseconds since the epoch.
    Time(i64),
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(offset) = text.parse() {
            return Ok(When::Offset(offset));
        }
        let time = jiff::Timestamp::from_str(text);
        let time = time.map_err(|_| format!("{text:?} is neither an offset nor a time like 2026-01-31T08:00:00Z"))?;
        Ok(When::Time(time.as_microsecond()))
    }
}

impl TryFrom<String> for When {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// As it is parsed.
impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            When::Offset(offset) => offset.fmt(f),
            When::Time(time) => f.write_str(&rfc3339(*time)),
        }
    }
}

impl When {
    /// The position it is in a partition of a store at work.
    pub(crate) fn in_store(self, store: &dyn Store, partition: &Partition) -> Result<Position, Error> {
        match self {
            When::Offset(offset) => Ok(Position(offset)),
            When::Time(time) => offset_at(store, partition, time),
        }
    }

    /// The offset it is in a partition.
    pub(crate) fn offset(self, store: &Offline, stream: &str, partition: u32) -> Result<u64, String> {
        match self {
            When::Offset(offset) => Ok(offset),
            When::Time(time) => store.offset_at(stream, partition, time).map_err(|error| error.to_string()),
        }
    }

    /// How many rows of a block come before it.
    pub(crate) fn rows_before(self, block: &Block) -> usize {
        let rows = block.batch.rows();
        match self {
            When::Offset(offset) => usize::try_from(offset.saturating_sub(block.first.0)).unwrap_or(rows).min(rows),
            When::Time(time) => {
                let earlier = block.runs.iter().take_while(|run| run.wall < time);
                earlier.map(|run| run.rows as usize).sum::<usize>().min(rows)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_and_times_are_understood() {
        assert_eq!("17".parse(), Ok(When::Offset(17)));
        assert_eq!("1970-01-01T00:00:01Z".parse(), Ok(When::Time(1_000_000)));
        assert_eq!("1970-01-01T01:00:01+01:00".parse(), Ok(When::Time(1_000_000)));
        assert_eq!(When::Time(1_000_000).to_string().parse(), Ok(When::Time(1_000_000)));
        for text in ["", "-1", "yesterday", "2026-01-31"] {
            assert!(text.parse::<When>().is_err(), "{text}");
        }
    }
}
