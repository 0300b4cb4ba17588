//! Where in a partition a time is.

use crate::api::{Error, Partition, Position, Store, Visibility};

/// The position of the first durable record of a partition that arrived at or after a time, microseconds since the epoch
/// by the wall clock as it was then; the end, where there is none. Reads from the beginning on.
pub fn offset_at(store: &dyn Store, partition: &Partition, time: i64) -> Result<Position, Error> {
    let mut at = store.start(partition)?;
    while let Some(block) = store.read(partition, at, Visibility::Durable)? {
        let mut first = block.first.0;
        for run in &block.runs {
            if run.wall >= time {
                return Ok(Position(first));
            }
            first += u64::from(run.rows);
        }
        at = block.next;
    }
    Ok(at)
}
