//! What a plugin may use.

use crate::{Grants, Tables};
use std::sync::Arc;
use std::time::Duration;

/// Most bytes of a fault's or finding's text that is kept.
pub const TEXT_BYTES_MAX: usize = 512;

/// Bounds of a plugin and each of its instances. The defaults are those of the configuration's `[plugins]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Most linear memory an instance may have. Batches are cut so that a call fits.
    pub memory_bytes: usize,
    /// Longest a call may run; checked every 5 ms.
    pub call_time: Duration,
    /// Most bytes a call may return.
    pub output_bytes: usize,
    /// Largest plugin file.
    pub module_bytes: usize,
    /// So many faulted calls in a row and the plugin is quarantined: [`crate::Halted`].
    pub faults_max: u32,
    /// What it may say.
    pub log: LogLimits,
    /// What it may import.
    pub grants: Grants,
    /// What it may look things up in where that is granted; the same for as long as it runs.
    pub tables: Arc<Tables>,
}

/// Bounds of what a plugin with [`crate::Grant::Log`] may say; the rest is dropped and counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLimits {
    /// Most lines of a call.
    pub call_lines: usize,
    /// Most bytes of a call's lines.
    pub call_bytes: usize,
    /// Most lines a minute.
    pub minute_lines: usize,
    /// Most bytes of a minute's lines.
    pub minute_bytes: usize,
}

impl Default for LogLimits {
    fn default() -> Self {
        LogLimits { call_lines: 16, call_bytes: 4 << 10, minute_lines: 120, minute_bytes: 32 << 10 }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            memory_bytes: 16 << 20,
            call_time: Duration::from_millis(250),
            output_bytes: 8 << 20,
            module_bytes: 16 << 20,
            faults_max: 100,
            log: LogLimits::default(),
            grants: Grants::default(),
            tables: Arc::default(),
        }
    }
}
