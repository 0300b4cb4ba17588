//! What flows between operators.

use std::sync::Arc;
use tidegate_record::Batch;

/// Records between two operators, each with the row of the entry it comes from.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    /// The records.
    pub batch: Arc<Batch>,
    /// For each, the row of the entry it was made from (for a window: the row that closed it); `None`: the same row.
    pub origin: Option<Vec<u32>>,
}

impl Rows {
    /// The entry's own records.
    pub fn of(batch: Arc<Batch>) -> Self {
        Rows { batch, origin: None }
    }

    /// The entry's row that `row` comes from.
    pub fn origin(&self, row: u32) -> u32 {
        self.origin.as_ref().map_or(row, |o| o[row as usize])
    }

    /// Only the rows named (ascending).
    pub fn take(&self, rows: &[u32]) -> Self {
        let origin = rows.iter().map(|&row| self.origin(row)).collect();
        Rows { batch: Arc::new(self.batch.take(rows)), origin: Some(origin) }
    }
}
