//! The second half of every source: makes parcels of what is in hand and sees them become durable.
//!
//! Reading never waits for it: the reading task decodes into the hand under a lock nobody else holds for long, and this
//! one wakes when there is something to hand over.

use crate::hand::{Hand, Handful};
use crate::status::Metrics;
use crate::{Handle, Intake, Parcel, Refusal, State};
use futures::future::BoxFuture;
use futures::stream::{FuturesOrdered, StreamExt};
use futures::task::AtomicWaker;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

/// Most parcels under way to the store at once.
const PARCELS_MAX: usize = 64;

/// What a source shares between its reading task and its commits.
#[derive(Debug)]
pub(crate) struct Shared<S> {
    stock: Mutex<S>,
    /// Something is in hand, or should be handed over at once.
    pub work: Notify,
    /// Every parcel up to this number is durable.
    pub durable: AtomicU64,
    /// Wakes the reading task when `durable` moved or the commits ended.
    pub reader: AtomicWaker,
    /// The commits ended: all is durable after a drain, or given up, or the store failed.
    pub ended: AtomicBool,
    /// The drain gave up what the store had no room for.
    pub gave_up: AtomicBool,
}

/// What a source keeps under the lock.
pub(crate) trait Stock: Send + 'static {
    fn hand(&mut self) -> &mut Hand;
    /// No more frames come: everything goes at once, then the commits end.
    fn draining(&self) -> bool;
    /// The wire stands still until a commit.
    fn hurry(&self) -> bool;
    /// There is something to store beside what is in hand, and somebody waits for it.
    fn has_news(&self) -> bool {
        false
    }
    /// Whoever sent what is not acknowledged sends it again.
    fn is_sent_again(&self) -> bool {
        false
    }
    /// Adds to a parcel what goes with it.
    fn seal(&mut self, _number: u64, _parcel: &mut Parcel) {}
    /// Every parcel up to this one is durable.
    fn settled(&mut self, _durable: u64) {}
    /// The commits ended: nothing more becomes durable.
    fn closed(&mut self) {}
}

impl<S> Shared<S> {
    pub fn new(stock: S) -> Arc<Self> {
        Arc::new(Shared {
            stock: Mutex::new(stock),
            work: Notify::new(),
            durable: AtomicU64::new(0),
            reader: AtomicWaker::new(),
            ended: AtomicBool::new(false),
            gave_up: AtomicBool::new(false),
        })
    }

    pub fn stock(&self) -> MutexGuard<'_, S> {
        self.stock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Resolves when the commits have ended; for the reading task, the only one that is woken.
    pub async fn until_ended(&self) {
        poll_fn(|cx| {
            self.reader.register(cx.waker());
            if self.ended.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// Runs both halves of a source, its reading task and its commits, to their ends, and says how it stands then.
pub(crate) async fn run<S: Stock>(
    shared: Arc<Shared<S>>,
    intake: Arc<dyn Intake>,
    handle: Handle,
    linger: Duration,
    reader: impl Future<Output = ()> + Send + 'static,
) {
    let commits = Commits::new(shared, intake.clone(), handle.clone(), linger);
    let commits = AbortOnDropHandle::new(tokio::spawn(commits.run()));
    let reader = AbortOnDropHandle::new(tokio::spawn(reader));
    match tokio::try_join!(reader, commits) {
        Ok(_) => handle.stands(State::Stopped, intake.wall()),
        Err(error) => {
            handle.fails(State::Failed, format!("a task of the source ended: {error}"), intake.wall());
        }
    }
}

/// The second half of a source.
struct Commits<S> {
    shared: Arc<Shared<S>>,
    intake: Arc<dyn Intake>,
    handle: Handle,
    linger: Duration,
    under_way: FuturesOrdered<BoxFuture<'static, Durable>>,
    refused: Option<Refused>,
    /// When the first record in hand was noticed.
    since: Option<Instant>,
    /// The last parcel that was hurried.
    hurried: u64,
    metrics: Metrics,
}

/// The parcel that is durable, where it counts for acknowledgements.
type Durable = (Option<u64>, Result<(), String>);

/// A parcel the store had no room for.
struct Refused {
    handful: Handful,
    room: BoxFuture<'static, ()>,
}

enum Look {
    Nothing,
    Until(Instant),
    Due,
    /// A drain has no time to wait for room.
    GiveUp,
    Done,
}

impl<S: Stock> Commits<S> {
    fn new(shared: Arc<Shared<S>>, intake: Arc<dyn Intake>, handle: Handle, linger: Duration) -> Self {
        let (metrics, under_way) = (Metrics::new(&handle), FuturesOrdered::new());
        Commits { shared, intake, handle, linger, under_way, refused: None, since: None, hurried: 0, metrics }
    }

    /// Runs until drained, or until the store fails.
    async fn run(mut self) {
        if let Err(reason) = self.serve().await {
            tracing::error!(source = self.handle.name(), reason, "store refuses records for good, source stops");
            self.handle.fails(State::Failed, reason, self.intake.wall());
        }
        self.shared.ended.store(true, Ordering::Release);
        self.shared.stock().closed();
        self.shared.reader.wake();
    }

    async fn serve(&mut self) -> Result<(), String> {
        loop {
            let look = self.look();
            let until = match look {
                Look::Done => return Ok(()),
                Look::Due => {
                    self.hand_over()?;
                    continue;
                }
                Look::GiveUp => {
                    self.give_up()?;
                    continue;
                }
                Look::Until(until) => Some(until),
                Look::Nothing => None,
            };
            let (waits, room) = (self.refused.is_some(), room(&mut self.refused));
            tokio::select! {
                biased;
                Some((number, result)) = self.under_way.next(), if !self.under_way.is_empty() => {
                    result?;
                    if let Some(number) = number {
                        self.shared.durable.store(number, Ordering::Release);
                        self.shared.stock().settled(number);
                        self.shared.reader.wake();
                    }
                    self.metrics.publish(&self.handle);
                }
                () = room, if waits => self.try_again()?,
                () = self.shared.work.notified() => {}
                () = tokio::time::sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {}
            }
        }
    }

    /// What to do now.
    fn look(&mut self) -> Look {
        let shared = self.shared.clone();
        let mut stock = shared.stock();
        if stock.draining() && self.refused.is_some() {
            return Look::GiveUp;
        }
        if shared.gave_up.load(Ordering::Acquire) && stock.is_sent_again() {
            // A later parcel must not become durable: acks count up to it.
            return if self.under_way.is_empty() { Look::Done } else { Look::Nothing };
        }
        if stock.hand().is_empty() && !stock.has_news() {
            self.since = None;
            let done = stock.draining() && self.under_way.is_empty() && self.refused.is_none();
            return if done { Look::Done } else { Look::Nothing };
        }
        if self.refused.is_some() || self.under_way.len() >= PARCELS_MAX {
            return Look::Nothing;
        }
        // A hurried parcel under way opens the window already: a second one would only make commits small.
        let hurry = stock.hurry() && self.hurried <= self.shared.durable.load(Ordering::Acquire);
        if stock.hand().is_full() || stock.draining() || hurry {
            return Look::Due;
        }
        let until = *self.since.get_or_insert_with(Instant::now) + self.linger;
        if until <= Instant::now() { Look::Due } else { Look::Until(until) }
    }

    fn hand_over(&mut self) -> Result<(), String> {
        self.since = None;
        let handful = {
            let mut stock = self.shared.stock();
            let hurry = stock.hurry() || stock.draining();
            let mut handful = stock.hand().parcel();
            handful.parcel.hurry = hurry;
            stock.seal(handful.number, &mut handful.parcel);
            handful
        };
        self.metrics.publish(&self.handle);
        self.commit(handful)
    }

    /// The store has no room and the gateway is to stop: what is sent again is left to its sender, all else is lost, and
    /// the ledger says so.
    fn give_up(&mut self) -> Result<(), String> {
        let Some(Refused { handful, .. }) = self.refused.take() else { return Ok(()) };
        self.shared.gave_up.store(true, Ordering::Release);
        let is_sent_again = self.shared.stock().is_sent_again();
        let number = handful.number;
        let mut losses = handful.losses(is_sent_again);
        if is_sent_again {
            // Nothing more is handed over, so what came behind it is given up with it.
            losses.extend(self.shared.stock().hand().parcel().losses(true));
        }
        if losses.is_empty() {
            return Ok(());
        }
        let parcel = Parcel { losses, hurry: true, ..Default::default() };
        let receipt = self.intake.commit(parcel).map_err(|refusal| match refusal {
            Refusal::Full(_) => "the store has no room for the count of what was lost".to_owned(),
            Refusal::Failed(reason) => reason,
        })?;
        // What is sent again must not be acknowledged: acks count up to what is durable.
        let number = (!is_sent_again).then_some(number);
        self.under_way.push_back(Box::pin(async move { (number, receipt.await) }));
        self.shared.stock().hand().blocked = false;
        Ok(())
    }

    fn try_again(&mut self) -> Result<(), String> {
        match self.refused.take() {
            Some(Refused { handful, .. }) => self.commit(handful),
            None => Ok(()),
        }
    }

    fn commit(&mut self, handful: Handful) -> Result<(), String> {
        let Handful { number, parcel, once } = handful;
        if parcel.hurry {
            self.hurried = number;
        }
        let blocked = match self.intake.commit(parcel) {
            Ok(receipt) => {
                self.under_way.push_back(Box::pin(async move { (Some(number), receipt.await) }));
                false
            }
            Err(Refusal::Full(parcel)) => {
                self.refused = Some(Refused { handful: Handful { number, parcel, once }, room: self.intake.room() });
                true
            }
            Err(Refusal::Failed(reason)) => return Err(reason),
        };
        self.shared.stock().hand().blocked = blocked;
        Ok(())
    }
}

/// Resolves when the refused parcel may be tried again.
async fn room(refused: &mut Option<Refused>) {
    match refused {
        Some(refused) => (&mut refused.room).await,
        None => std::future::pending().await,
    }
}
