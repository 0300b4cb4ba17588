//! Counts what the upstream received, and sees by the identities whether anything is missing.

use serde_json::Value;
use std::collections::BTreeMap;
use tidegate_tests::accounts::RecordId;
use tidegate_tests::upstream::Arrival;

/// Everything received on one path. Keeps counts and the last record, never the records.
#[derive(Debug, Default)]
pub struct Tally {
    /// Records, without second copies.
    pub records: u64,
    /// Second copies: deliveries whose answer was lost.
    pub duplicates: u64,
    /// Offsets that were passed over.
    pub missing: u64,
    /// Requests answered with something else than success.
    pub refused_requests: u64,
    /// The last record.
    pub last: Option<Value>,
    /// The offset that must come next, by log (gateway/stream/partition/epoch).
    next: BTreeMap<String, u64>,
}

impl Tally {
    /// Counts a request.
    pub fn add(&mut self, arrival: &Arrival) {
        if arrival.status >= 300 {
            self.refused_requests += 1;
            return;
        }
        for line in &arrival.lines {
            match serde_json::from_str::<Value>(line) {
                Ok(record) => self.add_record(record),
                Err(error) => eprintln!("the upstream received a line that is no JSON ({error}): {line}"),
            }
        }
    }

    fn add_record(&mut self, record: Value) {
        let Some(id) = record["_id"].as_str().and_then(|id| id.parse::<RecordId>().ok()) else {
            eprintln!("the upstream received a record without identity: {record}");
            return;
        };
        let next = self.next.entry(id.log).or_insert(0);
        if id.offset < *next {
            self.duplicates += 1;
            return;
        }
        self.missing += id.offset - *next;
        *next = id.offset + 1;
        self.records += 1;
        self.last = Some(record);
    }
}
