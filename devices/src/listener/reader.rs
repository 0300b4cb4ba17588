//! The body of a packet, read from its front with every length checked.

use super::end::End;
use crate::leb128;

/// What is left of a packet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a>(&'a [u8]);

const SHORT: End = End::Malformed("it ends in the middle of a field");

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader(bytes)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Everything that is left.
    pub fn rest(self) -> &'a [u8] {
        self.0
    }

    pub fn take(&mut self, count: usize) -> Result<&'a [u8], End> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(SHORT)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], End> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(SHORT)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub fn u8(&mut self) -> Result<u8, End> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub fn u16(&mut self) -> Result<u16, End> {
        self.array().map(u16::from_be_bytes)
    }

    pub fn u32(&mut self) -> Result<u32, End> {
        self.array().map(u32::from_be_bytes)
    }

    /// A packet id, which is never 0.
    pub fn id(&mut self) -> Result<u16, End> {
        match self.u16()? {
            0 => Err(End::Protocol("a packet id of 0")),
            id => Ok(id),
        }
    }

    pub fn binary(&mut self) -> Result<&'a [u8], End> {
        let length = self.u16()?;
        self.take(length.into())
    }

    pub fn text(&mut self) -> Result<&'a str, End> {
        let text = std::str::from_utf8(self.binary()?).map_err(|_| End::Malformed("a text that is not UTF-8"))?;
        if text.contains('\0') { Err(End::Malformed("a text with a NUL in it")) } else { Ok(text) }
    }

    /// A variable byte integer.
    pub fn varint(&mut self) -> Result<usize, End> {
        match varint(self.0)? {
            Some((value, length)) => {
                self.take(length)?;
                Ok(value)
            }
            None => Err(SHORT),
        }
    }
}

/// A variable byte integer (LEB128 of at most four bytes) and its length, where all of it is here.
pub(super) fn varint(bytes: &[u8]) -> Result<Option<(usize, usize)>, End> {
    let four = &bytes[..bytes.len().min(4)];
    let mut rest = four;
    match leb128::take(&mut rest) {
        Some(value) => Ok(Some((value as usize, four.len() - rest.len()))),
        None if four.len() < 4 => Ok(None),
        None => Err(End::Malformed("a length of more than four bytes")),
    }
}
