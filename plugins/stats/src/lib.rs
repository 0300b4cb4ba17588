//! An aggregate: statistics of fields over a window.
//!
//! Emits `count` (records) and, for each field F, of its values that are not null: `F_min`, `F_max`, `F_mean`,
//! `F_stddev` (sample standard deviation: null for fewer than two values), `F_first`, `F_last` (in the order of the
//! log) and `F_sum`. NaN counts as null.

mod moments;

pub use moments::Moments;
use moments::Welford;
use tidegate::{Aggregate, Batch, Column, Fault, Field, Issue, Params, Plan, Plugin, Scalar, State, Window};
use tidegate::{rows, slots_end};

/// Which fields.
#[derive(Params)]
pub struct Fields {
    /// The fields to describe, numbers.
    fields: Vec<String>,
}

/// The aggregate. State is kept a field at a time, by slot, so that a batch is taken in column by column.
pub struct Stats {
    fields: Vec<Vec<Moments>>,
    /// By slot, the records without a value of the first field: with those that have one they are all.
    without: Vec<u64>,
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
        let stats = Stats { fields: vec![Vec::new(); params.fields.len()], without: Vec::new() };
        let plan = Plan { reads: params.fields, slots: true, emits, ..Plan::default() };
        Ok((stats, plan))
    }
}

impl Stats {
    /// Makes room for slots before `end`.
    fn reserve(&mut self, end: usize) {
        if end > self.without.len() {
            self.without.resize(end, 0);
            self.fields.iter_mut().for_each(|all| all.resize(end, Moments::default()));
        }
    }

    /// Records a slot has seen.
    fn count(&self, slot: usize) -> u64 {
        match self.without.get(slot) {
            Some(without) => without + self.fields[0][slot].n(),
            None => 0,
        }
    }
}

impl Aggregate for Stats {
    fn update(&mut self, batch: &Batch, _: &mut Vec<Fault>) {
        let slots = batch.slots.as_deref().unwrap_or_default();
        self.reserve(slots_end(slots));
        let mut without = Some(&mut self.without[..]);
        for (all, column) in self.fields.iter_mut().zip(&batch.columns) {
            let (values, mut without) = (column.numbers().unwrap_or_default(), without.take());
            let mut missed = |slot: u32| {
                if let Some(without) = &mut without {
                    without[slot as usize] += 1;
                }
            };
            match &column.valid {
                None => rows(slots, &values, |_, slot, value| {
                    if !all[slot as usize].add(value) {
                        missed(slot);
                    }
                }),
                Some(valid) => {
                    for ((&slot, &value), &valid) in slots.iter().zip(&*values).zip(valid) {
                        if valid == 0 || !all[slot as usize].add(value) {
                            missed(slot);
                        }
                    }
                }
            }
        }
    }

    fn merge(&mut self, into: u32, later: u32) {
        let (into, later) = (into as usize, later as usize);
        if self.count(later) == 0 {
            return;
        }
        self.reserve(into + 1);
        self.without[into] += self.without[later];
        for all in &mut self.fields {
            let later = all[later];
            all[into].merge(&later);
        }
    }

    fn finish(&mut self, windows: &[Window]) -> Vec<Column> {
        let mut columns = vec![Column::integers(windows.iter().map(|w| self.count(w.slot as usize) as i64))];
        for all in &self.fields {
            let of = |window: &Window| all.get(window.slot as usize).copied().unwrap_or_default().results();
            let results: Vec<_> = windows.iter().map(of).collect();
            columns.extend((0..RESULTS.len()).map(|at| Column::floats(results.iter().map(|results| results[at]))));
        }
        columns
    }
}

impl State for Stats {
    /// 2: sums of differences from the first value; 1 had Welford's moments.
    const VERSION: u32 = 2;

    fn save(&self, slot: u32, out: &mut Vec<u8>) {
        let slot = slot as usize;
        let count = self.count(slot);
        if count > 0 {
            // The count, and a list of moments: written one by one, for it is written often.
            tidegate::write_state(&(count, self.fields.len() as u32), out);
            self.fields.iter().for_each(|all| tidegate::write_state(&all[slot], out));
        }
    }

    fn load(&mut self, version: u32, slot: u32, state: &[u8]) -> Result<(), String> {
        if !(1..=Self::VERSION).contains(&version) {
            return Err("knows versions 1 and 2".into());
        }
        self.release(slot);
        if state.is_empty() {
            return Ok(());
        }
        let (count, moments): (u64, Vec<Moments>) = match version {
            1 => {
                let (count, moments): (u64, Vec<Welford>) = tidegate::read_state(state)?;
                (count, moments.into_iter().map(Moments::from).collect())
            }
            _ => tidegate::read_state(state)?,
        };
        if moments.len() != self.fields.len() {
            return Err(format!("has {} fields, not {}", moments.len(), self.fields.len()));
        }
        let slot = slot as usize;
        self.reserve(slot + 1);
        self.without[slot] = count.saturating_sub(moments[0].n());
        self.fields.iter_mut().zip(moments).for_each(|(all, moments)| all[slot] = moments);
        Ok(())
    }

    fn release(&mut self, slot: u32) {
        let slot = slot as usize;
        if slot < self.without.len() {
            self.without[slot] = 0;
            self.fields.iter_mut().for_each(|all| all[slot] = Moments::default());
        }
    }
}

tidegate::export!(aggregate Stats);

#[cfg(test)]
mod tests;
