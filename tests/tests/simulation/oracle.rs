//! What must be true, whatever happened.

use crate::devices;
use crate::gateway::Around;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use tidegate_record::{Batch, Values, streams};
use tidegate_sinks::Request;
use tidegate_sinks::upstream::Record;
use tidegate_store::{LossReason, Partition, Position, Store, Visibility};

/// What the upstream has seen: one record under each identity.
#[derive(Default)]
pub struct Seen {
    /// By stream, epoch, offset.
    records: BTreeMap<(String, u64, u64), Value>,
    /// Records that came again.
    pub duplicates: u64,
}

impl Seen {
    /// Takes a request; gives what is wrong with it. A record that comes again is the same as before.
    pub fn take(&mut self, request: &Request) -> Result<(), String> {
        let (stream, epoch) = (request.partition().stream.to_string(), request.identity().epoch);
        for record in request.records() {
            let key = (stream.clone(), epoch, record.id.offset);
            let value = serde_json::to_value(record.row).expect("a row is JSON");
            match self.records.get(&key) {
                Some(first) if *first == value => self.duplicates += 1,
                Some(first) => return Err(format!("two records under the identity {}: {first}, {value}", record.id)),
                None => _ = self.records.insert(key, value),
            }
        }
        Ok(())
    }

    /// The records of a stream in one epoch.
    fn of(&self, stream: &str, epoch: u64) -> impl Iterator<Item = &Value> {
        self.records.range((stream.into(), epoch, 0)..=(stream.into(), epoch, u64::MAX)).map(|(_, value)| value)
    }

    /// The records of a stream.
    fn all(&self, stream: &str) -> impl Iterator<Item = &Value> {
        self.records.range((stream.into(), 0, 0)..=(stream.into(), u64::MAX, u64::MAX)).map(|(_, value)| value)
    }

    /// Whether a reading came in this stream.
    pub fn has(&self, stream: &str, seq: u64) -> bool {
        self.all(stream).any(|value| value["seq"] == seq)
    }
}

/// The number of a reading.
pub fn seq(record: &Record<'_>) -> u64 {
    serde_json::to_value(record.row).expect("a row is JSON")["seq"].as_u64().expect("a reading has its number")
}

/// Every reading the gateway has said it has is upstream or in its store, or set aside with its reason there. Only dead
/// letters may be dropped (they block nobody, on a full disk neither), and then the ledger has them.
/// `written_off`: what went with a card that was replaced.
pub fn hold_custody(around: &Around, store: &dyn Store, written_off: &BTreeSet<u64>) {
    let mut acked = around.broker.acked();
    acked.retain(|seq| !written_off.contains(seq));
    let of_broker = gone(around, store, ("readings", "sensors"), &acked);
    let direct = gone(around, store, ("direct", "direct"), &around.field.acked());
    let losses = store.health().losses;
    let ledgered: u64 = losses.iter().filter(|loss| &*loss.0 == streams::DEAD_LETTERS).map(|loss| loss.2).sum();
    let dropped = of_broker.len() + direct.len();
    assert!(
        dropped as u64 <= ledgered,
        "acknowledged and lost: {of_broker:?}, {direct:?}; {ledgered} dead letters are in the ledger"
    );
}

/// Those of `acked` that are nowhere: bad ones, for no other may be. They were published below `folder`, for `stream`.
fn gone(around: &Around, store: &dyn Store, (stream, folder): (&str, &str), acked: &BTreeSet<u64>) -> Vec<u64> {
    let seen = crate::world::lock(&around.cloud.seen);
    let bad = |origin: &str| devices::bad(folder, origin);
    let mut safe: BTreeSet<u64> = seen.all(stream).filter_map(|value| value["seq"].as_u64()).collect();
    safe.extend(seen.all(streams::DEAD_LETTERS).filter_map(|value| bad(value["origin"].as_str()?)));
    for batch in stored(store, stream) {
        let Values::Integers(seqs) = &batch.columns()[0].values else { panic!("seq is an integer") };
        safe.extend(seqs.iter().map(|&seq| seq as u64));
    }
    for batch in stored(store, streams::DEAD_LETTERS) {
        let origin = batch.schema().fields().iter().position(|field| field.name == "origin").expect("an origin");
        let Values::Texts(origins) = &batch.columns()[origin].values else { panic!("origin is text") };
        safe.extend((0..batch.rows()).filter_map(|row| bad(origins.text(row))));
    }
    let (dropped, lost): (Vec<u64>, Vec<u64>) = acked.difference(&safe).partition(|seq| devices::is_bad(**seq));
    assert!(lost.is_empty(), "{stream}: acknowledged and lost: {lost:?}");
    dropped
}

fn stored(store: &dyn Store, stream: &str) -> Vec<std::sync::Arc<Batch>> {
    let (partition, mut at) = (Partition::new(stream, 0), Position(0));
    let mut batches = Vec::new();
    while let Some(block) = store.read(&partition, at, Visibility::Durable).expect("it reads") {
        at = block.next;
        batches.push(block.batch);
    }
    batches
}

/// What came upstream is what was sent.
pub fn hold_truth(around: &Around) {
    let seen = crate::world::lock(&around.cloud.seen);
    let sent = |stream, seq| match stream {
        "direct" => around.field.state().sent.get(&seq).map(|sent| sent.payload.clone()),
        _ => around.broker.sent(seq),
    };
    for stream in ["readings", "warm", "brittle", "direct"] {
        for value in seen.all(stream) {
            let seq = value["seq"].as_u64().expect("a number");
            let payload = sent(stream, seq).unwrap_or_else(|| panic!("{stream}: {seq} was never sent"));
            let sent: Value = serde_json::from_str(&payload).unwrap_or_else(|_| panic!("{seq} was no JSON"));
            assert_eq!((&value["device"], &value["temp"]), (&sent["device"], &sent["temp"]), "{stream}: {seq}");
            let time = sent["ts"].as_i64().expect("a time") * 1_000;
            assert_eq!(value["time"], tidegate_record::rfc3339(time), "{stream}: {seq}");
            assert!(stream != "warm" || devices::is_warm(seq), "warm: {seq} is not");
        }
    }
    for value in seen.all("lines") {
        let seq = value["seq"].as_u64().expect("a number");
        assert!(seq < around.meter.written(), "lines: {seq} was never written");
        assert_eq!((&value["device"], &value["temp"]), (&"meter".into(), &devices::temp(seq).into()), "lines: {seq}");
    }
}

/// What a device with a session sends the listener at QoS 2 is taken once, over boots too; what it sends at QoS 1 at most
/// once in each boot that was sent it, for its payloads bring their own time. That holds as long as the card is the same:
/// in one epoch.
pub fn hold_once(around: &Around) {
    let seen = crate::world::lock(&around.cloud.seen);
    let mut taken: BTreeMap<(u64, u64), u64> = BTreeMap::new();
    for ((stream, epoch, _), value) in &seen.records {
        let seq = match &**stream {
            "direct" => value["seq"].as_u64(),
            streams::DEAD_LETTERS => value["origin"].as_str().and_then(|origin| devices::bad("direct", origin)),
            _ => None,
        };
        if let Some(seq) = seq {
            *taken.entry((*epoch, seq)).or_default() += 1;
        }
    }
    let field = around.field.state();
    for ((_, seq), times) in taken {
        let sent = &field.sent[&seq];
        let most = match sent.qos {
            1 => sent.boots.1,
            _ => 1,
        };
        assert!(!sent.kept || times <= most, "direct: {seq} was taken {times} times at QoS {}", sent.qos);
    }
}

/// When all is delivered: inside, every record took effect once, and the accounts add up.
pub fn hold_accounts(around: &Around, store: &dyn Store) {
    let (seen, epoch) = (crate::world::lock(&around.cloud.seen), store.identity().epoch);
    let seqs = |stream: &str| {
        let mut seqs: Vec<u64> = seen.of(stream, epoch).map(|v| v["seq"].as_u64().expect("a number")).collect();
        seqs.sort_unstable();
        seqs
    };
    let (readings, warm) = (seqs("readings"), seqs("warm"));
    let kept: Vec<u64> = readings.iter().copied().filter(|&seq| devices::is_warm(seq)).collect();
    assert_eq!(warm, kept, "the pipeline `warm` made each warm reading once (left), as they were taken in (right)");

    let health = store.health();
    let lost = |stream: &str, reason: LossReason| -> u64 {
        health.losses.iter().filter(|l| l.0 == stream && l.1 == reason).map(|l| l.2).sum()
    };
    // Each passed it, or passed by it, or was one that it faulted on before it was given up.
    let mut missing = readings.clone();
    for seq in seqs("brittle") {
        let at = missing.iter().position(|missing| *missing == seq);
        missing.remove(at.unwrap_or_else(|| panic!("brittle: {seq} came oftener than it was taken in")));
    }
    assert!(missing.iter().all(|&seq| devices::is_brittle(seq)), "brittle: a good reading is missing: {missing:?}");
    let faulted = lost("readings", LossReason::Fault);
    assert_eq!(missing.len() as u64, faulted, "brittle: each missing reading is in the ledger");

    let counted: u64 = seen.of("sums", epoch).map(|v| v["count"].as_u64().expect("a count")).sum();
    let late = lost("readings", LossReason::Late);
    assert_eq!(counted + late, readings.len() as u64, "every reading is in one window, or late ({late})");
    let summed: f64 = seen.of("sums", epoch).map(|v| v["seq_sum"].as_f64().expect("a sum")).sum();
    let sum: u64 = readings.iter().sum();
    assert!(late > 0 || summed == sum as f64, "the windows add up to {summed}, the readings to {sum}");

    let refused = readings.iter().filter(|&&seq| devices::is_refused(seq)).count() as u64;
    assert_eq!(lost("readings", LossReason::Refused), refused, "each refusal is in the ledger once");
    for part in &health.partitions {
        let told = part.stored + part.released + part.lost;
        assert_eq!(part.appended, told, "{}: appended (left) = stored + released + lost", part.partition);
        let stream = &*part.partition.stream;
        let came = seen.of(stream, epoch).count() as u64;
        let given_up = lost(stream, LossReason::Cap);
        assert_eq!(part.lost, given_up, "{stream}: what the cap took is in the ledger");
        assert!(came <= part.appended && came + given_up >= part.appended, "{stream}: {came} came, {part:?}");
    }
    for stream in ["readings", "direct"] {
        assert_eq!(health.partitions.iter().find(|p| &*p.partition.stream == stream).map(|p| p.lost), Some(0));
    }
}

/// Whether every reading taken in is in a window that was delivered, or was late.
pub fn windows_are_closed(around: &Around, store: &dyn Store) -> bool {
    let (seen, epoch, health) = (crate::world::lock(&around.cloud.seen), store.identity().epoch, store.health());
    let late: u64 = health.losses.iter().filter(|l| l.0 == "readings" && l.1 == LossReason::Late).map(|l| l.2).sum();
    let counted: u64 = seen.of("sums", epoch).filter_map(|v| v["count"].as_u64()).sum();
    counted + late >= seen.of("readings", epoch).count() as u64
}
