//! The clock that every part of a gateway is handed.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tidegate_record::{Clock, Wall};

/// A clock that nobody has set goes on from where it was last right, or where the last process left off: a reading
/// without a time of its own would be stamped with 1970 else, after others of this year.
pub(super) struct GatewayClock {
    machine: Arc<dyn Clock>,
    /// Wall clock minus boot clock to go on from; [`NOTHING`] where there is nothing.
    ahead: AtomicI64,
}

const NOTHING: i64 = i64::MIN;

impl GatewayClock {
    pub fn new(machine: Arc<dyn Clock>) -> Self {
        GatewayClock { machine, ahead: AtomicI64::new(NOTHING) }
    }

    /// The last process left off when its wall clock said so.
    pub fn go_on_from(&self, wall: i64) {
        self.ahead.store(wall.saturating_sub(self.boot()), Ordering::Relaxed);
    }
}

impl Clock for GatewayClock {
    fn boot(&self) -> i64 {
        self.machine.boot()
    }

    fn wall(&self) -> Wall {
        let wall = self.machine.wall();
        if wall.trusted {
            self.ahead.store(wall.micros.saturating_sub(self.boot()), Ordering::Relaxed);
            return wall;
        }
        match self.ahead.load(Ordering::Relaxed) {
            NOTHING => wall,
            ahead => Wall { micros: wall.micros.max(ahead.saturating_add(self.boot())), ..wall },
        }
    }

    fn synchronised(&self) -> bool {
        self.machine.synchronised()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_record::ManualClock;

    const WALL_2026: i64 = 1_780_272_000_000_000;

    #[test]
    fn a_clock_that_is_not_set_goes_on_from_where_it_was_last_right() {
        let machine = Arc::new(ManualClock::at(5));
        machine.set_wall(5, false);
        let clock = GatewayClock::new(machine.clone());
        assert_eq!(clock.wall(), Wall { micros: 5, trusted: false }, "there is nothing to go on from");
        clock.go_on_from(WALL_2026);
        machine.advance(7);
        assert_eq!(clock.wall(), Wall { micros: WALL_2026 + 7, trusted: false });
        machine.set_wall(2 * WALL_2026, true);
        assert_eq!(clock.wall(), Wall { micros: 2 * WALL_2026, trusted: true }, "a clock that was set is right");
        machine.set_wall(9, false);
        machine.advance(1);
        assert_eq!(clock.wall(), Wall { micros: 2 * WALL_2026 + 1, trusted: false });
    }
}
