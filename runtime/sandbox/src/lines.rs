//! Lines a plugin logs: bounded by call where they are said, by minute where they are passed on.

use crate::LogLimits;
use crate::limits::TEXT_BYTES_MAX;
use crate::stats::{CLOCK, Meters};
use std::fmt::Write as _;
use tidegate_record::Clock as _;
use wasmtime::component::{ComponentType, Lift};

const MINUTE_US: i64 = 60_000_000;
/// A message longer than this is a call's last: the host reads all of it, in time no deadline counts.
const READ_BYTES_MAX: usize = 16 * TEXT_BYTES_MAX;

/// How much a line matters, by the plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ComponentType, Lift)]
#[component(enum)]
#[expect(dead_code, reason = "made by lifting what a guest says")]
#[repr(u8)]
pub(crate) enum Level {
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
}

/// What was said since somebody last took it.
#[derive(Debug, Default)]
pub(crate) struct Said {
    lines: Vec<(Level, String)>,
    bytes: usize,
    dropped: u64,
}

impl Said {
    /// Whether another line of one byte would be kept; otherwise it is counted as dropped.
    pub(crate) fn has_room(&mut self, limits: &LogLimits) -> bool {
        let has = self.lines.len() < limits.call_lines && self.bytes < limits.call_bytes;
        self.dropped += u64::from(!has);
        has
    }

    /// The last line, where it is an error.
    pub(crate) fn last_words(&self) -> Option<String> {
        self.lines.last().filter(|(level, _)| *level == Level::Error).map(|(_, line)| line.clone())
    }

    /// Keeps a line, the beginning of a message of `message_bytes`.
    pub(crate) fn push(&mut self, level: Level, message: &str, message_bytes: usize, limits: &LogLimits) {
        let room = limits.call_bytes.saturating_sub(self.bytes);
        let (line, whole) = line(message, TEXT_BYTES_MAX.min(room));
        self.bytes += if whole || room > TEXT_BYTES_MAX { line.len() } else { room };
        self.lines.push((level, line));
        // Reading it took the host's time, whatever was kept of it.
        if message_bytes > READ_BYTES_MAX {
            self.bytes = limits.call_bytes;
        }
    }
}

/// Ends a line, or turns the direction of what follows round.
fn reorders(character: char) -> bool {
    matches!(
        character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

/// One line of at most `bytes_max` bytes, and whether it is the whole of it: what a terminal or another line's reader would
/// take for more is escaped.
fn line(message: &str, bytes_max: usize) -> (String, bool) {
    let mut line = String::new();
    for character in message.chars() {
        let begin = line.len();
        match character.is_control() || reorders(character) {
            true => write!(line, "{}", character.escape_default()).unwrap_or_default(),
            false => line.push(character),
        }
        if line.len() > bytes_max {
            line.truncate(begin);
            return (line, false);
        }
    }
    (line, true)
}

/// Passes lines on, so many a minute.
pub(crate) struct Logger {
    limits: LogLimits,
    minute: Option<i64>,
    lines: usize,
    bytes: usize,
    dropped: u64,
}

impl Logger {
    pub(crate) fn new(limits: &LogLimits) -> Self {
        Logger { limits: limits.clone(), minute: None, lines: 0, bytes: 0, dropped: 0 }
    }

    /// Passes on what was said; what is over the minute's bound is dropped.
    pub(crate) fn pass(&mut self, said: Said, plugin: &str, meters: &Meters) {
        if said.lines.is_empty() && said.dropped == 0 {
            return;
        }
        self.turn(CLOCK.boot() / MINUTE_US, plugin, meters);
        let (mut passed, mut dropped) = (0, said.dropped);
        for (level, line) in said.lines {
            let over = self.lines >= self.limits.minute_lines || self.bytes + line.len() > self.limits.minute_bytes;
            if over {
                dropped += 1;
                continue;
            }
            self.lines += 1;
            self.bytes += line.len();
            passed += 1;
            tell(level, &line, plugin, meters.operator());
        }
        self.dropped += dropped;
        meters.logged(passed, dropped);
    }

    /// At the first line of another minute, says how many of the last ones were dropped.
    fn turn(&mut self, minute: i64, plugin: &str, meters: &Meters) {
        if self.minute.replace(minute) == Some(minute) {
            return;
        }
        let dropped = std::mem::take(&mut self.dropped);
        (self.lines, self.bytes) = (0, 0);
        if dropped > 0 {
            let operator = meters.operator();
            tracing::warn!(target: "plugin", plugin, operator, dropped, "the plugin logs more than plugins.log_* allows");
        }
    }
}

fn tell(level: Level, line: &str, plugin: &str, operator: &str) {
    match level {
        Level::Debug => tracing::debug!(target: "plugin", plugin, operator, "{line}"),
        Level::Info => tracing::info!(target: "plugin", plugin, operator, "{line}"),
        Level::Warn => tracing::warn!(target: "plugin", plugin, operator, "{line}"),
        Level::Error => tracing::error!(target: "plugin", plugin, operator, "{line}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_and_bounded() {
        assert_eq!(line("a\nb\u{1b}[31mc\u{202e}d é", 100), ("a\\nb\\u{1b}[31mc\\u{202e}d é".into(), true));
        assert_eq!(line("a\u{2066}b\u{200f}", 100), ("a\\u{2066}b\\u{200f}".into(), true));
        assert_eq!(line("aaé", 3), ("aa".into(), false));
        assert_eq!(line("aa\n", 3), ("aa".into(), false));
        assert_eq!(line("", 0), (String::new(), true));
    }

    #[test]
    fn a_call_may_say_so_much() {
        let limits = LogLimits { call_lines: 2, call_bytes: 6, ..LogLimits::default() };
        let mut said = Said::default();
        for message in ["abcd", "efgh", "ijkl"] {
            if said.has_room(&limits) {
                said.push(Level::Info, message, message.len(), &limits);
            }
        }
        assert_eq!(said.lines, [(Level::Info, "abcd".to_string()), (Level::Info, "ef".to_string())]);
        assert_eq!((said.bytes, said.dropped), (6, 1));
    }

    #[test]
    fn a_message_that_takes_long_to_read_is_a_calls_last() {
        let limits = LogLimits::default();
        let mut said = Said::default();
        said.push(Level::Info, "short", READ_BYTES_MAX, &limits);
        assert!(said.has_room(&limits));
        said.push(Level::Info, "the beginning of a long one", READ_BYTES_MAX + 1, &limits);
        assert!(!said.has_room(&limits));
        assert_eq!(said.lines.len(), 2);
    }

    #[test]
    fn a_minute_takes_so_much_and_the_next_begins_anew() {
        let limits = LogLimits { minute_lines: 2, ..LogLimits::default() };
        let (mut logger, meters) = (Logger::new(&limits), Meters::new("op", "some 1.0.0".into(), Default::default()));
        logger.turn(7, "p", &meters);
        for _ in 0..3 {
            let said = Said { lines: vec![(Level::Debug, "x".into())], bytes: 1, dropped: 0 };
            let minute = logger.minute;
            logger.minute = Some(CLOCK.boot() / MINUTE_US);
            logger.pass(said, "p", &meters);
            logger.minute = minute;
        }
        assert_eq!((logger.lines, logger.dropped), (2, 1));
        logger.turn(8, "p", &meters);
        assert_eq!((logger.lines, logger.bytes, logger.dropped), (0, 0, 0));
    }
}
