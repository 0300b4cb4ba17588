//! What stands in for the gateway in native tests. Each test's thread has its own.
//!
//! [`plugin!`] is the crate's whole plugin, which text is given to and that gives text back:
//!
//! ```
//! # extern crate tidegate_sdk as tidegate;
//! use tidegate::{Emits, Record, testing};
//!
//! #[derive(Record)]
//! struct Meter { total: i64 }
//!
//! #[derive(Emits)]
//! struct Rise { rise: i64 }
//!
//! /// By how much a counter has risen since the device's last record.
//! #[tidegate::transform]
//! fn rise(r: &Meter, last: &mut Option<i64>) -> Option<Rise> {
//!     last.replace(r.total).map(|last| Rise { rise: r.total - last })
//! }
//!
//! testing::plugin!().check(
//!     "device  time  total:i64
//!      d1      0     100
//!      d2      0     7
//!      d1      60    103
//!      d1      120   -",
//!     "device  time  total  rise
//!      d1      60    103    3
//!      fault 3: total is null",
//! );
//! ```
//!
//! The records are given in one batch, one by one, and cut at random with a new instance at each cut that takes the state
//! over; their slots are released and used again, and windows are merged of two: results that depend on it fail the test.

#[doc(hidden)]
pub mod native;
mod run;
pub(crate) mod tables;
mod text;

pub use run::Tried;
pub use tables::table;

/// The plugin this crate exports, to be tried natively: it stands where the attribute or [`crate::export!`] stands, or in a
/// module that takes all from there (`use super::*`).
pub use crate::testing_plugin as plugin;

use crate::log::Level;
use std::cell::{Cell, RefCell};

thread_local! {
    static ARRIVAL: Cell<(i64, Option<i64>)> = const { Cell::new((0, None)) };
    static LINES: RefCell<Vec<(Level, String)>> = const { RefCell::new(Vec::new()) };
}

/// Sets what [`crate::clock`] says from now on; before, the arrival clock says 0 and there is no date.
pub fn arrived(clock: i64, wall: Option<i64>) {
    ARRIVAL.set((clock, wall));
}

/// Takes the lines said by [`crate::log!`] since the last time.
pub fn logged() -> Vec<(Level, String)> {
    LINES.take()
}

pub(crate) fn arrival() -> (i64, Option<i64>) {
    ARRIVAL.get()
}

pub(crate) fn say(level: Level, message: &str) {
    LINES.with_borrow_mut(|lines| lines.push((level, message.to_string())));
}

/// See [`crate::testing::plugin!`].
#[doc(hidden)]
#[macro_export]
macro_rules! testing_plugin {
    () => {
        $crate::testing::Tried::of::<ThePluginOfThisCrate>()
    };
}

#[cfg(test)]
mod tests;
