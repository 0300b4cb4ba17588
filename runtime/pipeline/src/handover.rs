//! Another version of an operator's plugin, made ready beside the pipeline.
//!
//! It is configured and takes in the states of the running one on the thread of who brings it; the pipeline's thread only
//! gives states away, and at the end makes the switch with the few that were touched since.

use crate::OperatorOptions;
use crate::chain::{BuildError, build_operator};
use crate::operator::Operator;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tidegate_record::Schema;
use tidegate_sandbox::{Carried, ConfigureError, Plugin, Runner};

/// What it takes to configure another version of an operator's plugin.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// As the operator is configured; its plugin is the one the pipeline began with.
    pub options: OperatorOptions,
    /// The fields that reach it.
    pub input: Arc<Schema>,
}

impl Recipe {
    pub(crate) fn runner(&self, plugin: Arc<Plugin>) -> Result<Runner, ConfigureError> {
        Runner::new(plugin, &self.options.params, &self.input, &self.options.limits)
    }

    /// An operator of another plugin, configured alike. `operator`: its number, for errors.
    pub(crate) fn operator(&self, operator: usize, plugin: Arc<Plugin>) -> Result<Box<dyn Operator>, BuildError> {
        let options = OperatorOptions { plugin, ..self.options.clone() };
        build_operator("shadow", operator, &options, &self.input)
    }
}

/// What became of a swap.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Swapped {
    /// Which operator, from 1.
    pub operator: usize,
    /// Name and version before.
    pub from: String,
    /// SHA-256 of that component.
    pub from_sha256: String,
    /// Name and version now.
    pub to: String,
    /// SHA-256 of that component.
    pub to_sha256: String,
    /// Slots whose state was carried over.
    pub slots: usize,
    /// How long the pipeline's thread gave to it, in all: microseconds in which no record was worked on.
    pub gap_us: u64,
}

/// A version on its way in, shared by who brings it and the pipeline.
#[derive(Debug, Clone)]
pub struct Handover(Arc<Mutex<Inner>>);

struct Inner {
    /// Gone once it is in its place.
    runner: Option<Runner>,
    /// What the old one gave away and the new one has not taken in yet.
    carried: Option<Carried>,
    /// Which handover it is, once it has begun.
    begun: Option<u64>,
    slots: usize,
    gap_us: u64,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handover").field("slots", &self.slots).finish_non_exhaustive()
    }
}

impl Handover {
    /// Configures another version for the operator of `recipe`.
    pub fn new(recipe: &Recipe, plugin: Arc<Plugin>) -> Result<Handover, ConfigureError> {
        let runner = Some(recipe.runner(plugin)?);
        Ok(Handover(Arc::new(Mutex::new(Inner { runner, carried: None, begun: None, slots: 0, gap_us: 0 }))))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The operator gives away its states: all the first time, then what was touched since. The error is a sentence.
    pub(crate) fn give(&self, operator: &mut dyn Operator) -> Result<(), String> {
        let inner = &mut *self.inner();
        let Some(next) = &inner.runner else { return Err("this version is in its place already".into()) };
        let slots = operator.slots();
        let runner = operator.runner();
        next.succeeds(runner).map_err(|misfit| format!("{misfit}: put the file in place and restart the gateway"))?;
        let given = match inner.begun {
            None => runner.hand_over(&slots).map(Some),
            Some(handover) => runner.changed(handover),
        };
        let given = given.map_err(|halted| halted.to_string())?;
        let given = given.ok_or("the plugin was made anew or swapped meanwhile: try again")?;
        inner.begun = Some(given.handover);
        inner.carried = Some(given);
        Ok(())
    }

    /// The new version takes in what was given away; tells how many slots that were. On the thread of who brings it.
    pub(crate) fn take_in(&self) -> Result<usize, String> {
        let inner = &mut *self.inner();
        let (Some(next), Some(carried)) = (&mut inner.runner, inner.carried.take()) else { return Ok(0) };
        next.carry(&carried).map_err(|error| error.to_string())?;
        inner.slots = inner.slots.max(carried.slots.len());
        Ok(carried.slots.len() + carried.gone.len())
    }

    /// The last states, and the switch.
    pub(crate) fn switch(&self, number: usize, operator: &mut dyn Operator) -> Result<Swapped, String> {
        self.give(operator)?;
        self.take_in()?;
        let inner = &mut *self.inner();
        let Some(next) = inner.runner.take() else { return Err("this version is in its place already".into()) };
        let (from, from_sha256) = (operator.plugin(), operator.runner().plugin().sha256());
        operator.runner().give_way(next);
        let (to, to_sha256) = (operator.plugin(), operator.runner().plugin().sha256());
        Ok(Swapped { operator: number, from, from_sha256, to, to_sha256, slots: inner.slots, gap_us: inner.gap_us })
    }

    /// The pipeline's thread gave so much time to it.
    pub(crate) fn stood(&self, micros: i64) -> u64 {
        let inner = &mut *self.inner();
        inner.gap_us += u64::try_from(micros).unwrap_or(0);
        inner.gap_us
    }
}

#[cfg(test)]
pub(crate) mod tests;
