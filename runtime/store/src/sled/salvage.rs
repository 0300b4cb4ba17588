//! Reading a database file without sled, for one that sled does not open.
//!
//! What sled 0.34 writes, as far as it matters here. The file `db` is a row of segments of 512 KiB. A segment begins
//! with a header of 20 bytes; behind it stand messages, each with a CRC-32 over all of it:
//!
//! ```text
//! crc      u32 LE   CRC-32 of body, then of the header behind this field, all bits flipped
//! kind     u8       8: a page as a whole ("node"); 10: one change of a page ("link"); others are sled's own
//! len      varint   bytes of the body
//! segment  varint   number of the segment; messages of a higher one are later
//! page     varint
//! ```
//!
//! A link that sets a value holds key and value, a node the keys and values of its page, both without the bytes that all
//! keys of the page begin with: those are in the node. So a flipped bit costs the message it is in, and where a node is
//! lost, the later links of its page. Everything else is found by going on byte by byte to the next message whose
//! checksum holds.
//!
//! Messages are given in the order they were written. What was deleted or replaced since comes too, as long as its
//! segment was not used again: the reader of this judges by the counters, which come last.

mod message;
#[cfg(test)]
mod tests;

use crate::keys::{KEY_BYTES, Key};
use crate::medium::PART_BYTES;
use message::{Body, Message};
use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// Bytes of a segment: sled's default, which we do not change.
const SEGMENT_BYTES: usize = 512 * 1024;
/// Bytes of a segment's header.
const SEGMENT_HEADER_BYTES: usize = 20;

/// Takes a value that was found.
type Give<'a> = dyn FnMut(Key, &[u8]) -> Result<(), String> + 'a;

/// What came out of a database file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Yield {
    /// Values given.
    pub(super) values: u64,
    /// Bytes in which no whole message was found, zeroes apart.
    pub(super) damaged_bytes: u64,
    /// Values whose page was lost, so that their keys are not known.
    pub(super) nameless: u64,
}

/// What all keys of a page begin with.
#[derive(Clone, Copy)]
struct Prefix {
    len: u8,
    bytes: [u8; KEY_BYTES],
}

/// Gives every value in the file `db` of a database's folder that can be read, in the order they were written. Holds a
/// segment in memory, and some bytes a page.
pub(super) fn read(db: &Path, give: &mut Give<'_>) -> Result<Yield, String> {
    let said = |error: std::io::Error| format!("{}: {error}", db.display());
    let file = File::open(db).map_err(said)?;
    let bytes = file.metadata().map_err(said)?.len();
    let mut segment = vec![0; SEGMENT_BYTES];
    let mut found = Yield::default();
    // A segment that was begun anew may still hold messages of its life before.
    let mut lives = BTreeSet::new();
    for at in (0..bytes).step_by(SEGMENT_BYTES) {
        let read = fill(&file, &mut segment, at).map_err(said)?;
        found.damaged_bytes += messages(&segment[..read], &mut |message| {
            lives.insert((message.segment, at));
            Ok(())
        })?;
    }
    let mut prefixes: HashMap<u64, Prefix> = HashMap::new();
    for (number, at) in lives {
        let read = fill(&file, &mut segment, at).map_err(said)?;
        messages(&segment[..read], &mut |message| {
            if message.segment == number {
                values(message, &mut prefixes, &mut found, give)?;
            }
            Ok(())
        })?;
    }
    Ok(found)
}

/// Reads as much of a segment as there is.
fn fill(file: &File, segment: &mut [u8], at: u64) -> std::io::Result<usize> {
    let mut read = 0;
    while read < segment.len() {
        match file.read_at(&mut segment[read..], at + read as u64)? {
            0 => break,
            more => read += more,
        }
    }
    Ok(read)
}

/// Visits the whole messages of a segment; gives the bytes that belong to none and are not zero.
fn messages(segment: &[u8], visit: &mut dyn FnMut(&Message<'_>) -> Result<(), String>) -> Result<u64, String> {
    let (mut at, mut lost) = (SEGMENT_HEADER_BYTES, 0);
    while at < segment.len() {
        match message::read(&segment[at..]) {
            Some(message) => {
                visit(&message)?;
                at += message.bytes;
            }
            None => {
                lost += u64::from(segment[at] != 0);
                at += 1;
            }
        }
    }
    Ok(lost)
}

fn values(
    message: &Message<'_>,
    prefixes: &mut HashMap<u64, Prefix>,
    found: &mut Yield,
    give: &mut Give<'_>,
) -> Result<(), String> {
    let mut value = |prefix: Option<Prefix>, rest: &[u8], value: &[u8]| {
        match whole(prefix, rest).filter(|_| value.len() <= PART_BYTES) {
            Some(key) => {
                found.values += 1;
                give(key, value)?;
            }
            None => found.nameless += u64::from(prefix.is_none()),
        }
        Ok::<(), String>(())
    };
    match &message.body {
        Body::Set { key, value: bytes } => value(prefixes.get(&message.page).copied(), key, bytes)?,
        Body::Page { prefix, entries } => {
            let mut bytes = [0; KEY_BYTES];
            let Some(front) = bytes.get_mut(..prefix.len()) else { return Ok(()) };
            front.copy_from_slice(prefix);
            let prefix = Prefix { len: prefix.len() as u8, bytes };
            prefixes.insert(message.page, prefix);
            for (key, bytes) in entries {
                value(Some(prefix), key, bytes)?;
            }
        }
        Body::Other => {}
    }
    Ok(())
}

/// The key with this beginning and end; `None` where it is none of ours.
fn whole(prefix: Option<Prefix>, rest: &[u8]) -> Option<Key> {
    let (len, mut bytes) = prefix.map_or((0, [0; KEY_BYTES]), |prefix| (usize::from(prefix.len), prefix.bytes));
    if len + rest.len() != KEY_BYTES {
        return None;
    }
    bytes[len..].copy_from_slice(rest);
    Key::decode(&bytes)
}
