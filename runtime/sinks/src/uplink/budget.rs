//! `max_bytes_per_hour`: how much may be sent. No clock and no I/O; the caller says what time it is.
//!
//! Hours are counted by the arrival clock from the first one on. What is sent is **reserved** first, and the
//! reservation is durable before a byte of it goes: after a crash what was reserved counts as sent, so that a gateway
//! that crashes again and again cannot spend its budget again and again. A reservation is made for a little more than
//! is needed ([`AHEAD`]), so that not every request waits for a disk.

use serde::{Deserialize, Serialize};

const HOUR_US: i64 = 3_600_000_000;
/// A reservation is so many parts of the budget ahead of what is sent.
const AHEAD: u64 = 64;
/// One part in so many of the budget is kept for urgent sinks, where there are any.
const KEPT_FOR_URGENT: u64 = 10;

/// What may be sent in this hour.
#[derive(Debug)]
pub(super) struct Budget {
    per_hour: u64,
    keeps_for_urgent: bool,
    /// When this hour began, arrival clock, microseconds.
    hour: i64,
    spent: u64,
    reserved: u64,
}

/// What is durable of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reservation {
    hour: i64,
    reserved: u64,
}

impl Budget {
    /// Goes on where `reservation` stands.
    pub(super) fn new(per_hour: u64, reservation: Option<Reservation>, now: i64) -> Self {
        let Reservation { hour, reserved } = reservation.unwrap_or(Reservation { hour: now, reserved: 0 });
        Budget { per_hour, keeps_for_urgent: false, hour, spent: reserved, reserved }
    }

    /// From now on a part is kept for urgent sinks.
    pub(super) fn keep_for_urgent(&mut self) {
        self.keeps_for_urgent = true;
    }

    /// Whether so many bytes may be sent now. What is larger than an hour's budget goes when half of it is there, and
    /// the hours that follow pay for it.
    pub(super) fn has_room(&mut self, bytes: u64, urgent: bool, now: i64) -> bool {
        self.turn(now);
        let kept = if self.keeps_for_urgent && !urgent { self.per_hour / KEPT_FOR_URGENT } else { 0 };
        let limit = self.per_hour - kept;
        if bytes > limit { self.spent <= limit / 2 } else { self.spent + bytes <= limit }
    }

    /// Takes so many bytes; where there is a reservation to make, it must be durable before they are sent.
    pub(super) fn take(&mut self, bytes: u64, now: i64) -> Option<Reservation> {
        self.turn(now);
        self.spent += bytes;
        (self.spent > self.reserved)
            .then(|| Reservation { hour: self.hour, reserved: self.spent + self.per_hour / AHEAD })
    }

    /// A reservation is durable: so much may be sent without another.
    pub(super) fn reserve(&mut self, reservation: &Reservation) {
        if reservation.hour == self.hour {
            self.reserved = reservation.reserved;
        }
    }

    /// The hour that bytes are taken of now.
    pub(super) fn hour(&self) -> i64 {
        self.hour
    }

    /// Of `taken` bytes of an hour only so many were sent. Once that hour is over nothing comes back: others have begun
    /// the next.
    pub(super) fn sent(&mut self, hour: i64, taken: u64, sent: u64) {
        if hour == self.hour {
            self.spent = self.spent.saturating_sub(taken) + sent;
        }
    }

    /// Bytes that may still be sent in this hour.
    pub(super) fn left(&mut self, now: i64) -> u64 {
        self.turn(now);
        self.per_hour.saturating_sub(self.spent)
    }

    /// When the next hour begins, arrival clock.
    pub(super) fn next_hour(&self) -> i64 {
        self.hour + HOUR_US
    }

    /// Begins the hour that is now. What was sent beyond a budget is paid by the hours that follow.
    fn turn(&mut self, now: i64) {
        let hours = now.saturating_sub(self.hour) / HOUR_US;
        if hours > 0 {
            self.hour += hours * HOUR_US;
            self.spent = self.spent.saturating_sub(self.per_hour.saturating_mul(hours as u64));
            self.reserved = self.spent;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_hour_may_send_is_spent_once_and_comes_back_with_the_next_hour() {
        let mut budget = Budget::new(1_000, None, 0);
        assert!(budget.has_room(600, false, 1));
        budget.take(600, 1);
        assert!(!budget.has_room(600, false, HOUR_US - 1));
        assert!(budget.has_room(400, false, HOUR_US - 1));
        assert_eq!(budget.left(HOUR_US - 1), 400);
        assert!(budget.has_room(600, false, HOUR_US));
        assert_eq!((budget.left(HOUR_US), budget.next_hour()), (1_000, 2 * HOUR_US));
    }

    #[test]
    fn a_crash_at_any_moment_spends_at_most_what_was_reserved_and_never_twice() {
        let (mut durable, mut sent) = (None, 0);
        for crash in 0..1_000 {
            let mut budget = Budget::new(64_000, durable, 0);
            if !budget.has_room(500, false, crash) {
                continue;
            }
            if let Some(reservation) = budget.take(500, crash) {
                budget.reserve(&reservation);
                durable = Some(reservation);
            }
            sent += 500;
        }
        assert!((16_000..=64_000).contains(&sent), "{sent} bytes were sent over a thousand crashes");
    }

    #[test]
    fn a_reservation_that_was_not_kept_is_made_again_by_the_next() {
        let mut budget = Budget::new(64_000, None, 0);
        assert!(budget.take(100, 0).is_some(), "whoever took it is gone before it is durable");
        let again = budget.take(100, 0);
        assert!(again.is_some_and(|reservation| reservation.reserved > 200), "{again:?}");
    }

    #[test]
    fn a_reservation_is_made_for_a_little_more_so_that_not_every_request_waits_for_one() {
        let mut budget = Budget::new(64_000, None, 0);
        let mut reserves = || budget.take(100, 0).map(|reservation| budget.reserve(&reservation)).is_some();
        let reservations = (0..100).filter(|_| reserves()).count();
        assert!((5..=12).contains(&reservations), "{reservations} for 100 requests");
    }

    #[test]
    fn what_was_not_sent_is_given_back() {
        let mut budget = Budget::new(1_000, None, 0);
        budget.take(900, 0);
        let hour = budget.hour();
        budget.sent(hour, 900, 100);
        assert_eq!(budget.left(0), 900);
        // What another took of the next hour stays taken.
        budget.take(800, HOUR_US - 1);
        budget.take(700, HOUR_US);
        budget.sent(hour, 800, 0);
        assert_eq!(budget.left(HOUR_US), 300);
    }

    #[test]
    fn a_tenth_is_kept_for_urgent_sinks_where_there_are_any() {
        let mut budget = Budget::new(1_000, None, 0);
        assert!(budget.has_room(1_000, false, 0));
        budget.keep_for_urgent();
        budget.take(900, 0);
        assert!(!budget.has_room(1, false, 0), "the rest is kept");
        assert!(budget.has_room(100, true, 0));
    }

    #[test]
    fn a_request_larger_than_the_budget_goes_and_the_following_hours_pay_for_it() {
        let mut budget = Budget::new(1_000, None, 0);
        assert!(budget.has_room(2_500, false, 0));
        budget.take(2_500, 0);
        assert!(!budget.has_room(1, false, HOUR_US));
        assert_eq!(budget.left(2 * HOUR_US), 500);
    }
}
