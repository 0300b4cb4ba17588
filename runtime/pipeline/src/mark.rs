//! What a pipeline commits beside its outputs: the mark (with every commit) and the snapshot (at a checkpoint).
//!
//! Both are a version byte and postcard. Version 1 had neither digests nor quarantines nor notes; it is read, and
//! written no more.

use crate::entry::Entry;
use crate::operator::{SavedOperator, Verdict};
use crate::quarantine::Held;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Version of both encodings; an unknown one is refused.
const VERSION: u8 = 2;

/// Most faulted entries remembered between two snapshots; reaching it forces a checkpoint.
pub(crate) const VERDICTS_MAX: usize = 256;

/// The small state of a pipeline, replaced by every commit that changes it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// Records into and out of each operator at the committed read position: a replay that comes to other numbers
    /// diverged.
    pub counts: Vec<(u64, u64)>,
    /// What faulted since the last snapshot.
    pub verdicts: Verdicts,
    /// What each operator's plugin answered up to there; none in a mark of version 1.
    pub digests: Vec<u64>,
    /// Operators in quarantine that the pipeline goes on without.
    pub held: Vec<Held>,
}

/// What faulted where.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Verdicts {
    /// (input, first position of the entry, operator) and what faulted there.
    entries: Vec<((u32, u64, u32), Verdict)>,
}

impl Verdicts {
    /// What faulted in `operator` at `entry`.
    pub fn at(&self, entry: &Entry, operator: usize) -> Option<&Verdict> {
        let key = key(entry, operator);
        self.entries.iter().find(|(k, _)| *k == key).map(|(_, verdict)| verdict)
    }

    /// Notes what faulted.
    pub fn note(&mut self, entry: &Entry, operator: usize, verdict: Verdict) {
        self.entries.push((key(entry, operator), verdict));
    }

    /// How many are noted.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// A snapshot holds their effect: they are not needed again.
    pub fn clear(&mut self) {
        self.entries.clear();
    }
}

fn key(entry: &Entry, operator: usize) -> (u32, u64, u32) {
    (entry.input as u32, entry.first.0, operator as u32)
}

/// A snapshot's bytes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    /// Of the operators that made it.
    pub fingerprint: u64,
    /// Records into and out of each operator.
    pub counts: Vec<(u64, u64)>,
    /// Each operator's state.
    pub operators: Vec<SavedOperator>,
    /// What each operator's plugin answered so far; none in a snapshot of version 1.
    pub digests: Vec<u64>,
    /// Hashes of what else results depended on, by name: `plugin/1` is the file of the first operator's plugin.
    pub notes: Vec<(String, u64)>,
}

/// What is stored under a version.
pub(crate) trait Stored: Serialize + DeserializeOwned {
    /// How version 1 had it.
    type First: DeserializeOwned + Into<Self>;
}

#[derive(Deserialize)]
pub(crate) struct FirstMark {
    counts: Vec<(u64, u64)>,
    verdicts: Verdicts,
}

#[derive(Deserialize)]
pub(crate) struct FirstCheckpoint {
    fingerprint: u64,
    counts: Vec<(u64, u64)>,
    operators: Vec<SavedOperator>,
}

impl Stored for Mark {
    type First = FirstMark;
}

impl Stored for Checkpoint {
    type First = FirstCheckpoint;
}

impl From<FirstMark> for Mark {
    fn from(FirstMark { counts, verdicts }: FirstMark) -> Self {
        Mark { counts, verdicts, digests: Vec::new(), held: Vec::new() }
    }
}

impl From<FirstCheckpoint> for Checkpoint {
    fn from(FirstCheckpoint { fingerprint, counts, operators }: FirstCheckpoint) -> Self {
        Checkpoint { fingerprint, counts, operators, digests: Vec::new(), notes: Vec::new() }
    }
}

/// Plain data into memory: postcard has no way to fail at that.
pub(crate) fn to_bytes<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).unwrap_or_else(|error| unreachable!("plain data did not encode: {error}"))
}

/// Version byte and postcard.
pub(crate) fn encode<T: Stored>(value: &T) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    bytes.extend(to_bytes(value));
    bytes
}

/// The inverse; the error says what is wrong.
pub(crate) fn decode<T: Stored>(bytes: &[u8]) -> Result<T, String> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => postcard::from_bytes(rest).map_err(|e| e.to_string()),
        Some((1, rest)) => postcard::from_bytes::<T::First>(rest).map(Into::into).map_err(|e| e.to_string()),
        Some((version, _)) => Err(format!("it has version {version}, this gateway knows {VERSION}")),
        None => Err("it is empty".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quarantine::{At, OnQuarantine, Quarantined};

    /// As the gateway before this one wrote it.
    const MARK_1: &[u8] = b"\x01\x01\xac\x02\x07\x01\x00\xe8\x07\x00\x02\x03\x05\x01\x02";
    const CHECKPOINT_1: &[u8] = b"\x01\x2a\x01\xac\x02\x07\x01\x02\x09\x08\x03\x01\x00\x02\x00\x02\x02\x01\x02";

    #[test]
    fn what_version_1_wrote_is_read() {
        let mark: Mark = decode(MARK_1).unwrap();
        let verdicts = Verdicts { entries: vec![((0, 1000, 0), Verdict { rows: vec![3, 5], windows: vec![2] })] };
        assert_eq!(mark, Mark { counts: vec![(300, 7)], verdicts, ..Mark::default() });
        let checkpoint: Checkpoint = decode(CHECKPOINT_1).unwrap();
        assert_eq!((checkpoint.fingerprint, checkpoint.counts), (42, vec![(300, 7)]));
        let SavedOperator { host, version, slots, offsets, states } = &checkpoint.operators[0];
        assert_eq!((&host[..], version, &slots[..]), (&[9, 8][..], &3, &[0][..]));
        assert_eq!((&offsets[..], &states[..]), (&[0, 2][..], &[1, 2][..]));
        assert!(checkpoint.digests.is_empty() && checkpoint.notes.is_empty());
    }

    /// What this version writes, and every later one must read.
    const MARK_2: &[u8] = b"\x02\x01\xac\x02\x07\x01\x00\xe8\x07\x00\x02\x03\x05\x01\x02\x01\x03\x01\x01\x07\x01\x03\x09\x78\x02\x0bstats 1.0.0\
        \x02\x0creadings/0@3\x02d1\x04trap\x01\x0a\x00";
    const CHECKPOINT_2: &[u8] =
        b"\x02\x2a\x01\xac\x02\x07\x01\x02\x09\x08\x03\x01\x00\x02\x00\x02\x02\x01\x02\x01\x03\x01\x08plugin/1\x09";

    #[test]
    fn what_this_version_writes_is_what_is_stored() {
        assert_eq!(encode(&mark_2()), MARK_2, "{}", encode(&mark_2()).escape_ascii());
        assert_eq!(decode::<Mark>(MARK_2).unwrap(), mark_2());
        assert!(decode::<Mark>(&[3]).unwrap_err().contains("version 3"));
        let first: Checkpoint = decode(CHECKPOINT_1).unwrap();
        let checkpoint = Checkpoint { digests: vec![3], notes: vec![("plugin/1".into(), 9)], ..first };
        assert_eq!(encode(&checkpoint), CHECKPOINT_2, "{}", encode(&checkpoint).escape_ascii());
        let read: Checkpoint = decode(CHECKPOINT_2).unwrap();
        assert_eq!((read.digests, read.notes), (checkpoint.digests, checkpoint.notes));
    }

    fn mark_2() -> Mark {
        let run = tidegate_store::Run { commit: 7, arrival: 0, wall: 0, trusted: true, stamped: None, rows: 0 };
        let schema = std::sync::Arc::new(tidegate_record::Schema::new(Vec::new()).unwrap());
        let batch = std::sync::Arc::new(tidegate_record::Batch::empty(schema));
        let (first, next) = (tidegate_store::Position(3), tidegate_store::Position(4));
        let since = At::of(&Entry { input: 1, first, next, run, era: None, batch });
        let shown = Quarantined {
            operator: 2,
            plugin: "stats 1.0.0".into(),
            policy: OnQuarantine::DeadLetter,
            at: "readings/0@3".into(),
            device: "d1".into(),
            reason: "trap".into(),
            release_at: Some(5),
            records: 0,
        };
        let held = vec![Held { operator: 1, since, plugin: 9, wait: 60, shown }];
        let verdicts = Verdicts { entries: vec![((0, 1000, 0), Verdict { rows: vec![3, 5], windows: vec![2] })] };
        Mark { counts: vec![(300, 7)], verdicts, digests: vec![3], held }
    }
}
