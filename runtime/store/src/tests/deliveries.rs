//! What an upstream got of a stream that becomes coarser.

use super::numbers;
use crate::Block;
use std::collections::HashMap;

/// Every record delivered, by its number: under one identity each, however often it came.
#[derive(Default)]
pub(super) struct Deliveries {
    /// Offset and pass.
    identities: HashMap<i64, (u64, u8)>,
    pub(super) thinned: usize,
}

impl Deliveries {
    pub(super) fn add(&mut self, block: &Block) {
        for (row, n) in numbers(std::slice::from_ref(block)).into_iter().enumerate() {
            let identity = (block.first.0 + row as u64, block.pass);
            let known = *self.identities.entry(n).or_insert(identity);
            assert_eq!(known, identity, "record {n} came under two identities");
            self.thinned += usize::from(block.pass > 0);
        }
    }
}
