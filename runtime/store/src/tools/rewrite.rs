//! Writing a whole database anew, a bounded set of entries at a time.

use crate::keys::{KEY_BYTES, Key, Kind};
use crate::medium::{Medium, WriteSet};

/// So many bytes make a write.
const SET_BYTES: usize = 1 << 20;

/// A medium being filled. What was put is durable after [`Rewrite::finish`].
pub(crate) struct Rewrite<'a> {
    medium: &'a dyn Medium,
    set: WriteSet,
    bytes: usize,
}

impl<'a> Rewrite<'a> {
    pub(crate) fn of(medium: &'a dyn Medium) -> Self {
        Rewrite { medium, set: WriteSet::default(), bytes: 0 }
    }

    /// Puts a value, in as many parts as it needs.
    pub(crate) fn put(&mut self, key: Key, value: Vec<u8>) -> Result<(), String> {
        self.bytes += KEY_BYTES + value.len();
        self.set.put(key, value);
        if self.bytes < SET_BYTES {
            return Ok(());
        }
        self.bytes = 0;
        self.medium.write(&std::mem::take(&mut self.set))
    }

    pub(crate) fn finish(self) -> Result<(), String> {
        if self.set.is_empty() { Ok(()) } else { self.medium.write(&self.set) }
    }
}

/// Copies the entries of some kinds as they are.
pub(crate) fn copy(from: &dyn Medium, to: &mut Rewrite<'_>, kinds: &[Kind]) -> Result<(), String> {
    for &kind in kinds {
        let (first, last) = Key::all(kind);
        let mut copied = Ok(());
        from.scan(first, last, &mut |key, bytes| {
            copied = to.put(key, bytes.to_vec());
            copied.is_ok()
        })?;
        copied?;
    }
    Ok(())
}
