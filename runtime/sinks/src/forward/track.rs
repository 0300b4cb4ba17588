//! One partition's way upstream: in order, or, with a live share, fresh records beside the backlog.
//!
//! A track is a row of lanes, each a span of the partition that is not delivered, in order of their offsets; only the
//! last one has no end. There is one as long as the sink keeps up, and with `live_share = 0` always.
//!
//! When what waits first in the open lane has waited for longer than `live_after`, the lane is **split**: what is
//! durable by then is a span with an end, the backlog, and a new open lane begins behind it. From then on the open lane
//! has `live_share` of the bytes as long as it has something to send, and the oldest span the rest. Each span is
//! delivered in order; the order between spans is given up. Should the open lane fall behind again it is split again,
//! up to [`SPANS_MAX`] spans; beyond that it lags until a span is done.
//!
//! The store's cursor is the first span's beginning, so nothing is released before it is delivered. What was delivered
//! **ahead** of it, between the spans, is in the sink's small state, and a restart leaves it out. What a person
//! wants sent again is such a span, too (see [`replay`]).

use super::cut::{Cut, Lane};
use super::replay::{self, Pace, Replaying};
use std::time::Duration;
use tidegate_store::{Error, Partition, Position};
use tokio::time::Instant;

/// Most spans a partition may be in.
pub(super) const SPANS_MAX: usize = 8;

/// How fresh records go beside a backlog.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Live {
    /// Their share of the bytes while there is a backlog: 0 keeps strict order, 0.9 is the most that leaves it a part.
    pub share: f64,
    /// What has waited longer is backlog.
    pub after: Duration,
}

impl Default for Live {
    fn default() -> Self {
        Live { share: 0.0, after: Duration::from_secs(10) }
    }
}

/// Where a partition stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Standing {
    /// The first record that is not delivered.
    pub(super) at: Position,
    /// What is delivered behind that: from, to.
    pub(super) ahead: Vec<(Position, Position)>,
    /// The open lane's fence.
    pub(super) fence: Position,
    /// What is being delivered again.
    pub(super) replay: Option<Replaying>,
}

/// One partition being delivered.
pub(super) struct Track {
    lanes: Vec<Lane>,
    live: Live,
    turns: Turns,
    replay: Option<Replaying>,
    /// Of the replay, where it has one.
    pace: Option<Pace>,
}

/// Bytes sent by either, over their shares.
#[derive(Debug, Default)]
struct Turns {
    live: f64,
    backlog: f64,
}

impl Track {
    /// The lanes of a standing, the open one last, as `open` and [`Lane::until`] make them.
    pub(super) fn new(standing: &Standing, live: Live, lane: impl Fn(Position) -> Lane) -> Self {
        let mut lanes = Vec::new();
        let mut from = standing.at;
        for (begin, end) in &standing.ahead {
            if *begin > from {
                let span = lane(from).until(*begin);
                // As many as go in a second, the same ones after a restart.
                let rate = standing.replay.filter(|r| r.overlaps(from, *begin)).and_then(|replay| replay.rate);
                lanes.push(rate.into_iter().fold(span, |span, rate| span.of_records(rate.get() as usize)));
            }
            from = from.max(*end);
        }
        lanes.push(lane(from));
        let pace = standing.replay.and_then(|replay| replay.rate).map(Pace::new);
        Track { lanes, live, turns: Turns::default(), replay: standing.replay, pace }
    }

    pub(super) fn partition(&self) -> &Partition {
        self.open().partition()
    }

    /// The first record that is not delivered.
    pub(super) fn at(&self) -> Position {
        self.lanes[0].at()
    }

    /// Where it stands now.
    pub(super) fn standing(&self) -> Standing {
        let gap = |pair: &[Lane]| (pair[0].end().unwrap_or(pair[1].at()), pair[1].at());
        let ahead = self.lanes.windows(2).map(gap).collect();
        let replay = self.replay.filter(|replay| self.lanes.iter().any(|lane| replay.has(lane.at())));
        Standing { at: self.at(), ahead, fence: self.open().fence(), replay }
    }

    /// The lane whose end is not known.
    pub(super) fn open(&self) -> &Lane {
        self.lanes.last().unwrap_or_else(|| unreachable!("a track has an open lane"))
    }

    /// Splits the open lane where what waits in it has waited too long; whether it did. That must be durable before
    /// anything is sent.
    pub(super) async fn split(&mut self, arrival_now: i64) -> Result<bool, Error> {
        if self.live.share <= 0.0 || self.lanes.len() >= SPANS_MAX {
            return Ok(false);
        }
        let Some(open) = self.lanes.pop() else { return Ok(false) };
        let (lanes, result) = open.split(arrival_now, self.live.after).await;
        let split = lanes.len() > 1;
        self.lanes.extend(lanes);
        if split {
            self.turns = Turns::default();
        }
        result.map(|()| split)
    }

    /// Joins what piles up in the open lane, where that must be durable first; whether it did.
    pub(super) async fn raise_fence(&mut self, lane: usize) -> Result<bool, Error> {
        let lane = &mut self.lanes[lane];
        let backlog = lane.backlog().await?;
        if backlog {
            lane.raise_fence();
        }
        Ok(backlog)
    }

    /// Whether what comes first is being delivered again.
    fn replays(&self) -> bool {
        self.replay.is_some_and(|replay| replay.has(self.lanes[0].at()))
    }

    /// Until when what is being delivered again has to wait.
    pub(super) fn due(&self) -> Option<Instant> {
        self.pace.as_ref().filter(|_| self.replays()).map(Pace::due)
    }

    /// What fresh records get beside what comes first; nothing where the order is strict.
    fn share(&self) -> f64 {
        if self.live.share <= 0.0 && self.replays() { 1.0 - replay::SHARE } else { self.live.share }
    }

    /// The lane whose turn it is; none, where what there is has to wait. Spans that are delivered are gone after this.
    pub(super) async fn choose(&mut self) -> Result<Option<usize>, Error> {
        while self.lanes.len() > 1 {
            if self.lanes[0].is_through().await? {
                self.lanes.remove(0);
                continue;
            }
            let last = self.lanes.len() - 1;
            let waits = self.due().is_some_and(|due| due > Instant::now());
            if self.share() <= 0.0 {
                return Ok(Some(0));
            }
            if !self.lanes[last].has_some().await? {
                self.turns.live = self.turns.live.max(self.turns.backlog);
                return Ok((!waits).then_some(0));
            }
            return Ok(Some(if waits || self.turns.live <= self.turns.backlog { last } else { 0 }));
        }
        Ok(Some(0))
    }

    /// The next request of a lane.
    pub(super) async fn next(&mut self, lane: usize) -> Result<Option<Cut>, Error> {
        self.lanes[lane].next().await
    }

    /// Forgets what was read of a lane since its last request.
    pub(super) fn read_again(&mut self, lane: usize) {
        self.lanes[lane].read_again();
    }

    /// A lane's request up to `next` is done with.
    pub(super) fn done(&mut self, lane: usize, next: Position, (bytes, records): (usize, usize)) {
        let share = self.share();
        if let Some(pace) = self.pace.as_mut().filter(|_| self.replay.is_some_and(|r| r.has(self.lanes[lane].at()))) {
            pace.sent(records);
        }
        self.lanes[lane].done(next);
        if lane + 1 == self.lanes.len() {
            self.turns.live += bytes as f64 / share.max(0.01);
        } else {
            self.turns.backlog += bytes as f64 / (1.0 - share).max(0.01);
        }
    }
}
