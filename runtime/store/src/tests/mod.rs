//! Tests of the store as its users see it, on both media.

mod clocks;
mod commits;
mod damage;
mod deliveries;
mod disk_room;
mod garbage;
mod model;
mod online;
mod reads;
mod retention;
mod steps;
mod thinning;
mod verify;

use crate::{
    Append, Block, ClockMark, Commit, Dates, Engine, Hold, Keep, MemoryStore, Options, Partition, PartitionHealth,
    Position, Receipt, Refusal, Retention, Run, Session, Store, StreamSpec, Visibility, WhenFull, sled,
};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tidegate_record::{Batch, BatchBuilder, Clock as _, Field, ManualClock, Scalar, Schema, Times, streams};

/// Longest a test waits for anything.
const DEADLINE: Duration = Duration::from_secs(30);
/// 2026-06-01.
const WALL: i64 = 1_780_272_000_000_000;

/// A store of either kind, and what it is reopened from.
struct Rig {
    store: Option<Box<dyn Store>>,
    disk: Disk,
    options: Options,
    clock: Arc<ManualClock>,
}

enum Disk {
    Memory(crate::MemoryDisk),
    Sled { _dir: TempDir },
}

impl Rig {
    fn memory(seed: u64, tune: impl Fn(&mut Options)) -> Rig {
        let clock = Arc::new(ManualClock::at(WALL));
        let options = options("unused", &clock, tune);
        let store = MemoryStore::new(options.clone(), seed);
        Rig { disk: Disk::Memory(store.disk()), store: Some(Box::new(store)), options, clock }
    }

    fn sled(tune: impl Fn(&mut Options)) -> Rig {
        let clock = Arc::new(ManualClock::at(WALL));
        let dir = tempfile::tempdir().unwrap();
        let options = options(dir.path().to_str().unwrap(), &clock, tune);
        let store = sled::open(options.clone()).unwrap();
        Rig { store: Some(Box::new(store)), disk: Disk::Sled { _dir: dir }, options, clock }
    }

    /// One of each, for what must hold on both.
    fn both() -> [Rig; 2] {
        [Rig::memory(1, |_| {}), Rig::sled(|_| {})]
    }

    fn store(&self) -> &dyn Store {
        self.store.as_deref().unwrap()
    }

    /// Closes the store and opens it again; streams are to be declared again.
    fn reopen(&mut self) {
        wait(self.store().close()).unwrap();
        self.begin_again();
    }

    /// Opens it again as after a crash. On sled a close comes before it: power cuts are tested elsewhere.
    fn crash(&mut self) {
        match &self.disk {
            Disk::Memory(disk) => disk.power_cut(),
            Disk::Sled { .. } => wait(self.store().close()).unwrap(),
        }
        self.begin_again();
    }

    /// Closes the store and looks over what it left.
    fn verify(&mut self) -> crate::Report {
        wait(self.store().close()).unwrap();
        self.store = None;
        match &self.disk {
            Disk::Memory(disk) => crate::verify::verify(&crate::memory::Plugged::into(disk.clone())).unwrap(),
            Disk::Sled { .. } => sled::verify(&self.options.path).unwrap(),
        }
    }

    fn begin_again(&mut self) {
        self.store = None;
        self.store = Some(match &self.disk {
            Disk::Memory(disk) => Box::new(MemoryStore::on(disk.clone(), self.options.clone(), 7)),
            Disk::Sled { .. } => Box::new(sled::open(self.options.clone()).unwrap()),
        });
    }
}

fn options(path: &str, clock: &Arc<ManualClock>, tune: impl Fn(&mut Options)) -> Options {
    let mut options = Options::new(path, "plant-7");
    options.commit_interval = Duration::from_millis(1);
    options.clock = clock.clone();
    tune(&mut options);
    options
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(DEADLINE, future).await }).expect("nothing happened in time")
}

/// Waits until a condition holds, asking again and again.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    wait(async {
        let mut pause = tokio::time::interval(Duration::from_millis(2));
        while !holds() {
            pause.tick().await;
        }
    });
    assert!(holds(), "{what}");
}

fn schema() -> Arc<Schema> {
    Arc::new(Schema::new(vec![Field::new("n", Scalar::Integer), Field::new("pad", Scalar::Text)]).unwrap())
}

/// Records `numbers`, of ten devices.
fn batch(numbers: std::ops::Range<i64>) -> Arc<Batch> {
    padded(numbers, "")
}

fn padded(numbers: std::ops::Range<i64>, pad: &str) -> Arc<Batch> {
    let mut builder = BatchBuilder::new(schema());
    for n in numbers {
        builder.integer(0, n);
        builder.text(1, pad);
        builder.end_row(&format!("d{}", n % 10), WALL + n * 1000).unwrap();
    }
    Arc::new(builder.finish())
}

/// Text that does not compress.
fn noise(bytes: usize, seed: u64) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'!' + (state % 90) as u8)
    };
    (0..bytes).map(|_| next()).collect()
}

fn stream(name: &str, readers: &[(&str, Hold)]) -> StreamSpec {
    StreamSpec {
        name: name.into(),
        schema: if name == streams::LEDGER { Arc::new(streams::ledger()) } else { schema() },
        partitions: 1,
        retention: Retention { max_bytes: 64 << 20, max_age: None, keep: Keep::UntilRead, when_full: WhenFull::Block },
        readers: readers.iter().map(|&(name, hold)| (name.to_string(), hold)).collect(),
    }
}

fn append(store: &dyn Store, session: &Session, stream: &str, batch: Arc<Batch>) -> Receipt {
    let mut commit = Commit::by(session);
    commit.appends.push(Append { stream: stream.into(), batch });
    commit.hurry = true;
    accepted(store, commit)
}

fn accepted(store: &dyn Store, commit: Commit) -> Receipt {
    match store.commit(commit) {
        Ok(receipt) => receipt,
        Err(Refusal::Full(_, stream)) => panic!("refused as full: {stream:?}"),
        Err(Refusal::Failed(error)) => panic!("refused: {error}"),
    }
}

/// Moves a cursor durably.
fn move_cursor(store: &dyn Store, session: &Session, partition: &Partition, to: Position) {
    let mut commit = Commit::by(session);
    commit.reads.push((partition.clone(), to));
    commit.hurry = true;
    wait(accepted(store, commit)).unwrap();
}

/// Everything from `at` on that is there now.
fn read_all(store: &dyn Store, partition: &Partition, mut at: Position, visibility: Visibility) -> Vec<Block> {
    let mut blocks = Vec::new();
    while let Some(block) = store.read(partition, at, visibility).unwrap() {
        assert!(block.first >= at && block.next > block.first, "{at:?} gave {:?}..{:?}", block.first, block.next);
        assert_eq!(block.runs.iter().map(|r| r.rows as usize).sum::<usize>(), block.batch.rows());
        at = block.next;
        blocks.push(block);
    }
    blocks
}

fn numbers(blocks: &[Block]) -> Vec<i64> {
    let of = |block: &Block| match &block.batch.columns()[0].values {
        tidegate_record::Values::Integers(v) => v.clone(),
        other => panic!("column n holds {other:?}"),
    };
    blocks.iter().flat_map(of).collect()
}

/// The records of partition 0 of a stream, durable ones.
fn durable(store: &dyn Store, stream: &str) -> Vec<i64> {
    numbers(&read_all(store, &Partition::new(stream, 0), Position(0), Visibility::Durable))
}

/// Appended equals stored, released and lost, in every partition; and what is stored can be read.
fn assert_conserved(store: &dyn Store) {
    for partition in store.health().partitions.into_iter().map(|health| health.partition) {
        let (health, blocks) = standing_still(store, &partition);
        let told = health.stored + health.released + health.lost;
        assert_eq!(health.appended, told, "{partition}: {health:?}");
        let read: usize = blocks.iter().map(|b| b.batch.rows()).sum();
        assert_eq!(health.stored, read as u64, "{partition}: {health:?}");
    }
}

/// What a partition says of itself and what is read of it, with no block dropped or thinned meanwhile: two looks in a row
/// that see the same. What never comes to agree is given as it is.
fn standing_still(store: &dyn Store, partition: &Partition) -> (PartitionHealth, Vec<Block>) {
    let (mut looks, mut before) = (0, Vec::new());
    loop {
        let blocks = read_all(store, partition, Position(0), Visibility::Durable);
        let seen: Vec<_> = blocks.iter().map(|block| (block.first, block.next, block.pass)).collect();
        let same = std::mem::replace(&mut before, seen.clone()) == seen && looks > 0;
        let health = store.health().partitions.into_iter().find(|health| health.partition == *partition).unwrap();
        let read: usize = blocks.iter().map(|block| block.batch.rows()).sum();
        looks += 1;
        if (same && health.stored == read as u64) || looks == 1_000 {
            return (health, blocks);
        }
    }
}

#[test]
fn stores_are_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Engine>();
    shared::<Arc<dyn Store>>();
}
