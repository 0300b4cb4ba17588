//! What a source needs of the gateway: somewhere to put records that says when they are safe.

use futures::future::BoxFuture;
use std::sync::Arc;
use tidegate_record::{Batch, Times, Wall};

/// Records and whose clock their event times are of.
#[derive(Debug, Clone)]
pub struct Dated {
    /// At most `ROWS_MAX` records.
    pub batch: Arc<Batch>,
    /// One clock for all of them.
    pub times: Times,
}

/// What a source hands over at once: it becomes durable together or not at all.
#[derive(Debug, Clone, Default)]
pub struct Parcel {
    /// Decoded records for the source's stream, in order of arrival.
    pub records: Vec<Dated>,
    /// Dead letters (`tidegate_record::streams::dead_letters()`).
    pub dead_letters: Vec<Dated>,
    /// Frames or records that could not be kept at all.
    pub losses: Vec<Loss>,
    /// Replaces the source's state (messages that are durable but whose ack may not have been sent), where given.
    pub state: Option<Vec<u8>>,
    /// Replaces the source's register (sessions of its devices), where given; durable no later than the rest.
    pub register: Option<Box<[u8]>>,
    /// The source's window is full: commit at once.
    pub hurry: bool,
}

/// Why a source gave something up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LossReason {
    /// A frame that did not decode.
    Decode,
    /// The stream was full and the source cannot wait (QoS 0, serial).
    Full,
}

/// Frames or records given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// Why.
    pub reason: LossReason,
    /// How many.
    pub count: u64,
}

/// Resolves when the parcel is durable; an error means it never will be (the sentence says why).
pub type Receipt = BoxFuture<'static, Result<(), String>>;

/// A parcel that was not taken.
#[derive(Debug)]
pub enum Refusal {
    /// No room now: wait for [`Intake::room`] and try again, or give it up if the source cannot wait.
    Full(Parcel),
    /// The store refuses writes for good: stop acknowledging.
    Failed(String),
}

/// The gateway's side of a source. Implemented by the runtime over its store, and by tests.
pub trait Intake: Send + Sync + 'static {
    /// Takes custody of a parcel once the receipt resolves.
    fn commit(&self, parcel: Parcel) -> Result<Receipt, Refusal>;
    /// Resolves when a refused parcel may be tried again.
    fn room(&self) -> BoxFuture<'static, ()>;
    /// The source's state of its last durable parcel.
    fn state(&self) -> Option<Vec<u8>>;
    /// The source's register as it was last durable.
    fn register(&self) -> Option<Vec<u8>> {
        None
    }
    /// The wall clock: the event time of records that bring none, and the bound for times in the future.
    fn wall(&self) -> Wall;
}
