//! What pipelines use: a configured plugin that outlives its faults.

use crate::*;
use std::sync::Arc;
use tidegate_record::{Blobs, Schema};

/// A configured plugin that outlives its faults. Single-threaded; move it to the thread that uses it.
pub struct Runner {
    plan: Plan,
    stats: Arc<Stats>,
}

#[allow(unused_variables, missing_docs)]
impl Runner {
    pub fn new(plugin: Arc<Plugin>, params: &str, fields: &Schema, limits: &Limits) -> Result<Runner, ConfigureError> {
        unimplemented!()
    }
    /// Names the operator on `/metrics`: `PIPELINE/INDEX`. Without it, the plugin's name stands there.
    pub fn named(self, operator: &str) -> Runner {
        self
    }
    pub fn plugin(&self) -> &Arc<Plugin> {
        unimplemented!()
    }
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
    pub fn stats(&self) -> &Arc<Stats> {
        &self.stats
    }
    pub fn keep(&mut self, input: Input<'_>) -> Result<Kept, Halted> {
        unimplemented!()
    }
    pub fn score(&mut self, input: Input<'_>) -> Result<Found, Halted> {
        unimplemented!()
    }
    /// Transforms, and decodes with a codec.
    pub fn apply(&mut self, input: Input<'_>) -> Result<Table, Halted> {
        unimplemented!()
    }
    pub fn update(&mut self, input: Input<'_>) -> Result<Vec<RowFault>, Halted> {
        unimplemented!()
    }
    /// `into[i]` takes in `later[i]`. Gives the pairs at fault.
    pub fn merge(&mut self, into: &[u32], later: &[u32]) -> Result<Vec<(usize, Fault)>, Halted> {
        unimplemented!()
    }
    pub fn finish(&mut self, windows: &[Window]) -> Result<Finished, Halted> {
        unimplemented!()
    }
    /// The version of the states [`Runner::save`] gives; 0 where the plugin keeps none.
    pub fn state_version(&self) -> u32 {
        unimplemented!()
    }
    /// The state of each slot, empty where it was never touched.
    pub fn save(&mut self, slots: &[u32]) -> Result<Blobs, Halted> {
        unimplemented!()
    }
    pub fn load(&mut self, version: u32, slots: &[u32], states: &Blobs) -> Result<(), StateError> {
        unimplemented!()
    }
    /// Forgets slots: their numbers will be used again.
    pub fn release(&mut self, slots: &[u32]) -> Result<(), Halted> {
        unimplemented!()
    }
}
