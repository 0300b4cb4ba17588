//! `filter`: keeps the rows the plugin says.

use super::{Context, Operator, RestoreError, SavedOperator};
use crate::keys::{Keys, NO_KEY};
use crate::rows::Rows;
use std::sync::Arc;
use tidegate_record::{Blobs, Schema};
use tidegate_sandbox::{Halted, Input, Runner};

/// A filter plugin; one with state has a slot a device.
pub(crate) struct Filter {
    runner: Runner,
    schema: Arc<Schema>,
    keys: Keyed,
}

/// A slot a device, where the plugin asks for slots.
pub(crate) struct Keyed {
    wanted: bool,
    keys: Keys,
}

impl Keyed {
    pub fn new(runner: &Runner, max_keys: usize) -> Self {
        Keyed { wanted: runner.plan().slots, keys: Keys::new(max_keys) }
    }

    /// Rows with their slots; rows of devices beyond the bound are taken out and noted.
    pub fn assign(&mut self, rows: Rows, context: &mut Context<'_>) -> (Rows, Option<Vec<u32>>) {
        if !self.wanted {
            return (rows, None);
        }
        let slots = self.keys.number(&rows.batch);
        if !slots.contains(&NO_KEY) {
            return (rows, Some(slots));
        }
        let (mut kept, mut kept_slots) = (Vec::new(), Vec::new());
        for (row, slot) in slots.into_iter().enumerate() {
            match slot {
                NO_KEY => context.trouble.overflow.push(rows.origin(row as u32)),
                slot => {
                    kept.push(row as u32);
                    kept_slots.push(slot);
                }
            }
        }
        (rows.take(&kept), Some(kept_slots))
    }

    pub fn save(&self, runner: &mut Runner) -> Result<SavedOperator, Halted> {
        let slots: Vec<u32> = (0..self.keys.names().len() as u32).collect();
        let states = if slots.is_empty() { Blobs::default() } else { runner.save(&slots)? };
        let host = crate::mark::to_bytes(&self.keys.names());
        Ok(SavedOperator::new(host, runner.state_version(), slots, &states))
    }

    pub fn restore(&mut self, runner: &mut Runner, saved: &SavedOperator) -> Result<(), RestoreError> {
        let names: Vec<String> = postcard::from_bytes(&saved.host).map_err(|e| RestoreError(e.to_string()))?;
        for name in &names {
            self.keys.key(name);
        }
        if saved.slots.is_empty() {
            return Ok(());
        }
        runner.load(saved.version, &saved.slots, &saved.states()?).map_err(|e| RestoreError(e.to_string()))
    }
}

impl Filter {
    pub fn new(runner: Runner, schema: Arc<Schema>, max_keys: usize) -> Self {
        let keys = Keyed::new(&runner, max_keys);
        Filter { runner, schema, keys }
    }
}

impl Operator for Filter {
    fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    fn plugin(&self) -> String {
        super::plugin_name(&self.runner)
    }

    fn process(&mut self, rows: Rows, context: &mut Context<'_>) -> Result<Rows, Halted> {
        if rows.batch.rows() == 0 {
            return Ok(rows);
        }
        let (rows, slots) = self.keys.assign(rows, context);
        let skip = context.verdict.map_or(&[][..], |v| &v.rows);
        let kept = self.runner.keep(Input { batch: &rows.batch, slots: slots.as_deref(), skip })?;
        context.trouble.rows.extend(kept.faults.into_iter().map(|f| (f.row, rows.origin(f.row), f.fault)));
        if kept.keep.iter().all(|&k| k == 1) {
            return Ok(rows);
        }
        let keep: Vec<u32> = (0u32..).zip(&kept.keep).filter(|(_, k)| **k == 1).map(|(row, _)| row).collect();
        Ok(rows.take(&keep))
    }

    fn save(&mut self) -> Result<SavedOperator, Halted> {
        self.keys.save(&mut self.runner)
    }

    fn restore(&mut self, saved: SavedOperator) -> Result<(), RestoreError> {
        self.keys.restore(&mut self.runner, &saved)
    }
}
