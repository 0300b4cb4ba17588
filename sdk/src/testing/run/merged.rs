//! Windows whose records went into two slots that are merged.

use super::{Out, Slots, Tried, batch};
use crate::testing::text::{self, Records};
use crate::{Column, Values};

/// How records go into the two slots of their window: its name, and which go into the second, by how manieth of how many.
pub(super) type Split = (&'static str, fn(usize, usize) -> bool);

pub(super) const SPLITS: [Split; 3] = [
    ("its first half in one slot, its second in the other", |at, rows| at >= rows / 2),
    ("all records in the first slot, none in the second", |_, _| false),
    ("no record in the first slot, all in the second", |_, _| true),
];

/// Sums of the same numbers, added up in another order, are apart by a share of the largest of them at most.
const SHARE: f64 = 1e-7;

impl Tried {
    /// Holds that a window that two slots have taken in is that of one which took in all.
    pub(super) fn merged(&self, records: &Records, (how, second): &Split) {
        let (one, plan) = self.begin(&records.fields);
        let mut slots = Slots::of(records, one.is_windowed(), self.window);
        if !slots.windowed {
            return;
        }
        let (windows, rows) = (slots.devices.len() as u32, 0..records.times.len());
        one.rows(batch(records, &plan, &slots, &rows));
        let whole = one.finish(&slots.windows);
        slots.of_row = split(&slots.of_row, windows, *second);
        let before = self.begin(&records.fields).0;
        before.rows(batch(records, &plan, &slots, &rows));
        // Another instance takes both over: a window may be merged long after.
        let all: Vec<u32> = (0..2 * windows).collect();
        let instance = self.begin(&records.fields).0;
        if let Some((version, states)) = before.save(&all) {
            let loaded = instance.load(version, &all, &states);
            loaded.unwrap_or_else(|reason| panic!("the plugin refuses a state it saved itself: {reason}"));
        }
        let (into, later): (Vec<u32>, Vec<u32>) = (0..windows).map(|slot| (slot, windows + slot)).unzip();
        instance.merge(&into, &later);
        let made = instance.finish(&slots.windows);
        let told = |columns: &[Column]| {
            let mut out = Out::default();
            out.finish(&plan, &slots, columns);
            out.text(records, &plan)
        };
        assert!(
            is_close(&whole, &made, SHARE * greatest(records)),
            "windows that are merged have another result: of one slot\n{}merged, {how}\n{}",
            told(&whole),
            told(&made)
        );
    }
}

/// The slot of each row: that of its window, or one of as many behind them.
fn split(of_row: &[u32], windows: u32, second: fn(usize, usize) -> bool) -> Vec<u32> {
    let rows = |window: u32| of_row.iter().filter(|&&other| other == window).count();
    let seen = |row: usize| of_row[..row].iter().filter(|&&other| other == of_row[row]).count();
    let is_second = |row: usize| second(seen(row), rows(of_row[row]));
    (0..of_row.len()).map(|row| of_row[row] + if is_second(row) { windows } else { 0 }).collect()
}

/// The largest number given, of those that are finite.
fn greatest(records: &Records) -> f64 {
    let values = records.columns.iter().flat_map(|column| match &column.values {
        Values::Floats(values) => values.as_slice(),
        _ => &[],
    });
    values.filter(|value| value.is_finite()).fold(0.0, |most, value| value.abs().max(most))
}

/// The same values, floats of them as near as rounding leaves them.
fn is_close(one: &[Column], other: &[Column], tolerance: f64) -> bool {
    let near = |a: f64, b: f64| {
        let apart = (a - b).abs();
        a == b || (a.is_nan() && b.is_nan()) || apart <= 1e-9 * a.abs().max(b.abs()) || apart <= tolerance
    };
    let same = |one: &Column, other: &Column| match (&one.values, &other.values) {
        (Values::Floats(a), Values::Floats(b)) => (0..one.rows().max(other.rows()))
            .all(|row| one.is_valid(row) == other.is_valid(row) && (!one.is_valid(row) || near(a[row], b[row]))),
        _ => (0..one.rows()).all(|row| text::cell(one, row) == text::cell(other, row)),
    };
    one.iter().zip(other).all(|(one, other)| one.rows() == other.rows() && same(one, other))
}
