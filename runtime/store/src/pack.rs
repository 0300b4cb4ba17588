//! Packs: blocks or whole stores as a row of bytes, for a file or a connection.
//!
//! ```text
//! "tidegate pack 1\n"
//! items     tag u8, length u32 LE, that many bytes:
//!   I        epoch u64 LE, name of the gateway
//!   S        a schema (postcard), before the first block that has it
//!   B        partition u32 LE, a block
//!   K        a key of 19 bytes, its value
//!   E        number of items before it u64 LE, XXH3-64 of all bytes before it u64 LE: the end
//! ```
//!
//! A pack without its end is not whole, and says so when it is read.

use crate::api::{Block, Partition};
use crate::block::{BODY_BYTES_MAX, Decoded, Encoder};
use crate::engine::decode_block;
use crate::keys::{KEY_BYTES, Key};
use crate::values::{decode, encode};
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::sync::Arc;
use tidegate_record::{Identity, Schema};
use xxhash_rust::xxh3::Xxh3Default;

const MAGIC: &[u8; 16] = b"tidegate pack 1\n";
/// Most bytes of an item: a block that did not get smaller, and some.
const ITEM_BYTES_MAX: usize = BODY_BYTES_MAX + (1 << 20);

/// Writes a pack.
pub(crate) struct Writer<W> {
    out: W,
    hash: Xxh3Default,
    items: u64,
}

impl<W: Write> Writer<W> {
    /// Begins a pack of a store.
    pub(crate) fn begin(out: W, identity: &Identity) -> io::Result<Self> {
        let mut writer = Writer { out, hash: Xxh3Default::new(), items: 0 };
        writer.write(MAGIC)?;
        writer.item(b'I', &[&identity.epoch.to_le_bytes(), identity.gateway.as_bytes()])?;
        Ok(writer)
    }

    /// An entry of a store.
    pub(crate) fn entry(&mut self, key: Key, value: &[u8]) -> io::Result<()> {
        self.item(b'K', &[&key.bytes(), value])
    }

    fn item(&mut self, tag: u8, parts: &[&[u8]]) -> io::Result<()> {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        self.write(&[tag])?;
        self.write(&(len as u32).to_le_bytes())?;
        parts.iter().try_for_each(|part| self.write(part))?;
        self.items += 1;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.out.write_all(bytes)
    }

    /// Ends the pack; gives back what it was written to.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        let (items, hash) = (self.items, self.hash.digest());
        self.item(b'E', &[&items.to_le_bytes(), &hash.to_le_bytes()])?;
        self.out.flush()?;
        Ok(self.out)
    }
}

/// Reads a pack.
pub(crate) struct Reader<R> {
    from: R,
    hash: Xxh3Default,
    items: u64,
    ended: bool,
    pub(crate) identity: Identity,
}

impl<R: Read> Reader<R> {
    pub(crate) fn begin(from: R) -> Result<Self, String> {
        let identity = Identity { gateway: "".into(), epoch: 0 };
        let mut reader = Reader { from, hash: Xxh3Default::new(), items: 0, ended: false, identity };
        if reader.read(MAGIC.len())? != MAGIC {
            return Err("it is no pack of this version".into());
        }
        match reader.item()? {
            Some((b'I', bytes)) if bytes.len() >= 8 => {
                let (epoch, gateway) = bytes.split_at(8);
                let gateway = String::from_utf8_lossy(gateway).as_ref().into();
                reader.identity = Identity { gateway, epoch: number(epoch) };
                Ok(reader)
            }
            _ => Err("it does not say whose it is".into()),
        }
    }

    /// The next entry, where it is a pack of entries.
    pub(crate) fn entry(&mut self) -> Result<Option<(Key, Vec<u8>)>, String> {
        match self.item()? {
            None => Ok(None),
            Some((b'K', mut bytes)) if bytes.len() >= KEY_BYTES => {
                let value = bytes.split_off(KEY_BYTES);
                Ok(Some((Key::decode(&bytes).ok_or("it has a key that is none of ours")?, value)))
            }
            Some((tag, _)) => Err(format!("it has an item {:?} where an entry should be", char::from(tag))),
        }
    }

    /// The next item; `None` at the end, which was checked.
    fn item(&mut self) -> Result<Option<(u8, Vec<u8>)>, String> {
        if self.ended {
            return Ok(None);
        }
        let (items, hash) = (self.items, self.hash.digest());
        let head = self.read(5)?;
        let len = number(&head[1..]) as usize;
        if len > ITEM_BYTES_MAX {
            return Err(format!("a item of {len} bytes is over {ITEM_BYTES_MAX}: it is damaged"));
        }
        let bytes = self.read(len)?;
        self.items += 1;
        if head[0] != b'E' {
            return Ok(Some((head[0], bytes)));
        }
        if len != 16 || number(&bytes[..8]) != items || number(&bytes[8..]) != hash {
            return Err("its checksum does not match: it is damaged".into());
        }
        self.ended = true;
        Ok(None)
    }

    fn read(&mut self, len: usize) -> Result<Vec<u8>, String> {
        let mut bytes = vec![0; len];
        self.from.read_exact(&mut bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => "it ends before its end: it is not whole".to_string(),
            _ => error.to_string(),
        })?;
        self.hash.update(&bytes);
        Ok(bytes)
    }
}

/// Copies a pack of entries as it comes; an error where it is not whole to its end.
pub fn copy_pack(from: &mut dyn Read, to: &mut dyn Write) -> Result<(), String> {
    let mut reader = Reader::begin(from)?;
    let said = |error: io::Error| error.to_string();
    let mut writer = Writer::begin(to, &reader.identity).map_err(said)?;
    while let Some((key, value)) = reader.entry()? {
        writer.entry(key, &value).map_err(said)?;
    }
    writer.finish().map(drop).map_err(said)
}

/// Up to eight bytes, little-endian.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |n, &byte| n << 8 | u64::from(byte))
}

/// Packs blocks of a stream.
pub struct BlockWriter<W> {
    writer: Writer<W>,
    encoder: Encoder,
    /// Schemas that were sent.
    sent: Vec<u64>,
}

impl<W: Write> BlockWriter<W> {
    /// Begins a pack.
    pub fn begin(out: W, identity: &Identity) -> io::Result<Self> {
        Ok(BlockWriter { writer: Writer::begin(out, identity)?, encoder: Encoder::new()?, sent: Vec::new() })
    }

    /// What it is written to.
    pub fn out(&mut self) -> &mut W {
        &mut self.writer.out
    }

    /// Packs a block.
    pub fn block(&mut self, partition: u32, block: &Block) -> io::Result<()> {
        let schema = block.batch.schema();
        let id = schema.id();
        if !self.sent.contains(&id) {
            self.writer.item(b'S', &[&encode(&**schema)])?;
            self.sent.push(id);
        }
        let Block { first, runs, pass, batch, .. } = block.clone();
        let encoded = self.encoder.encode(&Decoded { first: first.0, runs, pass, batch }, id);
        let encoded = encoded.map_err(|damage| io::Error::other(damage.to_string()))?;
        self.writer.item(b'B', &[&partition.to_le_bytes(), &encoded.bytes])
    }

    /// Ends the pack.
    pub fn finish(self) -> io::Result<W> {
        self.writer.finish()
    }
}

/// Unpacks blocks of a stream.
pub struct BlockReader<R> {
    reader: Reader<R>,
    stream: Arc<str>,
    schemas: HashMap<u64, Arc<Schema>>,
}

impl<R: Read> BlockReader<R> {
    /// Begins a pack of blocks of `stream`.
    pub fn begin(from: R, stream: &str) -> Result<Self, String> {
        Ok(BlockReader { reader: Reader::begin(from)?, stream: stream.into(), schemas: HashMap::new() })
    }

    /// Whose records they are.
    pub fn identity(&self) -> Identity {
        self.reader.identity.clone()
    }

    /// The next block; `None` at the end of a pack that is whole.
    pub fn block(&mut self) -> Result<Option<(Partition, Block)>, String> {
        while let Some((tag, bytes)) = self.reader.item()? {
            match tag {
                b'S' => {
                    let schema: Schema = decode(&bytes)?;
                    self.schemas.insert(schema.id(), Arc::new(schema));
                }
                b'B' if bytes.len() > 4 => {
                    let (partition, bytes) = bytes.split_at(4);
                    let first = crate::block::peek(bytes).map_err(|damage| damage.to_string())?.first;
                    let block = decode_block(bytes, first, |id| self.schemas.get(&id).cloned())?;
                    return Ok(Some((Partition::new(self.stream.clone(), number(partition) as u32), block)));
                }
                _ => return Err(format!("it has an item {:?} where a block should be", char::from(tag))),
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Kind;

    fn packed() -> Vec<u8> {
        let identity = Identity { gateway: "plant-7".into(), epoch: 77 };
        let mut writer = Writer::begin(Vec::new(), &identity).unwrap();
        for n in 0..10 {
            writer.entry(Key::of(Kind::Producer, n), &[n as u8; 300]).unwrap();
        }
        writer.finish().unwrap()
    }

    fn read(bytes: &[u8]) -> Result<usize, String> {
        let mut reader = Reader::begin(bytes)?;
        assert_eq!(&*reader.identity.gateway, "plant-7");
        let mut entries = 0;
        while let Some((key, value)) = reader.entry()? {
            assert_eq!((key, value), (Key::of(Kind::Producer, entries as u32), vec![entries as u8; 300]));
            entries += 1;
        }
        Ok(entries)
    }

    #[test]
    fn a_pack_gives_what_was_packed() {
        assert_eq!(read(&packed()), Ok(10));
    }

    #[test]
    fn a_pack_that_is_cut_off_says_so() {
        let whole = packed();
        for len in (0..whole.len()).step_by(7) {
            assert!(read(&whole[..len]).is_err(), "{len}");
        }
    }

    #[test]
    fn a_flipped_bit_is_found() {
        let whole = packed();
        // Behind the name, which the reader above looks at.
        for at in (60..whole.len()).step_by(11) {
            let mut bytes = whole.clone();
            bytes[at] ^= 4;
            let found = std::panic::catch_unwind(|| read(&bytes));
            assert!(found.is_err() || found.is_ok_and(|read| read.is_err()), "{at}");
        }
    }
}
