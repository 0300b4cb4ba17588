//! Bookkeeping: what was sent, what arrived, and what is missing between the two.

use serde_json::Value;
use std::collections::{BTreeMap, HashSet};
use std::str::FromStr;

/// `gateway/stream/partition/epoch/offset` (and `~pass` where it was thinned), as every delivered record carries it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordId {
    /// Everything but the offset: a run of offsets belongs to one of these. Thinned records are one of their own.
    pub log: String,
    /// The offset.
    pub offset: u64,
}

impl FromStr for RecordId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no gateway/stream/partition/epoch/offset");
        let (log, offset) = text.rsplit_once('/').ok_or_else(wrong)?;
        if log.split('/').count() != 4 {
            return Err(wrong());
        }
        let (offset, pass) = offset.split_once('~').unwrap_or((offset, ""));
        let log = if pass.is_empty() { log.to_owned() } else { format!("{log}~{pass}") };
        Ok(RecordId { log, offset: offset.parse().map_err(|_| wrong())? })
    }
}

/// Delivered records by identity: duplicates told from first copies, gaps found.
#[derive(Debug, Default)]
pub struct Deliveries {
    seen: BTreeMap<RecordId, Value>,
    /// Records that came again under an identity seen before, with the same content.
    pub duplicates: u64,
    /// Offsets that came before a smaller one of the same log, first copies only.
    pub out_of_order: u64,
    last: BTreeMap<String, u64>,
}

impl Deliveries {
    /// Adds a delivered record. A second copy must be the same as the first.
    pub fn add(&mut self, id: RecordId, record: Value) {
        if let Some(first) = self.seen.get(&id) {
            assert_eq!(first, &record, "two records under the identity {id:?}");
            self.duplicates += 1;
            return;
        }
        let last = self.last.entry(id.log.clone()).or_insert(id.offset);
        if id.offset < *last {
            self.out_of_order += 1;
        }
        *last = (*last).max(id.offset);
        self.seen.insert(id, record);
    }

    /// Adds a line of NDJSON whose `_id` is the identity.
    pub fn add_line(&mut self, line: &str) {
        let mut record: Value = serde_json::from_str(line).expect("a JSON line");
        let id = record.as_object_mut().expect("an object").remove("_id").expect("an identity: _id");
        self.add(id.as_str().expect("text").parse().expect("an identity"), record);
    }

    /// Records without their duplicates, in order of identity.
    pub fn records(&self) -> impl Iterator<Item = &Value> {
        self.seen.values()
    }

    /// How many records, without duplicates.
    pub fn count(&self) -> usize {
        self.seen.len()
    }

    /// The first gap in the offsets of each log, as text; empty when nothing is missing.
    pub fn gaps(&self) -> Vec<String> {
        let mut gaps = Vec::new();
        let mut before: Option<&RecordId> = None;
        for id in self.seen.keys() {
            match before {
                Some(last) if last.log == id.log && last.offset + 1 != id.offset => {
                    gaps.push(format!("{}: {} is missing", id.log, last.offset + 1));
                }
                Some(last) if last.log == id.log => {}
                _ if id.offset != 0 => gaps.push(format!("{}: begins at {}", id.log, id.offset)),
                _ => {}
            }
            before = Some(id);
        }
        gaps
    }
}

/// Sum of an integer field over records; records without it count as 0.
pub fn sum<'a>(records: impl IntoIterator<Item = &'a Value>, field: &str) -> i64 {
    records.into_iter().filter_map(|record| record[field].as_i64()).sum()
}

/// The set of `(device, seq)` of readings and how many came more than once.
pub fn readings(records: &[Value]) -> (HashSet<(String, i64)>, usize) {
    let key = |r: &Value| (r["device"].as_str().unwrap_or_default().to_owned(), r["seq"].as_i64().unwrap_or(-1));
    let unique: HashSet<_> = records.iter().map(key).collect();
    let again = records.len() - unique.len();
    (unique, again)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_and_a_duplicate_are_found() {
        let mut deliveries = Deliveries::default();
        for offset in [0, 1, 3, 1] {
            deliveries.add_line(&format!(r#"{{"_id":"g/s/0/00ff/{offset}","device":"d"}}"#));
        }
        assert_eq!((deliveries.count(), deliveries.duplicates, deliveries.out_of_order), (3, 1, 0));
        assert_eq!(deliveries.gaps(), ["g/s/0/00ff: 2 is missing"]);
    }

    #[test]
    fn identities_are_five_words() {
        assert!("g/s/0/00ff/7".parse::<RecordId>().is_ok());
        assert!("s/0/00ff/7".parse::<RecordId>().is_err());
        assert!("g/s/0/00ff/x".parse::<RecordId>().is_err());
    }
}
