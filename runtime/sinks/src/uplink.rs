//! The uplink that sinks share: who sends next, how much an hour, and at what time of day.
//!
//! A sink that shares it asks before every request and says how large it is. It goes when the [`window`] is open, the
//! [`budget`] has room, and it is its turn by weight ([`fair`]), urgent sinks first. What it did send in the end is
//! settled afterwards: a connection that never came about costs nothing.
//!
//! A request that is tried again asks for no turn, so that an upstream that is down keeps nobody else from sending; it
//! does ask for budget and an open window. When a sink's request goes through that had failed, urgent sinks that wait to
//! try again do so at once: after an outage alarms do not wait out their backoff while others send.
//!
//! Waiting here is no trouble: a sink that does is [`State::Held`](crate::forward::State::Held), with the reason.

mod budget;
mod fair;
mod window;

pub use window::{SendWindow, UtcOffset};

use budget::Budget;
use fair::Fair;
use metrics::{Counter, counter, gauge};
use serde::Serialize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tidegate_record::Clock;
use tidegate_store::{Commit, Error, Refusal, Session, Store};
use tokio::sync::Notify;
use window::Gate;

/// By this name it keeps what is reserved of its budget in the store.
const PRODUCER: &str = "uplink";
/// A request takes at most so many parts of the hour's budget, so that the budget is used and not overdrawn.
const REQUESTS_AN_HOUR: u64 = 8;
/// How often a sink that is held looks whether it still is: wall clocks jump.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// `[uplink]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UplinkOptions {
    /// How many requests may be under way at a time, over all sinks that share it.
    pub requests_max: usize,
    /// Most bytes an hour.
    pub max_bytes_per_hour: Option<u64>,
    /// At what time of day it is open.
    pub send_window: Option<SendWindow>,
    /// Urgent sinks send outside of the window too.
    pub urgent_any_time: bool,
}

impl Default for UplinkOptions {
    fn default() -> Self {
        UplinkOptions { requests_max: 1, max_bytes_per_hour: None, send_window: None, urgent_any_time: false }
    }
}

/// A sink's part of the uplink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Of the bytes, relative to the other sinks'.
    pub weight: u32,
    /// It goes before those that are not.
    pub urgent: bool,
}

impl Default for Share {
    fn default() -> Self {
        Share { weight: 1, urgent: false }
    }
}

/// What the uplink says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UplinkStatus {
    /// Why nothing may be sent now, but for what urgent sinks may.
    pub shut: Option<String>,
    /// Most bytes an hour.
    pub max_bytes_per_hour: Option<u64>,
    /// How much of it is left in this hour.
    pub bytes_left: Option<u64>,
    /// How many seconds this hour still has.
    pub hour_ends_in_s: Option<u64>,
    /// How many sinks wait for their turn.
    pub asking: usize,
}

/// One uplink. Sinks [join](Uplink::join) it before they run.
pub struct Uplink {
    options: UplinkOptions,
    clock: Arc<dyn Clock>,
    store: Arc<dyn Store>,
    fair: Mutex<Fair>,
    gate: Option<Mutex<Gate>>,
    meter: Option<Meter>,
    changed: Notify,
    /// The line was found to be back.
    back: Notify,
}

/// The budget and where its reservations are kept.
struct Meter {
    budget: Mutex<Budget>,
    session: Session,
    /// Reservations become durable in the order they are made.
    saving: tokio::sync::Mutex<()>,
}

/// A sink's place at the uplink.
pub(crate) struct Member {
    uplink: Arc<Uplink>,
    flow: usize,
    urgent: bool,
    sent: Counter,
}

/// The permission to send one request. Dropped without a word, all of it counts as sent.
pub(crate) struct Pass<'m> {
    member: &'m Member,
    bytes: u64,
    /// The hour of the budget they were taken of.
    hour: i64,
    settled: bool,
}

impl Uplink {
    /// An uplink that goes on with the budget as it stands in `store`, whose streams must be declared.
    pub fn open(options: UplinkOptions, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Result<Arc<Self>, Error> {
        let meter = match options.max_bytes_per_hour {
            Some(per_hour) => Some(Meter::open(per_hour, &store)?),
            None => None,
        };
        let gate = options.send_window.map(|window| Mutex::new(Gate::new(window)));
        let fair = Mutex::new(Fair::new(options.requests_max.max(1)));
        Ok(Arc::new(Uplink { options, clock, store, fair, gate, meter, changed: Notify::new(), back: Notify::new() }))
    }

    /// A place for a sink.
    pub(crate) fn join(self: Arc<Self>, name: &str, share: Share) -> Member {
        let flow = locked(&self.fair).join(share.weight, share.urgent);
        if let Some(meter) = self.meter.as_ref().filter(|_| share.urgent) {
            locked(&meter.budget).keep_for_urgent();
        }
        let sent = counter!("tidegate_uplink_sent_bytes_total", "sink" => name.to_owned());
        Member { uplink: self, flow, urgent: share.urgent, sent }
    }

    /// The most bytes a request should have, as far as the budget says.
    pub(crate) fn request_bytes_max(&self) -> usize {
        let most = self.options.max_bytes_per_hour.map_or(u64::MAX, |per_hour| per_hour / REQUESTS_AN_HOUR);
        usize::try_from(most).unwrap_or(usize::MAX)
    }

    /// What it says of itself. Cheap.
    pub fn status(&self) -> UplinkStatus {
        let now = self.store.arrival_now();
        let budget = self.meter.as_ref().map(|meter| {
            let mut budget = locked(&meter.budget);
            (budget.left(now), budget.next_hour().saturating_sub(now).max(0) as u64 / 1_000_000)
        });
        UplinkStatus {
            shut: self.held(1, false),
            max_bytes_per_hour: self.options.max_bytes_per_hour,
            bytes_left: budget.map(|(left, _)| left),
            hour_ends_in_s: budget.map(|(_, seconds)| seconds),
            asking: locked(&self.fair).asking(),
        }
    }

    /// Why a request of so many bytes may not be sent now, whoever's turn it is.
    fn held(&self, bytes: u64, urgent: bool) -> Option<String> {
        if let Some(gate) = &self.gate
            && let Some(why) = locked(gate).shut(self.clock.boot(), self.clock.wall())
            && !(urgent && self.options.urgent_any_time)
        {
            return Some(why);
        }
        let meter = self.meter.as_ref()?;
        let mut budget = locked(&meter.budget);
        let has_room = budget.has_room(bytes, urgent, self.store.arrival_now());
        (!has_room).then(|| {
            let per_hour = self.options.max_bytes_per_hour.unwrap_or(0);
            format!("max_bytes_per_hour ({per_hour}) is spent; the next hour brings more")
        })
    }

    /// Takes bytes off the budget, durably, and gives the hour they are of; `None` where there is no room for them any
    /// more.
    async fn take(&self, bytes: u64, urgent: bool) -> Result<Option<i64>, Error> {
        let Some(meter) = &self.meter else { return Ok(Some(0)) };
        let _saving = meter.saving.lock().await;
        let (hour, reservation) = {
            let now = self.store.arrival_now();
            let mut budget = locked(&meter.budget);
            if !budget.has_room(bytes, urgent, now) {
                return Ok(None);
            }
            let reservation = budget.take(bytes, now);
            gauge!("tidegate_uplink_budget_left_bytes").set(budget.left(now) as f64);
            (budget.hour(), reservation)
        };
        if let Some(reservation) = reservation {
            let mut commit = Commit::by(&meter.session);
            commit.state = Some(serde_json::to_vec(&reservation).unwrap_or_default());
            commit.hurry = true;
            // Whoever breaks this off has not reserved: what was taken is spent, and the next reserves it.
            self.save(commit).await?;
            locked(&meter.budget).reserve(&reservation);
        }
        Ok(Some(hour))
    }

    async fn save(&self, mut commit: Commit) -> Result<(), Error> {
        loop {
            match self.store.commit(commit) {
                Ok(receipt) => return receipt.await.map(drop),
                Err(Refusal::Full(back, stream)) => {
                    self.store.room(stream.as_deref()).await;
                    commit = *back;
                }
                Err(Refusal::Failed(error)) => return Err(error),
            }
        }
    }
}

impl Meter {
    fn open(per_hour: u64, store: &Arc<dyn Store>) -> Result<Self, Error> {
        let session = store.attach(PRODUCER)?;
        // A state that is not ours is as good as none: a fresh hour begins.
        let reservation = store.state(PRODUCER)?.and_then(|state| serde_json::from_slice(&state).ok());
        let budget = Budget::new(per_hour, reservation, store.arrival_now());
        Ok(Meter { budget: Mutex::new(budget), session, saving: tokio::sync::Mutex::new(()) })
    }
}

impl Member {
    /// Waits until a request of so many bytes may be sent. `held` is told why it may not for now, where that is
    /// anything but other sinks' turns. May be dropped at any await.
    pub(crate) async fn admit(&self, bytes: u64, again: bool, held: impl Fn(String)) -> Result<Pass<'_>, Error> {
        let uplink = &self.uplink;
        // Whatever ends the wait, nobody waits for a flow that does not ask any more.
        let asking = Asking(self);
        loop {
            let changed = uplink.changed.notified();
            let wait = match uplink.held(bytes, self.urgent) {
                Some(why) => {
                    self.rest();
                    held(why);
                    LOOK_AGAIN
                }
                None if again || self.is_next(bytes) => {
                    if let Some(hour) = uplink.take(bytes, self.urgent).await? {
                        std::mem::forget(asking);
                        return Ok(Pass { member: self, bytes, hour, settled: false });
                    }
                    self.ended(0);
                    continue;
                }
                None => self.until_another_look(),
            };
            tokio::select! {
                biased;
                () = changed => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// A request went through that had failed before: whoever is urgent need not wait until it would have tried again.
    pub(crate) fn found_the_line_back(&self) {
        self.uplink.back.notify_waiters();
    }

    /// Resolves when another sink finds the line back; never where this one is not urgent.
    pub(crate) async fn line_is_back(&self) {
        match self.urgent {
            true => self.uplink.back.notified().await,
            false => std::future::pending().await,
        }
    }

    /// The sink has nothing to send for now, or cannot.
    pub(crate) fn rest(&self) {
        let is_news = locked(&self.uplink.fair).rest(self.flow);
        if is_news {
            self.uplink.changed.notify_waiters();
        }
    }

    /// Asks for a turn; whether it is this one's now. Where it is another's, that one is told.
    fn is_next(&self, bytes: u64) -> bool {
        let now = self.uplink.clock.boot();
        let mut fair = locked(&self.uplink.fair);
        if fair.is_sending(self.flow) {
            return true;
        }
        fair.ask(self.flow, bytes);
        while let Some(flow) = fair.grant(now) {
            if flow == self.flow {
                return true;
            }
            self.uplink.changed.notify_waiters();
        }
        false
    }

    fn until_another_look(&self) -> Duration {
        let now = self.uplink.clock.boot();
        let again = locked(&self.uplink.fair).look_again(now);
        let micros = again.map_or(i64::MAX, |again| again.saturating_sub(now));
        LOOK_AGAIN.min(Duration::from_micros(micros.max(1_000) as u64))
    }

    fn ended(&self, sent: u64) {
        locked(&self.uplink.fair).ended(self.flow, sent, self.uplink.clock.boot());
        self.uplink.changed.notify_waiters();
    }
}

/// A sink that asks for a turn. Dropped, it does not ask any more.
struct Asking<'m>(&'m Member);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.rest();
    }
}

impl Pass<'_> {
    /// The request is answered; so many bytes of it were sent.
    pub(crate) fn sent(mut self, bytes: u64) {
        self.settle(bytes);
    }

    fn settle(&mut self, sent: u64) {
        self.settled = true;
        self.member.sent.increment(sent);
        if let Some(meter) = &self.member.uplink.meter {
            locked(&meter.budget).sent(self.hour, self.bytes, sent);
        }
        self.member.ended(sent);
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if !self.settled {
            self.settle(self.bytes);
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
