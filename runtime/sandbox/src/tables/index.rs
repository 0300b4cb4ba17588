//! From a key to its row: open addressing over the key's column itself, four bytes a place.

use tidegate_record::Values;
use xxhash_rust::xxh3::xxh3_64;

/// No row.
const FREE: u32 = u32::MAX;

/// Rows by the hash of their key. At most half of the places are taken.
pub(super) struct Index {
    places: Vec<u32>,
}

/// Where a key begins to be looked for.
pub(super) fn hash(key: &[u8]) -> u64 {
    xxh3_64(key)
}

impl Index {
    /// An index of text or integer keys. The error: two rows of one key.
    pub(super) fn new(keys: &Values) -> Result<Self, (usize, usize)> {
        let mut index = Index { places: vec![FREE; (keys.len() * 2).next_power_of_two()] };
        for row in 0..keys.len() {
            let place = match keys {
                Values::Integers(keys) => index.place(hash(&keys[row].to_le_bytes()), |other| keys[other] == keys[row]),
                Values::Texts(keys) => index.place(hash(keys.at(row)), |other| keys.at(other) == keys.at(row)),
                _ => return Ok(index),
            };
            match index.places[place] {
                FREE => index.places[place] = row as u32,
                first => return Err((first as usize, row)),
            }
        }
        Ok(index)
    }

    /// The row whose key `is_it`.
    pub(super) fn find(&self, hash: u64, is_it: impl Fn(usize) -> bool) -> Option<usize> {
        match self.places[self.place(hash, is_it)] {
            FREE => None,
            row => Some(row as usize),
        }
    }

    /// The place of a key, or the free one it would have.
    fn place(&self, hash: u64, is_it: impl Fn(usize) -> bool) -> usize {
        let mask = self.places.len() - 1;
        let mut place = hash as usize & mask;
        while self.places[place] != FREE && !is_it(self.places[place] as usize) {
            place = (place + 1) & mask;
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn an_index_is_a_map(keys in prop::collection::vec(-40i64..40, 0..60), asked in prop::collection::vec(-60i64..60, 20)) {
            let (mut model, mut twice) = (BTreeMap::new(), None);
            for (row, key) in keys.iter().enumerate() {
                match model.get(key) {
                    Some(&first) => twice = twice.or(Some((first, row))),
                    None => drop(model.insert(*key, row)),
                }
            }
            match Index::new(&Values::Integers(keys.clone())) {
                Err(rows) => prop_assert_eq!(Some(rows), twice),
                Ok(index) => {
                    prop_assert_eq!(twice, None);
                    for key in asked {
                        let found = index.find(hash(&key.to_le_bytes()), |row| keys[row] == key);
                        prop_assert_eq!(found, model.get(&key).copied());
                    }
                }
            }
        }
    }
}
