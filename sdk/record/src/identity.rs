//! The stable identity of every record towards upstream.

use std::fmt;
use std::sync::Arc;

/// Who keeps the store: part of the identity of every record in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The gateway's configured name.
    pub gateway: Arc<str>,
    /// A random number minted when a store is created, restored or replaced, never at a restart: an offset is never
    /// used for two records under one epoch.
    pub epoch: u64,
}

/// One record's identity: `gateway/stream/partition/epoch/offset`, the same at every delivery of it. A record that
/// stands for others since its stream was thinned is another record: `…/offset~pass`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordId<'a> {
    /// Gateway and epoch.
    pub identity: &'a Identity,
    /// The stream it is delivered from.
    pub stream: &'a str,
    /// The partition of that stream.
    pub partition: u32,
    /// Its offset there.
    pub offset: u64,
    /// How often its block was thinned; 0 for a record as it was appended.
    pub pass: u8,
}

impl fmt::Display for RecordId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Identity { gateway, epoch } = self.identity;
        write!(f, "{gateway}/{}/{}/{epoch:016x}/{}", self.stream, self.partition, self.offset)?;
        if self.pass > 0 { write!(f, "~{}", self.pass) } else { Ok(()) }
    }
}
