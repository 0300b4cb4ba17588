//! Bytes to frames, sans I/O.

use memchr::memmem::Finder;

/// Most bytes of a frame that was too long which are kept for its dead letter.
pub const LONG_FRAME_KEPT: usize = 256;

/// What framing finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A frame, without its delimiter.
    Whole(&'a [u8]),
    /// What came before the first delimiter where reading began in the middle: the end of a frame, or a whole one, and
    /// nobody can tell.
    Begun(&'a [u8]),
    /// A frame longer than the limit: its first bytes (at most [`LONG_FRAME_KEPT`]) and its true length.
    TooLong {
        /// Its first bytes.
        first: &'a [u8],
        /// How long it was.
        bytes: u64,
    },
}

/// Cuts a run of bytes into frames at a delimiter; empty frames are none.
///
/// A frame longer than the limit is reported when its end is found, and reading goes on behind it. Holds at most the
/// limit, whatever comes.
#[derive(Debug)]
pub struct Framer {
    finder: Finder<'static>,
    trim_cr: bool,
    frame_bytes_max: usize,
    held: Vec<u8>,
    /// Bytes of `held` known to hold no delimiter.
    searched: usize,
    /// Bytes thrown away of the frame in hand, which is too long.
    skipped: u64,
    resyncs: u64,
    /// The frame in hand may have begun before its first byte here.
    begun: bool,
}

impl Framer {
    /// Lines that end in `\n` or `\r\n`.
    pub fn lines(frame_bytes_max: usize) -> Self {
        Framer { trim_cr: true, ..Framer::delimited(b"\n", frame_bytes_max) }
    }

    /// Frames that end in `delimiter`, which is not empty.
    pub fn delimited(delimiter: &[u8], frame_bytes_max: usize) -> Self {
        assert!(!delimiter.is_empty(), "a delimiter has at least one byte");
        Framer {
            finder: Finder::new(delimiter).into_owned(),
            trim_cr: false,
            frame_bytes_max,
            held: Vec::new(),
            searched: 0,
            skipped: 0,
            resyncs: 0,
            begun: false,
        }
    }

    /// The next byte may be one in the middle of a frame.
    pub fn in_the_middle(&mut self) {
        self.begun = true;
    }

    /// Takes the next bytes and hands every frame that ends in them to `frame`.
    pub fn push(&mut self, bytes: &[u8], mut frame: impl FnMut(Frame<'_>)) {
        self.held.extend_from_slice(bytes);
        let delimiter = self.finder.needle().len();
        let mut start = 0;
        while let Some(at) = self.finder.find(&self.held[self.searched..]) {
            let end = self.searched + at;
            self.emit(start, end, &mut frame);
            start = end + delimiter;
            self.searched = start;
        }
        self.held.drain(..start);
        // The delimiter may have begun in the last bytes.
        self.searched = self.held.len().saturating_sub(delimiter - 1);
        self.skip();
    }

    /// How many frames were too long, or had begun before reading did.
    pub fn resyncs(&self) -> u64 {
        self.resyncs
    }

    /// Forgets the frame in hand: the wire was cut.
    pub fn reset(&mut self) {
        self.held.clear();
        self.searched = 0;
        self.skipped = 0;
    }

    fn emit(&mut self, start: usize, end: usize, frame: &mut impl FnMut(Frame<'_>)) {
        let mut found = &self.held[start..end];
        let mut bytes = found.len() as u64 + self.skipped;
        self.skipped = 0;
        let begun = std::mem::take(&mut self.begun);
        if self.trim_cr && found.last() == Some(&b'\r') {
            found = &found[..found.len() - 1];
            bytes -= 1;
        }
        if bytes > self.frame_bytes_max as u64 {
            self.resyncs += 1;
            let kept = LONG_FRAME_KEPT.min(self.frame_bytes_max);
            frame(Frame::TooLong { first: &found[..found.len().min(kept)], bytes });
        } else if begun && !found.is_empty() {
            self.resyncs += 1;
            frame(Frame::Begun(found));
        } else if !found.is_empty() {
            frame(Frame::Whole(found));
        }
    }

    /// Of a frame that is too long already, keeps the first bytes and the tail that may hold a part of the delimiter.
    fn skip(&mut self) {
        // Room for "\r" and a part of the delimiter, which are no part of the frame.
        let tail = self.finder.needle().len();
        let kept = LONG_FRAME_KEPT.min(self.frame_bytes_max);
        if self.held.len() > self.frame_bytes_max + tail && self.held.len() > kept + tail {
            let cut = self.held.len() - tail;
            self.skipped += (cut - kept) as u64;
            self.held.drain(kept..cut);
            self.searched = self.held.len().saturating_sub(tail - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, PartialEq, Eq, Clone)]
    enum Seen {
        Whole(Vec<u8>),
        Begun(Vec<u8>),
        TooLong(Vec<u8>, u64),
    }

    fn cut<'a>(mut framer: Framer, pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Seen>, u64, usize) {
        let mut seen = Vec::new();
        let mut most_held = 0;
        for piece in pieces {
            framer.push(piece, |frame| {
                seen.push(match frame {
                    Frame::Whole(bytes) => Seen::Whole(bytes.to_vec()),
                    Frame::Begun(bytes) => Seen::Begun(bytes.to_vec()),
                    Frame::TooLong { first, bytes } => Seen::TooLong(first.to_vec(), bytes),
                });
            });
            most_held = most_held.max(framer.held.len());
        }
        (seen, framer.resyncs(), most_held)
    }

    #[test]
    fn lines_end_in_newline_with_or_without_carriage_return() {
        let (seen, resyncs, _) = cut(Framer::lines(16), [&b"a,1\r\nb,2\n\n\r\nc"[..], b",3\nrest"]);
        let whole = |text: &str| Seen::Whole(text.into());
        assert_eq!(seen, [whole("a,1"), whole("b,2"), whole("c,3")]);
        assert_eq!(resyncs, 0);
    }

    #[test]
    fn what_may_have_begun_before_the_first_byte_is_told_from_whole_frames() {
        let cut_in = |bytes: &'static [u8]| {
            let mut framer = Framer::lines(16);
            framer.in_the_middle();
            cut(framer, [bytes])
        };
        let (seen, resyncs, _) = cut_in(b"2,21.5\r\nd1,22\n");
        assert_eq!(seen, [Seen::Begun(b"2,21.5".to_vec()), Seen::Whole(b"d1,22".to_vec())]);
        assert_eq!(resyncs, 1);
        let (seen, resyncs, _) = cut_in(b"\nd1,22\n");
        assert_eq!(seen, [Seen::Whole(b"d1,22".to_vec())]);
        assert_eq!(resyncs, 0);
    }

    #[test]
    fn a_long_frame_is_reported_and_the_next_one_is_read() {
        let noise = vec![b'x'; 10_000];
        let (seen, resyncs, most_held) = cut(Framer::lines(8), [&noise[..], &noise, b"\nok\n12345678\r\n123456789\n"]);
        let expected = [
            Seen::TooLong(b"xxxxxxxx".to_vec(), 20_000),
            Seen::Whole(b"ok".to_vec()),
            Seen::Whole(b"12345678".to_vec()),
            Seen::TooLong(b"12345678".to_vec(), 9),
        ];
        assert_eq!(seen, expected);
        assert_eq!(resyncs, 2);
        assert!(most_held < 32, "{most_held} bytes were held of an endless frame");
    }

    #[test]
    fn a_delimiter_of_several_bytes_is_found_across_pieces() {
        let (seen, ..) = cut(Framer::delimited(b"\x03\x04", 64), [&b"one\x03"[..], b"\x04two\x03\x03", b"\x04"]);
        assert_eq!(seen, [Seen::Whole(b"one".to_vec()), Seen::Whole(b"two\x03".to_vec())]);
    }

    proptest! {
        #[test]
        fn frames_do_not_depend_on_how_the_bytes_are_cut(
            bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b'|'), any::<u8>()], 0..400),
            cuts in proptest::collection::vec(0usize..400, 0..12),
            limit in 1usize..40,
            lines in any::<bool>(),
        ) {
            let framer = || if lines { Framer::lines(limit) } else { Framer::delimited(b"|\n", limit) };
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|w| &bytes[w[0]..w[1]]);
            let (whole, in_pieces) = (cut(framer(), [&bytes[..]]), cut(framer(), pieces));
            let by_byte = cut(framer(), bytes.chunks(1));
            prop_assert_eq!(&whole.0, &in_pieces.0);
            prop_assert_eq!(&whole.0, &by_byte.0);
            prop_assert_eq!(whole.1, by_byte.1);
            prop_assert!(by_byte.2 <= limit + 4);
        }
    }
}
