//! Text and bytes: lengths and data, or a dictionary where values repeat.

use super::Damage;
use super::ints::Ints;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::HashMap;
use tidegate_record::Blobs;

/// Variable-length values as stored.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct List<'a> {
    count: u32,
    #[serde(borrow)]
    lengths: Ints<'a>,
    #[serde(borrow, with = "serde_bytes")]
    data: Cow<'a, [u8]>,
}

/// A column of variable-length values as stored. The order of the variants is part of the format.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Values<'a> {
    /// One value a row.
    Each(#[serde(borrow)] List<'a>),
    /// The distinct values, and which one each row has.
    Dictionary {
        #[serde(borrow)]
        distinct: List<'a>,
        #[serde(borrow)]
        ids: Ints<'a>,
    },
}

impl List<'_> {
    pub(super) fn encode(blobs: &Blobs) -> List<'_> {
        List { count: blobs.len() as u32, lengths: lengths(blobs), data: Cow::Borrowed(blobs.data()) }
    }

    fn encode_owned(blobs: &Blobs) -> List<'static> {
        List { count: blobs.len() as u32, lengths: lengths(blobs), data: Cow::Owned(blobs.data().to_vec()) }
    }

    /// Reads the list; it has at most `count_max` values.
    pub(super) fn decode(&self, count_max: usize) -> Result<Blobs, Damage> {
        let count = self.count as usize;
        if count > count_max {
            return Err(Damage::new(format!("{count} values where at most {count_max} can be")));
        }
        let mut offsets = Vec::with_capacity(count + 1);
        let mut end = 0u32;
        offsets.push(end);
        for length in self.lengths.decode(count)? {
            end = (u32::try_from(length).ok())
                .and_then(|length| end.checked_add(length))
                .ok_or_else(|| Damage::new("a length is out of range"))?;
            offsets.push(end);
        }
        Blobs::from_parts(offsets, self.data.to_vec()).ok_or_else(|| Damage::new("lengths do not match their data"))
    }
}

impl Values<'_> {
    /// Writes a column; a dictionary is tried only where `repeats` may be expected (text).
    pub(super) fn encode(blobs: &Blobs, repeats: bool) -> Values<'_> {
        match repeats.then(|| dictionary(blobs)).flatten() {
            Some((distinct, ids)) => {
                Values::Dictionary { distinct: List::encode_owned(&distinct), ids: Ints::encode(&ids) }
            }
            None => Values::Each(List::encode(blobs)),
        }
    }

    /// Reads a column of at most `bytes_max` bytes.
    pub(super) fn decode(&self, rows: usize, bytes_max: usize) -> Result<Blobs, Damage> {
        let too_large = || Damage::new(format!("a column is larger than the {bytes_max} bytes left to it"));
        match self {
            Values::Each(list) if list.data.len() > bytes_max => Err(too_large()),
            Values::Each(list) => {
                let blobs = list.decode(rows)?;
                if blobs.len() == rows { Ok(blobs) } else { Err(Damage::new("a column has another length")) }
            }
            Values::Dictionary { distinct, ids } => {
                let distinct = distinct.decode(rows)?;
                let mut blobs = Blobs::default();
                for id in ids.decode(rows)? {
                    let id = usize::try_from(id).ok().filter(|&id| id < distinct.len());
                    let value = distinct.at(id.ok_or_else(|| Damage::new("an entry is not in the dictionary"))?);
                    if blobs.data().len() + value.len() > bytes_max {
                        return Err(too_large());
                    }
                    blobs.push(value);
                }
                Ok(blobs)
            }
        }
    }
}

fn lengths(blobs: &Blobs) -> Ints<'static> {
    let lengths: Vec<i64> = blobs.offsets().windows(2).map(|w| i64::from(w[1] - w[0])).collect();
    Ints::encode(&lengths)
}

/// The distinct values and each row's, unless more than half of the rows differ.
fn dictionary(blobs: &Blobs) -> Option<(Blobs, Vec<i64>)> {
    let distinct_max = blobs.len() / 2;
    let mut index: HashMap<&[u8], i64> = HashMap::new();
    let mut distinct = Blobs::default();
    let mut ids = Vec::with_capacity(blobs.len());
    for value in blobs.iter() {
        let id = match index.get(value) {
            Some(&id) => id,
            None if distinct.len() == distinct_max => return None,
            None => {
                let id = distinct.len() as i64;
                index.insert(value, id);
                distinct.push(value);
                id
            }
        };
        ids.push(id);
    }
    Some((distinct, ids))
}
