//! How times that the gateway set are to be read: what became known of its wall clock later.

use super::Run;

/// What is known of the wall clock as it was at a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dating {
    /// The commit since which it had gone on without a step. Commits that agree in it agree in all of this.
    pub since: u64,
    /// How far it was ahead of the arrival clock, microseconds.
    pub offset: i64,
    /// What must be added to times it set. Known later than the commit: only people and upstreams are told of it, never
    /// an operator.
    pub shift: i64,
    /// What a reader of such times is to be warned of.
    pub mark: Option<ClockMark>,
}

/// What the reader of a time that the gateway set is to be warned of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockMark {
    /// Nobody had set the clock: the time says how records follow each other, not when they were.
    Unset,
    /// The clock was set later, and the time computed from that.
    Corrected,
}

impl ClockMark {
    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            ClockMark::Unset => "unset",
            ClockMark::Corrected => "corrected",
        }
    }
}

/// How the event times of a block's records are to be read.
#[derive(Debug, Clone, Default)]
pub struct Dates {
    /// By run: the row behind its last, what is to be added, what the reader is warned of. Empty where all times are as
    /// they are written.
    runs: Vec<(usize, i64, Option<ClockMark>)>,
}

impl Dates {
    /// Of records that arrived so, as it is known now.
    pub fn of(arrived: &[Run], dating: impl Fn(u64) -> Option<Dating>) -> Self {
        let (mut runs, mut end) = (Vec::new(), 0);
        for run in arrived {
            end += run.rows as usize;
            let dating = run.stamped.and_then(&dating);
            let unset = (run.stamped.is_some() && !run.trusted).then_some(ClockMark::Unset);
            runs.push(dating.map_or((end, 0, unset), |dating| (end, dating.shift, dating.mark)));
        }
        if runs.iter().all(|&(_, shift, mark)| shift == 0 && mark.is_none()) {
            runs.clear();
        }
        Dates { runs }
    }

    /// What is to be added to the time of row `row`, and what its reader is warned of.
    pub fn at(&self, row: usize) -> (i64, Option<ClockMark>) {
        let run = self.runs.get(self.runs.partition_point(|&(end, ..)| end <= row));
        run.map_or((0, None), |&(_, shift, mark)| (shift, mark))
    }
}
