//! The blocks of a partition in the order of their offsets, one in memory at a time.

use crate::api::Block;
use crate::block;
use crate::engine::decode_block;
use crate::keys::{Key, Kind};
use crate::medium::{Medium, first};
use crate::tools::Catalogue;

/// What stands at a block's key.
pub(crate) struct Found {
    /// Of its first part.
    pub(crate) key: Key,
    /// As stored, its parts joined.
    pub(crate) bytes: Vec<u8>,
    /// The block, or what is wrong with it.
    pub(crate) block: Result<Block, String>,
}

/// Visits the blocks of a partition that reach beyond `at`, until `visit` says false.
pub(crate) fn blocks(
    medium: &dyn Medium,
    catalogue: &Catalogue,
    (stream, partition): (u32, u32),
    at: u64,
    visit: &mut dyn FnMut(Found) -> bool,
) -> Result<(), String> {
    let key = |offset| Key::new(Kind::Block, stream, partition, offset);
    // The block that `at` is in may begin before it.
    let begin = medium.last(key(0), key(at).last_part())?.map_or(key(at), |found| found.part(0));
    let mut joined: Option<(Key, Vec<u8>)> = None;
    let mut on = true;
    let mut end = |joined: Option<(Key, Vec<u8>)>| {
        let Some((key, bytes)) = joined else { return true };
        if key.offset < at && block::peek(&bytes).is_ok_and(|peek| peek.next() <= at) {
            return true;
        }
        let block = decode_block(&bytes, key.offset, |id| catalogue.schemas.get(&id).cloned());
        visit(Found { key, bytes, block })
    };
    medium.scan(begin, key(u64::MAX).last_part(), &mut |key, bytes| {
        match &mut joined {
            Some((first, value)) if first.same_value(key) => value.extend_from_slice(bytes),
            _ => {
                on = end(joined.take());
                joined = Some((key.part(0), bytes.to_vec()));
            }
        }
        on
    })?;
    if on {
        end(joined);
    }
    Ok(())
}

/// The partitions that have blocks.
pub(crate) fn partitions(medium: &dyn Medium) -> Result<Vec<(u32, u32)>, String> {
    let (mut from, to) = Key::all(Kind::Block);
    let mut found = Vec::new();
    while let Some(key) = first(medium, from, to)? {
        found.push((key.stream, key.partition));
        from = Key { offset: u64::MAX, ..key }.last_part();
    }
    Ok(found)
}
