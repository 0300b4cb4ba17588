//! The store as a source sees it.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use std::sync::{Arc, Mutex, PoisonError};
use tidegate_devices::{Dated, Intake, Loss as SourceLoss, LossReason as SourceReason, Parcel, Receipt, Refusal};
use tidegate_record::{Clock, Wall, streams};
use tidegate_store::{
    Append, Commit, Error, Loss, LossReason, Position, Refusal as StoreRefusal, Session, Store, Visibility,
};

/// Takes the parcels of one source into its stream.
pub struct StoreIntake {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    session: Session,
    /// The session `source/NAME/devices`, whose state is the register of a listener's sessions, once there is one.
    devices: Mutex<Option<Session>>,
    stream: Arc<str>,
    /// What was full when a parcel was last refused.
    full: Mutex<Option<Arc<str>>>,
}

impl StoreIntake {
    /// Begins the session `source/NAME`.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, source: &str, stream: &str) -> Result<Self, Error> {
        let session = store.attach(&format!("source/{source}"))?;
        let devices = Mutex::new(None);
        Ok(StoreIntake { store, clock, session, devices, stream: stream.into(), full: Mutex::new(None) })
    }

    /// Commits a register: before the parcel it came with, so that it is durable no later.
    fn commit_register(&self, register: Vec<u8>) -> Result<(), Refusal> {
        let mut devices = self.devices.lock().unwrap_or_else(PoisonError::into_inner);
        let session = match devices.take() {
            Some(session) => session,
            None => {
                let attached = self.store.attach(&self.devices_name());
                attached.map_err(|error| Refusal::Failed(error.to_string()))?
            }
        };
        let mut commit = Commit::by(devices.insert(session));
        commit.state = Some(register);
        match self.store.commit(commit) {
            // Its receipt is that of the parcel behind it.
            Ok(_) => Ok(()),
            Err(StoreRefusal::Full(..)) => Err(Refusal::Failed("no room for what takes none".into())),
            Err(StoreRefusal::Failed(error)) => Err(Refusal::Failed(error.to_string())),
        }
    }

    fn devices_name(&self) -> String {
        format!("{}/devices", self.session.producer)
    }

    fn state_of(&self, producer: &str) -> Option<Vec<u8>> {
        self.store.state(producer).unwrap_or_else(|error| {
            // Without it redelivered messages are taken in twice; nothing is lost.
            tracing::warn!(source = producer, "the source's state cannot be read: {error}");
            None
        })
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
    fn commit(&self, mut parcel: Parcel) -> Result<Receipt, Refusal> {
        if let Some(register) = parcel.register.take() {
            self.commit_register(register.into())?;
        }
        let mut commit = Commit::by(&self.session);
        let dead_letters: Arc<str> = streams::DEAD_LETTERS.into();
        let appends = [(&self.stream, &parcel.records), (&dead_letters, &parcel.dead_letters)];
        for (stream, batches) in appends {
            for Dated { batch, times } in batches {
                commit.append(Append { stream: stream.clone(), batch: batch.clone() }, *times);
            }
        }
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
        self.state_of(&self.session.producer)
    }

    fn register(&self) -> Option<Vec<u8>> {
        self.state_of(&self.devices_name())
    }

    fn wall(&self) -> Wall {
        self.clock.wall()
    }
}

/// The latest wall clock in what a store holds: for one of a version that kept no entries of the clock.
pub(super) fn last_wall(store: &dyn Store) -> Result<Option<i64>, Error> {
    let mut last = None;
    for health in &store.health().partitions {
        let before_end = Position(health.durable.0.saturating_sub(1));
        if let Some(block) = store.read(&health.partition, before_end, Visibility::Durable)? {
            last = last.max(block.runs.last().map(|run| run.wall));
        }
    }
    Ok(last)
}
