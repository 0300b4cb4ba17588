//! `detect`: gives the rows the plugin finds, with score, severity and reason beside their fields.

use super::keyed::Keyed;
use super::{Context, Operator, RestoreError, SavedOperator};
use crate::rows::Rows;
use std::sync::Arc;
use tidegate_record::{Blobs, Column, Field, Scalar, Schema, SchemaError, Values};
use tidegate_sandbox::{Finding, Halted, Input, Runner};

/// A detect plugin; one with state has a slot a device.
pub(crate) struct Detect {
    keyed: Keyed,
    schema: Arc<Schema>,
}

impl Detect {
    /// Its output has the input's fields and `score`, `severity` (0 to 100), `reason`.
    pub fn new(runner: Runner, input: &Schema, max_keys: usize) -> Result<Self, SchemaError> {
        let mut fields = input.fields().to_vec();
        fields.push(Field::new("score", Scalar::Float));
        fields.push(Field::new("severity", Scalar::Integer));
        fields.push(Field::new("reason", Scalar::Text));
        Ok(Detect { keyed: Keyed::new(runner, max_keys), schema: Arc::new(Schema::new(fields)?) })
    }

    fn beside(&self, rows: &Rows, findings: &[Finding]) -> Rows {
        let found: Vec<u32> = findings.iter().map(|f| f.row).collect();
        let taken = rows.take(&found);
        let mut columns = taken.batch.columns().to_vec();
        let mut reasons = Blobs::default();
        findings.iter().for_each(|f| reasons.push(f.reason.as_bytes()));
        columns.push(Column::of(Values::Floats(findings.iter().map(|f| f.score).collect())));
        columns.push(Column::of(Values::Integers(findings.iter().map(|f| i64::from(f.severity)).collect())));
        columns.push(Column::of(Values::Texts(reasons)));
        let batch = taken.batch.with_columns(self.schema.clone(), columns);
        let batch = batch.unwrap_or_else(|error| unreachable!("three columns were added to a sound batch: {error}"));
        Rows { batch: Arc::new(batch), ..taken }
    }
}

impl Operator for Detect {
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
        let score =
            |runner: &mut Runner, input: Input<'_>| runner.score(input).map(|found| (found.findings, found.faults));
        let (rows, findings) = self.keyed.call(rows, context, score)?;
        for Finding { row, score, severity, reason } in &findings {
            context.digest.number(u64::from(*row) << 8 | u64::from(*severity));
            context.digest.number(score.to_bits());
            context.digest.bytes(reason.as_bytes());
        }
        Ok(self.beside(&rows, &findings))
    }

    fn runner(&mut self) -> &mut Runner {
        self.keyed.runner()
    }

    fn slots(&self) -> Vec<u32> {
        self.keyed.slots()
    }

    fn save(&mut self) -> Result<SavedOperator, Halted> {
        self.keyed.save()
    }

    fn restore(&mut self, saved: SavedOperator) -> Result<(), RestoreError> {
        self.keyed.restore(&saved)
    }
}
