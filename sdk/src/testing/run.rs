//! A whole plugin in a native test: text in, text out, cut in every way a gateway may cut.

mod merged;

use super::native::{Answer, Exported, Instance};
use super::text::{self, Records};
use crate::bindings::aggregate::Windows;
use crate::bindings::plugin::{Issue, Plan};
use crate::{Batch, Column, Field, Scalar};
use std::collections::BTreeMap;
use std::ops::Range;

/// How often records are cut at random.
const RANDOM_CUTS: u64 = 8;

/// A plugin to be tried; [`crate::testing::plugin!`] makes it.
pub struct Tried {
    begin: fn() -> Box<dyn Instance>,
    params: String,
    window: i64,
}

impl Tried {
    #[doc(hidden)]
    pub fn of<E: Exported>() -> Self {
        Tried { begin: E::instance, params: "{}".into(), window: 1_000_000 }
    }

    /// With these parameters, a JSON object as the configuration gives it.
    pub fn params(self, json: &str) -> Self {
        Tried { params: json.into(), ..self }
    }

    /// An aggregate, with windows of so many seconds; one without this.
    pub fn window(self, seconds: f64) -> Self {
        Tried { window: ((seconds * 1e6).round() as i64).max(1), ..self }
    }

    /// What is wrong with the parameters, for records of these fields (a first line as of [`Tried::run`]), as `/above: what`.
    pub fn issues(&self, fields: &str) -> Vec<String> {
        let issues = (self.begin)().configure(&self.params, &all(&text::read(fields).fields)).err().unwrap_or_default();
        told(&issues)
    }

    /// What comes out of these records, as text, and after it a line for each that is set aside: `fault 3: its reason`.
    ///
    /// The first line names the fields: `device`, `time` (seconds), `temp` (a number), `name:text`, with `i64`, `bool`, `bytes`
    /// as other types; `-` is a null. `device` and `time` may be left out: all records are of `d1` then, a second apart.
    ///
    /// They are given in one batch, one by one, and several times cut at random with a new instance at each cut that takes the
    /// state over, as a gateway does after a power cut. Slots that were released are used again, and windows whose records
    /// went into two slots are merged.
    ///
    /// # Panics
    ///
    /// Where results depend on how records are cut or on which slots they were given in, and where the text or the parameters
    /// are not as they should be.
    pub fn run(&self, records: &str) -> String {
        let records = text::read(records);
        let rows = records.times.len();
        let whole = self.cut(&records, std::slice::from_ref(&(0..rows)), false);
        let compare = |way: &str, cuts: &[Range<usize>], restart| {
            let made = self.cut(&records, cuts, restart);
            assert!(
                made == whole,
                "results depend on how records are cut: in one batch\n{whole}{way}, {cuts:?}\n{made}"
            );
        };
        compare("one by one", &(0..rows).map(|row| row..row + 1).collect::<Vec<_>>(), false);
        (1..=RANDOM_CUTS).for_each(|seed| compare("with a restart at each cut", &at_random(rows, seed), true));
        self.used_again(&records, &whole);
        if rows > 1 {
            merged::SPLITS.iter().for_each(|split| self.merged(&records, split));
        }
        whole
    }

    /// Gives all records again after their slots were released: nothing may be left in them.
    fn used_again(&self, records: &Records, whole: &str) {
        let (instance, plan) = self.begin(&records.fields);
        let (slots, rows) = (Slots::of(records, instance.is_windowed(), self.window), 0..records.times.len());
        instance.rows(batch(records, &plan, &slots, &rows));
        instance.release(&slots.before(rows.end));
        let mut out = Out::default();
        out.take(&plan, &rows, instance.rows(batch(records, &plan, &slots, &rows)));
        if slots.windowed {
            out.finish(&plan, &slots, &instance.finish(&slots.windows));
        }
        let made = out.text(records, &plan);
        assert!(made == whole, "a slot that was released is not as new: first\n{whole}again\n{made}");
    }

    /// Holds that these records come out of those, however many spaces are between their values; `*` stands for any value.
    ///
    /// # Panics
    ///
    /// Where they do not, and as [`Tried::run`].
    #[track_caller]
    pub fn check(&self, records: &str, expected: &str) {
        let made = self.run(records);
        assert!(text::is_as(&made, expected), "expected\n{expected}\nand it is\n{made}");
    }

    fn begin(&self, fields: &[Field]) -> (Box<dyn Instance>, Plan) {
        let instance = (self.begin)();
        match instance.configure(&self.params, &all(fields)) {
            Ok(plan) => (instance, plan),
            Err(issues) => panic!("the plugin refuses its parameters {}: {}", self.params, told(&issues).join("; ")),
        }
    }

    /// What comes out of records cut so.
    fn cut(&self, records: &Records, cuts: &[Range<usize>], restart: bool) -> String {
        let (mut instance, plan) = self.begin(&records.fields);
        let slots = Slots::of(records, instance.is_windowed(), self.window);
        let mut out = Out::default();
        for cut in cuts.iter().filter(|cut| !cut.is_empty()) {
            let answer = instance.rows(batch(records, &plan, &slots, cut));
            out.take(&plan, cut, answer);
            if restart {
                let touched = slots.before(cut.end);
                let saved = instance.save(&touched);
                instance = self.begin(&records.fields).0;
                if let Some((version, states)) = saved {
                    let loaded = instance.load(version, &touched, &states);
                    loaded.unwrap_or_else(|reason| panic!("the plugin refuses a state it saved itself: {reason}"));
                }
            }
        }
        if slots.windowed {
            out.finish(&plan, &slots, &instance.finish(&slots.windows));
        }
        out.text(records, &plan)
    }
}

fn told(issues: &[Issue]) -> Vec<String> {
    issues.iter().map(|Issue { at, message }| format!("{at}: {message}")).collect()
}

/// The fields of records, and last the device, which every record has.
fn all(fields: &[Field]) -> Vec<Field> {
    let device = Field { name: "device".into(), scalar: Scalar::Text, unit: String::new() };
    fields.iter().cloned().chain([device]).collect()
}

/// Cuts of one to four records, and now and then more.
fn at_random(rows: usize, seed: u64) -> Vec<Range<usize>> {
    let (mut state, mut cuts, mut from) = (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), Vec::new(), 0);
    while from < rows {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let end = (from + 1 + (state % 4 + state % 97 / 90 * 20) as usize).min(rows);
        cuts.push(from..end);
        from = end;
    }
    cuts
}

/// The unit of state of each record: its device, or the window of its device.
struct Slots {
    of_row: Vec<u32>,
    windowed: bool,
    windows: Windows,
    /// The device of each slot.
    devices: Vec<String>,
}

impl Slots {
    fn of(records: &Records, windowed: bool, size: i64) -> Self {
        let mut known: BTreeMap<(&str, i64), u32> = BTreeMap::new();
        let (mut slots, mut windows, mut devices) = (Vec::new(), Vec::new(), Vec::new());
        for (device, &time) in records.devices.iter().zip(&records.times) {
            let start = if windowed { time.div_euclid(size) * size } else { 0 };
            let slot = *known.entry((device, start)).or_insert_with(|| {
                windows.push((start + size, windows.len() as u32));
                devices.push(device.clone());
                devices.len() as u32 - 1
            });
            slots.push(slot);
        }
        windows.sort_unstable();
        let spans = Windows {
            slots: windows.iter().map(|&(_, slot)| slot).collect(),
            starts: windows.iter().map(|&(end, _)| end - size).collect(),
            ends: windows.iter().map(|&(end, _)| end).collect(),
        };
        Slots { of_row: slots, windowed, windows: spans, devices }
    }

    /// The slots of the first rows.
    fn before(&self, rows: usize) -> Vec<u32> {
        let end = self.of_row[..rows].iter().max().map_or(0, |&slot| slot + 1);
        (0..end).collect()
    }
}

fn batch(records: &Records, plan: &Plan, slots: &Slots, cut: &Range<usize>) -> Batch {
    let rows: Vec<u32> = (cut.start as u32..cut.end as u32).collect();
    let column = |name: &String| match records.fields.iter().position(|field| field.name == *name) {
        Some(at) => records.columns[at].take(&rows),
        None => {
            let mut devices = Column::empty(Scalar::Text);
            cut.clone().for_each(|row| crate::Value::push(records.devices[row].clone(), &mut devices));
            devices
        }
    };
    Batch {
        rows: rows.len() as u32,
        times: plan.times.then(|| records.times[cut.clone()].to_vec()),
        slots: plan.slots.then(|| slots.of_row[cut.clone()].to_vec()),
        columns: plan.reads.iter().map(column).collect(),
    }
}

/// What came out so far.
#[derive(Default)]
struct Out {
    /// The fields beyond, or in place of, those of the records.
    heads: Vec<String>,
    /// The row each record comes from, and the values under `heads`; a window's own head comes first.
    made: Vec<(Option<usize>, Vec<String>)>,
    faults: Vec<(usize, String)>,
}

impl Out {
    fn take(&mut self, plan: &Plan, cut: &Range<usize>, answer: Answer) {
        let faults = match &answer {
            Answer::Kept(kept) => &kept.faults,
            Answer::Found(found) => &found.faults,
            Answer::Made(table) => &table.faults,
            Answer::Added(faults) => faults,
        };
        let is_faulted = |row: usize| faults.iter().any(|fault| fault.row as usize == row);
        match &answer {
            Answer::Kept(kept) => {
                let rows = (0..cut.len()).filter(|&row| kept.keep[row] != 0 && !is_faulted(row));
                self.made.extend(rows.map(|row| (Some(cut.start + row), Vec::new())));
            }
            Answer::Found(found) => {
                self.heads = ["score", "severity", "reason"].map(String::from).into();
                let mut findings: Vec<_> = found.findings.iter().filter(|f| !is_faulted(f.row as usize)).collect();
                findings.sort_by_key(|finding| finding.row);
                self.made.extend(findings.into_iter().map(|f| {
                    let cells = vec![f.score.to_string(), f.severity.to_string(), text::quoted(&f.reason)];
                    (Some(cut.start + f.row as usize), cells)
                }));
            }
            Answer::Made(table) => {
                self.heads = plan.emits.iter().map(|field| field.name.clone()).collect();
                let origin = table.origin.clone().unwrap_or_else(|| (0..cut.len() as u32).collect());
                for (made, &row) in origin.iter().enumerate().filter(|(_, row)| !is_faulted(**row as usize)) {
                    let cells = table.columns.iter().map(|column| text::cell(column, made)).collect();
                    self.made.push((Some(cut.start + row as usize), cells));
                }
            }
            Answer::Added(_) => {}
        }
        self.faults.extend(faults.iter().map(|fault| (cut.start + fault.row as usize, fault.reason.clone())));
    }

    /// The results of an aggregate's windows.
    fn finish(&mut self, plan: &Plan, slots: &Slots, columns: &[Column]) {
        let emitted = plan.emits.iter().map(|field| field.name.clone());
        self.heads = ["device", "start", "end"].map(String::from).into_iter().chain(emitted).collect();
        let Windows { slots: of, starts, ends } = &slots.windows;
        for (at, ((&slot, &start), &end)) in of.iter().zip(starts).zip(ends).enumerate() {
            let head = [text::quoted(&slots.devices[slot as usize]), text::seconds(start), text::seconds(end)];
            let cells = columns.iter().map(|column| text::cell(column, at));
            self.made.push((None, head.into_iter().chain(cells).collect()));
        }
    }

    fn text(mut self, records: &Records, plan: &Plan) -> String {
        // A codec makes records that have nothing of the frame's but device and time.
        let is_codec = records.fields.iter().any(|field| field.scalar == Scalar::Bytes && field.name == "frame");
        let stays = |field: &&Field| !is_codec && !plan.emits.iter().any(|emitted| emitted.name == field.name);
        let own: Vec<usize> = (0..records.fields.len()).filter(|&at| stays(&&records.fields[at])).collect();
        let has = |name: &str| self.heads.iter().any(|head| head == name);
        let implied: Vec<&str> = ["device", "time"].into_iter().filter(|name| !has(name)).collect();
        let windows = self.made.iter().all(|(row, _)| row.is_none()) && has("end");
        let mut lines = Vec::new();
        if windows {
            lines.push(self.heads.clone());
        } else {
            let names = own.iter().map(|&at| records.fields[at].name.clone());
            lines.push(implied.iter().map(|name| name.to_string()).chain(names).chain(self.heads.clone()).collect());
        }
        for (row, cells) in std::mem::take(&mut self.made) {
            let Some(row) = row else {
                lines.push(cells);
                continue;
            };
            let of_row = implied.iter().map(|name| match *name {
                "device" => text::quoted(&records.devices[row]),
                _ => text::seconds(records.times[row]),
            });
            let fields = own.iter().map(|&at| text::cell(&records.columns[at], row));
            lines.push(of_row.chain(fields).chain(cells).collect());
        }
        self.faults.sort();
        let faults: String = self.faults.iter().map(|(row, reason)| format!("fault {row}: {reason}\n")).collect();
        text::aligned(&lines) + &faults
    }
}
