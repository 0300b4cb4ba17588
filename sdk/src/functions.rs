//! Plugins made of an author's function or state; what the attribute macros expand to.

/// The state of a plugin of one function, or of one state, is its slots'.
macro_rules! state_is_slots {
    ($plugin:ident, $of:ident) => {
        impl<T: $of> State for $plugin<T> {
            fn save(&self, slot: u32, out: &mut Vec<u8>) {
                self.slots.save(slot, out);
            }

            fn load(&mut self, version: u32, slot: u32, state: &[u8]) -> Result<(), String> {
                self.slots.load(version, slot, state)
            }

            fn release(&mut self, slot: u32) {
                self.slots.release(slot);
            }
        }
    };
}
use state_is_slots;

mod transform;

pub use transform::{CodecFn, CodecOf, Frame, TransformFn, TransformOf};

use crate::emit::{Emits, columns};
use crate::help;
use crate::plugin::outcome::Outcome;
use crate::record::Reader;
use crate::{
    Aggregate, Batch, Column, Detect, Fault, Field, FieldsHelp, Filter, Finding, Issue, Params, Plan, Plugin, Record,
    Slots,
};
use crate::{State, Window};
use serde::{Serialize, de::DeserializeOwned};

/// A filter of one function.
pub trait FilterFn: 'static {
    /// What it reads.
    type Record: Record;
    /// What it remembers of a device.
    type State: Default + Serialize + DeserializeOwned + 'static;
    /// Its parameters.
    type Params: Params + 'static;
    /// `bool` or a `Result` of it.
    type Outcome: Outcome<bool>;
    /// The author's function.
    fn keep(record: &Self::Record, state: &mut Self::State, params: &Self::Params) -> Self::Outcome;
}

/// A [`FilterFn`] as a plugin.
pub struct FilterOf<F: FilterFn> {
    params: F::Params,
    reader: Reader<F::Record>,
    slots: Slots<F::State>,
}

impl<F: FilterFn> Plugin for FilterOf<F> {
    type Params = F::Params;

    fn configure(params: F::Params, fields: &[Field]) -> Result<(Self, Plan), Vec<Issue>> {
        let (reader, reads) = Reader::new(fields)?;
        Ok((FilterOf { params, reader, slots: Slots::default() }, Plan { reads, ..Plan::default() }))
    }

    fn fields_help() -> Option<FieldsHelp> {
        Some(FieldsHelp { reads: help::reads::<F::Record>(), emits: Vec::new() })
    }
}

impl<F: FilterFn> Filter for FilterOf<F> {
    fn keep(&mut self, batch: &Batch, faults: &mut Vec<Fault>) -> Vec<u8> {
        let FilterOf { params, reader, slots } = self;
        let (mut mask, of_row) = (vec![0; batch.rows as usize], batch.slots.as_deref());
        reader.each(
            batch,
            faults,
            |row, r| F::keep(&r, slots.at(of_row.map_or(0, |slots| slots[row])), params),
            |row, keep| mask[row] = u8::from(keep),
        );
        mask
    }
}

state_is_slots!(FilterOf, FilterFn);

/// A detector of one function.
pub trait DetectFn: 'static {
    /// What it reads.
    type Record: Record;
    /// What it remembers of a device.
    type State: Default + Serialize + DeserializeOwned + 'static;
    /// Its parameters.
    type Params: Params + 'static;
    /// `Option<Finding>` or a `Result` of it.
    type Outcome: Outcome<Option<Finding>>;
    /// The author's function.
    fn score(record: &Self::Record, state: &mut Self::State, params: &Self::Params) -> Self::Outcome;
}

/// A [`DetectFn`] as a plugin.
pub struct DetectOf<F: DetectFn> {
    params: F::Params,
    reader: Reader<F::Record>,
    slots: Slots<F::State>,
}

impl<F: DetectFn> Plugin for DetectOf<F> {
    type Params = F::Params;

    fn configure(params: F::Params, fields: &[Field]) -> Result<(Self, Plan), Vec<Issue>> {
        let (reader, reads) = Reader::new(fields)?;
        Ok((DetectOf { params, reader, slots: Slots::default() }, Plan { reads, ..Plan::default() }))
    }

    fn fields_help() -> Option<FieldsHelp> {
        Some(FieldsHelp { reads: help::reads::<F::Record>(), emits: Vec::new() })
    }
}

impl<F: DetectFn> Detect for DetectOf<F> {
    fn score(
        &mut self,
        batch: &Batch,
        findings: &mut Vec<(u32, Finding)>,
        faults: &mut Vec<Fault>,
    ) -> Option<Vec<f64>> {
        let DetectOf { params, reader, slots } = self;
        let of_row = batch.slots.as_deref();
        reader.each(
            batch,
            faults,
            |row, r| F::score(&r, slots.at(of_row.map_or(0, |slots| slots[row])), params),
            |row, finding: Option<Finding>| findings.extend(finding.map(|finding| (row as u32, finding))),
        );
        None
    }
}

state_is_slots!(DetectOf, DetectFn);

/// An aggregate of one state.
pub trait AggregateFn: Default + Serialize + DeserializeOwned + 'static {
    /// What it reads.
    type Record: Record;
    /// Its parameters.
    type Params: Params + 'static;
    /// What it makes of a window.
    type Output: Emits;
    /// `()` or a `Result` of it.
    type Outcome: Outcome<()>;
    /// Takes in a record.
    fn update(&mut self, record: &Self::Record, params: &Self::Params) -> Self::Outcome;
    /// Takes in a state of later records.
    fn merge(&mut self, later: &Self, params: &Self::Params);
    /// The window's result.
    fn finish(&self, window: Window, params: &Self::Params) -> Self::Output;
}

/// An [`AggregateFn`] as a plugin.
pub struct AggregateOf<S: AggregateFn> {
    params: S::Params,
    reader: Reader<S::Record>,
    slots: Slots<S>,
}

impl<S: AggregateFn> Plugin for AggregateOf<S> {
    type Params = S::Params;

    fn configure(params: S::Params, fields: &[Field]) -> Result<(Self, Plan), Vec<Issue>> {
        let (reader, reads) = Reader::new(fields)?;
        let plan = Plan { reads, emits: S::Output::fields(), ..Plan::default() };
        Ok((AggregateOf { params, reader, slots: Slots::default() }, plan))
    }

    fn fields_help() -> Option<FieldsHelp> {
        Some(FieldsHelp { reads: help::reads::<S::Record>(), emits: help::emits::<S::Output>() })
    }
}

impl<S: AggregateFn> Aggregate for AggregateOf<S> {
    fn update(&mut self, batch: &Batch, faults: &mut Vec<Fault>) {
        let AggregateOf { params, reader, slots } = self;
        let of_row = batch.slots.as_deref();
        let update = |row: usize, r: S::Record| slots.at(of_row.map_or(0, |slots| slots[row])).update(&r, params);
        reader.each(batch, faults, update, |_, ()| {});
    }

    fn merge(&mut self, into: u32, later: u32) {
        let mut state = self.slots.take(into).unwrap_or_default();
        if let Some(later) = self.slots.get(later) {
            state.merge(later, &self.params);
        }
        self.slots.set(into, Some(state));
    }

    fn finish(&mut self, windows: &[Window]) -> Vec<Column> {
        let untouched = S::default();
        let results = windows
            .iter()
            .map(|&window| self.slots.get(window.slot).unwrap_or(&untouched).finish(window, &self.params));
        columns(results)
    }
}

state_is_slots!(AggregateOf, AggregateFn);
