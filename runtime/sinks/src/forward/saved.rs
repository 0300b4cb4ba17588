//! A sink's small state: JSON, by partition the open lane's fence (a number), or that, what was delivered ahead and what is
//! being delivered again.

use super::cursors::Mark;
use super::replay::Replaying;
use super::track::{SPANS_MAX, Standing};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tidegate_store::Position;

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Saved {
    Fence(u64),
    Ahead {
        fence: u64,
        ahead: Vec<(u64, u64)>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        replay: Option<Replaying>,
    },
}

impl Default for Saved {
    fn default() -> Self {
        Saved::Fence(0)
    }
}

impl Saved {
    #[cfg(test)]
    fn fence(&self) -> u64 {
        match self {
            Saved::Fence(fence) | Saved::Ahead { fence, .. } => *fence,
        }
    }

    /// `None` where a cursor says it all: a fence that it has passed is left out.
    pub(super) fn of(standing: &Standing) -> Option<Self> {
        let Standing { at, ahead, fence, replay } = standing;
        if ahead.is_empty() {
            return (fence > at).then_some(Saved::Fence(fence.0));
        }
        let ahead = ahead.iter().map(|(from, to)| (from.0, to.0)).collect();
        Some(Saved::Ahead { fence: fence.0, ahead, replay: *replay })
    }

    /// With the cursor, which may have been moved: what is ahead of it, in order.
    pub(super) fn standing(self, at: Position) -> Standing {
        let (fence, ahead, replay) = match self {
            Saved::Fence(fence) => (fence, Vec::new(), None),
            Saved::Ahead { fence, ahead, replay } => (fence, ahead, replay),
        };
        let mut standing = Standing { at, ahead: Vec::new(), fence: Position(fence), replay };
        for (from, to) in ahead.into_iter().take(SPANS_MAX).filter(|(from, to)| from <= to) {
            let last = standing.ahead.last().map_or(standing.at, |(_, to)| *to);
            if Position(from) <= standing.at {
                standing.at = standing.at.max(Position(to));
            } else if Position(from) >= last {
                standing.ahead.push((Position(from), Position(to)));
            }
        }
        standing
    }
}

/// A state that is not ours costs nothing but an upstream's recognition of what it gets again.
pub(super) fn read(state: &[u8]) -> BTreeMap<u32, Saved> {
    serde_json::from_slice(state).unwrap_or_default()
}

/// Where all partitions stand, but for their cursors.
pub(super) fn write(marks: &[Mark]) -> Vec<u8> {
    let saved = marks.iter().filter_map(|mark| Some((mark.partition.number, Saved::of(&mark.standing)?)));
    bytes(&saved.collect())
}

pub(super) fn bytes(saved: &BTreeMap<u32, Saved>) -> Vec<u8> {
    serde_json::to_vec(saved).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(state: &str, at: u64) -> (u64, Vec<(u64, u64)>) {
        let saved = read(state.as_bytes()).remove(&0).unwrap_or_default().standing(Position(at));
        (saved.at.0, saved.ahead.iter().map(|(from, to)| (from.0, to.0)).collect())
    }

    #[test]
    fn a_cursor_that_was_moved_finds_its_way_between_what_was_delivered() {
        let state = r#"{"0":{"fence":7,"ahead":[[10,20],[30,30],[40,50]]}}"#;
        assert_eq!(standing(state, 5), (5, vec![(10, 20), (30, 30), (40, 50)]));
        assert_eq!(standing(state, 0), (0, vec![(10, 20), (30, 30), (40, 50)]), "moved back");
        assert_eq!(standing(state, 10), (20, vec![(30, 30), (40, 50)]));
        assert_eq!(standing(state, 15), (20, vec![(30, 30), (40, 50)]), "moved on");
        assert_eq!(standing(state, 35), (35, vec![(40, 50)]));
        assert_eq!(standing(state, 60), (60, vec![]));
    }

    #[test]
    fn states_of_before_and_states_that_are_not_ours_are_read() {
        assert_eq!(standing(r#"{"0":12}"#, 5), (5, vec![]));
        assert_eq!(read(br#"{"0":12}"#)[&0].fence(), 12);
        for strange in ["", "null", r#"{"0":"x"}"#, r#"{"0":{"fence":1,"ahead":[[9,3],[4,8],[6,7]]}}"#] {
            let (at, ahead) = standing(strange, 2);
            assert!(at == 2 && ahead.iter().all(|(from, to)| from <= to), "{strange}: {ahead:?}");
        }
    }
}
