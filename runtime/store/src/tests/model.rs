//! Both stores against a naive model, under random operations. A failing seed is printed.

use super::deliveries::Deliveries;
use super::*;
use crate::{Error, Loss, LossReason, Reach, Snapshot, Thin, ThinValue};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;

/// Streams: blocking, dropping (two partitions), ageing without readers, becoming coarser.
const STREAMS: [&str; 4] = ["block", "drop", "age", "thin"];
const PRODUCERS: [&str; 4] = ["source/s", "pipeline/p", "sink/x", "sink/y"];
/// The store's cap of every other seed: less than the streams' together.
const STORE_BYTES_MAX: u64 = 16_000;

fn specs() -> Vec<StreamSpec> {
    let base = stream("block", &[("sink/x", Hold::Cursor)]).retention;
    let block = Retention { max_bytes: 6_000, ..base.clone() };
    let drops = Retention { max_bytes: 3_000, when_full: WhenFull::DropOldest, ..base.clone() };
    let ages = Retention { max_age: Some(Duration::from_secs(20)), keep: Keep::For(Duration::from_secs(10)), ..base };
    // The smallest of a group is among its first: were one of those delivered already, it would come twice.
    let thin = Thin { every: Duration::from_millis(50), value: ThinValue::Min };
    let thins = Retention { max_bytes: 900, when_full: WhenFull::Thin(thin), max_age: None, keep: Keep::UntilRead };
    vec![
        StreamSpec { retention: block, ..stream("block", &[("sink/x", Hold::Cursor)]) },
        StreamSpec { retention: drops, partitions: 2, ..stream("drop", &[("pipeline/p", Hold::Snapshot)]) },
        StreamSpec { retention: ages, ..stream("age", &[]) },
        StreamSpec { retention: thins, ..stream("thin", &[("sink/y", Hold::Cursor)]) },
    ]
}

/// What one accepted commit did.
#[derive(Debug, Clone, Default)]
struct Accepted {
    producer: usize,
    appends: Vec<(&'static str, std::ops::Range<i64>)>,
    reads: Vec<(Partition, Position)>,
    state: Option<Vec<u8>>,
    snapshot: Option<Snapshot>,
    lost: u64,
}

struct Model {
    rig: Rig,
    rng: StdRng,
    /// Every commit that was taken in, in order.
    accepted: Vec<Accepted>,
    /// So many of them are known to be durable.
    acked: usize,
    receipts: Vec<(usize, Receipt)>,
    sessions: Vec<Session>,
    next: i64,
    /// What the sink of the stream that becomes coarser has read and not delivered.
    ahead: Option<Block>,
    delivered: Deliveries,
    seen: Seen,
}

/// How often what is rare came to pass: else a test shows nothing.
#[derive(Debug, Default)]
struct Seen {
    thinned: u64,
    delivered_thinned: usize,
    read_again: usize,
    commit_first: usize,
    store_full: usize,
}

impl Model {
    fn new(rig: Rig, seed: u64) -> Self {
        let mut model = Model {
            rig,
            rng: StdRng::seed_from_u64(seed),
            accepted: Vec::new(),
            acked: 0,
            receipts: Vec::new(),
            sessions: Vec::new(),
            next: 0,
            ahead: None,
            delivered: Deliveries::default(),
            seen: Seen::default(),
        };
        model.begin();
        model
    }

    fn begin(&mut self) {
        self.rig.store().declare(specs()).unwrap();
        self.sessions = PRODUCERS.iter().map(|name| self.rig.store().attach(name).unwrap()).collect();
        self.ahead = None;
    }

    fn step(&mut self) {
        match self.rng.random_range(0..100) {
            0..45 => self.append(),
            45..53 => self.read_on(),
            53..60 => self.deliver(),
            60..70 => self.keep_state(),
            70..76 => self.lose(),
            76..82 => self.rig.clock.advance(self.rng.random_range(0..8_000_000)),
            82..88 => self.settle(),
            88..92 => self.stale(),
            92..95 => self.check(),
            95..98 => {
                self.settle();
                self.rig.reopen();
                self.begin();
                self.check();
            }
            _ => self.crash(),
        }
    }

    fn commit(&mut self, producer: usize, mut does: Accepted, hurry: bool) {
        does.producer = producer;
        let mut commit = Commit::by(&self.sessions[producer]);
        for (to, range) in &does.appends {
            let batch = padded(range.clone(), &noise(range.start as usize % 60, range.start as u64));
            commit.appends.push(Append { stream: (*to).into(), batch });
        }
        commit.reads = does.reads.clone();
        commit.state = does.state.clone();
        commit.snapshot = does.snapshot.clone();
        commit.hurry = hurry;
        if does.lost > 0 {
            commit.losses.push(Loss {
                stream: "block".into(),
                partition: 0,
                reason: LossReason::Late,
                stage: "pipeline/p".into(),
                count: does.lost,
                offsets: None,
            });
        }
        match self.rig.store().commit(commit) {
            Ok(receipt) => {
                self.accepted.push(does);
                self.receipts.push((self.accepted.len(), receipt));
            }
            Err(Refusal::Full(_, full)) => match full.as_deref() {
                Some("block") => self.drain(),
                Some("thin") => {
                    // It waits for its sink to say where it is, then for moments: the committer makes room in it.
                    for _ in 0..8 {
                        self.settle();
                        self.deliver();
                    }
                    wait(self.rig.store().room(Some("thin")));
                }
                None if self.rig.options.max_bytes == STORE_BYTES_MAX => {
                    self.seen.store_full += 1;
                    self.drain();
                }
                other => panic!("{other:?} may not refuse"),
            },
            Err(Refusal::Failed(error)) => panic!("{error}"),
        }
    }

    fn append(&mut self) {
        let mut does = Accepted::default();
        for _ in 0..self.rng.random_range(1..3) {
            let rows = self.rng.random_range(1..40);
            let to = STREAMS[self.rng.random_range(0..STREAMS.len())];
            does.appends.push((to, self.next..self.next + rows));
            self.next += rows;
        }
        let hurry = self.rng.random_bool(0.3);
        self.commit(0, does, hurry);
    }

    /// A reader reads a block and moves its cursor behind it (a pipeline now and then with a snapshot).
    fn read_on(&mut self) {
        let (producer, name, visibility) = match self.rng.random_bool(0.5) {
            true => (2, "block", Visibility::Durable),
            false => (1, "drop", Visibility::Staged),
        };
        let partitions = self.rig.store().assigned(name).unwrap();
        let partition = partitions[self.rng.random_range(0..partitions.len())].clone();
        let at = self.rig.store().cursor(PRODUCERS[producer], &partition).unwrap().unwrap_or_default();
        let Some(block) = self.rig.store().read(&partition, at, visibility).unwrap() else { return };
        let to = if self.rng.random_bool(0.2) { Position(block.first.0 + 1) } else { block.next };
        let mut does = Accepted { reads: vec![(partition.clone(), to)], ..Accepted::default() };
        if producer == 1 && self.rng.random_bool(0.5) {
            let bytes = vec![self.next as u8; self.rng.random_range(0..15_000)];
            does.snapshot = Some(Snapshot { at: vec![(partition, to)], bytes });
        }
        self.commit(producer, does, false);
    }

    /// The sink of the stream that becomes coarser: it reads, asks, delivers, and moves its cursor, each maybe later.
    fn deliver(&mut self) {
        let partition = Partition::new("thin", 0);
        let store = self.rig.store();
        let at = store.cursor("sink/y", &partition).unwrap().unwrap_or_default();
        if self.ahead.is_none() {
            self.ahead = store.read(&partition, at, Visibility::Durable).unwrap();
            if self.rng.random_bool(0.4) {
                return;
            }
        }
        let Some(block) = self.ahead.take() else { return };
        match store.reaching(&self.sessions[3], &partition, block.first..block.next) {
            Reach::ReadAgain => {
                self.seen.read_again += 1;
                return;
            }
            Reach::CommitFirst => {
                self.seen.commit_first += 1;
                let does = Accepted { reads: vec![(partition, at)], ..Accepted::default() };
                self.commit(3, does, true);
                return self.settle();
            }
            Reach::Granted => self.delivered.add(&block),
        }
        // Else it is delivered again.
        if self.rng.random_bool(0.8) {
            let half = block.batch.rows() > 1 && self.rng.random_bool(0.2);
            let to = if half { Position(block.first.0 + 1) } else { block.next };
            self.commit(3, Accepted { reads: vec![(partition, to)], ..Accepted::default() }, false);
        }
    }

    fn keep_state(&mut self) {
        let producer = self.rng.random_range(0..PRODUCERS.len());
        let state = vec![self.next as u8; self.rng.random_range(0..9_000)];
        self.commit(producer, Accepted { state: Some(state), ..Accepted::default() }, false);
    }

    fn lose(&mut self) {
        let lost = self.rng.random_range(1..5);
        self.commit(1, Accepted { lost, ..Accepted::default() }, false);
    }

    /// The blocking stream is full: its reader reads everything, and then there is room.
    fn drain(&mut self) {
        self.settle();
        let partition = Partition::new("block", 0);
        let health = self.rig.store().health();
        let end = health.partitions.iter().find(|p| p.partition == partition).unwrap().durable;
        let does = Accepted { reads: vec![(partition, end)], ..Accepted::default() };
        self.commit(2, does, true);
        wait(self.rig.store().room(Some("block")));
    }

    /// Waits until everything is durable.
    fn settle(&mut self) {
        for (count, receipt) in std::mem::take(&mut self.receipts) {
            wait(receipt).unwrap();
            self.acked = count;
        }
    }

    fn stale(&mut self) {
        let producer = self.rng.random_range(0..PRODUCERS.len());
        let old = self.sessions[producer].clone();
        self.sessions[producer] = self.rig.store().attach(PRODUCERS[producer]).unwrap();
        let refused = self.rig.store().commit(Commit::by(&old)).err();
        assert!(matches!(&refused, Some(Refusal::Failed(Error::Stale { .. }))), "{refused:?}");
    }

    /// After a crash what is there is what some number of the accepted commits made: all that were durable, and maybe
    /// more, but each whole and none without those before it.
    fn crash(&mut self) {
        self.rig.crash();
        for (count, receipt) in std::mem::take(&mut self.receipts) {
            if wait(receipt).is_ok() {
                self.acked = count;
            }
        }
        self.begin();
        let mut fits = (self.acked..=self.accepted.len()).filter(|&count| self.matches(count).is_ok());
        let Some(count) = fits.next() else {
            panic!("nothing fits; all {}: {:?}", self.accepted.len(), self.matches(self.accepted.len()));
        };
        self.accepted.truncate(count);
        self.acked = count;
        assert_conserved(self.rig.store());
    }

    fn check(&mut self) {
        self.settle();
        self.matches(self.accepted.len()).unwrap();
        assert_conserved(self.rig.store());
    }

    /// Whether the store holds what the first `count` commits made.
    fn matches(&self, count: usize) -> Result<(), String> {
        let store = self.rig.store();
        let accepted = &self.accepted[..count];
        for spec in specs() {
            for partition in store.assigned(&spec.name).unwrap() {
                self.matches_partition(&spec, &partition, accepted)?;
            }
        }
        let (mut cursors, mut states, mut snapshots) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for does in accepted {
            for (partition, position) in &does.reads {
                cursors.insert((does.producer, partition.clone()), *position);
            }
            does.state.iter().for_each(|state| drop(states.insert(does.producer, state.clone())));
            does.snapshot.iter().for_each(|s| drop(snapshots.insert(does.producer, s.clone())));
        }
        for (producer, name) in PRODUCERS.iter().enumerate() {
            same("state", store.state(name).unwrap().as_ref(), states.get(&producer))?;
            same("snapshot", store.snapshot(name).unwrap().as_ref(), snapshots.get(&producer))?;
            for (stream, number) in [("block", 0), ("drop", 0), ("drop", 1)] {
                let partition = Partition::new(stream, number);
                let cursor = store.cursor(name, &partition).unwrap();
                same("cursor", cursor.as_ref(), cursors.get(&(producer, partition)))?;
            }
        }
        let late: u64 = accepted.iter().map(|does| does.lost).sum();
        let noted = store.health().losses.iter().find(|l| l.1 == LossReason::Late).map_or(0, |l| l.2);
        same("ledger", Some(&noted), Some(&late))
    }

    fn matches_partition(&self, spec: &StreamSpec, partition: &Partition, accepted: &[Accepted]) -> Result<(), String> {
        let store = self.rig.store();
        let here =
            |n: &i64| crate::partition_of(format!("d{}", n % 10).as_bytes(), spec.partitions) == partition.number;
        let appended: Vec<Vec<i64>> = (accepted.iter())
            .flat_map(|does| does.appends.iter().filter(|(to, _)| *to == spec.name))
            .map(|(_, range)| range.clone().filter(here).collect::<Vec<_>>())
            .filter(|numbers| !numbers.is_empty())
            .collect();
        let (health, blocks) = standing_still(store, partition);
        let read: Vec<Vec<i64>> = blocks.iter().flat_map(runs).collect();
        let records: usize = appended.iter().map(Vec::len).sum();
        same("appended", Some(&health.appended), Some(&(records as u64)))?;
        if spec.name == "thin" {
            return self.matches_thinned(&appended.concat(), &read.concat());
        }
        let gone = appended.len().checked_sub(read.len()).ok_or("more is stored than was appended")?;
        same("what is left", Some(&read), Some(&appended[gone..].to_vec()))?;
        if spec.name == "block" && health.lost > 0 {
            return Err(format!("a blocking stream lost {}", health.lost));
        }
        Ok(())
    }
}

impl Model {
    /// What is left of a stream that becomes coarser is some of what was appended to it, each once.
    fn matches_thinned(&self, appended: &[i64], read: &[i64]) -> Result<(), String> {
        let mut left: std::collections::HashSet<&i64> = appended.iter().collect();
        let stray = read.iter().find(|n| !left.remove(n));
        same("a record nobody appended, or a second one", stray, None)
    }
}

/// A block's records by run: each is what one append brought.
fn runs(block: &Block) -> Vec<Vec<i64>> {
    let mut rest = numbers(std::slice::from_ref(block));
    let take = |run: &crate::Run| rest.drain(..run.rows as usize).collect();
    block.runs.iter().map(take).collect()
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: Option<&T>, expected: Option<&T>) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what}: {found:?} where the model has {expected:?}")) }
}

fn run(seed: u64, steps: usize, rig: Rig) -> Seen {
    let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut model = Model::new(rig, seed);
        (0..steps).for_each(|_| model.step());
        model.check();
        let health = model.rig.store().health();
        let noted = |stream: &str| -> u64 {
            health.losses.iter().filter(|l| l.0 == stream && l.1 != LossReason::Late).map(|l| l.2).sum()
        };
        for name in STREAMS {
            let lost: u64 = health.partitions.iter().filter(|p| &*p.partition.stream == name).map(|p| p.lost).sum();
            assert_eq!(lost, noted(name), "the ledger tells what {name} lost");
        }
        let report = model.rig.verify();
        assert!(report.is_sound(), "{:?}", report.problems);
        let thinned = health.losses.iter().filter(|l| l.1 == LossReason::Thinned).map(|l| l.2).sum();
        Seen { thinned, delivered_thinned: model.delivered.thinned, ..model.seen }
    }));
    told.unwrap_or_else(|panic| {
        eprintln!("the failing seed is {seed}");
        std::panic::resume_unwind(panic);
    })
}

impl std::iter::Sum for Seen {
    fn sum<I: Iterator<Item = Seen>>(all: I) -> Seen {
        all.fold(Seen::default(), |sum, one| Seen {
            thinned: sum.thinned + one.thinned,
            delivered_thinned: sum.delivered_thinned + one.delivered_thinned,
            read_again: sum.read_again + one.read_again,
            commit_first: sum.commit_first + one.commit_first,
            store_full: sum.store_full + one.store_full,
        })
    }
}

impl Seen {
    /// Everything rare came to pass.
    fn assert_everything(&self) {
        println!("{self:?}");
        let Seen { thinned, delivered_thinned, read_again, commit_first, store_full } = self;
        assert!(*thinned > 0 && *delivered_thinned > 0, "{self:?}");
        assert!(*read_again > 0 && *commit_first > 0 && *store_full > 0, "{self:?}");
    }
}

fn tune(options: &mut Options, seed: u64) {
    options.tail_bytes = [0, 5_000, 4 << 20][seed as usize % 3];
    if seed.is_multiple_of(3) {
        options.renew_bytes = 5_000;
    }
    if seed.is_multiple_of(2) {
        options.max_bytes = STORE_BYTES_MAX;
    }
}

#[test]
fn the_memory_store_agrees_with_the_model() {
    let seen = (0..1000).map(|seed| run(seed, 60, Rig::memory(seed, |options| tune(options, seed))));
    seen.sum::<Seen>().assert_everything();
}

#[test]
fn the_sled_store_agrees_with_the_model() {
    let seen: Seen = (1000..1100).map(|seed| run(seed, 60, Rig::sled(|options| tune(options, seed)))).sum();
    assert!(seen.thinned > 0 && seen.delivered_thinned > 0, "{seen:?}");
}
