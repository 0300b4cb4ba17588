//! Making records coarser: one a device and span of event time, in place of all that fall there.
//!
//! The record that stands for others has the newest event time among them, so it is never ahead of the data and never
//! later than they were. Numbers are joined as asked for, nulls and NaN beside real numbers left out; of everything
//! else the newest value there is stays. Of what was joined before, the joined values count: the mean of a later pass
//! is the mean of means.

use crate::api::ThinValue;
use std::collections::HashMap;
use std::sync::Arc;
use tidegate_record::{Batch, BatchBuilder, Column, Scalar, Schema, Values};

/// Records being joined.
pub(crate) struct Coarser {
    schema: Arc<Schema>,
    /// Microseconds.
    span: i64,
    value: ThinValue,
    devices: HashMap<Vec<u8>, u32>,
    /// By device and number of span since the epoch.
    index: HashMap<(u32, i64), usize>,
    cells: Vec<Cell>,
}

/// What stands for the records of one device in one span.
struct Cell {
    device: u32,
    /// The newest event time.
    time: i64,
    fields: Vec<Joined>,
}

/// One field of a cell.
#[derive(Clone)]
enum Joined {
    /// Only nulls so far.
    Null,
    Mean {
        count: u64,
        mean: f64,
        low: f64,
        high: f64,
    },
    Sum {
        count: u64,
        sum: i128,
    },
    Float(f64),
    Integer(i64),
    Boolean(bool),
    /// Text or bytes.
    Blob(Vec<u8>),
}

impl Coarser {
    /// For records of `schema`, one a device and `span` microseconds.
    pub(crate) fn new(schema: Arc<Schema>, span: i64, value: ThinValue) -> Self {
        Coarser { schema, span: span.max(1), value, devices: HashMap::new(), index: HashMap::new(), cells: Vec::new() }
    }

    pub(crate) fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Records there would be now.
    pub(crate) fn rows(&self) -> usize {
        self.cells.len()
    }

    /// Joins a batch of the same schema.
    pub(crate) fn add(&mut self, batch: &Batch) {
        assert_eq!(batch.schema(), &self.schema, "only records of one schema are joined");
        let mut ids = Vec::with_capacity(batch.devices().len());
        for device in batch.devices().iter() {
            let next = self.devices.len() as u32;
            ids.push(match self.devices.get(device) {
                Some(&id) => id,
                None => *self.devices.entry(device.to_vec()).or_insert(next),
            });
        }
        for (row, (&device, &time)) in batch.device_ids().iter().zip(batch.times()).enumerate() {
            let device = ids[device as usize];
            let key = (device, time.div_euclid(self.span));
            let cell = *self.index.entry(key).or_insert_with(|| {
                let fields = vec![Joined::Null; batch.columns().len()];
                self.cells.push(Cell { device, time, fields });
                self.cells.len() - 1
            });
            self.cells[cell].join(batch.columns(), row, time, self.value);
        }
    }

    /// The records, oldest first. `None` where they are no records (a device's name that is none).
    pub(crate) fn finish(mut self) -> Option<Batch> {
        let mut names = vec![""; self.devices.len()];
        for (name, &id) in &self.devices {
            names[id as usize] = std::str::from_utf8(name).ok()?;
        }
        self.cells.sort_by_key(|cell| cell.time);
        let mut builder = BatchBuilder::new(self.schema.clone());
        for cell in &self.cells {
            for (field, joined) in cell.fields.iter().enumerate() {
                joined.put(&mut builder, field, self.schema.fields()[field].scalar);
            }
            builder.end_row(names[cell.device as usize], cell.time).ok()?;
        }
        Some(builder.finish())
    }
}

impl Cell {
    fn join(&mut self, columns: &[Column], row: usize, time: i64, value: ThinValue) {
        let newest = time >= self.time;
        self.time = self.time.max(time);
        for (joined, column) in self.fields.iter_mut().zip(columns) {
            if !column.is_valid(row) {
                continue;
            }
            match &column.values {
                Values::Floats(v) => joined.float(v[row], value, newest),
                Values::Integers(v) => joined.integer(v[row], value, newest),
                Values::Booleans(v) => joined.newest(newest, || Joined::Boolean(v[row] != 0)),
                Values::Texts(v) | Values::Bytes(v) => joined.newest(newest, || Joined::Blob(v.at(row).to_vec())),
            }
        }
    }
}

impl Joined {
    /// Takes a value that is newer than what is there, or the first.
    fn newest(&mut self, newest: bool, value: impl FnOnce() -> Joined) {
        if newest || matches!(self, Joined::Null) {
            *self = value();
        }
    }

    fn float(&mut self, x: f64, value: ThinValue, newest: bool) {
        match (value, &mut *self) {
            (ThinValue::Last, _) => self.newest(newest, || Joined::Float(x)),
            (ThinValue::Min, Joined::Float(low)) => *low = low.min(x),
            (ThinValue::Max, Joined::Float(high)) => *high = high.max(x),
            (ThinValue::Mean, Joined::Mean { mean, .. }) if x.is_nan() && !mean.is_nan() => {}
            (ThinValue::Mean, Joined::Mean { count, mean, low, high }) if !mean.is_nan() => {
                *count += 1;
                // Not the sum: that of very large numbers is no number.
                *mean += x / *count as f64 - *mean / *count as f64;
                (*low, *high) = (low.min(x), high.max(x));
            }
            (ThinValue::Mean, _) => *self = Joined::Mean { count: 1, mean: x, low: x, high: x },
            (ThinValue::Min | ThinValue::Max, _) => *self = Joined::Float(x),
        }
    }

    fn integer(&mut self, x: i64, value: ThinValue, newest: bool) {
        match (value, &mut *self) {
            (ThinValue::Last, _) => self.newest(newest, || Joined::Integer(x)),
            (ThinValue::Min, Joined::Integer(low)) => *low = (*low).min(x),
            (ThinValue::Max, Joined::Integer(high)) => *high = (*high).max(x),
            (ThinValue::Mean, Joined::Sum { count, sum }) => {
                *count += 1;
                *sum += i128::from(x);
            }
            (ThinValue::Mean, _) => *self = Joined::Sum { count: 1, sum: i128::from(x) },
            (ThinValue::Min | ThinValue::Max, _) => *self = Joined::Integer(x),
        }
    }

    /// Sets the field of the builder's row; not at all where it is null.
    fn put(&self, builder: &mut BatchBuilder, field: usize, scalar: Scalar) {
        match self {
            Joined::Null => false,
            // Rounding may bring a mean just outside of what it is the mean of.
            Joined::Mean { mean, low, high, .. } => builder.float(field, mean.max(*low).min(*high)),
            Joined::Sum { count, sum } => builder.integer(field, rounded(*sum, i128::from(*count))),
            Joined::Float(x) => builder.float(field, *x),
            Joined::Integer(x) => builder.integer(field, *x),
            Joined::Boolean(x) => builder.boolean(field, *x),
            Joined::Blob(x) if scalar == Scalar::Bytes => builder.bytes(field, x),
            Joined::Blob(x) => builder.text(field, std::str::from_utf8(x).unwrap_or_default()),
        };
    }
}

/// `sum / count` to the nearest integer, halves away from zero. The mean of `i64`s is one.
fn rounded(sum: i128, count: i128) -> i64 {
    let half = if sum < 0 { -(count / 2) } else { count / 2 };
    ((sum + half) / count).clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
}

#[cfg(test)]
mod tests;
