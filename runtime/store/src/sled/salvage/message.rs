//! A message of sled's log, taken apart. Nothing in it is trusted: every length is checked before it is used.

/// What kinds of messages hold values.
const NODE: u8 = 8;
const LINK: u8 = 10;
/// Highest kind there is.
const KIND_MAX: u8 = 11;

/// A message whose checksum holds.
pub(super) struct Message<'a> {
    /// The number of the segment it was written to.
    pub(super) segment: u64,
    /// The page it is about.
    pub(super) page: u64,
    /// What it says.
    pub(super) body: Body<'a>,
    /// How long it is.
    pub(super) bytes: usize,
}

/// What a message says of our values.
pub(super) enum Body<'a> {
    /// A value of a page was set; the key is without the page's prefix.
    Set { key: &'a [u8], value: &'a [u8] },
    /// A page as a whole; its keys are without the prefix.
    Page { prefix: &'a [u8], entries: Vec<(&'a [u8], &'a [u8])> },
    /// Nothing.
    Other,
}

/// The message that these bytes begin with, if they begin with a whole one.
pub(super) fn read(bytes: &[u8]) -> Option<Message<'_>> {
    let mut rest = Rest(bytes);
    let crc = u32::from_le_bytes(rest.take(4)?.try_into().ok()?);
    let kind = rest.byte()?;
    if kind == 0 || kind > KIND_MAX {
        return None;
    }
    let len = rest.length()?;
    let segment = rest.varint()?;
    let page = rest.varint()?;
    let header = bytes.len() - rest.0.len();
    let body = rest.take(len)?;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(body);
    hasher.update(&bytes[4..header]);
    if hasher.finalize() ^ u32::MAX != crc {
        return None;
    }
    let body = match kind {
        NODE => node(body).unwrap_or(Body::Other),
        LINK => link(body).unwrap_or(Body::Other),
        _ => Body::Other,
    };
    Some(Message { segment, page, body, bytes: header + len })
}

fn link(body: &[u8]) -> Option<Body<'_>> {
    let mut rest = Rest(body);
    match rest.byte()? {
        0 => Some(Body::Set { key: rest.blob()?, value: rest.blob()? }),
        _ => None,
    }
}

fn node(body: &[u8]) -> Option<Body<'_>> {
    let mut rest = Rest(body);
    let (_next, _merging_child, _merging) = (rest.varint()?, rest.varint()?, rest.byte()?);
    let prefix_len = usize::from(rest.byte()?);
    let (low, _high) = (rest.blob()?, rest.blob()?);
    if rest.byte()? != 0 {
        return None;
    }
    let count = rest.length()?;
    // Every key has a byte at least: a count beyond that is none.
    if count > rest.0.len() {
        return None;
    }
    let keys: Option<Vec<&[u8]>> = (0..count).map(|_| rest.blob()).collect();
    let entries: Option<Vec<_>> = keys?.into_iter().map(|key| Some((key, rest.blob()?))).collect();
    Some(Body::Page { prefix: low.get(..prefix_len)?, entries: entries? })
}

/// Bytes still to be read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|byte| byte[0])
    }

    /// A length that is not longer than what is left.
    fn length(&mut self) -> Option<usize> {
        usize::try_from(self.varint()?).ok()
    }

    fn blob(&mut self) -> Option<&'a [u8]> {
        let len = self.length()?;
        self.take(len)
    }

    /// The variable-length integers of SQLite 4, with little-endian bytes.
    fn varint(&mut self) -> Option<u64> {
        let first = self.byte()?;
        Some(match first {
            0..=240 => u64::from(first),
            241..=248 => 240 + 256 * (u64::from(first) - 241) + u64::from(self.byte()?),
            249 => {
                let bytes = self.take(2)?;
                2288 + 256 * u64::from(bytes[0]) + u64::from(bytes[1])
            }
            more => {
                let mut bytes = [0; 8];
                let count = usize::from(more) - 247;
                bytes[..count].copy_from_slice(self.take(count)?);
                u64::from_le_bytes(bytes)
            }
        })
    }
}
