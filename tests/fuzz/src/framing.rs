//! A wire's bytes, cut into frames: the same frames however the bytes come in, and no byte is lost.

use crate::Verdict;
use crate::allocation::within;
use crate::bytes::Bytes;
use memchr::memmem;
use tidegate_devices::framing::{Frame, Framer, LONG_FRAME_KEPT};

const DELIMITERS: [&[u8]; 6] = [b"\n", b"|", b"|\n", b"\x03\x04", b"aab", b"aa"];

#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Whole(Vec<u8>),
    Begun(Vec<u8>),
    TooLong(Vec<u8>, u64),
}

/// How frames are told apart.
#[derive(Debug, Clone, Copy)]
struct Wire {
    lines: bool,
    middle: bool,
    delimiter: &'static [u8],
    limit: usize,
}

pub fn run(input: &[u8]) -> Verdict {
    let mut input = Bytes(input);
    let (choice, limit) = (input.byte(), usize::from(input.byte()) * 4 + 1);
    let lines = choice & 1 == 1;
    let delimiter = if lines { b"\n" } else { DELIMITERS[usize::from(choice >> 2) % DELIMITERS.len()] };
    let wire = Wire { lines, middle: choice & 2 == 2, delimiter, limit };
    let step = usize::from(input.byte()) + 1;
    let bytes = input.0;
    let expected = wire.expected(bytes);
    assert_eq!(wire.cut([bytes]), expected, "at once, {wire:?}");
    assert_eq!(wire.cut(bytes.chunks(step)), expected, "{step} bytes at a time, {wire:?}");
    assert_eq!(wire.cut(bytes.chunks(1)), expected, "by byte, {wire:?}");
    let refused = expected.iter().any(|seen| matches!(seen, Seen::TooLong(..)));
    if refused { Verdict::Refused } else { Verdict::Accepted }
}

impl Wire {
    /// What the framer sees in pieces.
    fn cut<'a>(self, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Seen> {
        let mut framer =
            if self.lines { Framer::lines(self.limit) } else { Framer::delimited(self.delimiter, self.limit) };
        if self.middle {
            framer.in_the_middle();
        }
        let mut seen = Vec::new();
        for piece in pieces {
            let mut frames: Vec<Seen> = Vec::with_capacity(piece.len());
            // What is held of a frame and the piece, twice while it grows, and our copies of the frames.
            within(4 * (self.limit + LONG_FRAME_KEPT + piece.len()) + 256, || {
                framer.push(piece, |frame| {
                    frames.push(match frame {
                        Frame::Whole(bytes) => Seen::Whole(bytes.to_vec()),
                        Frame::Begun(bytes) => Seen::Begun(bytes.to_vec()),
                        Frame::TooLong { first, bytes } => Seen::TooLong(first.to_vec(), bytes),
                    });
                });
            });
            seen.append(&mut frames);
        }
        seen
    }

    /// The same by the plainest means: all bytes at hand, split at each delimiter.
    fn expected(self, bytes: &[u8]) -> Vec<Seen> {
        let mut seen = Vec::new();
        let (mut rest, mut begun) = (bytes, self.middle);
        while let Some(at) = memmem::find(rest, self.delimiter) {
            let mut frame = &rest[..at];
            rest = &rest[at + self.delimiter.len()..];
            if self.lines {
                frame = frame.strip_suffix(b"\r").unwrap_or(frame);
            }
            let begun = std::mem::take(&mut begun);
            match frame.len() {
                0 => {}
                bytes if bytes > self.limit => {
                    let kept = LONG_FRAME_KEPT.min(self.limit).min(bytes);
                    seen.push(Seen::TooLong(frame[..kept].to_vec(), bytes as u64));
                }
                _ if begun => seen.push(Seen::Begun(frame.to_vec())),
                _ => seen.push(Seen::Whole(frame.to_vec())),
            }
        }
        seen
    }
}
