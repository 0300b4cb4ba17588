//! The small values of the store, serialized with postcard. Blocks have a codec of their own.

use crate::api::LossReason;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// Version of the store's layout as written. A store of format 1 (no clock entries, blocks of format 1) is taken over:
/// its next commit makes it one of format 2. A store of any other version is refused.
pub(crate) const FORMAT: u32 = 2;

/// What the store is and how far its clocks came. `format` comes first in every version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Meta {
    pub(crate) format: u32,
    pub(crate) epoch: u64,
    pub(crate) gateway: String,
    /// The latest arrival time given.
    pub(crate) arrival: i64,
    /// The latest commit number given.
    pub(crate) number: u64,
}

/// How far the store has come, noted beside the medium. A medium that is behind it has lost what it had.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tail {
    pub(crate) epoch: u64,
    /// As in [`Meta`].
    pub(crate) number: u64,
    pub(crate) partitions: Vec<PartitionTail>,
}

/// The end of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PartitionTail {
    pub(crate) stream: u32,
    pub(crate) partition: u32,
    /// As in [`Counters`].
    pub(crate) next: u64,
    pub(crate) appended: u64,
}

/// How the wall clock stood to the arrival clock from a commit on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClockEntry {
    /// The first of a process: what came before it is another's.
    pub(crate) begins: bool,
    pub(crate) arrival: i64,
    pub(crate) wall: i64,
    /// 0 nobody has set it, 1 it may be right, 2 a time service keeps it right.
    pub(crate) trust: u8,
}

/// An entry of the stream catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StreamEntry {
    pub(crate) name: String,
    pub(crate) partitions: u32,
}

/// What is counted of a partition, so that nothing is counted by reading it.
/// `appended = stored + released + lost`, always.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counters {
    /// Oldest position still stored.
    pub(crate) first: u64,
    /// Next position to be given.
    pub(crate) next: u64,
    pub(crate) appended: u64,
    pub(crate) stored: u64,
    pub(crate) released: u64,
    pub(crate) lost: u64,
    /// Bytes of stored blocks, keys and values.
    pub(crate) bytes: u64,
}

/// Everything ever given up of one stream for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LossTotal {
    pub(crate) stream: String,
    pub(crate) count: u64,
}

/// Numbers of the loss reasons: part of the format, never reused.
pub(crate) const REASONS: [LossReason; 10] = [
    LossReason::Cap,
    LossReason::Age,
    LossReason::Late,
    LossReason::Decode,
    LossReason::Fault,
    LossReason::Refused,
    LossReason::Quarantined,
    LossReason::Full,
    LossReason::Thinned,
    LossReason::Purged,
];

/// The stored number of a reason.
pub(crate) fn reason_number(reason: LossReason) -> u32 {
    REASONS.iter().position(|&r| r == reason).unwrap_or(REASONS.len()) as u32
}

/// The bytes of a value.
pub(crate) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).unwrap_or_else(|error| unreachable!("plain values always encode: {error}"))
}

/// A value of its bytes, in words where they are none.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    postcard::from_bytes(bytes).map_err(|error| error.to_string())
}

/// Bytes that [`seal`] adds.
pub(crate) const SEAL_BYTES: usize = 8;

/// Bytes with their XXH3-64 before them, for values that are replaced while others read them.
pub(crate) fn seal(bytes: &[u8]) -> Vec<u8> {
    let mut sealed = xxh3_64(bytes).to_le_bytes().to_vec();
    sealed.extend_from_slice(bytes);
    sealed
}

/// What was sealed, in words where it is not whole.
pub(crate) fn unseal(mut sealed: Vec<u8>) -> Result<Vec<u8>, String> {
    let bytes = sealed.split_off(sealed.len().min(SEAL_BYTES));
    if sealed == xxh3_64(&bytes).to_le_bytes() { Ok(bytes) } else { Err("the checksum does not match".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_keep_their_numbers() {
        let words: Vec<_> = REASONS.iter().map(|r| r.word()).collect();
        let known = ["cap", "age", "late", "decode", "fault", "refused", "quarantined", "full", "thinned", "purged"];
        assert_eq!(words, known);
        for (number, &reason) in REASONS.iter().enumerate() {
            assert_eq!(reason_number(reason), number as u32);
        }
    }

    #[test]
    fn the_format_is_read_before_anything_else_of_the_meta() {
        let meta = Meta { format: 300, epoch: 1, gateway: "g".into(), arrival: -5, number: 9 };
        let bytes = encode(&meta);
        assert_eq!(postcard::take_from_bytes::<u32>(&bytes).map(|(format, _)| format), Ok(300));
        assert_eq!(decode::<Meta>(&bytes), Ok(meta));
    }
}
