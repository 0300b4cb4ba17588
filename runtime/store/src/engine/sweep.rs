//! Which blocks are made coarser next: sweeps over the oldest part of a partition, one a pass.
//!
//! A sweep walks the blocks' headers from the oldest on, a bounded number at a time, and goes on where it stood. The
//! first takes records as they were appended; each further one takes up what those before made coarse, once that is
//! more than half of all. What is fine and new thus stays longer than what is coarse and old.

use super::readers::overlap;
use super::retention::Head;
use crate::api::THIN_PASSES_MAX;
use crate::block;
use crate::keys::{KEY_BYTES, Key};
use crate::medium::Medium;
use std::collections::BTreeSet;
use std::ops::Range;

/// Most bytes of blocks made coarser in one group: read, decoded and deleted.
const BYTES_MAX: usize = 512 << 10;
/// Most blocks looked at for it.
const LOOKED_AT_MAX: usize = 1024;

/// How far the sweeps of a partition came. Only in memory: after a restart they begin again, and pass what they find
/// done.
#[derive(Debug, Default)]
pub(super) struct Sweeps {
    /// By pass, from 1: what lies before is coarse to that pass, or cannot be made so.
    at: [u64; THIN_PASSES_MAX as usize + 1],
    /// Bytes before the first sweep.
    coarse: u64,
    /// A sweep passed blocks that a reader was at work on.
    passed: bool,
    /// Nothing was left to be made coarser: the oldest go, and then it is looked again.
    pub(super) exhausted: bool,
}

/// A block to be made coarser.
#[derive(Debug)]
pub(super) struct Fine {
    pub(super) head: Head,
    pub(super) bytes: Vec<u8>,
}

/// What one look found.
#[derive(Debug)]
pub(super) enum Found {
    /// Neighbours, all of a lower pass than this one.
    Blocks(u8, Vec<Fine>),
    /// Nothing so far; the next look goes on.
    More,
    /// Nothing in the whole partition.
    Nothing,
}

/// What a look must not touch.
pub(super) struct Bounds<'b> {
    pub(super) first: u64,
    /// The durable end.
    pub(super) end: u64,
    /// Most entries that may be deleted for it.
    pub(super) keys: usize,
    /// What readers are at work on.
    pub(super) at_work: &'b [Range<u64>],
    pub(super) quarantine: &'b BTreeSet<u64>,
}

impl Sweeps {
    /// The next blocks to be made coarser, of a partition that holds `bytes`.
    pub(super) fn look(
        &mut self,
        medium: &dyn Medium,
        key: &dyn Fn(u64) -> Key,
        bounds: &Bounds<'_>,
        bytes: u64,
    ) -> Result<Found, String> {
        let coarser = 2..=THIN_PASSES_MAX;
        let mut passes: Vec<u8> = vec![1];
        if self.coarse > bytes / 2 {
            passes.splice(0..0, coarser);
        } else {
            passes.extend(coarser);
        }
        for pass in passes {
            let from = self.at[usize::from(pass)].max(bounds.first);
            let end = if pass == 1 { bounds.end } else { bounds.end.min(self.at[1]) };
            if from >= end {
                continue;
            }
            let mut walk = Walk::new(pass, from, bounds);
            medium.scan(key(from), key(end - 1).last_part(), &mut |key, bytes| walk.visit(key, bytes))?;
            self.passed |= walk.passed;
            if pass == 1 {
                self.coarse += walk.coarse;
            }
            if !walk.found.is_empty() {
                self.at[usize::from(pass)] = walk.found[0].head.first;
                return Ok(Found::Blocks(pass, walk.found));
            }
            self.at[usize::from(pass)] = if walk.cut { walk.at } else { end };
            if walk.cut {
                return Ok(Found::More);
            }
        }
        Ok(Found::Nothing)
    }

    /// The blocks up to `end`, of `bytes` before, take `left` bytes now: as coarse as `pass` makes them.
    pub(super) fn done(&mut self, pass: u8, end: u64, bytes: u64, left: u64) {
        self.at[usize::from(pass)] = end;
        self.exhausted = false;
        self.coarse = match pass {
            1 => self.coarse + left,
            _ => (self.coarse + left).saturating_sub(bytes),
        };
    }

    /// A block is gone for another reason.
    pub(super) fn deleted(&mut self, head: &Head) {
        if head.first < self.at[1] {
            self.coarse = self.coarse.saturating_sub(head.bytes);
        }
    }

    /// The blocks up to `end`, of `bytes`, are as coarse as `pass` makes them. A later pass may find more to join.
    pub(super) fn pass_by(&mut self, pass: u8, end: u64, bytes: u64) {
        self.at[usize::from(pass)] = end;
        self.coarse += if pass == 1 { bytes } else { 0 };
    }

    /// There was nothing to be found. Where readers were in the way it is looked for from the beginning.
    pub(super) fn exhaust(&mut self) {
        if self.passed {
            *self = Sweeps::default();
        }
        self.exhausted = true;
    }
}

/// One look at the blocks of a partition.
struct Walk<'b> {
    pass: u8,
    bounds: &'b Bounds<'b>,
    at: u64,
    looked_at: usize,
    found: Vec<Fine>,
    bytes: usize,
    /// Entries of what was found.
    keys: usize,
    /// Bytes of what is coarse already, and whether the block at hand is.
    coarse: u64,
    counts: bool,
    passed: bool,
    /// There may be more behind.
    cut: bool,
}

impl<'b> Walk<'b> {
    fn new(pass: u8, from: u64, bounds: &'b Bounds<'b>) -> Self {
        Walk {
            pass,
            bounds,
            at: from,
            looked_at: 0,
            found: Vec::new(),
            bytes: 0,
            keys: 0,
            coarse: 0,
            counts: false,
            passed: false,
            cut: false,
        }
    }

    /// Takes the next entry; false ends the walk.
    fn visit(&mut self, key: Key, bytes: &[u8]) -> bool {
        let stored = (KEY_BYTES + bytes.len()) as u64;
        if key.part > 0 {
            if let Some(fine) = self.found.last_mut().filter(|fine| fine.head.first == key.offset) {
                fine.bytes.extend_from_slice(bytes);
                fine.head.bytes += stored;
                fine.head.parts += 1;
                self.keys += 1;
                self.bytes += bytes.len();
            } else if self.counts {
                self.coarse += stored;
            }
            return true;
        }
        self.counts = false;
        if self.looked_at == LOOKED_AT_MAX || self.bytes >= BYTES_MAX || self.keys >= self.bounds.keys {
            self.cut = true;
            return false;
        }
        self.looked_at += 1;
        let peek = block::peek(bytes).ok().filter(|peek| peek.first == key.offset);
        let Some(peek) = peek.filter(|_| !self.bounds.quarantine.contains(&key.offset)) else {
            // Its readers find it, or have.
            self.at = key.offset + 1;
            return self.found.is_empty();
        };
        self.at = peek.next();
        // What would be joined, not this block alone: a reader may stand between two.
        let from = self.found.first().map_or(peek.first, |fine| fine.head.first);
        if self.bounds.at_work.iter().any(|work| overlap(work, &(from..peek.next()))) {
            self.passed = true;
            return self.found.is_empty();
        }
        if block::pass(bytes).is_some_and(|pass| pass >= self.pass) {
            self.counts = true;
            self.coarse += if self.found.is_empty() { stored } else { 0 };
            return self.found.is_empty();
        }
        // A tick goes with the records before it: it is of no use to who has not begun them.
        if peek.rows > 0 || !self.found.is_empty() {
            let head = Head {
                first: key.offset,
                next: peek.next(),
                rows: u64::from(peek.rows),
                arrival: peek.arrival_last,
                bytes: stored,
                parts: 1,
            };
            self.bytes += bytes.len();
            self.keys += 1;
            self.found.push(Fine { head, bytes: bytes.to_vec() });
        }
        true
    }
}
