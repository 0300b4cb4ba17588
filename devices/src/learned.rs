//! How many messages a sender has under way at most, learned where it does not tell.
//!
//! A sender that waits for its answers sends on as soon as it has them, and always as much: for it a commit is made at
//! once. One that sends now and then does neither, and has time until the next commit.

use tidegate_record::Wall;

/// So many times in a row the same count makes a window.
const LEARNED_AFTER: u32 = 3;
/// How soon behind its answers the next message comes of a sender that waited for them. Whoever is farther away is not
/// learned.
const AT_ONCE_MICROS: i64 = 20_000;

/// A sender's window, as far as it shows.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Learned {
    size: Option<usize>,
    last: usize,
    times: u32,
    /// When answers went that no message has followed yet.
    answered: Option<i64>,
    /// The first message behind the last answers came at once.
    at_once: bool,
}

impl Learned {
    /// The window, once it is known.
    pub fn size(&self) -> Option<usize> {
        self.size
    }

    /// A message came, and `waiting` wait for their answers now.
    pub fn came(&mut self, waiting: usize, wall: Wall) {
        if let Some(answered) = self.answered.take() {
            self.at_once = wall.micros.saturating_sub(answered) <= AT_ONCE_MICROS;
            if !self.at_once {
                self.unlearn();
            }
        }
        if self.size.is_some_and(|size| waiting > size) {
            self.unlearn();
        }
    }

    /// Answers are about to go: the `waiting` that wait for theirs may be the whole window.
    pub fn answers(&mut self, waiting: usize, wall: Wall) {
        self.answered = Some(wall.micros);
        if !std::mem::take(&mut self.at_once) {
            return;
        }
        self.times = if waiting == self.last { self.times.saturating_add(1) } else { 1 };
        self.last = waiting;
        if self.times >= LEARNED_AFTER {
            self.size = Some(waiting);
        }
    }

    fn unlearn(&mut self) {
        (self.size, self.times) = (None, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten rounds of `waiting` messages each, the first of them so long behind the answers of the round before.
    fn rounds(learned: &mut Learned, waiting: &[usize], pause_micros: i64) -> Option<usize> {
        let mut wall = Wall { micros: 1_800_000_000_000_000, trusted: true };
        for &waiting in waiting.iter().cycle().take(10) {
            wall.micros += pause_micros;
            (1..=waiting).for_each(|count| learned.came(count, wall));
            wall.micros += 200_000;
            learned.answers(waiting, wall);
        }
        learned.size()
    }

    #[test]
    fn whoever_sends_on_at_once_and_always_as_much_has_shown_its_window() {
        let mut learned = Learned::default();
        assert_eq!(rounds(&mut learned, &[20], 1_000), Some(20));
        assert_eq!(rounds(&mut learned, &[20, 21], 1_000), None, "there was more than learned");
        assert_eq!(rounds(&mut learned, &[5], 1_000), Some(5));
    }

    #[test]
    fn whoever_sends_now_and_then_has_no_window() {
        let mut learned = Learned::default();
        assert_eq!(rounds(&mut learned, &[1], 1_000_000), None);
        assert_eq!(rounds(&mut learned, &[1], 1_000), Some(1));
        assert_eq!(rounds(&mut learned, &[1], 40_000), None, "it has stopped waiting for its answers");
    }

    #[test]
    fn a_message_behind_no_answers_teaches_nothing() {
        let mut learned = Learned::default();
        let wall = Wall { micros: 7, trusted: true };
        for _ in 0..10 {
            learned.came(1, wall);
        }
        learned.answers(1, wall);
        assert_eq!((learned.size(), learned.times), (None, 0));
    }
}
