//! What stands in for the gateway in native tests. Each test's thread has its own.

pub(crate) mod tables;

pub use tables::table;

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
