//! A store that was killed at some moment and whose files were damaged then, against what it had been given. It opens with
//! everything durable but what it says it lost, or it is set aside in words. It never invents a record and never alters
//! one. A failing seed is printed.

use super::*;
use crate::{LossReason, Receipt, Session};
use futures::FutureExt as _;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use tidegate_record::{Batch, Identity, Values, streams};

const STREAMS: [&str; 2] = ["a", "b"];
const SEEDS: Range<u64> = 0..120;

/// What happens to the files of the killed store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Damage {
    Nothing,
    /// A snapshot that was being written when the power went.
    TornSnapshot,
    /// A byte of one block, so that sled does not notice.
    Block,
    /// The data file is shorter.
    Truncated,
    /// Some bits of the data file.
    Flipped,
    /// A bit of the file that says how the database is laid out.
    Settings,
}

/// How the store took it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// Everything durable is there.
    Whole,
    /// What is missing is in the ledger, or the store says that it does not add up. (sled takes a damaged place for the
    /// end of its log: then the store is what it was some commits earlier, and its tail tells.)
    Told,
    /// It was set aside and a fresh one began.
    Aside,
}

struct Life {
    dir: tempfile::TempDir,
    rng: StdRng,
    store: SledStore,
    session: Session,
    identity: Identity,
    /// The numbers appended, by commit: stream and range.
    given: Vec<(usize, Range<i64>)>,
    receipts: Vec<Receipt>,
    /// So many commits are known to be durable.
    durable: usize,
}

/// Several times in a life.
const RENEW_BYTES: u64 = 100_000;

fn schema() -> Arc<Schema> {
    Arc::new(Schema::new(vec![Field::new("n", Scalar::Integer), Field::new("pad", Scalar::Text)]).unwrap())
}

/// Text that does not compress, up to 300 bytes; the number says all of it.
fn pad(n: i64) -> String {
    let mut rng = StdRng::seed_from_u64(n as u64);
    (0..n % 300).map(|_| char::from(rng.random_range(b'!'..b'z'))).collect()
}

fn batch(numbers: Range<i64>) -> Arc<Batch> {
    let mut builder = BatchBuilder::new(schema());
    for n in numbers {
        builder.integer(0, n);
        builder.text(1, &pad(n));
        builder.end_row("d", n * 1000).unwrap();
    }
    Arc::new(builder.finish())
}

fn open_at(path: PathBuf) -> SledStore {
    let store = open(Options { renew_bytes: RENEW_BYTES, ..options(&path) })
        .unwrap_or_else(|error| panic!("damage keeps no gateway from coming up: {error}"));
    let spec = |name: &str, schema: Arc<Schema>| StreamSpec {
        name: name.into(),
        schema,
        partitions: 1,
        retention: Retention { max_bytes: 64 << 20, max_age: None, keep: Keep::UntilRead, when_full: WhenFull::Block },
        readers: vec![],
    };
    let mut specs: Vec<_> = STREAMS.iter().map(|name| spec(name, schema())).collect();
    specs.push(spec(streams::LEDGER, Arc::new(streams::ledger())));
    store.declare(specs).unwrap();
    store
}

impl Life {
    fn new(seed: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = open_at(dir.path().join("live"));
        let (session, identity) = (store.attach("source/s").unwrap(), store.identity());
        let rng = StdRng::seed_from_u64(seed);
        Life { dir, rng, store, session, identity, given: Vec::new(), receipts: Vec::new(), durable: 0 }
    }

    fn work(&mut self) {
        for _ in 0..self.rng.random_range(5..40) {
            let next = self.given.last().map_or(0, |(_, range)| range.end);
            let (to, range) = (self.rng.random_range(0..STREAMS.len()), next..next + self.rng.random_range(1..60));
            let mut commit = Commit::by(&self.session);
            commit.appends.push(Append { stream: STREAMS[to].into(), batch: batch(range.clone()) });
            commit.state = Some(vec![7; self.rng.random_range(0..9_000)]);
            commit.hurry = self.rng.random_bool(0.5);
            let Ok(receipt) = self.store.commit(commit) else { panic!("there is room") };
            self.given.push((to, range));
            self.receipts.push(receipt);
            if self.rng.random_bool(0.4) {
                self.settle();
            }
        }
    }

    fn settle(&mut self) {
        for receipt in self.receipts.drain(..) {
            wait(receipt).unwrap();
            self.durable += 1;
        }
    }

    /// Copies the files as they are now, with commits under way or none: what a kill leaves.
    fn kill(&mut self, quiet: bool) -> PathBuf {
        if quiet {
            self.settle();
        } else {
            while self.receipts.first_mut().is_some_and(|receipt| receipt.now_or_never().is_some()) {
                drop(self.receipts.remove(0));
                self.durable += 1;
            }
        }
        let copy = self.dir.path().join("copy");
        // The tail first: it is written last, so a kill leaves no tail that is ahead of the database. It may be read in the
        // middle of a write, which a kill does not leave.
        fs::create_dir_all(&copy).unwrap();
        let tail = loop {
            let bytes = fs::read(self.dir.path().join("live/tail")).unwrap();
            if Folder::unsealed(&bytes).is_ok() {
                break bytes;
            }
        };
        fs::write(copy.join("tail"), tail).unwrap();
        copy_folder(&self.dir.path().join("live/streams"), &copy.join("streams"));
        copy
    }

    /// The numbers of a stream after the first `commits`, by offset.
    fn expected(&self, stream: usize, commits: usize) -> Vec<i64> {
        let of = self.given[..commits].iter().filter(|(to, _)| *to == stream);
        of.flat_map(|(_, range)| range.clone()).collect()
    }

    fn damage(&mut self, path: &Path, damage: Damage) {
        let db = path.join("streams/db");
        match damage {
            Damage::Nothing => {}
            Damage::TornSnapshot => {
                let torn = vec![self.rng.random(); self.rng.random_range(0..300)];
                fs::write(path.join("streams/snap.0000000000001234.generating"), torn).unwrap();
            }
            Damage::Block => self.damage_block(path),
            Damage::Truncated => {
                let bytes = fs::metadata(&db).unwrap().len();
                let file = fs::OpenOptions::new().write(true).open(&db).unwrap();
                file.set_len(self.rng.random_range(0..bytes)).unwrap();
            }
            Damage::Settings => {
                let conf = path.join("streams/conf");
                let mut bytes = fs::read(&conf).unwrap();
                let at = self.rng.random_range(0..bytes.len());
                bytes[at] ^= 1 << self.rng.random_range(0..8);
                fs::write(&conf, bytes).unwrap();
            }
            Damage::Flipped => {
                let mut bytes = fs::read(&db).unwrap();
                let written = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
                for _ in 0..self.rng.random_range(1..9) {
                    bytes[self.rng.random_range(0..written)] ^= 1 << self.rng.random_range(0..8);
                }
                fs::write(&db, bytes).unwrap();
            }
        }
    }

    fn damage_block(&mut self, path: &Path) {
        let db = sled::Config::new().path(path.join("streams")).flush_every_ms(None).open().unwrap();
        let (from, to) = Key::all(Kind::Block);
        let blocks: Vec<_> = db.range(from.bytes()..=to.bytes()).map(Result::unwrap).collect();
        let (key, value) = &blocks[self.rng.random_range(0..blocks.len())];
        let mut bytes = value.to_vec();
        let at = self.rng.random_range(0..bytes.len());
        bytes[at] ^= 1 << self.rng.random_range(0..8);
        db.insert(key, bytes).unwrap();
        db.flush().unwrap();
    }

    /// Opens the damaged copy and holds it against what was given.
    fn judge(&self, path: &Path) -> Outcome {
        let sound = verify(path).is_ok_and(|report| report.is_sound());
        let store = open_at(path.into());
        let notes = store.health().notes;
        if store.identity() != self.identity {
            assert!(path.join("streams.broken-1/db").exists(), "what was set aside is kept");
            assert!(notes.iter().any(|note| note.contains("set aside")), "in words: {notes:?}");
            STREAMS
                .iter()
                .for_each(|name| assert_eq!(read(&store, name), Default::default(), "a fresh store is empty"));
            return Outcome::Aside;
        }
        let read: Vec<_> = STREAMS.iter().map(|name| read(&store, name)).collect();
        let unreadable = read.iter().any(|(_, error)| error.is_some());
        let found: Vec<BTreeMap<u64, i64>> = read.into_iter().map(|(found, _)| found).collect();
        for (stream, found) in found.iter().enumerate() {
            let given = self.expected(stream, self.given.len());
            for (&offset, n) in found {
                assert_eq!(Some(n), given.get(offset as usize), "offset {offset} of {}", STREAMS[stream]);
            }
        }
        let possible = self.durable..=self.given.len();
        let is = |commits: usize| {
            (0..STREAMS.len()).all(|stream| found[stream].values().copied().eq(self.expected(stream, commits)))
        };
        if possible.clone().any(is) {
            return Outcome::Whole;
        }
        // What was found damaged while reading is in the ledger with the next commit.
        let mut commit = Commit::by(&store.attach("source/s").unwrap());
        commit.hurry = true;
        let noted = store.commit(commit).is_ok_and(|receipt| wait(receipt).is_ok());
        let lost: u64 = store.health().losses.iter().filter(|l| l.1 == LossReason::Quarantined).map(|l| l.2).sum();
        let here: usize = found.iter().map(BTreeMap::len).sum();
        let told = |commits: usize| {
            let given: usize = (0..STREAMS.len()).map(|stream| self.expected(stream, commits).len()).sum();
            given as u64 == here as u64 + lost
        };
        let fell_behind = notes.iter().any(|note| note.contains("some commits earlier"));
        let unsound = !sound && !fell_behind;
        assert!(possible.clone().any(told) || unsound || unreadable || !noted, "neither whole nor told: {found:?}");
        let after: Vec<u64> = store.health().partitions.iter().map(|p| p.next.0).collect();
        let before = (0..STREAMS.len()).map(|stream| self.expected(stream, self.durable).len() as u64);
        let again = unreadable || !noted || before.zip(&after).all(|(before, after)| before <= *after);
        assert!(again, "offsets below those of what was durable are given again: {after:?}");
        Outcome::Told
    }
}

/// The numbers of a stream by offset, each whole; and why reading ended, where it failed.
fn read(store: &SledStore, stream: &str) -> (BTreeMap<u64, i64>, Option<String>) {
    let (partition, mut at) = (Partition::new(stream, 0), Position(0));
    let mut found = BTreeMap::new();
    loop {
        let block = match store.read(&partition, at, Visibility::Durable) {
            Ok(Some(block)) => block,
            Ok(None) => return (found, None),
            Err(error) => return (found, Some(error.to_string())),
        };
        let [n, pad_column] = block.batch.columns() else { panic!("{stream} has two fields") };
        let (Values::Integers(numbers), Values::Texts(pads)) = (&n.values, &pad_column.values) else {
            panic!("{stream} has a number and a text")
        };
        for (row, &n) in numbers.iter().enumerate() {
            assert_eq!((pads.text(row), block.batch.times()[row]), (&*pad(n), n * 1000), "{n} is altered");
            found.insert(block.first.0 + row as u64, n);
        }
        at = block.next;
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_folder(&entry.path(), &to),
            false => match fs::copy(entry.path(), to) {
                // A snapshot may be renamed or deleted between the look and the copy.
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
                _ => {}
            },
        }
    }
}

#[test]
fn a_killed_and_damaged_store_opens_with_what_it_has_or_is_set_aside_in_words() {
    use Damage::*;
    let mut outcomes: BTreeMap<(Damage, bool, Outcome), u32> = BTreeMap::new();
    for seed in SEEDS {
        let told = catch_unwind(AssertUnwindSafe(|| {
            let mut life = Life::new(seed);
            let damage = [Nothing, TornSnapshot, Block, Truncated, Flipped, Settings][life.rng.random_range(0..6)];
            life.work();
            // sled itself is asked to alter a block: its files must be at rest.
            let quiet = damage == Block || life.rng.random_bool(0.5);
            let copy = life.kill(quiet);
            life.damage(&copy, damage);
            (damage, quiet, life.judge(&copy))
        }));
        match told {
            Ok(told) => *outcomes.entry(told).or_default() += 1,
            Err(panic) => {
                eprintln!("the failing seed is {seed}");
                resume_unwind(panic);
            }
        }
    }
    outcomes.iter().for_each(|(what, times)| eprintln!("{what:?}: {times}"));
    for (damage, quiet, outcome) in outcomes.keys() {
        match damage {
            // What a kill alone leaves holds everything, however the files were caught.
            Nothing | TornSnapshot if *quiet => assert_eq!(*outcome, Outcome::Whole, "{damage:?}"),
            Block => assert_ne!((damage, *outcome), (&Block, Outcome::Aside), "a bad block is quarantined alone"),
            _ => {}
        }
    }
    let seen: Vec<Outcome> = outcomes.keys().map(|(_, _, outcome)| *outcome).collect();
    for outcome in [Outcome::Whole, Outcome::Told, Outcome::Aside] {
        assert!(seen.contains(&outcome), "{outcome:?} never happened");
    }
}
