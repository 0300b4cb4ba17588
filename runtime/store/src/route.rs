//! Which partition a record goes to: Kafka's default partitioner, so that a topic fits later.

use std::sync::Arc;
use tidegate_record::Batch;

/// Kafka's murmur2 of a key.
fn murmur2(key: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ key.len() as u32;
    let (words, rest) = key.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !rest.is_empty() {
        rest.iter().enumerate().for_each(|(index, &byte)| hash ^= u32::from(byte) << (8 * index));
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ hash >> 15
}

/// The partition of a device among `partitions`.
pub fn partition_of(device: &[u8], partitions: u32) -> u32 {
    (murmur2(device) & 0x7fff_ffff) % partitions.max(1)
}

/// A batch's records by partition, in order; partitions without records are left out.
pub(crate) fn split(batch: &Arc<Batch>, partitions: u32) -> Vec<(u32, Arc<Batch>)> {
    if partitions <= 1 {
        return vec![(0, batch.clone())];
    }
    let of_device: Vec<u32> = batch.devices().iter().map(|d| partition_of(d, partitions)).collect();
    let mut rows = vec![Vec::new(); partitions as usize];
    for (row, &id) in batch.device_ids().iter().enumerate() {
        rows[of_device[id as usize] as usize].push(row as u32);
    }
    let of_all = |(partition, rows): (usize, Vec<u32>)| match rows.len() {
        0 => None,
        n if n == batch.rows() => Some((partition as u32, batch.clone())),
        _ => Some((partition as u32, Arc::new(batch.take(&rows)))),
    };
    rows.into_iter().enumerate().filter_map(of_all).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the tests of Kafka's own clients.
    #[test]
    fn murmur2_is_kafkas() {
        let cases: [(&str, i32); 6] = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ];
        for (key, hash) in cases {
            assert_eq!(murmur2(key.as_bytes()) as i32, hash, "{key}");
        }
    }
}
