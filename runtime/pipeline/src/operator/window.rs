//! `window` with an `aggregate`: the host finds windows and closes them, the plugin does the arithmetic.

use super::{Context, Operator, RestoreError, SavedOperator};
use crate::WindowOptions;
use crate::keys::NO_KEY;
use crate::rows::{Rows, Stamps};
use crate::window::{Closed, Saved, Windows};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tidegate_record::streams::WINDOW_END;
use tidegate_record::{Batch, Blobs, Column, Field, Scalar, Schema, SchemaError, Values};
use tidegate_sandbox::{Halted, Input, Runner, Window as PluginWindow};

/// An aggregate plugin over tumbling windows per device.
pub(crate) struct Window {
    runner: Runner,
    schema: Arc<Schema>,
    windows: Windows,
    /// How many were finished, and the nanoseconds that took.
    finished: (u64, u64),
}

impl Window {
    /// Its output has the window's start as event time, `window_end` (microseconds since the epoch) and what the plugin
    /// emits.
    pub fn new(runner: Runner, options: WindowOptions, max_keys: usize) -> Result<Self, SchemaError> {
        let mut fields = vec![Field { name: WINDOW_END.into(), scalar: Scalar::Integer, unit: "us".into() }];
        fields.extend(runner.plan().emits.iter().cloned());
        let schema = Arc::new(Schema::new(fields)?);
        Ok(Window { runner, schema, windows: Windows::new(options, max_keys), finished: (0, 0) })
    }

    /// Adds the rows to their windows; gives the windows they closed.
    fn update(&mut self, rows: &Rows, context: &mut Context<'_>) -> Result<Vec<Closed>, Halted> {
        let era = |row| rows.stamps.at(row).and(context.era);
        let assigned = self.windows.assign(&rows.batch, context.arrival, era);
        context.trouble.late.extend(assigned.late.iter().map(|&row| rows.origin(row)));
        context.trouble.overflow.extend(assigned.overflow.iter().map(|&row| rows.origin(row)));
        let skip = context.verdict.map_or(&[][..], |v| &v.rows);
        let faults = if assigned.late.is_empty() && assigned.overflow.is_empty() {
            let input = Input { batch: &rows.batch, slots: Some(&assigned.slots), skip };
            let faults = self.runner.update(input).map_err(|halted| rows.halted(halted))?;
            faults.into_iter().map(|f| (f.row, rows.origin(f.row), f.fault)).collect::<Vec<_>>()
        } else {
            let kept: Vec<u32> = (0u32..).zip(&assigned.slots).filter(|(_, s)| **s != NO_KEY).map(|(r, _)| r).collect();
            let slots: Vec<u32> = assigned.slots.iter().copied().filter(|&s| s != NO_KEY).collect();
            let taken = rows.take(&kept);
            if kept.is_empty() {
                Vec::new()
            } else {
                let input = Input { batch: &taken.batch, slots: Some(&slots), skip };
                let faults = self.runner.update(input).map_err(|halted| taken.halted(halted))?;
                faults.into_iter().map(|f| (f.row, taken.origin(f.row), f.fault)).collect()
            }
        };
        context.trouble.rows.extend(faults);
        Ok(assigned.closed)
    }

    /// The results of closed windows, in the order they closed; their slots are free again.
    fn finish(&mut self, rows: &Rows, closed: &[Closed], context: &mut Context<'_>) -> Result<Rows, Halted> {
        if closed.is_empty() {
            return Ok(Rows::none(&self.schema));
        }
        let skip = context.verdict.map_or(&[][..], |v| &v.windows);
        let asked: Vec<u32> = (0..closed.len() as u32).filter(|index| !skip.contains(index)).collect();
        let spans = asked.iter().map(|&index| &closed[index as usize]);
        let spans: Vec<PluginWindow> =
            spans.map(|c| PluginWindow { slot: c.slot, start: c.start, end: c.end }).collect();
        // It counts windows there, not rows.
        let began = self.time_ns();
        let finished = self.runner.finish(&spans).map_err(|halted| Halted { row: None, ..halted })?;
        self.finished.0 += spans.len() as u64;
        self.finished.1 += self.time_ns() - began;
        let slots: Vec<u32> = closed.iter().map(|c| c.slot).collect();
        self.runner.release(&slots)?;
        self.windows.free(closed);
        let mut good: Vec<u32> = (0..asked.len() as u32).collect();
        for (at, fault) in finished.faults {
            let index = asked[at];
            let Closed { key, start, .. } = closed[index as usize];
            good.retain(|&g| g as usize != at);
            context.trouble.windows.push((index, self.windows.keys().name(key).to_owned(), start, fault));
        }
        let whole = good.len() == asked.len();
        let columns = if whole { finished.columns } else { finished.columns.iter().map(|c| c.take(&good)).collect() };
        columns.iter().for_each(|column| context.digest.column(column));
        let good: Vec<&Closed> = good.iter().map(|&g| &closed[asked[g as usize] as usize]).collect();
        Ok(self.results(rows, &good, columns))
    }

    fn time_ns(&self) -> u64 {
        self.runner.stats().time_ns.load(Relaxed)
    }

    /// Says of which device's window a slot is.
    fn named(&self, halted: Halted) -> Halted {
        halted.named(|slot| self.windows.device_of(slot))
    }

    /// One record a window.
    fn results(&self, rows: &Rows, closed: &[&Closed], columns: Vec<Column>) -> Rows {
        let mut devices = Blobs::default();
        let mut ids = Vec::with_capacity(closed.len());
        for (index, window) in closed.iter().enumerate() {
            let again = index.checked_sub(1).is_some_and(|before| closed[before].key == window.key);
            if !again {
                devices.push(self.windows.keys().name(window.key).as_bytes());
            }
            ids.push(devices.len() as u32 - 1);
        }
        let mut all = vec![Column::of(Values::Integers(closed.iter().map(|c| c.end).collect()))];
        all.extend(columns);
        let times = closed.iter().map(|c| c.start).collect();
        let batch = Batch::from_parts(self.schema.clone(), Arc::new(devices), ids, times, all);
        let batch = batch.unwrap_or_else(|error| unreachable!("the sandbox checked the plugin's columns: {error}"));
        let in_hand = rows.batch.rows() > 0;
        let origin = closed.iter().map(|c| if in_hand { rows.origin(c.row) } else { 0 }).collect();
        let stamps = Stamps::of(closed.iter().map(|c| c.stamp).collect());
        Rows { batch: Arc::new(batch.compact_devices()), origin: Some(origin), stamps }
    }
}

impl Operator for Window {
    fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    fn plugin(&self) -> String {
        super::plugin_name(&self.runner)
    }

    fn process(&mut self, rows: Rows, context: &mut Context<'_>) -> Result<Rows, Halted> {
        self.runner.at(context.told());
        let mut closed = match rows.batch.rows() {
            0 => Vec::new(),
            _ => self.update(&rows, context).map_err(|halted| self.named(halted))?,
        };
        closed.extend(self.windows.close_idle(context.arrival));
        self.finish(&rows, &closed, context).map_err(|halted| self.named(halted))
    }

    fn due(&self) -> Option<i64> {
        self.windows.idle_due()
    }

    fn newest(&self) -> Option<i64> {
        self.windows.newest()
    }

    fn finished(&self) -> (u64, u64) {
        self.finished
    }

    fn runner(&mut self) -> &mut Runner {
        &mut self.runner
    }

    fn slots(&self) -> Vec<u32> {
        self.windows.open_slots()
    }

    fn save(&mut self) -> Result<SavedOperator, Halted> {
        let slots = self.windows.open_slots();
        let states = if slots.is_empty() {
            Blobs::default()
        } else {
            self.runner.save(&slots).map_err(|halted| self.named(halted))?
        };
        let mut host = crate::mark::to_bytes(&self.windows.save());
        host.extend(self.windows.save_eras().map(|eras| crate::mark::to_bytes(&eras)).unwrap_or_default());
        Ok(SavedOperator::new(host, self.runner.state_version(), slots, &states))
    }

    fn restore(&mut self, saved: SavedOperator) -> Result<(), RestoreError> {
        let unreadable = |e: postcard::Error| RestoreError(e.to_string());
        let (host, eras) = postcard::take_from_bytes::<Saved>(&saved.host).map_err(unreadable)?;
        // Snapshots of before there were eras end here, and so do those of windows that have none.
        let eras = if eras.is_empty() { None } else { Some(postcard::from_bytes(eras).map_err(unreadable)?) };
        self.windows.restore(host, eras.unwrap_or_default());
        if saved.slots.is_empty() {
            return Ok(());
        }
        self.runner.load(saved.version, &saved.slots, &saved.states()?).map_err(|e| RestoreError(e.to_string()))
    }
}
