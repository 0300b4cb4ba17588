//! The books: what was acknowledged, what arrived upstream, and what is wrong between the two.

use super::{Load, Reading};
use crate::accounts::RecordId;
use crate::upstream::{Arrival, Upstream};
use serde_json::Value;
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};

/// Violations that are told one by one; the rest are counted.
const TOLD_MAX: usize = 10;

/// Everything that came upstream, held against what was sent and acknowledged.
#[derive(Debug, Default)]
pub struct Books {
    readings: HashMap<RecordId, Reading>,
    copies: HashMap<Reading, u32>,
    windows: HashMap<RecordId, (String, u64)>,
    /// Acknowledged by the gateway and not seen upstream yet.
    owed: HashSet<Reading>,
    acknowledged: HashSet<Reading>,
    /// Records that came again under the identity they had come under.
    pub again: u64,
    /// Records that are no reading that was sent.
    pub invented: u64,
    /// Records that differ from the reading sent, or from the first one under their identity.
    pub altered: u64,
    /// Requests that were refused.
    pub refused: u64,
    told: Vec<String>,
}

impl Books {
    /// Notes what the gateway has acknowledged.
    pub fn acknowledge(&mut self, readings: HashSet<Reading>) {
        self.owed.extend(readings.iter().filter(|reading| !self.copies.contains_key(reading)));
        self.acknowledged.extend(readings);
    }

    /// Different readings the gateway has acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.len() as u64
    }

    /// Notes what has come upstream since the last call.
    pub fn collect(&mut self, upstream: &Upstream, load: &Load) {
        for arrival in upstream.take_arrivals() {
            match (arrival.status, arrival.path.as_str()) {
                (200, "/readings") => self.each(&arrival, |books, id, record| books.reading(id, &record, load)),
                (200, _) => self.each(&arrival, Self::window),
                _ => self.refused += 1,
            }
        }
    }

    /// Whether this reading has come upstream.
    pub fn has(&self, reading: Reading) -> bool {
        self.copies.contains_key(&reading)
    }

    /// Acknowledged readings that have not come upstream.
    pub fn owed(&self) -> &HashSet<Reading> {
        &self.owed
    }

    /// Different readings that came upstream.
    pub fn delivered(&self) -> u64 {
        self.copies.len() as u64
    }

    /// Readings that are in the stream more than once, under identities of their own: the broker sent them again.
    pub fn taken_again(&self) -> u64 {
        self.readings.len() as u64 - self.delivered()
    }

    /// Records of the readings' stream that came upstream, by identity.
    pub fn records(&self) -> u64 {
        self.readings.len() as u64
    }

    /// The sum of the windows' counts.
    pub fn windowed(&self) -> u64 {
        self.windows.values().map(|(_, count)| count).sum()
    }

    /// Every log (`gateway/stream/partition/epoch`) that records came from.
    pub fn logs(&self) -> BTreeSet<&str> {
        self.readings.keys().chain(self.windows.keys()).map(|id| id.log.as_str()).collect()
    }

    /// The first violations, in words.
    pub fn told(&self) -> &[String] {
        &self.told
    }

    fn each(&mut self, arrival: &Arrival, note: impl Fn(&mut Self, RecordId, Value)) {
        for line in &arrival.lines {
            let mut record: Value = serde_json::from_str(line).unwrap_or_default();
            let id = record["_id"].as_str().and_then(|id| id.parse().ok());
            match id {
                Some(id) => {
                    record["_id"].take();
                    note(self, id, record);
                }
                None => {
                    self.invented += 1;
                    self.tell(|| format!("no record with an identity: {line}"));
                }
            }
        }
    }

    fn reading(&mut self, id: RecordId, record: &Value, load: &Load) {
        let sent = Reading::of(record).filter(|reading| reading.seq < load.rounds());
        let Some(reading) = sent else {
            self.invented += 1;
            return self.tell(|| format!("nobody sent {record}"));
        };
        if !is_as_sent(record, reading, load.begin) {
            self.altered += 1;
            self.tell(|| format!("sent was {}, delivered {record}", reading.json(load.begin)));
        }
        match self.readings.entry(id) {
            Entry::Occupied(first) if *first.get() == reading => self.again += 1,
            Entry::Occupied(first) => {
                let text = format!("{:?} was {:?} and is now {record}", first.key(), first.get());
                self.altered += 1;
                self.tell(|| text);
            }
            Entry::Vacant(new) => {
                new.insert(reading);
                *self.copies.entry(reading).or_default() += 1;
                self.owed.remove(&reading);
            }
        }
    }

    fn window(&mut self, id: RecordId, record: Value) {
        let count = record["count"].as_u64().unwrap_or_default();
        let text = record.to_string();
        match self.windows.entry(id) {
            Entry::Occupied(first) if first.get().0 == text => self.again += 1,
            Entry::Occupied(first) => {
                let text = format!("{:?} was {} and is now {text}", first.key(), first.get().0);
                self.altered += 1;
                self.tell(|| text);
            }
            Entry::Vacant(new) => {
                new.insert((text, count));
            }
        }
    }

    fn tell(&mut self, what: impl FnOnce() -> String) {
        if self.told.len() < TOLD_MAX {
            self.told.push(what());
        }
    }
}

/// Whether a record carries exactly what its reading was sent with.
fn is_as_sent(record: &Value, reading: Reading, begin: i64) -> bool {
    let time = record["time"].as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    record["temp"].as_f64() == Some(reading.temp())
        && time.is_some_and(|time| time.as_microsecond() == reading.time_ms(begin) * 1_000)
}
