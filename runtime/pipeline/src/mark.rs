//! What a pipeline commits beside its outputs: the mark (with every commit) and the snapshot (at a checkpoint).

use crate::entry::Entry;
use crate::operator::{SavedOperator, Verdict};
use serde::{Deserialize, Serialize};

/// Version of both encodings; an unknown one is refused.
const VERSION: u8 = 1;

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
}

/// Plain data into memory: postcard has no way to fail at that.
pub(crate) fn to_bytes<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).unwrap_or_else(|error| unreachable!("plain data did not encode: {error}"))
}

/// Version byte and postcard.
pub(crate) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    bytes.extend(to_bytes(value));
    bytes
}

/// The inverse; the error says what is wrong.
pub(crate) fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, String> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => postcard::from_bytes(rest).map_err(|e| e.to_string()),
        Some((version, _)) => Err(format!("it has version {version}, this gateway knows {VERSION}")),
        None => Err("it is empty".into()),
    }
}
