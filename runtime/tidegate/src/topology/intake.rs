//! The store as a source sees it.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use std::sync::{Arc, Mutex, PoisonError};
use tidegate_devices::{Intake, Loss as SourceLoss, LossReason as SourceReason, Parcel, Receipt, Refusal};
use tidegate_record::{Batch, Clock, Wall, streams};
use tidegate_store::{Append, Commit, Error, Loss, LossReason, Refusal as StoreRefusal, Session, Store};

/// Takes the parcels of one source into its stream.
pub(super) struct StoreIntake {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    session: Session,
    stream: Arc<str>,
    /// What was full when a parcel was last refused.
    full: Mutex<Option<Arc<str>>>,
}

impl StoreIntake {
    /// Begins the session `source/NAME`.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, source: &str, stream: &str) -> Result<Self, Error> {
        let session = store.attach(&format!("source/{source}"))?;
        Ok(StoreIntake { store, clock, session, stream: stream.into(), full: Mutex::new(None) })
    }

    fn loss(&self, loss: &SourceLoss) -> Loss {
        let reason = match loss.reason {
            SourceReason::Decode => LossReason::Decode,
            SourceReason::Full => LossReason::Full,
        };
        Loss {
            stream: self.stream.clone(),
            partition: 0,
            reason,
            stage: self.session.producer.clone(),
            count: loss.count,
            offsets: None,
        }
    }
}

impl Intake for StoreIntake {
    fn commit(&self, parcel: Parcel) -> Result<Receipt, Refusal> {
        let mut commit = Commit::by(&self.session);
        let append = |stream: &Arc<str>, batch: &Arc<Batch>| Append { stream: stream.clone(), batch: batch.clone() };
        let dead_letters: Arc<str> = streams::DEAD_LETTERS.into();
        commit.appends.extend(parcel.records.iter().map(|batch| append(&self.stream, batch)));
        commit.appends.extend(parcel.dead_letters.iter().map(|batch| append(&dead_letters, batch)));
        commit.losses.extend(parcel.losses.iter().map(|loss| self.loss(loss)));
        commit.state = parcel.state.clone();
        commit.hurry = parcel.hurry;
        match self.store.commit(commit) {
            Ok(receipt) => Ok(receipt.map(|done| done.map(drop).map_err(|error| error.to_string())).boxed()),
            Err(StoreRefusal::Full(_, stream)) => {
                *self.full.lock().unwrap_or_else(PoisonError::into_inner) = stream;
                Err(Refusal::Full(parcel))
            }
            Err(StoreRefusal::Failed(error)) => Err(Refusal::Failed(error.to_string())),
        }
    }

    fn room(&self) -> BoxFuture<'static, ()> {
        let full = self.full.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.store.room(full.as_deref())
    }

    fn state(&self) -> Option<Vec<u8>> {
        self.store.state(&self.session.producer).unwrap_or_else(|error| {
            // Without it redelivered messages are taken in twice; nothing is lost.
            tracing::warn!(source = &*self.session.producer, "the source's state cannot be read: {error}");
            None
        })
    }

    fn wall(&self) -> Wall {
        self.clock.wall()
    }
}
