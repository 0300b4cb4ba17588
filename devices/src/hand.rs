//! What a source has in hand: decoded, and not handed to the store yet.

use crate::letters::{Cause, LETTER_BYTES_MAX, Letters};
use crate::{Dated, Decoder, Handle, Loss, LossReason, Parcel};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tidegate_record::{BatchBuilder, ROWS_MAX, Times, Wall};

/// Most bytes of frames a source holds while the store has no room. One frame is always held.
pub const HELD_BYTES_MAX: usize = 16 << 20;

/// What a source has in hand: decoded, and not handed to the store yet.
#[derive(Debug)]
pub(crate) struct Hand {
    decoder: Decoder,
    builder: BatchBuilder,
    full: Vec<Dated>,
    letters: Letters,
    full_letters: Vec<Dated>,
    /// Whether the clock was trusted when what is not full yet was taken: times of one clock go into a batch.
    trusted: bool,
    /// The number of the parcel this will be; the first is 1.
    number: u64,
    bytes: usize,
    row_bytes: usize,
    undecoded: u64,
    dropped: u64,
    /// Records and dead letters of frames that nobody sends again.
    once: u64,
    /// The store has no room at present.
    pub blocked: bool,
    tally: Tally,
}

/// What was in hand.
#[derive(Debug)]
pub(crate) struct Handful {
    /// Parcels are numbered from 1.
    pub number: u64,
    pub parcel: Parcel,
    /// Its records and dead letters of frames that nobody sends again.
    pub once: u64,
}

impl Handful {
    /// What is lost where it is not stored: everything, or, where its sender sends it again, what cannot be.
    pub fn losses(self, is_sent_again: bool) -> Vec<Loss> {
        let rows =
            self.parcel.records.iter().chain(&self.parcel.dead_letters).map(|dated| dated.batch.rows() as u64).sum();
        let mut losses = self.parcel.losses;
        // A dead letter that is not kept was counted as not decoded before.
        losses.retain(|loss| loss.reason != LossReason::Decode);
        losses.push(Loss { reason: LossReason::Full, count: if is_sent_again { self.once } else { rows } });
        losses.retain(|loss| loss.count > 0);
        losses
    }
}

/// What happened since it was last reported.
#[derive(Debug, Default)]
struct Tally {
    frames: u64,
    records: u64,
    dead_letters: u64,
    dropped: u64,
}

impl Hand {
    pub fn new(source: &str, decoder: Decoder) -> Self {
        // Device, time and eight bytes a field.
        let row_bytes = 12 + 8 * decoder.schema().fields().len();
        Hand {
            row_bytes,
            builder: BatchBuilder::new(decoder.schema().clone()),
            decoder,
            full: Vec::new(),
            letters: Letters::new(source),
            full_letters: Vec::new(),
            trusted: false,
            number: 1,
            bytes: 0,
            undecoded: 0,
            dropped: 0,
            once: 0,
            blocked: false,
            tally: Tally::default(),
        }
    }

    /// Whether a frame of `bytes` from a sender that waits may be held.
    pub fn admits(&self, bytes: usize) -> bool {
        self.is_empty() || self.bytes + bytes <= HELD_BYTES_MAX
    }

    /// Whether a frame of `bytes` that would be lost otherwise may be held: while the store has no room, one batch is.
    pub fn admits_newest(&self, bytes: usize) -> bool {
        self.admits(bytes) && !(self.blocked && self.rows() >= ROWS_MAX)
    }

    /// Takes a frame: it becomes records or a dead letter. False where it leaves nothing to store.
    #[inline]
    pub fn take(&mut self, topic: Option<&str>, origin: &str, frame: &[u8], wall: Wall) -> bool {
        self.tally.frames += 1;
        self.mind_clock(wall);
        match self.decoder.decode(topic, frame, wall, &mut self.builder) {
            Ok(0) => false,
            Ok(records) => {
                // Small values grow to columns, and the topic's are copied into each record.
                let columns = records * (self.row_bytes + topic.map_or(0, str::len));
                self.bytes += frame.len().max(columns);
                self.tally.records += records as u64;
                if self.builder.rows() >= ROWS_MAX {
                    self.cut();
                }
                true
            }
            Err(error) => {
                let cause = Cause { stage: error.stage(), reason: &error.to_string(), origin };
                self.letter(cause, frame, frame.len() as u64, wall);
                true
            }
        }
    }

    /// Takes a frame that nobody sends again.
    pub fn take_once(&mut self, topic: Option<&str>, origin: &str, frame: &[u8], wall: Wall) -> bool {
        let before = self.tally.records + self.tally.dead_letters;
        let taken = self.take(topic, origin, frame, wall);
        self.once += self.tally.records + self.tally.dead_letters - before;
        taken
    }

    /// Sets a frame aside that framing refused: its first bytes, its true length.
    pub fn set_aside(&mut self, cause: Cause<'_>, first: &[u8], bytes: u64, wall: Wall) {
        self.tally.frames += 1;
        self.mind_clock(wall);
        self.letter(cause, first, bytes, wall);
    }

    /// Sets a frame aside that nobody sends again.
    pub fn set_aside_once(&mut self, cause: Cause<'_>, first: &[u8], bytes: u64, wall: Wall) {
        self.once += 1;
        self.set_aside(cause, first, bytes, wall);
    }

    /// Gives up a frame because there is no room.
    pub fn drop_newest(&mut self) {
        self.tally.frames += 1;
        self.tally.dropped += 1;
        self.dropped += 1;
    }

    /// The number of the parcel in the making.
    pub fn number(&self) -> u64 {
        self.number
    }

    pub fn rows(&self) -> usize {
        let full = self.full.iter().chain(&self.full_letters).map(|dated| dated.batch.rows()).sum::<usize>();
        full + self.builder.rows() + self.letters.rows()
    }

    pub fn is_empty(&self) -> bool {
        self.full.is_empty() && self.builder.rows() == 0 && self.undecoded == 0 && self.dropped == 0
    }

    /// Whether a whole batch waits.
    pub fn is_full(&self) -> bool {
        !self.full.is_empty() || self.bytes >= HELD_BYTES_MAX / 2 || self.letters.rows() >= ROWS_MAX
    }

    /// Everything in hand as a parcel.
    pub fn parcel(&mut self) -> Handful {
        // Even without rows: the dictionary would keep the devices of bad frames.
        self.cut();
        self.cut_letters();
        let mut losses = Vec::new();
        for (reason, count) in [(LossReason::Decode, self.undecoded), (LossReason::Full, self.dropped)] {
            if count > 0 {
                losses.push(Loss { reason, count });
            }
        }
        (self.bytes, self.undecoded, self.dropped) = (0, 0, 0);
        let (number, once) = (self.number, std::mem::take(&mut self.once));
        self.number += 1;
        let (records, dead_letters) = (std::mem::take(&mut self.full), std::mem::take(&mut self.full_letters));
        let parcel = Parcel { records, dead_letters, losses, ..Default::default() };
        Handful { number, parcel, once }
    }

    /// Reports what happened since the last call.
    pub fn report(&mut self, handle: &Handle) {
        let tally = std::mem::take(&mut self.tally);
        let counts = handle.counts();
        for (counter, count) in [
            (&counts.frames, tally.frames),
            (&counts.records, tally.records),
            (&counts.dead_letters, tally.dead_letters),
            (&counts.dropped, tally.dropped),
        ] {
            if count > 0 {
                counter.fetch_add(count, Ordering::Relaxed);
            }
        }
    }

    #[cold]
    fn letter(&mut self, cause: Cause<'_>, frame: &[u8], bytes: u64, wall: Wall) {
        self.letters.push(cause, frame, bytes, wall);
        self.bytes += frame.len().min(LETTER_BYTES_MAX) + cause.reason.len() + cause.origin.len() + self.row_bytes;
        self.undecoded += 1;
        self.tally.dead_letters += 1;
    }

    /// The clock was set, or lost its time: what it dated before goes into batches of its own.
    #[inline]
    fn mind_clock(&mut self, wall: Wall) {
        if wall.trusted != self.trusted {
            self.cut();
            self.cut_letters();
            self.trusted = wall.trusted;
        }
    }

    fn cut(&mut self) {
        let times = match self.decoder.reads_time() {
            true => Times::Brought,
            false => Times::Set { trusted: self.trusted },
        };
        let pieces = Arc::new(self.builder.finish()).pieces();
        self.full.extend(pieces.into_iter().map(|batch| Dated { batch, times }));
    }

    fn cut_letters(&mut self) {
        let times = Times::Set { trusted: self.trusted };
        let pieces = Arc::new(self.letters.finish()).pieces();
        self.full_letters.extend(pieces.into_iter().map(|batch| Dated { batch, times }));
    }
}
