//! A store of a listener: what was handed to it, and what of that is durable.

use crate::talk::Message;
use futures::future::BoxFuture;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tidegate_devices::{Intake, Parcel, Receipt, Refusal};
use tidegate_record::{Batch, Values, Wall};
use tokio::time::{Instant, sleep, sleep_until};

/// How long a commit takes.
const COMMIT: Duration = Duration::from_millis(5);

/// The store.
pub struct Custody {
    state: Arc<Mutex<State>>,
    /// It has no room before that.
    full_until: Option<Instant>,
    /// It takes so many parcels, and refuses all that follow.
    fails_after: Option<u64>,
}

#[derive(Default)]
struct State {
    parcels: u64,
    rows: u64,
    durable: BTreeSet<Message>,
    state: Option<Vec<u8>>,
    register: Option<Box<[u8]>>,
}

impl Custody {
    pub fn new(full_until: Option<Instant>, fails_after: Option<u64>) -> Self {
        Custody { state: Arc::default(), full_until, fails_after }
    }

    /// Whether a frame is durable.
    pub fn has(&self, topic: &[u8], frame: &[u8]) -> bool {
        self.lock().durable.contains(&(topic.to_vec(), frame.to_vec()))
    }

    /// Records and dead letters handed over.
    pub fn rows(&self) -> u64 {
        self.lock().rows
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Intake for Custody {
    fn commit(&self, parcel: Parcel) -> Result<Receipt, Refusal> {
        let empty = parcel.records.is_empty() && parcel.dead_letters.is_empty();
        if !empty && self.full_until.is_some_and(|until| Instant::now() < until) {
            return Err(Refusal::Full(parcel));
        }
        let mut state = self.lock();
        state.parcels += 1;
        if self.fails_after.is_some_and(|parcels| state.parcels > parcels) {
            return Err(Refusal::Failed("the card is broken".into()));
        }
        let records = parcel.records.iter().flat_map(|dated| frames(&dated.batch, "topic"));
        let letters = parcel.dead_letters.iter().flat_map(|dated| frames(&dated.batch, "origin"));
        let frames: Vec<_> = records.chain(letters).collect();
        state.rows += frames.len() as u64;
        let state = self.state.clone();
        Ok(Box::pin(async move {
            sleep(COMMIT).await;
            let mut state = lock(&state);
            state.durable.extend(frames);
            state.state = parcel.state.or(state.state.take());
            state.register = parcel.register.or(state.register.take());
            Ok(())
        }))
    }

    fn room(&self) -> BoxFuture<'static, ()> {
        let until = self.full_until.unwrap_or_else(Instant::now);
        Box::pin(sleep_until(until))
    }

    fn state(&self) -> Option<Vec<u8>> {
        self.lock().state.clone()
    }

    fn register(&self) -> Option<Vec<u8>> {
        self.lock().register.clone().map(Vec::from)
    }

    fn wall(&self) -> Wall {
        Wall { micros: 1_767_225_600_000_000, trusted: true }
    }
}

/// Topics and frames of a batch.
fn frames(batch: &Batch, topic: &str) -> Vec<Message> {
    let column = |name: &str| match batch.schema().position(name).map(|at| &batch.columns()[at].values) {
        Some(Values::Texts(values) | Values::Bytes(values)) => values,
        other => panic!("{name}: {other:?}"),
    };
    let (topics, frames) = (column(topic), column("frame"));
    (0..batch.rows()).map(|row| (topics.at(row).to_vec(), frames.at(row).to_vec())).collect()
}
