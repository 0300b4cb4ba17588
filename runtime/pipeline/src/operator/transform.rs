//! `transform` and `codec`: records made of records, and of frames.

use super::keyed::Keyed;
use super::{Context, Operator, RestoreError, SavedOperator};
use crate::rows::{Rows, Stamps};
use std::collections::HashMap;
use std::sync::Arc;
use tidegate_record::{Batch, Blobs, Column, Field, Scalar, Schema, SchemaError, Values, check_device};
use tidegate_sandbox::{Fault, FaultKind, Halted, Input, Kind, Runner, Table};

/// A transform or codec plugin; one with state has a slot a device.
pub(crate) struct Transform {
    keyed: Keyed,
    schema: Arc<Schema>,
    /// Where each output field comes from.
    columns: Vec<From>,
    /// Codec: which emitted fields are the record's own device and time.
    device: Option<usize>,
    time: Option<usize>,
}

/// Where an output column comes from.
#[derive(Debug, Clone, Copy)]
enum From {
    /// A field of the input, which goes on.
    Input(usize),
    /// A field the plugin emits.
    Emitted(usize),
}

impl Transform {
    /// A transform's output has the input's fields named in `keep` (`None`: all of them) and what the plugin emits, which
    /// takes the place of an input field of the same name. A codec's has what it emits; the frame ends here.
    pub fn new(runner: Runner, input: &Schema, keep: Option<&[String]>, max_keys: usize) -> Result<Self, SchemaError> {
        let codec = runner.plugin().kind() == Kind::Codec;
        let emits = &runner.plan().emits;
        let own = |name: &str, scalar| emits.iter().position(|f| codec && f.name == name && f.scalar == scalar);
        let (device, time) = (own("device", Scalar::Text), own("time", Scalar::Integer));
        let mut fields: Vec<(Field, From)> = Vec::new();
        for (at, field) in input.fields().iter().enumerate().filter(|_| !codec) {
            if keep.is_none_or(|keep| keep.contains(&field.name)) {
                fields.push((field.clone(), From::Input(at)));
            }
        }
        for (at, field) in emits.iter().enumerate().filter(|(at, _)| Some(*at) != device && Some(*at) != time) {
            match fields.iter_mut().find(|(known, from)| known.name == field.name && matches!(from, From::Input(_))) {
                Some(known) => *known = (field.clone(), From::Emitted(at)),
                None => fields.push((field.clone(), From::Emitted(at))),
            }
        }
        let (fields, columns) = fields.into_iter().unzip();
        let keyed = Keyed::new(runner, max_keys);
        Ok(Transform { keyed, schema: Arc::new(Schema::new(fields)?), columns, device, time })
    }

    /// The records made, without those whose device is none: these fault the row they were made of.
    fn rows(&self, rows: &Rows, mut table: Table, context: &mut Context<'_>) -> Rows {
        let devices = match self.device {
            Some(at) => {
                let (devices, wrong) = Devices::of(&table.columns[at]);
                if !wrong.is_empty() {
                    let plugin: Arc<str> = self.keyed.plugin().into();
                    let (kind, backtrace) = (FaultKind::Rejected, String::new());
                    context.trouble.rows.extend(without(&mut table, wrong).into_iter().map(|(row, message)| {
                        let fault =
                            Fault { kind, bound: None, message, backtrace: backtrace.clone(), plugin: plugin.clone() };
                        (row, rows.origin(row), fault)
                    }));
                    context.trouble.rows.sort_by_key(|(row, ..)| *row);
                    return self.rows(rows, table, context);
                }
                Some(devices)
            }
            None => None,
        };
        context.digest.numbers(&table.origin);
        table.columns.iter().for_each(|column| context.digest.column(column));
        let mut taken = rows.take(&table.origin);
        let input = taken.batch.columns();
        let columns = self.columns.iter().map(|from| match from {
            From::Input(at) => input[*at].clone(),
            From::Emitted(at) => table.columns[*at].clone(),
        });
        let times = match self.time.map(|at| &table.columns[at]) {
            Some(Column { values: Values::Integers(emitted), valid }) => (0..emitted.len())
                .map(|row| match valid.as_ref().is_none_or(|valid| valid[row] == 1) {
                    true => emitted[row],
                    false => taken.batch.times()[row],
                })
                .collect(),
            _ => taken.batch.times().to_vec(),
        };
        let Devices { names, ids } = devices.unwrap_or_else(|| Devices {
            names: taken.batch.devices().clone(),
            ids: taken.batch.device_ids().to_vec(),
        });
        let batch = Batch::from_parts(self.schema.clone(), names, ids, times, columns.collect());
        let batch = batch.unwrap_or_else(|error| unreachable!("the sandbox checked the plugin's columns: {error}"));
        taken.batch = Arc::new(batch);
        if let Some(emitted) = self.time.map(|at| &table.columns[at]) {
            // Times of the codec's own are of no clock of ours.
            let stamp = |row| if emitted.is_valid(row) { None } else { taken.stamps.at(row) };
            taken.stamps = Stamps::of((0..taken.batch.rows()).map(stamp).collect());
        }
        taken
    }
}

/// Takes every record out that was made of a row with a wrong device; gives these rows, ascending, with what is wrong.
fn without(table: &mut Table, wrong: Vec<(usize, String)>) -> Vec<(u32, String)> {
    let mut faulted: Vec<(u32, String)> = Vec::new();
    for (made, message) in wrong {
        let row = table.origin[made];
        if faulted.last().is_none_or(|(last, _)| *last != row) {
            faulted.push((row, message));
        }
    }
    let is_good = |made: &u32| faulted.binary_search_by_key(&table.origin[*made as usize], |(row, _)| *row).is_err();
    let good: Vec<u32> = (0..table.origin.len() as u32).filter(is_good).collect();
    table.columns = table.columns.iter().map(|column| column.take(&good)).collect();
    table.origin = good.iter().map(|&made| table.origin[made as usize]).collect();
    faulted
}

/// Devices a codec named.
struct Devices {
    names: Arc<Blobs>,
    ids: Vec<u32>,
}

impl Devices {
    /// The devices, and what is wrong with those that are none, by the record made.
    fn of(column: &Column) -> (Devices, Vec<(usize, String)>) {
        let (mut names, mut ids, mut wrong) = (Blobs::default(), Vec::new(), Vec::new());
        let mut known: HashMap<&[u8], u32> = HashMap::new();
        if let Values::Texts(texts) = &column.values {
            for (row, text) in texts.iter().enumerate() {
                let id = *known.entry(text).or_insert_with(|| {
                    names.push(text);
                    names.len() as u32 - 1
                });
                if let Err(error) = check_device(texts.text(row)) {
                    wrong.push((row, error.to_string()));
                }
                ids.push(id);
            }
        }
        (Devices { names: Arc::new(names), ids }, wrong)
    }
}

impl Operator for Transform {
    fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    fn plugin(&self) -> String {
        self.keyed.plugin()
    }

    fn process(&mut self, rows: Rows, context: &mut Context<'_>) -> Result<Rows, Halted> {
        if rows.batch.rows() == 0 {
            return Ok(Rows::none(&self.schema));
        }
        let apply = |runner: &mut Runner, input: Input<'_>| {
            let mut table = runner.apply(input)?;
            let faults = std::mem::take(&mut table.faults);
            Ok((table, faults))
        };
        let (rows, table) = self.keyed.call(rows, context, apply)?;
        Ok(self.rows(&rows, table, context))
    }

    fn runner(&mut self) -> &mut Runner {
        self.keyed.runner()
    }

    fn slots(&self) -> Vec<u32> {
        self.keyed.slots()
    }

    /// The record's own fields go on, and what the plugin would emit is null. A frame is no record.
    fn pass(&self, rows: Rows) -> Option<Rows> {
        if self.keyed.kind() == Kind::Codec {
            return None;
        }
        let (batch, count) = (&rows.batch, rows.batch.rows());
        let columns = self.columns.iter().zip(self.schema.fields()).map(|(from, field)| match from {
            From::Input(at) => batch.columns()[*at].clone(),
            From::Emitted(_) => Column::nulls(field.scalar, count),
        });
        let batch = batch.with_columns(self.schema.clone(), columns.collect());
        let batch =
            batch.unwrap_or_else(|error| unreachable!("every field has a column as long as the batch: {error}"));
        Some(Rows { batch: Arc::new(batch), ..rows })
    }

    fn save(&mut self) -> Result<SavedOperator, Halted> {
        self.keyed.save()
    }

    fn restore(&mut self, saved: SavedOperator) -> Result<(), RestoreError> {
        self.keyed.restore(&saved)
    }
}

#[cfg(test)]
#[path = "transform/tests.rs"]
mod tests;
