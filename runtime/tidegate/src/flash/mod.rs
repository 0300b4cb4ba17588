//! The flash budget: what is written to the device that holds the store, how long it lasts at that rate, and the commit
//! interval that keeps to a yearly budget.
//!
//! Two counts are kept apart. What the **device** takes is what wears it: everybody's writes and what the file system
//! adds, as the kernel counts them for the whole disk. What **this process** has written is what a longer commit interval
//! can make less, so the budget is held against that.

mod device;
mod life;
mod pace;
mod watch;

use life::Life;
pub use pace::AUTO_MIN;
use pace::Pace;
pub use watch::{SetInterval, Watch};

/// What `[store]` says of the flash.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Bytes the device takes in its life, as its maker states them.
    pub endurance: Option<u64>,
    /// Bytes a year this gateway may write. With it the commit interval is chosen.
    pub write_budget: Option<u64>,
    /// `commit_interval = "auto"`.
    pub auto: bool,
}

/// A year, as budgets count it.
pub const YEAR_S: f64 = 365.0 * 86_400.0;
