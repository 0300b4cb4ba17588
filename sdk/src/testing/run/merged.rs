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

/// The share of the span of numbers by which sums of them, added up in another order, may be apart; of the numbers themselves,
/// by how they are held; and where all are the same, whose variance is noise where it is a difference of squares.
const OF_SPAN: f64 = 1e-7;
const OF_SIZE: f64 = 1e-12;
const OF_SAME: f64 = 1e-7;

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
        let tolerances: Vec<f64> = slots.windows.slots.iter().map(|&slot| tolerance(records, &slots, slot)).collect();
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
            is_close(&whole, &made, &tolerances),
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

/// How far results of a window may be apart. It goes by how far its numbers are from each other and not by how large they are:
/// a deviation of 0.005 around 101325 is not to be lost in what the sum may be apart.
fn tolerance(records: &Records, slots: &Slots, slot: u32) -> f64 {
    let (mut span, mut size) = (0.0f64, 0.0f64);
    for column in &records.columns {
        let Values::Floats(values) = &column.values else { continue };
        let own = |row: usize| slots.of_row[row] == slot && column.is_valid(row);
        let values = values.iter().enumerate().filter(|(row, value)| own(*row) && value.is_finite());
        let around = |(least, most): (f64, f64), (_, value): (usize, &f64)| (least.min(*value), most.max(*value));
        let (least, most) = values.fold((f64::INFINITY, f64::NEG_INFINITY), around);
        if least <= most {
            (span, size) = (span.max(most - least), size.max(least.abs()).max(most.abs()));
        }
    }
    if span > 0.0 { OF_SPAN * span + OF_SIZE * size } else { OF_SAME * size }
}

/// The same values, a window a row, floats of them as near as rounding leaves them.
fn is_close(one: &[Column], other: &[Column], tolerances: &[f64]) -> bool {
    let near = |a: f64, b: f64, tolerance: f64| {
        let apart = (a - b).abs();
        a == b || (a.is_nan() && b.is_nan()) || apart <= 1e-9 * a.abs().max(b.abs()) || apart <= tolerance
    };
    let same = |one: &Column, other: &Column| match (&one.values, &other.values) {
        (Values::Floats(a), Values::Floats(b)) => (0..one.rows().max(other.rows())).all(|row| {
            one.is_valid(row) == other.is_valid(row) && (!one.is_valid(row) || near(a[row], b[row], tolerances[row]))
        }),
        _ => (0..one.rows()).all(|row| text::cell(one, row) == text::cell(other, row)),
    };
    one.iter().zip(other).all(|(one, other)| one.rows() == other.rows() && same(one, other))
}
