//! A sink's durable side: its cursors, fences and what it commits.

use super::cut::Lane;
use super::{ForwardOptions, dead_letters};
use crate::Request;
use crate::upstream::Refused;
use std::collections::BTreeMap;
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
    outstanding: Option<Receipt>,
}

struct Mark {
    partition: Partition,
    at: Position,
    fence: Position,
}

impl Cursors {
    /// Begins the sink's session and reads where it stood: at the start of the stream the first time.
    pub(super) fn open(store: Arc<dyn Store>, options: &ForwardOptions) -> Result<Self, Error> {
        let producer = format!("sink/{}", options.name);
        let session = store.attach(&producer)?;
        let fences = store.state(&producer)?.map(|state| read_fences(&state)).unwrap_or_default();
        let mut marks = Vec::new();
        for partition in store.assigned(&options.stream)? {
            let at = match store.cursor(&producer, &partition)? {
                Some(at) => at,
                None => store.start(&partition)?,
            };
            let fence = fences.get(&partition.number).map_or(Position(0), |&fence| Position(fence));
            marks.push(Mark { partition, at, fence });
        }
        Ok(Cursors { store, session, name: options.name.clone(), marks, dirty: false, outstanding: None })
    }

    /// A reader for each partition.
    pub(super) fn lanes(&self, keyed: bool, bytes_max: usize) -> Vec<Lane> {
        let lane = |mark: &Mark| {
            let fence = keyed.then_some(mark.fence);
            Lane::new(self.store.clone(), mark.partition.clone(), mark.at, fence, bytes_max)
        };
        self.marks.iter().map(lane).collect()
    }

    /// Tells the store that what lies from the cursor to `until` is delivered now; false where it was made coarser
    /// since it was read.
    pub(super) async fn reaching(&mut self, lane: usize, until: Position) -> Result<bool, Error> {
        loop {
            let mark = &self.marks[lane];
            match self.store.reaching(&self.session, &mark.partition, mark.at..until) {
                Reach::Granted => return Ok(true),
                Reach::ReadAgain => return Ok(false),
                Reach::CommitFirst => self.finish().await?,
            }
        }
    }

    /// The cursor of a partition moved; it becomes durable in time.
    pub(super) fn moved(&mut self, lane: usize, to: Position) {
        let mark = &mut self.marks[lane];
        if mark.at != to {
            mark.at = to;
            self.dirty = true;
        }
    }

    /// A request is done with: its refused records go to the dead letters and the ledger in one commit with the cursor.
    pub(super) async fn settled(
        &mut self,
        lane: usize,
        to: Position,
        request: &Request,
        refused: &[Refused],
        wall: Wall,
    ) -> Result<(), Error> {
        self.moved(lane, to);
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

    /// Makes the cursor and a fence durable.
    pub(super) async fn fence(&mut self, lane: usize, fence: Position) -> Result<(), Error> {
        self.receive().await?;
        self.marks[lane].fence = fence;
        let mut commit = self.commit();
        commit.state = Some(self.write_fences());
        self.submit(commit).await?;
        self.receive().await
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
            result?;
        }
        Ok(())
    }

    /// A commit of all cursors.
    fn commit(&self) -> Commit {
        let mut commit = Commit::by(&self.session);
        commit.reads = self.marks.iter().map(|mark| (mark.partition.clone(), mark.at)).collect();
        commit
    }

    /// Hands a commit in, as soon as there is room.
    async fn submit(&mut self, mut commit: Commit) -> Result<(), Error> {
        loop {
            match self.store.commit(commit) {
                Ok(receipt) => {
                    self.outstanding = Some(receipt);
                    self.dirty = false;
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

    /// The fences as the sink's state: JSON, partition → offset. Those the cursor has passed are left out.
    fn write_fences(&self) -> Vec<u8> {
        let ahead = self.marks.iter().filter(|mark| mark.fence > mark.at);
        let fences: BTreeMap<u32, u64> = ahead.map(|mark| (mark.partition.number, mark.fence.0)).collect();
        serde_json::to_vec(&fences).unwrap_or_default()
    }
}

/// A state that is not ours costs nothing but an upstream's recognition of a repeated request.
fn read_fences(state: &[u8]) -> BTreeMap<u32, u64> {
    serde_json::from_slice(state).unwrap_or_default()
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
