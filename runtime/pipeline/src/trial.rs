//! Operators run by hand, without a store: what tests of plugins use.

use crate::entry::Entry;
use crate::mark::Verdicts;
use crate::{BuildError, Chain, OperatorOptions, PipelineOptions};
use std::sync::Arc;
use std::time::Duration;
use tidegate_record::{Batch, Schema};
use tidegate_sandbox::Halted;
use tidegate_store::{Position, Run};

/// Operators, given one batch after the other.
pub struct Trial {
    options: PipelineOptions,
    input: Arc<Schema>,
    chain: Chain,
    /// Records given so far.
    given: u64,
}

/// What became of a batch. Rows count from the first record of the trial.
#[derive(Debug, Clone)]
pub struct Tried {
    /// The records made.
    pub batch: Arc<Batch>,
    /// Rows at fault and why, in the order of the operators.
    pub faults: Vec<(u64, String)>,
    /// Windows at fault and why: device, reason.
    pub windows: Vec<(String, String)>,
    /// Late rows.
    pub late: Vec<u64>,
    /// Rows of devices beyond `max_keys`.
    pub overflow: Vec<u64>,
}

impl Trial {
    /// Configures the operators for records of `input`.
    pub fn new(operators: Vec<OperatorOptions>, input: &Arc<Schema>) -> Result<Trial, BuildError> {
        let options = PipelineOptions {
            name: "trial".into(),
            from: vec!["in".into()],
            to: "out".into(),
            operators,
            checkpoint_interval: Duration::MAX,
            checkpoint_bytes: u64::MAX,
        };
        let chain = Chain::build(&options, input)?;
        Ok(Trial { options, input: input.clone(), chain, given: 0 })
    }

    /// Takes records through the operators, as if they had arrived at `arrival` (microseconds of the arrival clock); with
    /// a batch of none it is a tick, which closes the windows of devices that fell silent.
    pub fn process(&mut self, batch: Arc<Batch>, arrival: i64) -> Result<Tried, Halted> {
        let (first, rows) = (self.given, batch.rows() as u64);
        self.given += rows;
        let run = Run { commit: 1, arrival, wall: arrival, trusted: true, stamped: None, rows: rows as u32 };
        let (at, next) = (Position(first), Position(self.given));
        let entry = Entry { input: 0, first: at, next, run, era: None, batch };
        let outcome = self.chain.process(&entry, &Verdicts::default()).map_err(|fallen| fallen.halted)?;
        // The records brought their times: there is no clock to cut them by.
        let made = outcome.batches.into_iter().map(|(batch, _)| batch).next();
        let row = |row: u32| first + u64::from(row);
        let mut tried = Tried {
            batch: made.unwrap_or_else(|| Arc::new(Batch::empty(self.chain.schema().clone()))),
            faults: Vec::new(),
            windows: Vec::new(),
            late: Vec::new(),
            overflow: Vec::new(),
        };
        for (_, trouble) in outcome.trouble {
            tried.faults.extend(trouble.rows.into_iter().map(|(_, origin, fault)| (row(origin), fault.message)));
            let windows = trouble.windows.into_iter();
            tried.windows.extend(windows.map(|(_, device, _, fault)| (device, fault.message)));
            tried.late.extend(trouble.late.into_iter().map(row));
            tried.overflow.extend(trouble.overflow.into_iter().map(row));
        }
        Ok(tried)
    }

    /// Goes on as after a restart: new instances, with the states the old ones saved. The error is a sentence.
    pub fn restart(&mut self) -> Result<(), String> {
        let saved = self.chain.save().map_err(|fallen| fallen.halted.to_string())?;
        let (counts, digests) = (self.chain.counts().to_vec(), self.chain.digests());
        let mut chain = Chain::build(&self.options, &self.input).map_err(|error| error.to_string())?;
        chain
            .restore(saved, counts, &digests)
            .map_err(|(operator, error)| format!("operator {}: {error}", operator + 1))?;
        self.chain = chain;
        Ok(())
    }
}
