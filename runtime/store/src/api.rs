//! The store trait: what streams, cursors, commits and snapshots are, whoever keeps them.
//!
//! Written so that a Kafka implementation fits: positions are ordered, opaque and may have gaps; they are known only
//! when a commit's future resolves; retention is declared, not called; a stale generation is refused; nothing reads
//! across partitions.

mod block;
mod dating;
mod health;
mod retention;

pub use block::{Block, Run, Visibility};
pub use dating::{ClockMark, Dates, Dating};
pub use health::{Health, PartitionHealth, ReaderHealth};
pub use retention::{Keep, Retention, THIN_PASSES_MAX, Thin, ThinValue, WhenFull};

use crate::verify::Report;
use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use tidegate_record::{Batch, Identity, Schema, Times};

/// One partition of one stream.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition {
    /// The stream's name.
    pub stream: Arc<str>,
    /// Its number, from 0.
    pub number: u32,
}

impl Partition {
    /// Partition `number` of `stream`.
    pub fn new(stream: impl Into<Arc<str>>, number: u32) -> Self {
        Partition { stream: stream.into(), number }
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.stream, self.number)
    }
}

/// A place in a partition: the offset of the next record to read. Ordered and opaque; there may be gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(pub u64);

/// What moves a reader's hold on a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Its cursor (a sink).
    Cursor,
    /// The read position of its last snapshot (a pipeline: recovery replays from there).
    Snapshot,
}

/// A stream as configured.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamSpec {
    /// Its name.
    pub name: String,
    /// Its fields now. Blocks written under an earlier schema stay readable with that one.
    pub schema: Arc<Schema>,
    /// How many partitions, at least 1.
    pub partitions: u32,
    /// Caps and policies.
    pub retention: Retention,
    /// Who reads it, and by what they hold it.
    pub readers: Vec<(String, Hold)>,
}

/// The right to commit as `producer`. A later [`Store::attach`] of the same name makes this one stale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// `source/NAME`, `pipeline/NAME` or `sink/NAME`.
    pub producer: Arc<str>,
    /// Counts attachments.
    pub generation: u64,
}

/// Records for one stream, of its declared schema; the store routes them to partitions by device.
#[derive(Debug, Clone)]
pub struct Append {
    /// The stream.
    pub stream: Arc<str>,
    /// 1 to [`tidegate_record::ROWS_MAX`] records.
    pub batch: Arc<Batch>,
}

/// A restart point: everything a producer needs to go on from `at`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The read position of each input it was taken at.
    pub at: Vec<(Partition, Position)>,
    /// Opaque.
    pub bytes: Vec<u8>,
}

/// Why something was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LossReason {
    /// The stream's cap, `drop_oldest`.
    Cap,
    /// `max_age`.
    Age,
    /// Beyond the lateness bound.
    Late,
    /// A frame that did not decode (it is in the dead letters as long as those keep it).
    Decode,
    /// A plugin faulted on it (likewise).
    Fault,
    /// Upstream refused it for good (likewise).
    Refused,
    /// Its block failed its checksum, or the database lost it.
    Quarantined,
    /// It could not be taken in: the stream was full and the source cannot wait.
    Full,
    /// The stream's cap, `thin`: a coarser record stands for it.
    Thinned,
    /// A person gave it up: `store purge`.
    Purged,
}

impl LossReason {
    /// The word in the ledger and on `/metrics`.
    pub fn word(self) -> &'static str {
        match self {
            LossReason::Cap => "cap",
            LossReason::Age => "age",
            LossReason::Late => "late",
            LossReason::Decode => "decode",
            LossReason::Fault => "fault",
            LossReason::Refused => "refused",
            LossReason::Quarantined => "quarantined",
            LossReason::Full => "full",
            LossReason::Thinned => "thinned",
            LossReason::Purged => "purged",
        }
    }
}

/// An entry for the loss ledger. Entries of one commit with equal stream, partition, reason and stage become one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// The stream (or, before there is one, the source) that lost.
    pub stream: Arc<str>,
    /// Its partition.
    pub partition: u32,
    /// Why.
    pub reason: LossReason,
    /// Who gave it up: `store`, `source/NAME`, `pipeline/NAME`, `sink/NAME`.
    pub stage: Arc<str>,
    /// How many records (frames where nothing was decoded).
    pub count: u64,
    /// First and last offset, where known.
    pub offsets: Option<(u64, u64)>,
}

/// Everything one producer wants to take effect at once.
#[derive(Debug, Clone)]
pub struct Commit {
    /// Who commits.
    pub session: Session,
    /// Where this producer's cursors move to.
    pub reads: Vec<(Partition, Position)>,
    /// Records to append, in order.
    pub appends: Vec<Append>,
    /// Whose clock the event times of an append are of, by its place in `appends`; of the others the records brought
    /// them.
    pub times: BTreeMap<usize, Times>,
    /// Replaces the producer's small state (what it must know after a restart beside a snapshot), where given.
    pub state: Option<Vec<u8>>,
    /// A checkpoint: replaces the producer's snapshot, where given.
    pub snapshot: Option<Snapshot>,
    /// For the ledger.
    pub losses: Vec<Loss>,
    /// Begin the group commit at once (the source's window is full; a drain).
    pub hurry: bool,
}

impl Commit {
    /// A commit of nothing yet.
    pub fn by(session: &Session) -> Self {
        Commit {
            session: session.clone(),
            reads: Vec::new(),
            appends: Vec::new(),
            times: BTreeMap::new(),
            state: None,
            snapshot: None,
            losses: Vec::new(),
            hurry: false,
        }
    }

    /// Appends a batch whose event times are of the clock that `times` says.
    pub fn append(&mut self, append: Append, times: Times) {
        if times != Times::Brought {
            self.times.insert(self.appends.len(), times);
        }
        self.appends.push(append);
    }
}

/// What a durable commit was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// Its number: later commits have higher ones.
    pub number: u64,
    /// For each append in order, the ranges its records went to (one a partition).
    pub positions: Vec<Vec<(Partition, Range<u64>)>>,
}

/// Resolves when the commit is durable. Dropping it does not undo the commit.
pub type Receipt = BoxFuture<'static, Result<Committed, Error>>;

/// A commit that was not taken in; nothing of it took effect.
#[derive(Debug)]
pub enum Refusal {
    /// No room in this stream (or in the whole store: `None`). Wait for [`Store::room`] and commit again.
    Full(Box<Commit>, Option<Arc<str>>),
    /// It will never be taken.
    Failed(Error),
}

/// Why a store does not do what it is asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A flush failed; what was durable stays, nothing more is written until a restart.
    #[error("the store is poisoned and refuses writes: {0}. Check the disk, then restart the gateway")]
    Poisoned(Arc<str>),
    /// The store was closed; nothing more is taken.
    #[error("the store is closed")]
    Closed,
    /// Another session of this producer has begun.
    #[error("{producer} generation {generation} is stale: another instance of it has begun")]
    Stale {
        /// The producer.
        producer: Arc<str>,
        /// The stale generation.
        generation: u64,
    },
    /// A stream that was not declared.
    #[error("there is no stream {0:?}")]
    NoStream(Arc<str>),
    /// A batch of another schema than its stream declares, empty, or too large.
    #[error("a batch for stream {stream:?} was refused: {reason}")]
    Batch {
        /// The stream.
        stream: Arc<str>,
        /// Why.
        reason: String,
    },
    /// The store's folder cannot be used as it is.
    #[error("the store at {path}: {reason}")]
    Open {
        /// The folder.
        path: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// What a person asked for cannot be done as things stand; nothing of it was done.
    #[error("{0}")]
    Refused(String),
    /// The medium failed while reading.
    #[error("reading {what}: {reason}")]
    Read {
        /// What was read.
        what: String,
        /// Why it failed.
        reason: String,
    },
}

/// What a reader is told that is about to make use of what it has read ([`Store::reaching`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// It may.
    Granted,
    /// Some of it just became coarser, or is becoming so: it has to be read again, from the reader's cursor on.
    ReadAgain,
    /// What the reader delivered before has to be durable first: after a crash nobody would know how far it came.
    CommitFirst,
}

/// Streams, cursors, states and snapshots. All methods are cheap unless they say so, and none blocks on the medium but
/// [`Store::read`] of what is no longer in memory.
pub trait Store: Send + Sync + 'static {
    /// Gateway and epoch.
    fn identity(&self) -> Identity;

    /// Declares all streams and their readers, `dead_letters` and `ledger` among them. Called once, before anything
    /// else but `identity`. Streams on disk that are not declared are kept and reported.
    fn declare(&self, streams: Vec<StreamSpec>) -> Result<(), Error>;

    /// Begins a session; an earlier one of the same name is stale from now on.
    fn attach(&self, producer: &str) -> Result<Session, Error>;

    /// The partitions of a stream this process may read now (all of them, for an embedded store).
    fn assigned(&self, stream: &str) -> Result<Vec<Partition>, Error>;

    /// Takes in a commit. On `Ok` its records are staged, in this order among all commits; the receipt resolves when
    /// they are durable.
    ///
    /// An appended batch is never cut: it is one run of one block for as long as it is stored (blocks join runs, and
    /// are cut only between them), so that what reads the log again sees the cuts that were seen live.
    fn commit(&self, commit: Commit) -> Result<Receipt, Refusal>;

    /// Resolves when a commit that was refused as full may be tried again.
    fn room(&self, stream: Option<&str>) -> BoxFuture<'static, ()>;

    /// The block at or after `at`, from its row at `at` on; `None` when there is nothing more now. May read the disk.
    ///
    /// Where blocks were dropped or quarantined the next one begins later: the reader goes on there, and the ledger
    /// says why.
    fn read(&self, partition: &Partition, at: Position, visibility: Visibility) -> Result<Option<Block>, Error>;

    /// Resolves when [`Store::read`] at `at` would give a block (or the store is poisoned).
    fn appended(&self, partition: &Partition, at: Position, visibility: Visibility) -> BoxFuture<'static, ()>;

    /// The number of the latest commit taken in. What is read after this call misses no commit up to it.
    fn frontier(&self) -> u64;

    /// A reader is about to make use of what it has read of a partition in `range`: once granted, that is not made
    /// coarser any more. A sink asks before each delivery, a pipeline before it works on a block; until every sink that
    /// reads a stream has, the stream is not thinned. Always granted where nothing is thinned.
    fn reaching(&self, reader: &Session, partition: &Partition, range: Range<Position>) -> Reach;

    /// The committed cursor of `producer` in `partition`.
    fn cursor(&self, producer: &str, partition: &Partition) -> Result<Option<Position>, Error>;

    /// Where a stream begins now: the oldest position still stored.
    fn start(&self, partition: &Partition) -> Result<Position, Error>;

    /// The producer's committed small state.
    fn state(&self, producer: &str) -> Result<Option<Vec<u8>>, Error>;

    /// The producer's last committed snapshot.
    fn snapshot(&self, producer: &str) -> Result<Option<Snapshot>, Error>;

    /// Asks for a tick in `partition` once the arrival clock reaches `arrival`, if nothing arrives there before. A
    /// tick is a block without rows that takes one position.
    fn tick_at(&self, partition: &Partition, arrival: i64);

    /// The arrival clock now, microseconds.
    fn arrival_now(&self) -> i64;

    /// What is known now of the wall clock as it was at a commit; `None` where nothing is.
    fn dating(&self, _commit: u64) -> Option<Dating> {
        None
    }

    /// The wall clock when a run arrived, microseconds since the epoch: as it was then, or, where it was not to be
    /// believed and was corrected later in the same process, as it was in truth.
    fn wall_of(&self, run: &Run) -> i64 {
        run.wall.saturating_add(self.dating(run.commit).map_or(0, |dating| dating.shift))
    }

    /// Where the wall clock of the process before this one stood when it last committed.
    fn last_wall(&self) -> Option<i64> {
        None
    }

    /// What the store knows of itself. Cheap enough to call every second.
    fn health(&self) -> Health;

    /// Writes everything that is durable now to `out`, as a pack that [`crate::sled::restore`] takes, while the store
    /// goes on working; until it is done nothing is deleted. Blocks on the medium and on `out`.
    fn backup(&self, out: &mut dyn std::io::Write) -> Result<(), Error>;

    /// Looks over everything that is durable now, while the store goes on working; until it is done nothing is deleted.
    /// `going_on` is asked now and then: where it says false, it ends with an error. Blocks on the medium.
    fn verify(&self, _going_on: &mut dyn FnMut() -> bool) -> Result<Report, Error> {
        Err(Error::Refused("this store has no check of its own".into()))
    }

    /// A person gives up what a partition holds before a position, in whole blocks; gives how many records that were. They
    /// are in the ledger. What a reader still needs only if `held` says so. Blocks on the medium.
    fn purge(&self, _partition: &Partition, _before: Position, _held: bool) -> Result<u64, Error> {
        Err(Error::Refused("this store gives up nothing that it is not told to by its retention".into()))
    }

    /// Commits what is staged and releases the medium. Further commits are refused.
    fn close(&self) -> BoxFuture<'static, Result<(), Error>>;
}
