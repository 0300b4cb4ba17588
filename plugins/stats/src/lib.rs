//! An aggregate: statistics of fields over a window.
//!
//! Emits `count` (records) and, for each field F, of its values that are not null: `F_min`, `F_max`, `F_mean`,
//! `F_stddev` (sample standard deviation: null for fewer than two values), `F_first`, `F_last` (in the order of the
//! log) and `F_sum`. NaN counts as null.

mod moments;

pub use moments::Moments;
use tidegate::{Aggregate, Batch, Column, Fault, Field, Issue, Params, Plan, Plugin, Scalar, Slots, State, Window};

/// Which fields.
#[derive(Params)]
pub struct Fields {
    /// The fields to describe, numbers.
    fields: Vec<String>,
}

/// The aggregate. State is kept a field at a time, so that a batch is taken in column by column.
pub struct Stats {
    counts: Slots<u64>,
    fields: Vec<Slots<Moments>>,
}

/// What is emitted of each field, in order.
const RESULTS: [&str; 7] = ["min", "max", "mean", "stddev", "first", "last", "sum"];

impl Plugin for Stats {
    type Params = Fields;

    fn configure(params: Fields, fields: &[Field]) -> Result<(Self, Plan), Vec<Issue>> {
        let mut issues = Vec::new();
        let mut emits = vec![Field { name: "count".into(), scalar: Scalar::Integer, unit: String::new() }];
        if params.fields.is_empty() {
            issues.push(Issue::new("/fields", "names no field: nothing to do"));
        }
        for (at, name) in params.fields.iter().enumerate() {
            let mut issue = |message: String| issues.push(Issue::new(format!("/fields/{at}"), message));
            match fields.iter().find(|field| field.name == *name) {
                _ if params.fields[..at].contains(name) => issue(format!("field {name} is named twice")),
                None => issue(format!("the input has no field {name}")),
                Some(field) if !matches!(field.scalar, Scalar::Float | Scalar::Integer) => {
                    issue(format!("field {name} is not a number"));
                }
                Some(field) => emits.extend(RESULTS.map(|result| Field {
                    name: format!("{name}_{result}"),
                    scalar: Scalar::Float,
                    unit: field.unit.clone(),
                })),
            }
        }
        if !issues.is_empty() {
            return Err(issues);
        }
        let slots = params.fields.iter().map(|_| Slots::default()).collect();
        let plan = Plan { reads: params.fields, slots: true, emits, ..Plan::default() };
        Ok((Stats { counts: Slots::default(), fields: slots }, plan))
    }
}

impl Aggregate for Stats {
    fn update(&mut self, batch: &Batch, _: &mut Vec<Fault>) {
        let slots = batch.slots.as_deref().unwrap_or_default();
        self.counts.reserve(slots);
        for &slot in slots {
            *self.counts.at(slot) += 1;
        }
        for (all, column) in self.fields.iter_mut().zip(&batch.columns) {
            all.reserve(slots);
            let values = column.numbers().unwrap_or_default();
            match &column.valid {
                None => slots.iter().zip(&*values).for_each(|(&slot, &value)| all.at(slot).add(value)),
                Some(valid) => {
                    let rows = slots.iter().zip(&*values).zip(valid).filter(|(_, valid)| **valid != 0);
                    rows.for_each(|((&slot, &value), _)| all.at(slot).add(value));
                }
            }
        }
    }

    fn merge(&mut self, into: u32, later: u32) {
        let count = self.counts.get(later).copied().unwrap_or_default();
        *self.counts.at(into) += count;
        for slots in &mut self.fields {
            let later = slots.get(later).copied().unwrap_or_default();
            slots.at(into).merge(&later);
        }
    }

    fn finish(&mut self, windows: &[Window]) -> Vec<Column> {
        let of = |window: &Window| self.counts.get(window.slot).copied().unwrap_or_default() as i64;
        let mut columns = vec![Column::integers(windows.iter().map(of))];
        for slots in &self.fields {
            let results: Vec<_> =
                windows.iter().map(|w| slots.get(w.slot).copied().unwrap_or_default().results()).collect();
            columns.extend((0..RESULTS.len()).map(|at| Column::floats(results.iter().map(|results| results[at]))));
        }
        columns
    }
}

impl State for Stats {
    fn save(&self, slot: u32, out: &mut Vec<u8>) {
        if let Some(count) = self.counts.get(slot) {
            // The count, and a list of moments: written one by one, for it is written often.
            tidegate::write_state(&(*count, self.fields.len() as u32), out);
            for field in &self.fields {
                tidegate::write_state(&field.get(slot).copied().unwrap_or_default(), out);
            }
        }
    }

    fn load(&mut self, version: u32, slot: u32, state: &[u8]) -> Result<(), String> {
        if version != Self::VERSION {
            return Err(format!("knows version {} only", Self::VERSION));
        }
        self.release(slot);
        if state.is_empty() {
            return Ok(());
        }
        let (count, moments): (u64, Vec<Moments>) = tidegate::read_state(state)?;
        if moments.len() != self.fields.len() {
            return Err(format!("has {} fields, not {}", moments.len(), self.fields.len()));
        }
        self.counts.set(slot, Some(count));
        self.fields.iter_mut().zip(moments).for_each(|(slots, moments)| slots.set(slot, Some(moments)));
        Ok(())
    }

    fn release(&mut self, slot: u32) {
        self.counts.set(slot, None);
        self.fields.iter_mut().for_each(|slots| slots.set(slot, None));
    }
}

tidegate::export!(aggregate Stats);

#[cfg(test)]
mod tests;
