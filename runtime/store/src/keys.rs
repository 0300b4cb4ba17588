//! The layout of the store: one ordered map, one enum of what is in it.
//!
//! Every key is [`KEY_BYTES`] long: kind, stream, partition, offset, part, all big-endian, so that keys sort as their
//! fields do. What a kind does not need is 0.

/// Length of every key.
pub(crate) const KEY_BYTES: usize = 1 + 4 + 4 + 8 + 2;

/// What a key holds. The numbers are part of the format and never reused.
///
/// | kind | stream | partition | offset | value |
/// |---|---|---|---|---|
/// | `Meta` | | | | [`Meta`](crate::values::Meta) |
/// | `Stream` | stream id | | | [`StreamEntry`](crate::values::StreamEntry) |
/// | `Schema` | | | schema id | the schema |
/// | `Counters` | stream id | partition | | [`Counters`](crate::values::Counters) |
/// | `Producer` | producer id | | | its name |
/// | `Cursor` | stream id | partition | producer id | the position |
/// | `State` | producer id | | | the producer's small state |
/// | `SnapshotAt` | producer id | | | the positions of its snapshot |
/// | `Snapshot` | producer id | | | the bytes of its snapshot |
/// | `Losses` | | reason | XXH3-64 of the name | [`LossTotal`](crate::values::LossTotal) |
/// | `Block` | stream id | partition | first offset | a block |
/// | `Clock` | | | commit number | [`ClockEntry`](crate::values::ClockEntry) |
///
/// A value longer than [`PART_BYTES`](crate::medium::PART_BYTES) is split; its parts are numbered from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(crate) enum Kind {
    Meta = 0,
    Stream = 1,
    Schema = 2,
    Counters = 3,
    Producer = 4,
    Cursor = 5,
    State = 6,
    SnapshotAt = 7,
    Snapshot = 8,
    Losses = 9,
    Block = 10,
    Clock = 11,
}

impl Kind {
    /// Every kind, in the order of their numbers.
    pub(crate) const ALL: [Kind; 12] = [
        Kind::Meta,
        Kind::Stream,
        Kind::Schema,
        Kind::Counters,
        Kind::Producer,
        Kind::Cursor,
        Kind::State,
        Kind::SnapshotAt,
        Kind::Snapshot,
        Kind::Losses,
        Kind::Block,
        Kind::Clock,
    ];
}

/// A key, taken apart. Sorts as its bytes do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) kind: Kind,
    pub(crate) stream: u32,
    pub(crate) partition: u32,
    pub(crate) offset: u64,
    pub(crate) part: u16,
}

impl Key {
    /// Part 0 of a value of `kind`.
    pub(crate) fn new(kind: Kind, stream: u32, partition: u32, offset: u64) -> Self {
        Key { kind, stream, partition, offset, part: 0 }
    }

    /// The only key of its kind.
    pub(crate) fn only(kind: Kind) -> Self {
        Key::new(kind, 0, 0, 0)
    }

    /// The key of a stream, a producer or one of its values.
    pub(crate) fn of(kind: Kind, id: u32) -> Self {
        Key::new(kind, id, 0, 0)
    }

    /// The same key with another part.
    pub(crate) fn part(self, part: u16) -> Self {
        Key { part, ..self }
    }

    /// The last key that any part of this value can have.
    pub(crate) fn last_part(self) -> Self {
        self.part(u16::MAX)
    }

    /// First and last key of `kind`.
    pub(crate) fn all(kind: Kind) -> (Self, Self) {
        (Key::only(kind), Key { kind, stream: u32::MAX, partition: u32::MAX, offset: u64::MAX, part: u16::MAX })
    }

    /// Whether `other` is a part of the same value.
    pub(crate) fn same_value(self, other: Key) -> bool {
        self.part(0) == other.part(0)
    }

    pub(crate) fn bytes(self) -> [u8; KEY_BYTES] {
        let mut bytes = [0; KEY_BYTES];
        bytes[0] = self.kind as u8;
        bytes[1..5].copy_from_slice(&self.stream.to_be_bytes());
        bytes[5..9].copy_from_slice(&self.partition.to_be_bytes());
        bytes[9..17].copy_from_slice(&self.offset.to_be_bytes());
        bytes[17..].copy_from_slice(&self.part.to_be_bytes());
        bytes
    }

    /// The key with these bytes; `None` where they are none of ours.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; KEY_BYTES] = bytes.try_into().ok()?;
        let u32_at = |at: usize| bytes[at..at + 4].iter().fold(0u32, |n, &b| n << 8 | u32::from(b));
        Some(Key {
            kind: *Kind::ALL.get(usize::from(bytes[0]))?,
            stream: u32_at(1),
            partition: u32_at(5),
            offset: bytes[9..17].iter().fold(0u64, |n, &b| n << 8 | u64::from(b)),
            part: u16::from_be_bytes([bytes[17], bytes[18]]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_key() -> impl Strategy<Value = Key> {
        (0usize..12, any::<(u32, u32, u64, u16)>()).prop_map(|(kind, (stream, partition, offset, part))| Key {
            kind: Kind::ALL[kind],
            stream,
            partition,
            offset,
            part,
        })
    }

    proptest! {
        #[test]
        fn keys_round_trip_and_sort_as_their_fields(a in any_key(), b in any_key()) {
            prop_assert_eq!(Key::decode(&a.bytes()), Some(a));
            prop_assert_eq!(a.cmp(&b), a.bytes().cmp(&b.bytes()));
        }
    }

    #[test]
    fn the_numbers_of_the_kinds_are_the_format() {
        for (number, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, number);
        }
        assert_eq!(Key::decode(&[12; KEY_BYTES]), None);
        assert_eq!(Key::decode(&[0; KEY_BYTES - 1]), None);
    }
}
