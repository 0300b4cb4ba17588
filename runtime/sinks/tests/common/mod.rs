//! A store with one stream, records in it, and a sink over them.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, reason = "shared by several test binaries")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tidegate_record::{
    Batch, BatchBuilder, Clock, Field, ManualClock, Scalar, Schema, SystemClock, Times, Values, streams,
};
use tidegate_sinks::uplink::Share;
use tidegate_sinks::{Forward, ForwardOptions, Handle, Status, Uplink, UplinkOptions, Upstream};
use tidegate_store::{
    Append, Commit, Error, Hold, Keep, MemoryDisk, MemoryStore, Options, Partition, Position, Refusal, Retention,
    Session, Store, StreamSpec, Thin, ThinValue, Visibility, WhenFull,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The stream the sinks deliver.
pub const STREAM: &str = "readings";
/// Longest wait for anything: long enough for a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// 2026-06-01T00:00:00Z.
pub const NOW: i64 = 1_780_272_000_000_000;

/// A store and a producer that appends to it.
pub struct Site {
    pub store: Arc<dyn Store>,
    disk: MemoryDisk,
    partitions: u32,
    thin: bool,
    clock: Arc<dyn Clock>,
    source: Session,
    schema: Arc<Schema>,
}

/// A sink at work.
pub struct Running {
    pub handle: Handle,
    drain: CancellationToken,
    task: JoinHandle<Result<(), Error>>,
}

impl Site {
    /// A stream `readings` with the fields `n` (i64) and `note` (text), in `partitions`.
    pub fn of(partitions: u32) -> Self {
        Self::on(MemoryDisk::default(), partitions, false, Arc::new(SystemClock::default()))
    }

    /// One partition, and a clock that is moved by hand.
    pub fn at(clock: &Arc<ManualClock>) -> Self {
        Self::on(MemoryDisk::default(), 1, false, clock.clone())
    }

    /// A stream of a few blocks that becomes coarser when it is full: a record a device and minute. Only the sink `cloud`
    /// reads it.
    pub fn thinning() -> Self {
        Self::on(MemoryDisk::default(), 1, true, Arc::new(SystemClock::default()))
    }

    fn on(disk: MemoryDisk, partitions: u32, thin: bool, clock: Arc<dyn Clock>) -> Self {
        let interval = Duration::from_millis(5);
        let options = Options { commit_interval: interval, clock: clock.clone(), ..Options::new("", "plant-7") };
        let store: Arc<dyn Store> = Arc::new(MemoryStore::on(disk.clone(), options, 7));
        let schema = vec![Field::new("n", Scalar::Integer), Field::new("note", Scalar::Text)];
        let schema = Arc::new(Schema::new(schema).unwrap());
        let retention = |keep| Retention { max_bytes: 1 << 30, max_age: None, keep, when_full: WhenFull::DropOldest };
        let spec = |name: &str, schema: Schema, partitions| StreamSpec {
            name: name.into(),
            schema: Arc::new(schema),
            partitions,
            retention: retention(Keep::For(Duration::from_secs(86_400))),
            readers: vec![("sink/cloud".into(), Hold::Cursor), ("sink/alarms".into(), Hold::Cursor)],
        };
        let mut readings = spec(STREAM, Schema::clone(&schema), partitions);
        if thin {
            let thin = Thin { every: Duration::from_secs(60), value: ThinValue::Last };
            let (max_bytes, when_full) = (6_000, WhenFull::Thin(thin));
            readings.retention = Retention { max_bytes, when_full, max_age: None, keep: Keep::UntilRead };
            readings.readers.truncate(1);
        }
        let specs = vec![
            readings,
            spec(streams::DEAD_LETTERS, streams::dead_letters(), 1),
            spec(streams::LEDGER, streams::ledger(), 1),
        ];
        store.declare(specs).unwrap();
        let source = store.attach("source/test").unwrap();
        Site { store, disk, partitions, thin, clock, source, schema }
    }

    /// What is left when the power fails: all that was durable, nothing else.
    pub fn power_cut(self) -> Self {
        self.disk.power_cut();
        Self::on(self.disk, self.partitions, self.thin, self.clock)
    }

    pub fn new() -> Self {
        Self::of(1)
    }

    /// Appends records `n` in `range` in one commit, made durable: one block.
    pub async fn append(&self, range: std::ops::Range<i64>) {
        self.append_with(range, |n| format!("note {n}")).await;
    }

    /// The same with other notes. The device of record `n` is `d{n % 5}`, its time `NOW` and n seconds.
    pub async fn append_with(&self, range: std::ops::Range<i64>, note: impl Fn(i64) -> String) {
        let receipt = self.store.commit(self.commit(range, note)).unwrap_or_else(|refusal| panic!("{refusal:?}"));
        receipt.await.unwrap();
    }

    /// The same with times that the gateway's clock set.
    pub async fn append_dated(&self, range: std::ops::Range<i64>) {
        let mut commit = self.commit(range, |n| format!("note {n}"));
        let appends = std::mem::take(&mut commit.appends);
        appends.into_iter().for_each(|append| commit.append(append, Times::set(self.clock.wall())));
        let receipt = self.store.commit(commit).unwrap_or_else(|refusal| panic!("{refusal:?}"));
        receipt.await.unwrap();
    }

    /// Appends as a source does that waits where the stream is full.
    pub async fn append_patiently(&self, range: std::ops::Range<i64>) {
        let mut commit = self.commit(range, |n| format!("note {n}"));
        loop {
            match self.store.commit(commit) {
                Ok(receipt) => return drop(receipt.await.unwrap()),
                Err(Refusal::Full(back, stream)) => {
                    self.store.room(stream.as_deref()).await;
                    commit = *back;
                }
                Err(Refusal::Failed(error)) => panic!("{error}"),
            }
        }
    }

    fn commit(&self, range: std::ops::Range<i64>, note: impl Fn(i64) -> String) -> Commit {
        let mut builder = BatchBuilder::new(self.schema.clone());
        for n in range {
            builder.integer(0, n);
            builder.text(1, &note(n));
            builder.end_row(&format!("d{}", n % 5), NOW + n * 1_000_000).unwrap();
        }
        let mut commit = Commit::by(&self.source);
        commit.appends.push(Append { stream: STREAM.into(), batch: Arc::new(builder.finish()) });
        commit.hurry = true;
        commit
    }

    /// Cuts the power under the running store, and has it notice.
    pub async fn poison(&self) {
        self.disk.power_cut();
        let commit = self.commit(0..1, |_| String::new());
        let receipt = self.store.commit(commit).unwrap_or_else(|refusal| panic!("{refusal:?}"));
        assert!(receipt.await.is_err(), "a write failed");
    }

    /// Everything durable in partition 0 of a stream, with offsets.
    pub fn read(&self, stream: &str) -> Vec<(u64, Arc<Batch>, usize)> {
        let partition = Partition::new(stream, 0);
        let mut at = self.store.start(&partition).unwrap();
        let mut rows = Vec::new();
        while let Some(block) = self.store.read(&partition, at, Visibility::Durable).unwrap() {
            at = block.next;
            rows.extend((0..block.batch.rows()).map(|row| (block.first.0 + row as u64, block.batch.clone(), row)));
        }
        rows
    }

    /// The offset of each record `n`, over all partitions.
    pub fn offsets(&self) -> BTreeMap<i64, u64> {
        self.read(STREAM).into_iter().map(|(offset, batch, row)| (integer(&batch, "n", row), offset)).collect()
    }

    /// The dead letters as (origin, reason, frame).
    pub fn dead_letters(&self) -> Vec<(String, String, String)> {
        let letters = self.read(streams::DEAD_LETTERS).into_iter();
        letters
            .map(|(_, batch, row)| {
                assert_eq!(text(&batch, "stage", row), "upstream");
                let frame = match &column(&batch, "frame").values {
                    Values::Bytes(bytes) => String::from_utf8_lossy(bytes.at(row)).into_owned(),
                    other => panic!("frames are bytes: {other:?}"),
                };
                assert_eq!(integer(&batch, "frame_bytes", row), frame.len() as i64);
                (text(&batch, "origin", row), text(&batch, "reason", row), frame)
            })
            .collect()
    }

    /// How many records the ledger says `readings` lost.
    pub fn losses(&self) -> u64 {
        self.store.health().losses.iter().filter(|(stream, _, _)| stream == STREAM).map(|(_, _, count)| count).sum()
    }

    /// The durable cursor of the sink in partition 0.
    pub fn cursor(&self) -> Option<Position> {
        self.store.cursor("sink/cloud", &Partition::new(STREAM, 0)).unwrap()
    }

    /// Runs a sink named `cloud` over the stream.
    pub fn run(&self, upstream: impl Upstream, request_bytes_max: usize) -> Running {
        self.run_from(STREAM, upstream, request_bytes_max)
    }

    pub fn run_from(&self, stream: &str, upstream: impl Upstream, request_bytes_max: usize) -> Running {
        let options = ForwardOptions { stream: stream.into(), request_bytes_max, ..sink("cloud") };
        self.run_with(options, upstream, None)
    }

    /// An uplink over this site's store and clock.
    pub fn uplink(&self, options: UplinkOptions) -> Arc<Uplink> {
        Uplink::open(options, self.store.clone(), self.clock.clone()).unwrap()
    }

    /// Runs a sink, with its part of an uplink where it shares one.
    pub fn run_with(
        &self,
        options: ForwardOptions,
        upstream: impl Upstream,
        uplink: Option<(&Arc<Uplink>, Share)>,
    ) -> Running {
        let clock = Arc::new(ManualClock::at(NOW));
        let (forward, handle) = Forward::new(options, self.store.clone(), Box::new(upstream), clock);
        let forward = match uplink {
            Some((uplink, share)) => forward.sharing(uplink.clone(), share),
            None => forward,
        };
        let drain = CancellationToken::new();
        let task = tokio::spawn(forward.run(drain.clone()));
        Running { handle, drain, task }
    }
}

/// A sink over the stream, with short waits.
pub fn sink(name: &str) -> ForwardOptions {
    ForwardOptions {
        name: name.into(),
        stream: STREAM.into(),
        backoff_min: Duration::from_millis(1),
        backoff_max: Duration::from_millis(20),
        ..ForwardOptions::default()
    }
}

impl Running {
    /// Waits for a status; fails the test with the last one.
    pub async fn until(&mut self, wanted: impl FnMut(&Status) -> bool) -> Status {
        let found = tokio::time::timeout(PATIENCE, self.handle.wait_for(wanted)).await;
        match found {
            Ok(Some(status)) => status,
            Ok(None) | Err(_) => panic!("the status is {:?}", self.handle.status()),
        }
    }

    /// Waits until so many records are delivered or refused.
    pub async fn settled(&mut self, records: u64) -> Status {
        self.until(|s| s.delivered + s.refused >= records).await
    }

    /// Ends it in an orderly way.
    pub async fn drain(self) -> Status {
        self.drain.cancel();
        let ended = tokio::time::timeout(PATIENCE, self.task).await.expect("a drain ends");
        ended.expect("no panic").expect("no error");
        self.handle.status()
    }

    /// Ends it where it stands, as a crash does.
    pub async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.is_err_and(|e| e.is_cancelled()), "the sink had ended before");
    }

    /// Waits for it to end by itself.
    pub async fn ended(self) -> Result<(), Error> {
        tokio::time::timeout(PATIENCE, self.task).await.expect("it ends").expect("no panic")
    }
}

/// Something several threads write down.
#[derive(Clone)]
pub struct Notes<T>(Arc<Mutex<Vec<T>>>);

impl<T: Clone> Notes<T> {
    pub fn new() -> Self {
        Notes(Arc::default())
    }

    pub fn push(&self, note: T) {
        self.0.lock().unwrap().push(note);
    }

    pub fn all(&self) -> Vec<T> {
        self.0.lock().unwrap().clone()
    }

    pub fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

fn column<'a>(batch: &'a Batch, name: &str) -> &'a tidegate_record::Column {
    &batch.columns()[batch.schema().position(name).expect("a field")]
}

fn integer(batch: &Batch, name: &str, row: usize) -> i64 {
    match &column(batch, name).values {
        Values::Integers(values) => values[row],
        other => panic!("{name} is {other:?}"),
    }
}

fn text(batch: &Batch, name: &str, row: usize) -> String {
    match &column(batch, name).values {
        Values::Texts(values) => values.text(row).to_owned(),
        other => panic!("{name} is {other:?}"),
    }
}
