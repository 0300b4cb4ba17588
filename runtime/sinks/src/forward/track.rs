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
//! **ahead** of it, between the spans, is in the sink's small state, and a restart leaves it out. `store replay` moves
//! the cursor back and drops that state, so that all behind it is sent again.

use super::cut::{Cut, Lane};
use std::time::Duration;
use tidegate_store::{Error, Partition, Position};

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
}

/// One partition being delivered.
pub(super) struct Track {
    lanes: Vec<Lane>,
    live: Live,
    turns: Turns,
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
                lanes.push(lane(from).until(*begin));
            }
            from = from.max(*end);
        }
        lanes.push(lane(from));
        Track { lanes, live, turns: Turns::default() }
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
        Standing { at: self.at(), ahead, fence: self.open().fence() }
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

    /// The lane whose turn it is. Spans that are delivered are gone after this.
    pub(super) async fn choose(&mut self) -> Result<usize, Error> {
        while self.lanes.len() > 1 {
            if self.lanes[0].is_through().await? {
                self.lanes.remove(0);
                continue;
            }
            let last = self.lanes.len() - 1;
            if self.live.share <= 0.0 {
                return Ok(0);
            }
            if !self.lanes[last].has_some().await? {
                self.turns.live = self.turns.live.max(self.turns.backlog);
                return Ok(0);
            }
            return Ok(if self.turns.live <= self.turns.backlog { last } else { 0 });
        }
        Ok(0)
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
    pub(super) fn done(&mut self, lane: usize, next: Position, bytes: usize) {
        self.lanes[lane].done(next);
        if lane + 1 == self.lanes.len() {
            self.turns.live += bytes as f64 / self.live.share.max(0.01);
        } else {
            self.turns.backlog += bytes as f64 / (1.0 - self.live.share).max(0.01);
        }
    }
}
