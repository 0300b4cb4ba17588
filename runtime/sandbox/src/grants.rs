//! What a configuration may grant a plugin beyond its arithmetic: the contract's imports, one by one.

use std::fmt;

/// An import of the contract that may be granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Grant {
    /// Lines in the gateway's log.
    Log,
    /// When the batch at hand arrived.
    Clock,
    /// The gateway's tables.
    Lookup,
}

impl Grant {
    /// Every grant.
    pub const ALL: [Grant; 3] = [Grant::Log, Grant::Clock, Grant::Lookup];

    /// The word in configuration, which is also the interface's name.
    pub fn word(self) -> &'static str {
        match self {
            Grant::Log => "log",
            Grant::Clock => "clock",
            Grant::Lookup => "lookup",
        }
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What is granted; by default nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// Lines in the gateway's log.
    pub log: bool,
    /// When the batch at hand arrived.
    pub clock: bool,
    /// The gateway's tables.
    pub lookup: bool,
}

impl Grants {
    /// Everything there is: for who writes a plugin and looks into it.
    pub fn all() -> Self {
        Grants { log: true, clock: true, lookup: true }
    }

    /// Whether an import is granted.
    pub fn has(&self, grant: Grant) -> bool {
        match grant {
            Grant::Log => self.log,
            Grant::Clock => self.clock,
            Grant::Lookup => self.lookup,
        }
    }
}

/// When the records of a call arrived, as their log has it: the same at replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Arrival {
    /// Arrival clock, microseconds: never goes back.
    pub clock: i64,
    /// The date, microseconds since the epoch; `None` where the gateway's clock was not trusted.
    pub wall: Option<i64>,
}
