//! What a sink tells of itself.

use super::replay::{Ask, Asks, Replay};
use super::track::Standing;
use metrics::{Counter, Histogram, counter, histogram};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidegate_record::{Clock, Wall, rfc3339};
use tokio::sync::{mpsc, oneshot, watch};

/// Most that may be asked of a sink before it comes to it.
const ASKS_MAX: usize = 1;

/// What a sink is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Everything durable is delivered.
    #[default]
    Idle,
    /// Records are on their way.
    Delivering,
    /// The uplink is shut or its budget spent: the reason says which. No trouble.
    Held,
    /// A delivery failed and is tried again: the reason says why.
    Waiting,
    /// It has stopped for good: the reason says why.
    Failed,
}

/// A sink's status.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// The sink's name.
    pub name: String,
    /// The stream it reads.
    pub stream: String,
    /// Where it delivers.
    pub upstream: String,
    /// What it is doing.
    pub state: State,
    /// Why it is held, waits or failed.
    pub reason: Option<String>,
    /// Since when it is in this state, RFC 3339 by the wall clock.
    pub since: String,
    /// Records delivered since the start.
    pub delivered: u64,
    /// Deliveries that have to be tried again, since the start.
    pub retries: u64,
    /// Records refused for good since the start; they are in the dead letters.
    pub refused: u64,
    /// The next offset to deliver, by partition.
    pub cursor: BTreeMap<u32, u64>,
    /// What was delivered ahead of it, by partition (from, to): fresh records beside a backlog.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ahead: BTreeMap<u32, Vec<(u64, u64)>>,
    /// What is being delivered again, by partition (from, to).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub replaying: BTreeMap<u32, (u64, u64)>,
    /// When records were last delivered, RFC 3339 by the wall clock.
    pub last_delivery: Option<String>,
}

/// The outside's end of a running sink. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    status: watch::Receiver<Status>,
    asks: mpsc::Sender<Ask>,
}

impl Handle {
    /// The status now.
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// Has it deliver again what it has delivered; resolves when that is durable and it goes on from there. The error is a
    /// sentence, and nothing was done.
    pub async fn replay(&self, replays: Vec<Replay>) -> Result<(), String> {
        let ended = || "the sink has stopped: the status says why".to_string();
        let (done, result) = oneshot::channel();
        self.asks.send(Ask { replays, done }).await.map_err(|_| ended())?;
        result.await.map_err(|_| ended())?
    }

    /// Resolves with the first status that `wanted` accepts; `None` when the sink ends before.
    pub async fn wait_for(&mut self, wanted: impl FnMut(&Status) -> bool) -> Option<Status> {
        self.status.wait_for(wanted).await.ok().map(|s| s.clone())
    }
}

/// The sink's end: status, metrics and the lines in the log.
pub(super) struct Reporter {
    status: watch::Sender<Status>,
    clock: Arc<dyn Clock>,
    delivered: Counter,
    refused: Counter,
    retries: Counter,
    requests: Counter,
    latency: Histogram,
}

impl Reporter {
    pub(super) fn new(name: &str, stream: &str, upstream: &str, clock: Arc<dyn Clock>) -> (Self, Handle, Asks) {
        let status = Status {
            name: name.into(),
            stream: stream.into(),
            upstream: upstream.into(),
            state: State::default(),
            reason: None,
            since: rfc3339(clock.wall().micros),
            delivered: 0,
            retries: 0,
            refused: 0,
            cursor: BTreeMap::new(),
            ahead: BTreeMap::new(),
            replaying: BTreeMap::new(),
            last_delivery: None,
        };
        let label = name.to_owned();
        let (status, receiver) = watch::channel(status);
        let reporter = Reporter {
            status,
            clock,
            delivered: counter!("tidegate_sink_delivered_records_total", "sink" => label.clone()),
            refused: counter!("tidegate_sink_refused_records_total", "sink" => label.clone()),
            retries: counter!("tidegate_sink_retried_requests_total", "sink" => label.clone()),
            requests: counter!("tidegate_sink_delivered_requests_total", "sink" => label.clone()),
            latency: histogram!("tidegate_sink_request_seconds", "sink" => label),
        };
        let (asks, asked) = mpsc::channel(ASKS_MAX);
        (reporter, Handle { status: receiver, asks }, Asks::of(asked))
    }

    /// The wall clock.
    pub(super) fn wall(&self) -> Wall {
        self.clock.wall()
    }

    /// The boot clock, microseconds.
    pub(super) fn boot(&self) -> i64 {
        self.clock.boot()
    }

    pub(super) fn idle(&self) {
        self.enter(State::Idle, None);
    }

    /// A delivery begins. A sink that waits goes on waiting until one succeeds.
    pub(super) fn delivering(&self) {
        if self.status.borrow().state != State::Waiting {
            self.enter(State::Delivering, None);
        }
    }

    /// A delivery took `micros` and was answered, whatever the answer.
    pub(super) fn answered(&self, micros: i64) {
        self.latency.record(micros as f64 / 1e6);
    }

    /// Upstream took something: whatever was wrong is over.
    pub(super) fn recovered(&self) {
        let status = self.status.borrow();
        if status.state == State::Waiting {
            tracing::info!(sink = status.name, since = status.since, "upstream takes records again");
        }
        drop(status);
        self.enter(State::Delivering, None);
    }

    /// A delivery may not begin for now.
    pub(super) fn held(&self, reason: String) {
        self.enter(State::Held, Some(reason));
    }

    /// A delivery must be tried again.
    pub(super) fn waiting(&self, reason: String) {
        self.retries.increment(1);
        let new = {
            let status = self.status.borrow();
            status.state != State::Waiting || status.reason.as_ref() != Some(&reason)
        };
        if new {
            let status = self.status.borrow();
            tracing::warn!(sink = status.name, upstream = status.upstream, reason, "delivery waits");
        }
        self.status.send_modify(|s| s.retries += 1);
        self.enter(State::Waiting, Some(reason));
    }

    pub(super) fn failed(&self, reason: String) {
        tracing::error!(sink = self.status.borrow().name, reason, "sink stopped");
        self.enter(State::Failed, Some(reason));
    }

    /// A request is done with.
    pub(super) fn settled(&self, delivered: usize, refused: usize) {
        let now = rfc3339(self.wall().micros);
        self.requests.increment(1);
        self.delivered.increment(delivered as u64);
        self.refused.increment(refused as u64);
        self.status.send_modify(|s| {
            s.delivered += delivered as u64;
            s.refused += refused as u64;
            if delivered > 0 {
                s.last_delivery = Some(now);
            }
        });
    }

    pub(super) fn stands(&self, partition: u32, standing: &Standing) {
        let at = standing.at.0;
        let ahead: Vec<_> = standing.ahead.iter().map(|(from, to)| (from.0, to.0)).collect();
        self.status.send_if_modified(|s| {
            let moved = s.cursor.insert(partition, at) != Some(at);
            let before =
                if ahead.is_empty() { s.ahead.remove(&partition) } else { s.ahead.insert(partition, ahead.clone()) };
            let replaying = match standing.replay {
                Some(replay) => s.replaying.insert(partition, (replay.from, replay.to)),
                None => s.replaying.remove(&partition),
            };
            let same = replaying == standing.replay.map(|replay| (replay.from, replay.to));
            moved || !same || before.unwrap_or_default() != ahead
        });
    }

    fn enter(&self, state: State, reason: Option<String>) {
        let now = rfc3339(self.wall().micros);
        self.status.send_if_modified(|s| {
            let same = s.state == state && s.reason == reason;
            if s.state != state {
                s.since = now;
            }
            s.state = state;
            s.reason = reason;
            !same
        });
    }
}
