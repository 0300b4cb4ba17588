//! What the engine needs of a medium: an ordered map with atomic, durable writes. sled is one, memory the other.

use crate::keys::{KEY_BYTES, Key};

/// Most bytes of a value: sled keeps larger ones in files of their own, which it never syncs.
pub(crate) const PART_BYTES: usize = 6 * 1024;

/// Changes that take effect together.
#[derive(Debug, Default)]
pub(crate) struct WriteSet {
    pub(crate) puts: Vec<(Key, Vec<u8>)>,
    pub(crate) deletes: Vec<Key>,
}

impl WriteSet {
    /// Writes a value, in as many parts as it needs; gives their number.
    pub(crate) fn put(&mut self, key: Key, value: Vec<u8>) -> u16 {
        let parts = parts(value.len());
        if parts == 1 {
            self.puts.push((key, value));
            return 1;
        }
        for (part, bytes) in value.chunks(value.len().div_ceil(usize::from(parts))).enumerate() {
            self.puts.push((key.part(part as u16), bytes.to_vec()));
        }
        parts
    }

    /// Writes a value over one that had `before` parts.
    pub(crate) fn replace(&mut self, key: Key, value: Vec<u8>, before: u16) -> u16 {
        let parts = self.put(key, value);
        (parts..before).for_each(|part| self.deletes.push(key.part(part)));
        parts
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.puts.is_empty() && self.deletes.is_empty()
    }

    /// Bytes of keys and values written.
    pub(crate) fn bytes(&self) -> u64 {
        let puts: usize = self.puts.iter().map(|(_, value)| KEY_BYTES + value.len()).sum();
        (puts + self.deletes.len() * KEY_BYTES) as u64
    }
}

/// Parts of a value of so many bytes.
pub(crate) fn parts(bytes: usize) -> u16 {
    bytes.div_ceil(PART_BYTES).max(1) as u16
}

/// Bytes a value takes, with its keys.
pub(crate) fn stored_bytes(bytes: usize) -> u64 {
    (usize::from(parts(bytes)) * KEY_BYTES + bytes) as u64
}

/// Where the store's map is kept. Errors are sentences.
pub(crate) trait Medium: Send + Sync + 'static {
    /// Applies the whole set or nothing of it, and returns when it is durable. After an error nothing may be written.
    fn write(&self, set: &WriteSet) -> Result<(), String>;

    /// Visits the entries from `from` to `to`, both included, in order, until `visit` says false.
    fn scan(&self, from: Key, to: Key, visit: &mut dyn FnMut(Key, &[u8]) -> bool) -> Result<(), String>;

    /// The last key from `from` to `to`, both included.
    fn last(&self, from: Key, to: Key) -> Result<Option<Key>, String>;

    /// Bytes it takes on disk.
    fn disk_bytes(&self) -> u64;

    /// Bytes that it can still grow by: free on its file system, or taken ahead. Where known.
    fn disk_free(&self) -> Option<u64>;

    /// Takes space of its file system ahead, about so many bytes of what is left, which nobody else can fill then.
    fn take_ahead(&self, _bytes: u64) {}

    /// Keeps bytes beside the store, in place of those before. Not durable: called when what they tell of is.
    fn note_tail(&self, _bytes: &[u8]) {}

    /// The bytes kept last, where they are whole.
    fn tail(&self) -> Option<Vec<u8>> {
        None
    }

    /// Makes opening it later quick, where what was written since it was opened would slow that down. Who reads
    /// meanwhile waits. After an error nothing may be written.
    fn renew(&self) -> Result<(), String> {
        Ok(())
    }

    /// Lets go of it; what comes after is an error.
    fn release(&self);
}

/// The value at `key`, its parts joined.
pub(crate) fn value(medium: &dyn Medium, key: Key) -> Result<Option<Vec<u8>>, String> {
    let mut value = None;
    medium.scan(key, key.last_part(), &mut |_, bytes| {
        value.get_or_insert_with(Vec::new).extend_from_slice(bytes);
        true
    })?;
    Ok(value)
}

/// The first key from `from` to `to`.
pub(crate) fn first(medium: &dyn Medium, from: Key, to: Key) -> Result<Option<Key>, String> {
    let mut first = None;
    medium.scan(from, to, &mut |key, _| {
        first = Some(key);
        false
    })?;
    Ok(first)
}
