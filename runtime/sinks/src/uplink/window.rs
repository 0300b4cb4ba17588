//! `send_window`: at what time of day the uplink is open.
//!
//! The times are UTC and a fixed offset; daylight saving is nobody's business at a gateway. A gateway whose clock is
//! not set cannot know the time of day: it holds back for [`UNTRUSTED_MAX_US`], which is what setting a clock takes,
//! and is open from then on.

use std::fmt;
use std::str::FromStr;
use tidegate_record::Wall;

/// How long an uplink with a window stays shut while the wall clock is not set.
const UNTRUSTED_MAX_US: i64 = 15 * 60 * 1_000_000;
const MINUTES_A_DAY: i64 = 24 * 60;

/// From one time of day to another, in minutes; over midnight where the second is the earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SendWindow {
    from: u16,
    to: u16,
    /// Minutes east of UTC.
    offset: i16,
}

/// Minutes east of UTC: `+01:00`, `-03:30`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UtcOffset(i16);

/// Whether the window is open.
#[derive(Debug)]
pub(super) struct Gate {
    window: SendWindow,
    /// Since when the wall clock is not set, boot clock.
    untrusted_since: Option<i64>,
}

impl SendWindow {
    /// The same times of day at another offset from UTC.
    pub fn at(self, offset: UtcOffset) -> Self {
        SendWindow { offset: offset.0, ..self }
    }

    fn is_open(self, wall_micros: i64) -> bool {
        let minute = (wall_micros.div_euclid(60_000_000) + i64::from(self.offset)).rem_euclid(MINUTES_A_DAY) as u16;
        match self.from < self.to {
            true => (self.from..self.to).contains(&minute),
            false => minute >= self.from || minute < self.to,
        }
    }
}

impl Gate {
    pub(super) fn new(window: SendWindow) -> Self {
        Gate { window, untrusted_since: None }
    }

    /// Why nothing may be sent now.
    pub(super) fn shut(&mut self, boot: i64, wall: Wall) -> Option<String> {
        if !wall.trusted {
            let since = *self.untrusted_since.get_or_insert(boot);
            return (boot - since < UNTRUSTED_MAX_US)
                .then(|| format!("the clock is not set, so send_window {} is taken as shut for 15 min", self.window));
        }
        self.untrusted_since = None;
        (!self.window.is_open(wall.micros)).then(|| format!("outside of send_window {}", self.window))
    }
}

impl FromStr for SendWindow {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let times = text.split_once('-').and_then(|(from, to)| Some((minutes(from)?, minutes(to)?)));
        match times {
            Some((from, to)) if from != to => Ok(SendWindow { from, to, offset: 0 }),
            Some(_) => Err(format!("{text:?} is open all day or never: leave it out to send at any time")),
            None => Err(format!("{text:?} is no window: write two times of day, such as \"22:00-06:00\"")),
        }
    }
}

impl FromStr for UtcOffset {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let signed = match text.split_at_checked(1) {
            Some(("+", rest)) => minutes(rest).map(|minutes| minutes as i16),
            Some(("-", rest)) => minutes(rest).map(|minutes| -(minutes as i16)),
            _ => None,
        };
        let within = signed.filter(|minutes| (-12 * 60..=14 * 60).contains(minutes));
        within.map(UtcOffset).ok_or_else(|| format!("{text:?} is no offset from UTC, such as \"+01:00\""))
    }
}

/// Minutes of `HH:MM`.
fn minutes(text: &str) -> Option<u16> {
    let (hours, minutes) = text.trim().split_once(':')?;
    let two = |digits: &str| (digits.len() == 2).then(|| digits.parse::<u16>().ok()).flatten();
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

impl fmt::Display for UtcOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { '-' } else { '+' };
        write!(f, "{sign}{:02}:{:02}", self.0.abs() / 60, self.0.abs() % 60)
    }
}

impl fmt::Display for SendWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SendWindow { from, to, offset } = self;
        write!(f, "{:02}:{:02}-{:02}:{:02} ", from / 60, from % 60, to / 60, to % 60)?;
        write!(f, "(UTC{})", UtcOffset(*offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-06-01T00:00:00Z.
    const MIDNIGHT: i64 = 1_780_272_000_000_000;
    const MINUTE: i64 = 60_000_000;

    fn open_hours(window: &str, offset: &str) -> Vec<i64> {
        let window: SendWindow = window.parse().unwrap();
        let window = window.at(offset.parse().unwrap());
        (0..24).filter(|hour| window.is_open(MIDNIGHT + hour * 60 * MINUTE)).collect()
    }

    #[test]
    fn a_window_is_open_between_its_times_over_midnight_too_and_at_its_offset() {
        assert_eq!(open_hours("08:00-11:00", "+00:00"), [8, 9, 10]);
        assert_eq!(open_hours("22:00-02:30", "+00:00"), [0, 1, 2, 22, 23]);
        assert_eq!(open_hours("22:00-02:00", "+01:00"), [0, 21, 22, 23]);
        assert_eq!(open_hours("00:00-03:00", "-03:30"), [4, 5, 6]);
    }

    #[test]
    fn what_is_no_window_and_no_offset_is_said() {
        for bad in ["", "22", "22:00", "22:00-24:00", "22:60-23:00", "2:00-3:00", "06:00-06:00", "a:00-b:00"] {
            assert!(bad.parse::<SendWindow>().is_err(), "{bad}");
        }
        for bad in ["", "01:00", "+1:00", "+15:00", "-13:00", "Z", "+0100"] {
            assert!(bad.parse::<UtcOffset>().is_err(), "{bad}");
        }
        let window: SendWindow = "22:00-06:05".parse().unwrap();
        assert_eq!(window.at("-03:30".parse().unwrap()).to_string(), "22:00-06:05 (UTC-03:30)");
    }

    #[test]
    fn a_clock_that_is_not_set_keeps_it_shut_for_a_quarter_of_an_hour() {
        let mut gate = Gate::new("08:00-11:00".parse().unwrap());
        let wall = |trusted| Wall { micros: MIDNIGHT, trusted };
        let start = 5 * MINUTE;
        assert!(gate.shut(start, wall(false)).is_some_and(|why| why.contains("the clock is not set")));
        assert!(gate.shut(start + 15 * MINUTE - 1, wall(false)).is_some());
        assert_eq!(gate.shut(start + 15 * MINUTE, wall(false)), None);
        // It is set, to a time outside of the window.
        assert!(gate.shut(start + 16 * MINUTE, wall(true)).is_some_and(|why| why.contains("outside of")));
        // Set back, it gets its time again.
        assert!(gate.shut(start + 17 * MINUTE, wall(false)).is_some());
    }
}
