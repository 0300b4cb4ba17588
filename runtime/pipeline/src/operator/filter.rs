//! `filter`: keeps the rows the plugin says.

use super::keyed::Keyed;
use super::{Context, Operator, RestoreError, SavedOperator};
use crate::rows::Rows;
use std::sync::Arc;
use tidegate_record::Schema;
use tidegate_sandbox::{Halted, Input, Runner};

/// A filter plugin; one with state has a slot a device.
pub(crate) struct Filter {
    keyed: Keyed,
    schema: Arc<Schema>,
}

impl Filter {
    pub fn new(runner: Runner, schema: Arc<Schema>, max_keys: usize) -> Self {
        Filter { keyed: Keyed::new(runner, max_keys), schema }
    }
}

impl Operator for Filter {
    fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    fn plugin(&self) -> String {
        self.keyed.plugin()
    }

    fn process(&mut self, rows: Rows, context: &mut Context<'_>) -> Result<Rows, Halted> {
        if rows.batch.rows() == 0 {
            return Ok(rows);
        }
        let keep = |runner: &mut Runner, input: Input<'_>| runner.keep(input).map(|kept| (kept.keep, kept.faults));
        let (rows, kept) = self.keyed.call(rows, context, keep)?;
        context.digest.bytes(&kept);
        if kept.iter().all(|&k| k == 1) {
            return Ok(rows);
        }
        let kept: Vec<u32> = (0u32..).zip(&kept).filter(|(_, k)| **k == 1).map(|(row, _)| row).collect();
        Ok(rows.take(&kept))
    }

    fn runner(&mut self) -> &mut Runner {
        self.keyed.runner()
    }

    fn slots(&self) -> Vec<u32> {
        self.keyed.slots()
    }

    fn pass(&self, rows: Rows) -> Option<Rows> {
        Some(rows)
    }

    fn save(&mut self) -> Result<SavedOperator, Halted> {
        self.keyed.save()
    }

    fn restore(&mut self, saved: SavedOperator) -> Result<(), RestoreError> {
        self.keyed.restore(&saved)
    }
}
