//! What a case's results do not show of a plugin's state: windows that are merged, and slots that are used again.
//!
//! The rows of a case are given to an instance under slots as a gateway might number them. A window whose rows went into two
//! slots that are then merged must have the result of one that saw them all; a slot that was released is as one that was
//! never touched; `finish` and `merge` leave alone what they only read.

use super::trials::is_same;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use tidegate_pipeline::OperatorOptions;
use tidegate_record::{Batch, Blobs, Column, Field, Values};
use tidegate_sandbox::{Arrival, Finished, Input, Kind, Runner, Window};

/// What is given to instances.
pub(super) struct Slots<'c> {
    operator: &'c OperatorOptions,
    batch: &'c Arc<Batch>,
    arrival: Arrival,
    /// The device (with its window, where there are windows) of each row, numbered in the order they come up.
    of_row: Vec<u32>,
    /// Their devices and windows.
    units: Vec<(String, Window)>,
    /// How far sums of each one's numbers may be apart that were added up in another order.
    tolerances: Vec<f64>,
}

/// Of trying, which a plugin may end at any call.
type Outcome<T> = Result<T, Box<dyn Error>>;

/// The share of the span of numbers by which sums of them may be apart; of the numbers themselves, by how they are held; and
/// where all are the same, whose variance is noise where it is a difference of squares.
const OF_SPAN: f64 = 1e-7;
const OF_SIZE: f64 = 1e-12;
const OF_SAME: f64 = 1e-7;

/// Which rows of a window go into its second slot: by how manieth it is of how many.
type Second = fn(usize, usize) -> bool;

const SPLITS: [(&str, Second); 3] = [
    ("its first half in one slot, its second in the other", |at, rows| at >= rows / 2),
    ("all records in the first slot, none in the second", |_, _| false),
    ("no record in the first slot, all in the second", |_, _| true),
];

impl<'c> Slots<'c> {
    /// The rows of `batch` for the operator, as if all had arrived at `clock`.
    pub fn of(operator: &'c OperatorOptions, batch: &'c Arc<Batch>, clock: i64) -> Self {
        let size = operator.window.map(|window| window.size);
        let mut known: HashMap<(&str, i64), u32> = HashMap::new();
        let (mut of_row, mut units) = (Vec::new(), Vec::new());
        for (row, &time) in batch.times().iter().enumerate() {
            let start = size.map_or(0, |size| time.saturating_sub(time.rem_euclid(size)));
            let unit = *known.entry((batch.device(row), start)).or_insert_with(|| {
                let end = start.saturating_add(size.unwrap_or(0));
                let window = Window { slot: units.len() as u32, start, end };
                units.push((batch.device(row).to_string(), window));
                window.slot
            });
            of_row.push(unit);
        }
        let arrival = Arrival { clock, wall: Some(clock) };
        let tolerances = tolerances(batch, &of_row, units.len());
        Slots { operator, batch, arrival, of_row, units, tolerances }
    }

    /// What is wrong, a line each.
    pub fn tried(&self) -> Result<Vec<String>, String> {
        let plugin = &self.operator.plugin;
        if self.of_row.is_empty() || !plugin.has_state() {
            return Ok(Vec::new());
        }
        let wrong = if plugin.kind() == Kind::Aggregate { self.windows() } else { self.used_again() };
        wrong.map_err(|error| error.to_string())
    }

    fn begin(&self) -> Outcome<Runner> {
        let OperatorOptions { plugin, params, limits, .. } = self.operator;
        let runner = Runner::new(plugin.clone(), params, self.batch.schema(), limits);
        let mut runner = runner.map_err(|error| format!("it was configured by the same before, and now: {error}"))?;
        runner.at(self.arrival);
        Ok(runner)
    }

    fn input<'a>(&'a self, slots: &'a [u32]) -> Input<'a> {
        Input { batch: self.batch, slots: Some(slots), skip: &[] }
    }

    /// The windows of an aggregate: read twice, in slots used again, and merged of two.
    fn windows(&self) -> Outcome<Vec<String>> {
        let mut runner = self.begin()?;
        let windows: Vec<Window> = self.units.iter().map(|(_, window)| *window).collect();
        let finished = |runner: &mut Runner| self.results(runner, &windows);
        runner.update(self.input(&self.of_row))?;
        let whole = finished(&mut runner)?;
        let mut wrong =
            self.differs(&whole, &finished(&mut runner)?, "windows that are read twice: finish changes them");
        runner.release(&windows.iter().map(|window| window.slot).collect::<Vec<_>>())?;
        runner.update(self.input(&self.of_row))?;
        wrong.extend(self.differs(&whole, &finished(&mut runner)?, "slots that were released and are used again"));
        if self.batch.rows() > 1 {
            for (how, second) in SPLITS {
                wrong.extend(self.merged(&whole, how, second)?);
            }
        }
        Ok(wrong)
    }

    /// Windows whose rows went into two slots, carried over to another instance and merged there.
    fn merged(&self, whole: &[Value], how: &str, second: Second) -> Outcome<Vec<String>> {
        let (mut before, mut runner) = (self.begin()?, self.begin()?);
        before.update(self.input(&self.split(second)))?;
        let slots: Vec<u32> = (0..2 * self.units.len() as u32).collect();
        let states: Blobs = before.save(&slots)?;
        if let Err(refused) = runner.load(before.state_version(), &slots, &states) {
            return Ok(vec![format!("a state it saved itself is refused: {refused}")]);
        }
        let (into, later): (Vec<u32>, Vec<u32>) = slots.chunks(2).map(|pair| (pair[0], pair[1])).unzip();
        let of = |slots: &[u32]| -> Vec<Window> {
            slots.iter().zip(&self.units).map(|(&slot, &(_, window))| Window { slot, ..window }).collect()
        };
        let untouched = self.results(&mut runner, &of(&later))?;
        if let Some((pair, fault)) = runner.merge(&into, &later)?.into_iter().next() {
            return Ok(vec![format!("the windows of {} do not merge ({how}): {}", self.units[pair].0, fault.message)]);
        }
        let mut wrong = self.differs(whole, &self.results(&mut runner, &of(&into))?, &format!("windows merged, {how}"));
        let after = self.results(&mut runner, &of(&later))?;
        wrong.extend(self.differs(&untouched, &after, "the slots that others took in: merge changes them"));
        Ok(wrong)
    }

    /// Two slots a window, even and odd, and which of them each row goes into.
    fn split(&self, second: Second) -> Vec<u32> {
        let mut rows = vec![0; self.units.len()];
        self.of_row.iter().for_each(|&unit| rows[unit as usize] += 1);
        let mut seen = vec![0; self.units.len()];
        let slot = |&unit: &u32| {
            let at = &mut seen[unit as usize];
            *at += 1;
            2 * unit + u32::from(second(*at - 1, rows[unit as usize]))
        };
        self.of_row.iter().map(slot).collect()
    }

    /// What windows come to: a record each, or what is at fault.
    fn results(&self, runner: &mut Runner, windows: &[Window]) -> Outcome<Vec<Value>> {
        let Finished { columns, faults } = runner.finish(windows)?;
        let fields = runner.plan().emits.clone();
        let mut made: Vec<Value> = (0..windows.len()).map(|row| Value::from(record(&fields, &columns, row))).collect();
        for (at, fault) in faults {
            made[at] = Value::from(fault.message);
        }
        Ok(made)
    }

    /// The windows in which they are apart.
    fn differs(&self, whole: &[Value], made: &[Value], what: &str) -> Vec<String> {
        let pairs = whole.iter().zip(made).zip(self.units.iter().zip(&self.tolerances));
        let apart = pairs.filter(|((whole, made), (_, tolerance))| !is_close(whole, made, **tolerance));
        let mut wrong = Vec::new();
        for ((whole, made), ((device, window), _)) in apart {
            let start = tidegate_record::rfc3339(window.start);
            wrong.push(format!("{what} have another result, that of {device} from {start}:"));
            wrong.extend([format!("- {whole}"), format!("+ {made}")]);
        }
        wrong
    }

    /// A plugin that is no aggregate, given the same rows again after its slots were released.
    fn used_again(&self) -> Outcome<Vec<String>> {
        let mut runner = self.begin()?;
        let first = self.answers(&mut runner)?;
        runner.release(&(0..self.units.len() as u32).collect::<Vec<_>>())?;
        let again = self.answers(&mut runner)?;
        let rows = first.iter().zip(&again).enumerate().filter(|(_, (first, again))| first != again);
        Ok(rows
            .flat_map(|(row, (first, again))| {
                let what = format!("slots that were released and are used again answer otherwise to record {row}:");
                [what, format!("- {first}"), format!("+ {again}")]
            })
            .collect())
    }

    /// What is answered to each row, in words that are alike where the answers are.
    fn answers(&self, runner: &mut Runner) -> Outcome<Vec<String>> {
        let mut answers = vec![String::from("nothing"); self.batch.rows()];
        let input = self.input(&self.of_row);
        let faults = match self.operator.plugin.kind() {
            Kind::Filter => {
                let kept = runner.keep(input)?;
                answers
                    .iter_mut()
                    .zip(&kept.keep)
                    .filter(|(_, keep)| **keep != 0)
                    .for_each(|(a, _)| *a = "kept".into());
                kept.faults
            }
            Kind::Detect => {
                let found = runner.score(input)?;
                let told = found.findings.iter().map(|f| (f.row, format!("{} {} {}", f.score, f.severity, f.reason)));
                told.for_each(|(row, told)| answers[row as usize] = told);
                found.faults
            }
            _ => {
                let table = runner.apply(input)?;
                let fields = runner.plan().emits.clone();
                let made = table.origin.iter().enumerate();
                let told = made.map(|(at, &row)| (row, Value::from(record(&fields, &table.columns, at)).to_string()));
                told.for_each(|(row, told)| answers[row as usize] = told);
                table.faults
            }
        };
        faults.into_iter().for_each(|fault| answers[fault.row as usize] = format!("fault: {}", fault.fault.message));
        Ok(answers)
    }
}

/// The same records, floats of them as near as rounding leaves them.
fn is_close(whole: &Value, made: &Value, tolerance: f64) -> bool {
    let (Some(whole), Some(made)) = (whole.as_object(), made.as_object()) else { return whole == made };
    let close = |one: &Value, other: &Value| match (one, other) {
        (Value::Number(a), Value::Number(b)) if a.is_f64() && b.is_f64() => {
            let apart = a.as_f64().zip(b.as_f64()).map(|(a, b)| (a - b).abs());
            is_same(one, other) || apart.is_some_and(|apart| apart <= tolerance)
        }
        _ => one == other,
    };
    whole.len() == made.len() && whole.iter().all(|(name, one)| made.get(name).is_some_and(|two| close(one, two)))
}

/// How far results of each unit may be apart. It goes by how far its numbers are from each other and not by how large they are:
/// a deviation of 0.005 around 101325 is not to be lost in what the sum may be apart.
fn tolerances(batch: &Batch, of_row: &[u32], units: usize) -> Vec<f64> {
    // Of each unit, the widest span of a field, and the largest number.
    let mut known = vec![(0.0f64, 0.0f64); units];
    for column in batch.columns() {
        let Values::Floats(values) = &column.values else { continue };
        let mut spans = vec![(f64::INFINITY, f64::NEG_INFINITY); units];
        let finite = values.iter().enumerate().filter(|(row, value)| column.is_valid(*row) && value.is_finite());
        for (row, value) in finite {
            let (least, most) = &mut spans[of_row[row] as usize];
            (*least, *most) = (least.min(*value), most.max(*value));
        }
        for ((span, size), (least, most)) in known.iter_mut().zip(spans).filter(|(_, (least, most))| least <= most) {
            (*span, *size) = (span.max(most - least), size.max(least.abs()).max(most.abs()));
        }
    }
    let tolerance = |(span, size)| if span > 0.0 { OF_SPAN * span + OF_SIZE * size } else { OF_SAME * size };
    known.into_iter().map(tolerance).collect()
}

/// A row of columns, as records are printed: nulls are left out.
fn record(fields: &[Field], columns: &[Column], row: usize) -> Map<String, Value> {
    let given = fields.iter().zip(columns).filter(|(_, column)| column.is_valid(row));
    given.map(|(field, column)| (field.name.clone(), cell(column, row))).collect()
}

fn cell(column: &Column, row: usize) -> Value {
    match &column.values {
        Values::Floats(values) => values[row].into(),
        Values::Integers(values) => values[row].into(),
        Values::Booleans(values) => (values[row] != 0).into(),
        Values::Texts(texts) => texts.text(row).into(),
        Values::Bytes(bytes) => format!("{:?}", bytes.at(row)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_record::{BatchBuilder, Scalar, Schema};

    #[test]
    fn results_may_be_apart_by_a_share_of_how_far_their_numbers_are_and_not_of_how_large() {
        let schema = Arc::new(Schema::new(vec![Field::new("pressure", Scalar::Float)]).unwrap());
        let mut builder = BatchBuilder::new(schema);
        for value in [101_325.0, 20.0, 101_325.005, 20.0] {
            assert!(builder.float(0, value));
            builder.end_row("d1", 0).unwrap();
        }
        builder.end_row("d1", 0).unwrap();
        let allowed = tolerances(&builder.finish(), &[0, 1, 0, 1, 0], 3);
        assert!(allowed[0] > 1e-10 && allowed[0] < 1e-6, "{allowed:?}");
        assert_eq!(allowed[1..], [OF_SAME * 20.0, 0.0]);
    }
}
