//! Delivering again what was delivered.
//!
//! A replay takes a range back out of what a partition has delivered. What lies behind the range stays delivered, ahead of
//! the cursor, and is kept in the sink's small state like all that is: so the place that the sink had reached is not lost,
//! and after a restart what is left of the replay goes on. The range is a lane of its own beside the open one; of the bytes
//! it gets half while there are fresh records, and with a rate no more than so many records a second.
//!
//! Without an end and without a rate it is the cursor that goes back: everything from there on comes again, in order.

use super::saved::{self, Saved};
use super::track::{SPANS_MAX, Standing};
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;
use std::time::Duration;
use tidegate_store::Position;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// What the replayed records get of the bytes while there are fresh ones, where no live share says otherwise.
pub(super) const SHARE: f64 = 0.5;
/// A paced replay that was kept waiting catches up so far.
const CATCH_UP_MAX: Duration = Duration::from_secs(1);

/// What to deliver again of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replay {
    /// The partition.
    pub partition: u32,
    /// From this offset on.
    pub from: u64,
    /// To before this one; without it, everything from there on, or, with a rate, what had been delivered.
    pub to: Option<u64>,
    /// Most records a second.
    pub rate: Option<NonZeroU32>,
}

/// A replay under way, as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Replaying {
    pub(super) from: u64,
    pub(super) to: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rate: Option<NonZeroU32>,
}

impl Replaying {
    /// Whether a lane that is at a position is part of it.
    pub(super) fn has(&self, at: Position) -> bool {
        (self.from..self.to).contains(&at.0)
    }

    /// Whether some of the positions from `from` to before `to` are part of it.
    pub(super) fn overlaps(&self, from: Position, to: Position) -> bool {
        self.from < to.0 && from.0 < self.to
    }
}

/// Where a sink that no gateway runs stands after a replay was asked for: its cursor, and its small state. `state` is the
/// one it left, `at` its cursor.
pub fn moved_back(state: Option<&[u8]>, at: u64, asked: &Replay) -> Result<(u64, Vec<u8>), String> {
    let mut all = state.map(saved::read).unwrap_or_default();
    let stands = all.remove(&asked.partition).unwrap_or_default().standing(Position(at));
    let standing = stands.replaying(asked)?;
    all.extend(Saved::of(&standing).map(|saved| (asked.partition, saved)));
    Ok((standing.at.0, saved::bytes(&all)))
}

impl Standing {
    /// With a range taken back; an error where nothing of it was delivered.
    pub(super) fn replaying(&self, asked: &Replay) -> Result<Standing, String> {
        let Replay { from, to, rate, .. } = *asked;
        let reached = self.ahead.last().map_or(self.at, |(_, to)| *to);
        if from >= reached.0 {
            return Err(format!("offset {from} is ahead of it: it stands at {}, and a replay goes back", reached.0));
        }
        let at = self.at.min(Position(from));
        let Some(to) = to.or(rate.map(|_| reached.0)) else {
            return Ok(Standing { at, ..Standing::default() });
        };
        if to <= from {
            return Err(format!("offset {to}, where it is to end, is not behind {from}, where it begins"));
        }
        let (begin, end) = (Position(from), Position(to).min(reached));
        let mut ahead = Vec::new();
        for &(from, to) in [(Position(0), self.at)].iter().chain(&self.ahead) {
            let pieces = [(from, to.min(begin)), (from.max(end), to)];
            ahead.extend(pieces.into_iter().filter(|(from, to)| from < to && *from > at));
        }
        // It parts the range from what comes behind it.
        if ahead.last().is_none_or(|(_, to)| *to < reached) {
            ahead.push((reached, reached));
        }
        if ahead.len() >= SPANS_MAX {
            return Err(format!("it has {} spans still to deliver: replay when it is further", ahead.len()));
        }
        Ok(Standing { at, ahead, fence: self.fence, replay: Some(Replaying { from, to: end.0, rate }) })
    }
}

/// How fast a replay goes.
#[derive(Debug)]
pub(super) struct Pace {
    rate: NonZeroU32,
    due: Instant,
}

impl Pace {
    pub(super) fn new(rate: NonZeroU32) -> Self {
        Pace { rate, due: Instant::now() }
    }

    /// So many records were sent.
    pub(super) fn sent(&mut self, records: usize) {
        let now = Instant::now();
        let earliest = now.checked_sub(CATCH_UP_MAX).unwrap_or(now);
        let takes = Duration::from_secs_f64(records as f64 / f64::from(self.rate.get()));
        self.due = self.due.max(earliest) + takes;
    }

    /// When the next may go.
    pub(super) fn due(&self) -> Instant {
        self.due
    }
}

/// Somebody asks for a replay.
pub(super) struct Ask {
    pub(super) replays: Vec<Replay>,
    pub(super) done: oneshot::Sender<Result<(), String>>,
}

/// What is asked of a sink from outside.
pub(super) struct Asks {
    receiver: mpsc::Receiver<Ask>,
    next: Option<Ask>,
}

impl Asks {
    pub(super) fn of(receiver: mpsc::Receiver<Ask>) -> Self {
        Asks { receiver, next: None }
    }

    /// Resolves once something is asked; never, where nobody can. May be dropped at any await.
    pub(super) async fn asked(&mut self) {
        if self.next.is_none() {
            match self.receiver.recv().await {
                Some(ask) => self.next = Some(ask),
                None => std::future::pending().await,
            }
        }
    }

    /// Whether something is.
    pub(super) fn waits(&mut self) -> bool {
        self.next = self.next.take().or_else(|| self.receiver.try_recv().ok());
        self.next.is_some()
    }

    pub(super) fn take(&mut self) -> Option<Ask> {
        self.waits();
        self.next.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replay(from: u64, to: Option<u64>, rate: Option<u32>) -> Replay {
        Replay { partition: 0, from, to, rate: rate.and_then(NonZeroU32::new) }
    }

    /// The cursor and the state after a replay of a sink that stands at `at`.
    fn after(state: &str, at: u64, asked: Replay) -> Result<(u64, String), String> {
        let (at, state) = moved_back(Some(state.as_bytes()), at, &asked)?;
        Ok((at, String::from_utf8(state).unwrap()))
    }

    #[test]
    fn what_lies_behind_the_range_stays_delivered() {
        let expected = r#"{"0":{"fence":0,"ahead":[[60,100]],"replay":{"from":20,"to":60}}}"#;
        assert_eq!(after("{}", 100, replay(20, Some(60), None)), Ok((20, expected.into())));
        let expected = r#"{"0":{"fence":0,"ahead":[[100,100]],"replay":{"from":0,"to":100,"rate":5}}}"#;
        assert_eq!(after("{}", 100, replay(0, Some(900), Some(5))), Ok((0, expected.into())), "to where it had come");
        assert_eq!(after("{}", 100, replay(0, None, Some(5))), Ok((0, expected.into())));
        assert_eq!(after(r#"{"0":70,"1":9}"#, 100, replay(20, None, None)), Ok((20, r#"{"1":9}"#.into())));
    }

    #[test]
    fn what_was_delivered_ahead_is_taken_back_where_the_range_has_it() {
        let state = r#"{"0":{"fence":70,"ahead":[[20,30],[40,50]]}}"#;
        let cases = [
            (22, 25, 10, "[20,22],[25,30],[40,50]"),
            (5, 25, 5, "[25,30],[40,50]"),
            (20, 30, 10, "[40,50]"),
            (45, 60, 10, "[20,30],[40,45],[50,50]"),
            (0, 50, 0, "[50,50]"),
        ];
        for (from, to, at, ahead) in cases {
            let (found, state) = after(state, 10, replay(from, Some(to), None)).unwrap();
            let expected = format!(r#""ahead":[{ahead}],"replay":{{"from":{from},"to":{}}}"#, to.min(50));
            assert!(found == at && state.contains(&expected), "{from}..{to}: {found}, {state}");
        }
        assert_eq!(after(state, 10, replay(5, None, None)), Ok((5, "{}".into())), "all of it comes again");
    }

    #[test]
    fn a_replay_goes_back_and_has_an_extent() {
        assert!(after("{}", 10, replay(10, None, None)).unwrap_err().contains("it stands at 10"));
        assert!(after("{}", 10, replay(5, Some(5), None)).unwrap_err().contains("is not behind 5"));
        let ahead: Vec<_> = (1..8).map(|n| [n * 10, n * 10 + 5]).collect();
        let state = serde_json::json!({ "0": { "fence": 0, "ahead": ahead } }).to_string();
        assert!(after(&state, 5, replay(31, Some(32), None)).unwrap_err().contains("spans still to deliver"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pace_is_kept_and_catches_up_a_second_at_most() {
        let began = Instant::now();
        let mut pace = Pace::new(NonZeroU32::new(100).unwrap());
        for _ in 0..5 {
            tokio::time::sleep_until(pace.due()).await;
            pace.sent(50);
        }
        assert_eq!(pace.due() - began, Duration::from_millis(2500));
        tokio::time::advance(Duration::from_secs(3600)).await;
        pace.sent(50);
        assert_eq!(Instant::now() - pace.due(), Duration::from_millis(500));
    }
}
