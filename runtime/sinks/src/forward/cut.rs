//! Cutting a partition into requests: the same ones from the same cursor, whatever has arrived since.

use super::size::{CLOCK_BYTES, Sizes};
use crate::Request;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tidegate_record::{Batch, Identity};
use tidegate_store::{Block, Dates, Error, Partition, Position, Run, Store, Visibility};
use tokio::runtime::{Handle, RuntimeFlavor};

/// So many blocks waiting are a backlog: its blocks are joined.
const BACKLOG_BLOCKS: usize = 3;

/// Most requests that are delivered beyond the durable cursor, where the upstream knows them by a key. After a start so
/// many are cut as they were the last time before anything new is joined.
pub(super) const UNSETTLED_MAX: u32 = 16;

/// One partition being read.
pub(super) struct Lane {
    store: Arc<dyn Store>,
    partition: Partition,
    identity: Identity,
    sizes: Sizes,
    bytes_max: usize,
    rows_max: usize,
    /// Where the next request begins.
    at: Position,
    /// Blocks that end here or before are joined.
    fence: Position,
    /// So many of the next requests may have been delivered before the start: the fence stays where it is.
    known: u32,
    /// It ends here: another lane goes on.
    end: Option<Position>,
    /// Read and not yet cut into a request: [`BACKLOG_BLOCKS`] at most.
    waiting: VecDeque<Waiting>,
    /// Where to read on behind those.
    read_at: Position,
}

/// A block, or what is left of one.
struct Waiting {
    /// The offset of the batch's row 0.
    base: u64,
    /// How often the block was thinned.
    pass: u8,
    batch: Arc<Batch>,
    /// How its records arrived. What is known of the clocks that dated them is looked up when they are cut.
    runs: Vec<Run>,
    /// The gateway's clock set times in it.
    stamped: bool,
    /// The first row not yet cut.
    from: usize,
    /// The row after the last.
    to: usize,
    /// When it arrived, arrival clock.
    arrival: i64,
    next: Position,
}

/// A request and where the one after it begins.
pub(super) struct Cut {
    pub(super) request: Request,
    pub(super) next: Position,
    /// About how many bytes its records have.
    pub(super) bytes: usize,
}

/// A fence of those that need none: whatever waits is joined.
const NO_FENCE: Position = Position(u64::MAX);

impl Lane {
    /// Reads `partition` from `at` on. Without a `fence` requests need not be the same after a restart: whatever waits
    /// is joined.
    pub(super) fn new(
        store: Arc<dyn Store>,
        partition: Partition,
        at: Position,
        fence: Option<Position>,
        bytes_max: usize,
    ) -> Self {
        let identity = store.identity();
        let sizes = Sizes::new(&identity, &partition);
        let fence = fence.unwrap_or(NO_FENCE);
        let waiting = VecDeque::new();
        let (rows_max, known) = (usize::MAX, 0);
        Lane {
            store,
            partition,
            identity,
            sizes,
            bytes_max,
            rows_max,
            at,
            fence,
            known,
            end: None,
            waiting,
            read_at: at,
        }
    }

    /// The same where so many of the first requests may be made for the second time.
    pub(super) fn again(self, known: u32) -> Self {
        let known = if self.fence == NO_FENCE { 0 } else { known };
        Lane { known, ..self }
    }

    /// The same, up to `end`: what is there is there to stay, so all of it is joined.
    pub(super) fn until(self, end: Position) -> Self {
        Lane { fence: end, end: Some(end), ..self }
    }

    /// The same, with at most so many records in a request.
    pub(super) fn of_records(self, rows_max: usize) -> Self {
        Lane { rows_max, ..self }
    }

    pub(super) fn partition(&self) -> &Partition {
        &self.partition
    }

    /// Where the next request begins.
    pub(super) fn at(&self) -> Position {
        self.at
    }

    pub(super) fn fence(&self) -> Position {
        if self.fence == NO_FENCE { Position(0) } else { self.fence }
    }

    pub(super) fn end(&self) -> Option<Position> {
        self.end
    }

    /// Whether there is a record to send.
    pub(super) async fn has_some(&mut self) -> Result<bool, Error> {
        Ok(self.look(1).await? > 0)
    }

    /// Whether it has an end and everything before that is delivered.
    pub(super) async fn is_through(&mut self) -> Result<bool, Error> {
        let Some(end) = self.end else { return Ok(false) };
        Ok(self.look(1).await? == 0 && self.read_at >= end)
    }

    /// In two, where blocks pile up and the first of them has waited for longer than `after`: what is durable now, and
    /// what comes. What was to be joined before that is still.
    pub(super) async fn split(mut self, arrival_now: i64, after: Duration) -> (Vec<Self>, Result<(), Error>) {
        let waiting = match self.look(BACKLOG_BLOCKS).await {
            Ok(waiting) => waiting,
            Err(error) => return (vec![self], Err(error)),
        };
        let waited = self.waiting.front().map_or(0, |block| arrival_now.saturating_sub(block.arrival));
        if self.known > 0 || waiting < BACKLOG_BLOCKS || waited < after.as_micros() as i64 {
            return (vec![self], Ok(()));
        }
        let keyed = self.fence != NO_FENCE;
        let end = if keyed && self.fence > self.at { self.fence } else { self.durable() };
        let fence = keyed.then_some(end);
        let open = Lane::new(self.store.clone(), self.partition.clone(), end, fence, self.bytes_max);
        let at = self.at;
        let span = Lane { read_at: at, waiting: VecDeque::new(), ..self }.until(end);
        (vec![span, open], Ok(()))
    }

    /// Whether blocks pile up behind the fence.
    pub(super) async fn backlog(&mut self) -> Result<bool, Error> {
        let may = self.end.is_none() && self.at >= self.fence && self.known == 0;
        Ok(may && self.look(BACKLOG_BLOCKS).await? == BACKLOG_BLOCKS)
    }

    /// Joins everything durable now, from the next request on; the fence is to be made durable before that.
    pub(super) fn raise_fence(&mut self) {
        self.fence = self.durable();
    }

    /// Up to where everything is durable.
    fn durable(&self) -> Position {
        let health = self.store.health();
        let durable = health.partitions.iter().find(|p| p.partition == self.partition).map(|p| p.durable);
        // What has been read is durable at any rate.
        self.read_at.max(durable.unwrap_or(self.read_at))
    }

    /// The next request, if there are records. Ticks before them are passed.
    pub(super) async fn next(&mut self) -> Result<Option<Cut>, Error> {
        let cut = self.cut().await;
        if cut.is_err() {
            // So that the request comes out the same.
            self.read_again();
        }
        cut
    }

    /// Forgets what was read and cut since the last request that is done with.
    pub(super) fn read_again(&mut self) {
        self.waiting.clear();
        self.read_at = self.at;
    }

    /// The request up to `next` is done with.
    pub(super) fn done(&mut self, next: Position) {
        self.known = self.known.saturating_sub(1);
        // With nothing waiting, all that was read behind it are ticks.
        self.at = if self.waiting.is_empty() { self.read_at } else { next };
    }

    async fn cut(&mut self) -> Result<Option<Cut>, Error> {
        if self.look(1).await? == 0 {
            return Ok(None);
        }
        let mut request = Request::new(self.identity.clone(), self.partition.clone());
        let (mut room, mut room_rows) = (self.bytes_max, self.rows_max);
        let mut next = self.at;
        let mut size = 0;
        while let Some(block) = self.waiting.front_mut() {
            let (rows, bytes) = fitting(&self.sizes, block, room);
            let (rows, left) = (rows.min(room_rows), block.to - block.from);
            if !request.is_empty() && (rows < left || block.next > self.fence) {
                break;
            }
            // A block larger than a request goes in pieces; a record larger than one goes alone.
            let rows = rows.max(1);
            let to = block.from + rows;
            request.push(block.base, block.pass, block.batch.clone(), block.from..to);
            request.date(Arc::new(Dates::of(&block.runs, |commit| self.store.dating(commit))));
            size += bytes;
            if rows < left {
                block.from = to;
                next = Position(block.base + to as u64);
                break;
            }
            next = block.next;
            room = room.saturating_sub(bytes);
            room_rows = room_rows.saturating_sub(rows);
            self.waiting.pop_front();
            if room == 0 || room_rows == 0 || next >= self.fence || self.look(1).await? == 0 {
                break;
            }
        }
        Ok(Some(Cut { request, next, bytes: size }))
    }

    /// Reads on until `blocks` are waiting or there are no more; gives how many are.
    async fn look(&mut self, blocks: usize) -> Result<usize, Error> {
        while self.waiting.len() < blocks && self.end.is_none_or(|end| self.read_at < end) {
            let read = read(&self.store, &self.partition, self.read_at).await?;
            let block = read.filter(|block| self.end.is_none_or(|end| block.first < end));
            let Some(block) = block else {
                // A span was durable when it was given its end: nothing more comes into it.
                self.read_at = self.end.unwrap_or(self.read_at);
                break;
            };
            let next = self.end.map_or(block.next, |end| end.min(block.next));
            let nothing_before = self.waiting.is_empty() && self.at == self.read_at;
            self.read_at = next;
            if block.batch.rows() > 0 {
                let stamped = block.runs.iter().any(|run| run.stamped.is_some());
                let arrival = block.runs.first().map_or(0, |run| run.arrival);
                let Block { first, pass, batch, runs, .. } = block;
                let before_end = self.end.map_or(usize::MAX, |end| (end.0 - first.0) as usize);
                let to = batch.rows().min(before_end);
                let base = first.0;
                self.waiting.push_back(Waiting { base, pass, batch, runs, stamped, from: 0, to, arrival, next });
            } else if nothing_before {
                self.at = next;
            }
        }
        Ok(self.waiting.len())
    }
}

/// How many rows of what is left of a block fit into `room` bytes, and the bytes they take.
fn fitting(sizes: &Sizes, block: &Waiting, room: usize) -> (usize, usize) {
    let mut bytes = 0;
    for row in block.from..block.to {
        let size = sizes.row(&block.batch, row) + if block.stamped { CLOCK_BYTES } else { 0 };
        if bytes + size > room {
            return (row - block.from, bytes);
        }
        bytes += size;
    }
    (block.to - block.from, bytes)
}

/// The store may have to read the disk: not on a thread that others wait for. Where there is one thread for everything,
/// as in a simulation, nobody gains by another.
async fn read(store: &Arc<dyn Store>, partition: &Partition, at: Position) -> Result<Option<Block>, Error> {
    if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
        return store.read(partition, at, Visibility::Durable);
    }
    let (store, what) = (store.clone(), partition.clone());
    let read = tokio::task::spawn_blocking(move || store.read(&what, at, Visibility::Durable)).await;
    read.unwrap_or_else(|e| Err(Error::Read { what: format!("stream {partition}"), reason: e.to_string() }))
}
