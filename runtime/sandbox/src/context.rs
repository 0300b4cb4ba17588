//! What an instance has taken, what it may take, and what it is told beside its arguments.

use crate::lines::Said;
use crate::{Arrival, Bound, Limits, LogLimits, Tables};
use std::sync::Arc;
use wasmtime::ResourceLimiter;

/// What belongs to one store.
pub(crate) struct Context {
    pub(crate) memory_bytes: usize,
    memory_bytes_max: usize,
    table_elements: usize,
    table_elements_max: usize,
    instances_max: usize,
    memories_max: usize,
    /// What was refused since the call began.
    pub(crate) denied: Option<Bound>,
    pub(crate) said: Said,
    pub(crate) log_limits: LogLimits,
    /// When the batch at hand arrived; `None` in calls that bring none.
    pub(crate) arrival: Option<Arrival>,
    tables: Arc<Tables>,
    /// Whether the call at hand may ask for them.
    pub(crate) may_look: bool,
    /// Most bytes of an answer, of the guest's or to it.
    pub(crate) output_bytes: usize,
}

impl Context {
    pub(crate) fn new(limits: &Limits) -> Self {
        Context {
            memory_bytes: 0,
            memory_bytes_max: limits.memory_bytes,
            table_elements: 0,
            table_elements_max: limits.table_elements,
            instances_max: limits.instances,
            memories_max: limits.memories,
            denied: None,
            said: Said::default(),
            log_limits: limits.log.clone(),
            arrival: None,
            tables: limits.tables.clone(),
            may_look: false,
            output_bytes: limits.output_bytes,
        }
    }

    /// What the clock says; the error ends the call.
    pub(crate) fn arrival(&self) -> wasmtime::Result<Arrival> {
        self.arrival.ok_or_else(|| wasmtime::format_err!("asked for the clock where no batch is at hand"))
    }

    /// The tables; the error ends the call.
    pub(crate) fn tables(&self) -> wasmtime::Result<&Arc<Tables>> {
        let refused = || wasmtime::format_err!("asked for a table in describe, version, save or release");
        self.may_look.then_some(&self.tables).ok_or_else(refused)
    }
}

impl ResourceLimiter for Context {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.memory_bytes.saturating_add(desired.saturating_sub(current));
        if total > self.memory_bytes_max {
            self.denied = Some(Bound::Memory);
            return Ok(false);
        }
        self.memory_bytes = total;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.table_elements.saturating_add(desired.saturating_sub(current));
        if total > self.table_elements_max {
            self.denied = Some(Bound::Elements);
            return Ok(false);
        }
        self.table_elements = total;
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.instances_max
    }

    fn tables(&self) -> usize {
        self.instances_max
    }

    fn memories(&self) -> usize {
        self.memories_max
    }
}
