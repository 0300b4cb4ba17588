//! The store as a source sees it.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use std::sync::{Arc, Mutex, PoisonError};
use tidegate_devices::{Intake, Loss as SourceLoss, LossReason as SourceReason, Parcel, Receipt, Refusal};
use tidegate_record::{Batch, Clock, Wall, streams};
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
    /// Wall clock minus boot clock as the stream's last records had it, where there are any.
    remembered: Option<i64>,
    /// What was full when a parcel was last refused.
    full: Mutex<Option<Arc<str>>>,
}

impl StoreIntake {
    /// Begins the session `source/NAME`.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, source: &str, stream: &str) -> Result<Self, Error> {
        let session = store.attach(&format!("source/{source}"))?;
        let remembered = last_wall(&*store, stream)?.map(|wall| wall.saturating_sub(clock.boot()));
        let devices = Mutex::new(None);
        Ok(StoreIntake { store, clock, session, devices, stream: stream.into(), remembered, full: Mutex::new(None) })
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
        self.state_of(&self.session.producer)
    }

    fn register(&self) -> Option<Vec<u8>> {
        self.state_of(&self.devices_name())
    }

    /// A clock that nobody has set goes on from the last records: a reading without a time of its own would be late else,
    /// by decades.
    fn wall(&self) -> Wall {
        let wall = self.clock.wall();
        match self.remembered {
            Some(ahead) if !wall.trusted => {
                Wall { micros: wall.micros.max(ahead.saturating_add(self.clock.boot())), ..wall }
            }
            _ => wall,
        }
    }
}

/// The wall clock when the last records of a stream came.
fn last_wall(store: &dyn Store, stream: &str) -> Result<Option<i64>, Error> {
    let mut last = None;
    for health in store.health().partitions.iter().filter(|health| &*health.partition.stream == stream) {
        let before_end = Position(health.durable.0.saturating_sub(1));
        if let Some(block) = store.read(&health.partition, before_end, Visibility::Durable)? {
            // What was stamped before the last start, when nobody had set the clock either, shows only in the records.
            let stamped = block.batch.times().last().copied();
            last = last.max(block.runs.last().map(|run| run.wall)).max(stamped);
        }
    }
    Ok(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_record::{BatchBuilder, Field, ManualClock, Scalar, Schema};
    use tidegate_store::{Keep, MemoryStore, Options, Retention, StreamSpec, WhenFull};

    const WALL_2026: i64 = 1_780_272_000_000_000;

    #[tokio::test]
    async fn a_clock_that_is_not_set_goes_on_from_the_last_records() {
        let clock = Arc::new(ManualClock::at(WALL_2026));
        let schema = Arc::new(Schema::new(vec![Field::new("temp", Scalar::Float)]).unwrap());
        let mut options = Options::new("", "test");
        options.clock = clock.clone();
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(options, 1));
        let retention =
            Retention { max_bytes: 1 << 20, max_age: None, keep: Keep::UntilRead, when_full: WhenFull::Block };
        let readings =
            StreamSpec { name: "readings".into(), schema: schema.clone(), partitions: 1, retention, readers: vec![] };
        store.declare(vec![readings]).unwrap();
        let intake = || StoreIntake::new(store.clone(), clock.clone(), "meter", "readings").unwrap();

        clock.set_wall(5, false);
        assert_eq!(intake().wall(), Wall { micros: 5, trusted: false }, "there is nothing to go on from");
        clock.set_wall(WALL_2026, true);
        let mut builder = BatchBuilder::new(schema);
        builder.end_row("d1", WALL_2026).unwrap();
        let parcel = Parcel { records: vec![Arc::new(builder.finish())], hurry: true, ..Default::default() };
        let Ok(receipt) = intake().commit(parcel) else { panic!("refused") };
        receipt.await.unwrap();

        clock.set_wall(5, false);
        let after = intake();
        assert_eq!(after.wall(), Wall { micros: WALL_2026, trusted: false });
        clock.advance(7);
        assert_eq!(after.wall().micros, WALL_2026 + 7);
        let mut builder = BatchBuilder::new(Arc::new(Schema::new(vec![Field::new("temp", Scalar::Float)]).unwrap()));
        builder.end_row("d1", after.wall().micros).unwrap();
        let parcel = Parcel { records: vec![Arc::new(builder.finish())], hurry: true, ..Default::default() };
        let Ok(receipt) = after.commit(parcel) else { panic!("refused") };
        receipt.await.unwrap();
        assert_eq!(intake().wall().micros, WALL_2026 + 7, "and after another start without a clock too");
        clock.set_wall(WALL_2026 - 1, true);
        assert_eq!(after.wall().micros, WALL_2026 - 1, "a clock that was set is right");
    }
}
