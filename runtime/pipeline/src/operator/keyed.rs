//! A plugin that is given rows, with a slot a device where it asks for slots.

use super::{Context, RestoreError, SavedOperator};
use crate::keys::{Keys, NO_KEY};
use crate::rows::Rows;
use tidegate_record::Blobs;
use tidegate_sandbox::{Halted, Input, Kind, RowFault, Runner};

/// A runner and the devices it has slots for.
pub(super) struct Keyed {
    runner: Runner,
    keys: Keys,
}

impl Keyed {
    /// No devices yet, and room for `max_keys`.
    pub fn new(runner: Runner, max_keys: usize) -> Self {
        Keyed { keys: Keys::new(max_keys), runner }
    }

    /// What its plugin is.
    pub fn kind(&self) -> Kind {
        self.runner.plugin().kind()
    }

    /// Name and version.
    pub fn plugin(&self) -> String {
        super::plugin_name(&self.runner)
    }

    /// Gives rows to the plugin by `call`; gives back the rows it was given and what it made of them. Rows of devices
    /// beyond the bound are taken out before; they and the rows at fault are noted.
    pub fn call<T>(
        &mut self,
        rows: Rows,
        context: &mut Context<'_>,
        call: impl FnOnce(&mut Runner, Input<'_>) -> Result<(T, Vec<RowFault>), Halted>,
    ) -> Result<(Rows, T), Halted> {
        let (rows, slots) = self.assign(rows, context);
        self.runner.at(context.told());
        let skip = context.verdict.map_or(&[][..], |v| &v.rows);
        let called = call(&mut self.runner, Input { batch: &rows.batch, slots: slots.as_deref(), skip });
        let (made, faults) = called.map_err(|halted| rows.halted(halted.named(|slot| self.keys.named(slot))))?;
        context.trouble.rows.extend(faults.into_iter().map(|f| (f.row, rows.origin(f.row), f.fault)));
        Ok((rows, made))
    }

    fn assign(&mut self, rows: Rows, context: &mut Context<'_>) -> (Rows, Option<Vec<u32>>) {
        // Another version of the plugin may want other than the one before.
        if !self.runner.plan().slots {
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

    pub fn runner(&mut self) -> &mut Runner {
        &mut self.runner
    }

    /// The slots in use.
    pub fn slots(&self) -> Vec<u32> {
        (0..self.keys.names().len() as u32).collect()
    }

    pub fn save(&mut self) -> Result<SavedOperator, Halted> {
        let slots = self.slots();
        let states = if slots.is_empty() {
            Blobs::default()
        } else {
            self.runner.save(&slots).map_err(|halted| halted.named(|slot| self.keys.named(slot)))?
        };
        let host = crate::mark::to_bytes(&self.keys.names());
        Ok(SavedOperator::new(host, self.runner.state_version(), slots, &states))
    }

    pub fn restore(&mut self, saved: &SavedOperator) -> Result<(), RestoreError> {
        let names: Vec<String> = postcard::from_bytes(&saved.host).map_err(|e| RestoreError(e.to_string()))?;
        for name in &names {
            self.keys.key(name);
        }
        if saved.slots.is_empty() {
            return Ok(());
        }
        let states = saved.states()?;
        self.runner.load(saved.version, &saved.slots, &states).map_err(|e| RestoreError(e.to_string()))
    }
}
