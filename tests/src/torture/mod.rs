//! Torture: the gateway under load while power is cut, processes are killed, and the books are kept by others.
//!
//! `cargo xtask torture` and the tests of `tests/tests/torture` run a [`Trial`].

mod books;
mod disk;
mod load;
mod loops;
mod trial;
mod verdict;
mod witness;

pub use books::Books;
pub use disk::{Cut, Disk};
pub use load::Load;
pub use trial::{Options, Trial};
pub use verdict::Verdict;
pub use witness::Witness;

use serde_json::Value;

/// Devices of the load, in turn.
pub const DEVICES: u16 = 8;
/// Between two readings of a device, in event time.
pub const STEP_MS: i64 = 10;

/// One reading, by its device and its number there. Everything else of it follows from the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reading {
    /// The number in `dNN`.
    pub device: u16,
    /// Counts from 0.
    pub seq: u32,
}

impl Reading {
    /// The name of its device.
    pub fn name(self) -> String {
        format!("d{:02}", self.device)
    }

    /// What it measured: exact in a float and in decimals.
    pub fn temp(self) -> f64 {
        f64::from((self.seq * 7 + u32::from(self.device) * 13) % 1_000) / 4.0
    }

    /// Its event time, for a load that began at `begin`.
    pub fn time_ms(self, begin: i64) -> i64 {
        begin + i64::from(self.seq) * STEP_MS
    }

    /// As a device sends it.
    pub fn json(self, begin: i64) -> String {
        let (name, time, temp, seq) = (self.name(), self.time_ms(begin), self.temp(), self.seq);
        format!(r#"{{"device":"{name}","ts":{time},"temp":{temp:?},"seq":{seq}}}"#)
    }

    /// Which one a message or a record is; `None` when it is none of the load's.
    pub fn of(record: &Value) -> Option<Self> {
        let device = record["device"].as_str()?.strip_prefix('d')?.parse().ok()?;
        Some(Reading { device, seq: record["seq"].as_u64()?.try_into().ok()? })
    }

    /// [`Reading::of`] a text.
    pub fn of_json(body: &[u8]) -> Option<Self> {
        Reading::of(&serde_json::from_slice(body).ok()?)
    }
}
