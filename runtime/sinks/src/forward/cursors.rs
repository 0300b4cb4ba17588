//! A sink's durable side: its cursors, fences, what was delivered ahead, and what it commits.

use super::cut::{Lane, UNSETTLED_MAX};
use super::saved;
use super::track::{Live, Standing, Track};
use super::{ForwardOptions, dead_letters};
use crate::Request;
use crate::upstream::Refused;
use std::sync::Arc;
use tidegate_record::{Times, Wall, streams};
use tidegate_store::{Commit, Error, Loss, LossReason, Partition, Position, Reach, Receipt, Refusal, Session, Store};

/// Where the sink stands in each of its partitions, and the one commit that may be outstanding.
pub(super) struct Cursors {
    store: Arc<dyn Store>,
    session: Session,
    name: String,
    marks: Vec<Mark>,
    /// Something moved since the last commit.
    dirty: bool,
    /// By the last state something was delivered ahead of a cursor.
    was_ahead: bool,
    outstanding: Option<Receipt>,
    /// Requests done with since the outstanding commit, and those that are in it.
    unsettled: (u32, u32),
    /// So many requests may have been made before this process.
    known: u32,
}

pub(super) struct Mark {
    pub(super) partition: Partition,
    pub(super) standing: Standing,
}

impl Cursors {
    /// Begins the sink's session and reads where it stood: at the start of the stream the first time.
    pub(super) fn open(store: Arc<dyn Store>, options: &ForwardOptions) -> Result<Self, Error> {
        let producer = format!("sink/{}", options.name);
        let session = store.attach(&producer)?;
        let mut saved = store.state(&producer)?.map(|state| saved::read(&state)).unwrap_or_default();
        let (mut marks, mut is_first) = (Vec::new(), true);
        for partition in store.assigned(&options.stream)? {
            let cursor = store.cursor(&producer, &partition)?;
            is_first &= cursor.is_none();
            let at = cursor.map_or_else(|| store.start(&partition), Ok)?;
            let standing = saved.remove(&partition.number).unwrap_or_default().standing(at);
            marks.push(Mark { partition, standing });
        }
        // What is in the state and does not hold any more goes with the first commit.
        let (name, was_ahead) = (options.name.clone(), true);
        // Where nothing was ever sent that is made sure of before anything is: then nobody did before.
        let (known, unsettled) = if is_first { (0, (UNSETTLED_MAX, 0)) } else { (UNSETTLED_MAX, (0, 0)) };
        let dirty = is_first;
        Ok(Cursors { store, session, name, marks, dirty, was_ahead, outstanding: None, unsettled, known })
    }

    /// A reader for each partition.
    pub(super) fn tracks(&self, keyed: bool, bytes_max: usize, live: Live) -> Vec<Track> {
        let track = |mark: &Mark| {
            let fence = keyed.then_some(mark.standing.fence);
            let lane =
                |at| Lane::new(self.store.clone(), mark.partition.clone(), at, fence, bytes_max).again(self.known);
            Track::new(&mark.standing, live, lane)
        };
        self.marks.iter().map(track).collect()
    }

    /// Tells the store that what lies from the cursor to `until` is delivered now, and what lies ahead of it was; false
    /// where it was made coarser since it was read.
    pub(super) async fn reaching(&mut self, track: usize, until: Position) -> Result<bool, Error> {
        // Spans of a live share that the sink had before it was taken out of the configuration are ahead still.
        let ahead = self.marks[track].standing.ahead.last();
        let until = ahead.map_or(until, |(_, to)| until.max(*to));
        loop {
            let mark = &self.marks[track];
            match self.store.reaching(&self.session, &mark.partition, mark.standing.at..until) {
                Reach::Granted => return Ok(true),
                Reach::ReadAgain => return Ok(false),
                Reach::CommitFirst => self.finish().await?,
            }
        }
    }

    /// Makes room for another request: a start repeats no more than [`UNSETTLED_MAX`].
    pub(super) async fn room(&mut self) -> Result<(), Error> {
        let (since, within) = self.unsettled;
        if since + within < UNSETTLED_MAX {
            return Ok(());
        }
        // What is under way becomes durable with it: the interval is not waited for.
        let mut commit = self.commit();
        commit.hurry = true;
        self.submit(commit).await?;
        self.receive().await
    }

    /// A partition stands somewhere else; it becomes durable in time.
    pub(super) fn moved(&mut self, track: usize, to: Standing) {
        let mark = &mut self.marks[track];
        self.dirty |= mark.standing.at != to.at || mark.standing.ahead != to.ahead;
        mark.standing = to;
    }

    /// A request is done with: its refused records go to the dead letters and the ledger in one commit with the cursor.
    pub(super) async fn settled(
        &mut self,
        track: usize,
        to: Standing,
        request: &Request,
        refused: &[Refused],
        wall: Wall,
    ) -> Result<(), Error> {
        self.moved(track, to);
        self.unsettled.0 += 1;
        if refused.is_empty() {
            return Ok(());
        }
        self.receive().await?;
        let mut commit = self.commit();
        let stream = &request.partition().stream;
        // A dead letter that is refused would come back as one for ever, and so would the ledger's note of a note.
        if **stream != *streams::DEAD_LETTERS {
            for append in dead_letters::of(&self.name, request, refused, wall) {
                commit.append(append, Times::set(wall));
            }
        }
        if **stream != *streams::LEDGER {
            commit.losses.push(loss(&self.session.producer, request, refused));
        }
        self.submit(commit).await
    }

    /// Makes durable where a partition stands: its fence is new, or its spans are.
    pub(super) async fn settle(&mut self, track: usize, standing: Standing) -> Result<(), Error> {
        self.receive().await?;
        self.marks[track].standing = standing;
        let mut commit = self.commit();
        commit.state = Some(saved::write(&self.marks));
        self.submit(commit).await?;
        self.receive().await
    }

    /// Makes durable where some partitions stand.
    pub(super) async fn stand(&mut self, standings: Vec<(usize, Standing)>) -> Result<(), Error> {
        self.receive().await?;
        for (track, standing) in standings {
            self.marks[track].standing = standing;
        }
        let mut commit = self.commit();
        commit.state = Some(saved::write(&self.marks));
        commit.hurry = true;
        self.submit(commit).await?;
        self.receive().await
    }

    /// Where the partitions stand.
    pub(super) fn marks(&self) -> &[Mark] {
        &self.marks
    }

    /// Makes the cursors durable now.
    pub(super) async fn finish(&mut self) -> Result<(), Error> {
        self.receive().await?;
        if self.dirty {
            let mut commit = self.commit();
            commit.hurry = true;
            self.submit(commit).await?;
            self.receive().await?;
        }
        Ok(())
    }

    /// Does `work` while commits become durable and the newest cursor follows the one before.
    pub(super) async fn beside<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Error> {
        tokio::select! {
            biased;
            error = self.keep() => Err(error),
            done = work => Ok(done),
        }
    }

    /// Keeps the cursor moving; ends only with an error. May be dropped at any await.
    async fn keep(&mut self) -> Error {
        loop {
            let result = match (&self.outstanding, self.dirty) {
                (Some(_), _) => self.receive().await,
                (None, true) => self.submit(self.commit()).await,
                (None, false) => std::future::pending().await,
            };
            if let Err(error) = result {
                return error;
            }
        }
    }

    /// Waits for the outstanding commit.
    async fn receive(&mut self) -> Result<(), Error> {
        if let Some(receipt) = &mut self.outstanding {
            let result = receipt.await;
            self.outstanding = None;
            self.unsettled.1 = 0;
            result?;
        }
        Ok(())
    }

    /// A commit of all cursors.
    fn commit(&self) -> Commit {
        let mut commit = Commit::by(&self.session);
        commit.reads = self.marks.iter().map(|mark| (mark.partition.clone(), mark.standing.at)).collect();
        // What is ahead moves with every request; when nothing is any more, that is written once.
        if self.was_ahead || self.is_ahead() {
            commit.state = Some(saved::write(&self.marks));
        }
        commit
    }

    /// Hands a commit in, as soon as there is room.
    async fn submit(&mut self, mut commit: Commit) -> Result<(), Error> {
        loop {
            match self.store.commit(commit) {
                Ok(receipt) => {
                    self.outstanding = Some(receipt);
                    self.unsettled = (0, self.unsettled.0);
                    self.dirty = false;
                    self.was_ahead = self.is_ahead();
                    return Ok(());
                }
                Err(Refusal::Full(back, stream)) => {
                    self.store.room(stream.as_deref()).await;
                    commit = *back;
                }
                Err(Refusal::Failed(error)) => return Err(error),
            }
        }
    }

    /// Whether something is delivered ahead of a cursor.
    fn is_ahead(&self) -> bool {
        self.marks.iter().any(|mark| !mark.standing.ahead.is_empty())
    }
}

fn loss(stage: &Arc<str>, request: &Request, refused: &[Refused]) -> Loss {
    let offsets: Vec<u64> = dead_letters::records(request, refused).map(|(record, _)| record.id.offset).collect();
    Loss {
        stream: request.partition().stream.clone(),
        partition: request.partition().number,
        reason: LossReason::Refused,
        stage: stage.clone(),
        count: refused.len() as u64,
        offsets: offsets.first().copied().zip(offsets.last().copied()),
    }
}
