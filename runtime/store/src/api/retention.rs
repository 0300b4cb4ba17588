//! How long blocks stay, and what happens when there is no room.

use std::time::Duration;

/// How long a block is kept and what happens when there is no room.
#[derive(Debug, Clone, PartialEq)]
pub struct Retention {
    /// Most bytes of stored blocks (keys and values).
    pub max_bytes: u64,
    /// Older blocks go even unread (ledgered `age`). Measured by the arrival clock.
    pub max_age: Option<Duration>,
    /// How long read blocks stay.
    pub keep: Keep,
    /// What happens at `max_bytes`.
    pub when_full: WhenFull,
}

/// How long a block stays once nobody holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// It goes when every reader has passed it. A stream without readers keeps its blocks until a cap takes them.
    UntilRead,
    /// The same, and nothing else ever takes it: neither a cap nor an age. Goes with [`WhenFull::Block`] alone.
    All,
    /// It stays this long after its arrival, and longer while unread.
    For(Duration),
}

/// The policy of a full stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// Appends are refused with [`Refusal::Full`](super::Refusal::Full) until there is room.
    Block,
    /// The oldest blocks go (ledgered `cap`), held or not.
    DropOldest,
    /// The oldest records no reader is at work on are made coarser (ledgered `thinned`), more so each time round.
    /// Where nothing is left to be made coarser, the oldest go (ledgered `cap`). Appends wait meanwhile.
    Thin(Thin),
}

/// How often records can be made coarser: the span grows tenfold each time, the last is a thousand times the first.
pub const THIN_PASSES_MAX: u8 = 4;

/// What stands for the records of a device when they are made coarser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thin {
    /// One record a device and this much event time, at the first pass.
    pub every: Duration,
    /// Its numbers; of everything else the newest value stays.
    pub value: ThinValue,
}

/// How numbers are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThinValue {
    /// Their mean; of integers the nearest to it.
    Mean,
    /// The newest.
    Last,
    /// The smallest.
    Min,
    /// The largest.
    Max,
}

impl Thin {
    /// Microseconds of event time that become one record at a pass, from 1.
    pub fn span(&self, pass: u8) -> i64 {
        let every = i64::try_from(self.every.as_micros()).unwrap_or(i64::MAX).max(1);
        every.saturating_mul(10i64.saturating_pow(u32::from(pass.saturating_sub(1))))
    }
}
