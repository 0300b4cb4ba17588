//! Looking a store over: is every block whole, does the arithmetic hold, does every reader stand inside its stream?
//!
//! It reads the medium key by key and keeps one value at a time, so that a full store is verified in little memory. It
//! changes nothing. A store that is at work is looked over as it stood at one moment.

mod facts;

use crate::engine::{LoadError, decode_block};
use crate::keys::{KEY_BYTES, Key, Kind};
use crate::medium::Medium;
use crate::values::Counters;
use facts::Facts;
use serde::{Deserialize, Serialize};

/// Most problems that are told one by one; the others are counted.
const TOLD_MAX: usize = 100;

/// What a store holds and everything that is wrong with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The gateway that made the store.
    pub gateway: String,
    /// The epoch of its records' identities.
    pub epoch: u64,
    /// Every partition, in order of name and number.
    pub partitions: Vec<PartitionReport>,
    /// What is wrong, a sentence each; at most a hundred of them.
    pub problems: Vec<String>,
    /// Problems beyond those.
    pub untold: u64,
}

/// What the blocks of a partition add up to, and what its counters say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionReport {
    /// Its stream.
    pub stream: String,
    /// Its number.
    pub partition: u32,
    /// Whole blocks found.
    pub blocks: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes of all its blocks, keys and values.
    pub bytes: u64,
    /// Oldest position stored.
    pub first: u64,
    /// Next position to be given.
    pub next: u64,
    /// Records ever appended, as counted.
    pub appended: u64,
    /// Records released after every reader passed them, as counted.
    pub released: u64,
    /// Records given up by the store, as counted.
    pub lost: u64,
    /// Where its readers stand.
    pub cursors: Vec<(String, u64)>,
}

impl Report {
    /// Nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }

    fn problem(&mut self, problem: String) {
        if self.problems.len() < TOLD_MAX {
            self.problems.push(problem);
        } else {
            self.untold += 1;
        }
    }
}

/// Looks a medium over. An error is a medium that cannot be read, or a store of a format this version does not know.
pub(crate) fn verify(medium: &dyn Medium) -> Result<Report, LoadError> {
    of(medium, |visit| {
        let (from, to) = Key::all(Kind::Block);
        medium.scan(from, to, &mut |key, bytes| {
            visit(key, bytes);
            true
        })
    })
}

/// Looks over a store that has its blocks, in the order of their keys, from `blocks`, and everything else in `medium`.
pub(crate) fn of(
    medium: &dyn Medium,
    blocks: impl FnOnce(&mut dyn FnMut(Key, &[u8])) -> Result<(), String>,
) -> Result<Report, LoadError> {
    let mut report = Report::default();
    let facts = Facts::read(medium, &mut report)?;
    let mut walk = Walk { facts: &facts, report, found: None, block: None };
    blocks(&mut |key, bytes| walk.part(key, bytes)).map_err(LoadError::Broken)?;
    walk.end_block();
    walk.end_partition();
    let mut report = walk.report;
    facts.add_empty_partitions(&mut report);
    facts.check_losses(&mut report);
    facts.check_tail(medium, &mut report);
    report.partitions.sort_by(|a, b| (&a.stream, a.partition).cmp(&(&b.stream, b.partition)));
    Ok(report)
}

/// The blocks in the order of their keys.
struct Walk<'a> {
    facts: &'a Facts,
    report: Report,
    found: Option<Found>,
    /// The block whose parts are coming, and how many came.
    block: Option<(Key, Vec<u8>, u16)>,
}

/// What was found of the partition whose blocks are coming.
struct Found {
    id: (u32, u32),
    told: PartitionReport,
    /// The end of the block before.
    end: u64,
    /// A block was not readable: what is counted cannot add up, and that was said.
    damaged: bool,
}

impl Walk<'_> {
    fn part(&mut self, key: Key, bytes: &[u8]) {
        if let Some((block, value, parts)) = &mut self.block
            && block.same_value(key)
        {
            if key.part != *parts {
                let missing =
                    format!("{}: part {parts} of the block at {} is missing", self.facts.name(key), key.offset);
                self.report.problem(missing);
            }
            *parts = key.part.saturating_add(1);
            value.extend_from_slice(bytes);
        } else {
            self.end_block();
            if key.part != 0 {
                let missing =
                    format!("{}: the block at {} begins with part {}", self.facts.name(key), key.offset, key.part);
                self.report.problem(missing);
            }
            self.begin_partition(key);
            self.block = Some((key, bytes.to_vec(), key.part.saturating_add(1)));
        }
        if let Some(found) = &mut self.found {
            found.told.bytes += (KEY_BYTES + bytes.len()) as u64;
        }
    }

    fn begin_partition(&mut self, key: Key) {
        let id = (key.stream, key.partition);
        if self.found.as_ref().is_none_or(|found| found.id != id) {
            self.end_partition();
            let told = PartitionReport { first: key.offset, ..self.facts.partition(id) };
            self.found = Some(Found { id, told, end: 0, damaged: false });
        }
    }

    /// All parts of a block are there: it is decoded and held against the one before.
    fn end_block(&mut self) {
        let (Some((key, bytes, _)), Some(found)) = (self.block.take(), &mut self.found) else { return };
        let name = self.facts.name(key);
        let decoded = decode_block(&bytes, key.offset, |id| self.facts.schema(id));
        let end = match &decoded {
            Ok(decoded) => decoded.next.0,
            // What a damaged block says of itself is not to be believed.
            Err(_) => key.offset.saturating_add(1),
        };
        if key.offset < found.end {
            self.report.problem(format!("{name}: the block at {} begins inside the one before it", key.offset));
        }
        found.end = found.end.max(end);
        match decoded {
            Ok(decoded) => {
                found.told.blocks += 1;
                found.told.records += decoded.batch.rows() as u64;
            }
            Err(damage) => {
                found.damaged = true;
                self.report.problem(format!("{name}: the block at {} is damaged: {damage}", key.offset));
            }
        }
    }

    fn end_partition(&mut self) {
        let Some(found) = self.found.take() else { return };
        let counters = self.facts.counters(found.id);
        self.facts.check_counters(&found.told, counters, &mut self.report);
        if !found.damaged && found.told.records != counters.stored {
            let name = format!("{}/{}", found.told.stream, found.told.partition);
            let problem =
                format!("{name}: {} records are stored and {} are counted", found.told.records, counters.stored);
            self.report.problem(problem);
        }
        if found.end > counters.next {
            let name = format!("{}/{}", found.told.stream, found.told.partition);
            let problem = format!("{name}: blocks reach to {} and the next position is {}", found.end, counters.next);
            self.report.problem(problem);
        }
        self.report.partitions.push(found.told);
    }
}

/// `appended = stored + released + lost`, the promise of every partition.
fn conserved(counters: Counters) -> bool {
    let told = counters.stored.checked_add(counters.released).and_then(|sum| sum.checked_add(counters.lost));
    told == Some(counters.appended)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_problems_is_counted() {
        let mut report = Report::default();
        (0..TOLD_MAX + 7).for_each(|n| report.problem(n.to_string()));
        assert_eq!((report.problems.len(), report.untold), (TOLD_MAX, 7));
        assert!(!report.is_sound());
    }
}
