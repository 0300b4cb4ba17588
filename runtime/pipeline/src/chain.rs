//! The operators of a pipeline, one behind the other. No clock, no I/O.

use crate::cost::Meter;
use crate::entry::Entry;
use crate::handover::Recipe;
use crate::mark::Verdicts;
use crate::operator::{Context, Detect, Filter, Operator, RestoreError, SavedOperator, Transform, Trouble, Window};
use crate::rows::{Rows, Stamp};
use crate::shadow::{self, Feed, Shadow};
use crate::{OperatorOptions, PipelineOptions};
use std::sync::Arc;
use tidegate_record::{Batch, Schema};
use tidegate_sandbox::{ConfigureError, Halted, Kind, Runner};

/// The operators of one pipeline instance.
pub struct Chain {
    operators: Vec<Box<dyn Operator>>,
    /// What runs beside each operator.
    shadows: Vec<Option<Feed>>,
    counts: Vec<(u64, u64)>,
    /// The fields of what comes in.
    input: Arc<Schema>,
    schema: Arc<Schema>,
    fingerprint: u64,
}

/// Why operators cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The plugin refused its parameters or fields.
    #[error("operator {operator} ({plugin}): {source}")]
    Configure {
        /// Which operator, from 1.
        operator: usize,
        /// Its plugin.
        plugin: String,
        /// What it said.
        source: ConfigureError,
    },
    /// What it emits does not go with the fields there are.
    #[error("operator {operator} ({plugin}) would emit fields that make no schema: {source}")]
    Schema {
        /// Which operator, from 1.
        operator: usize,
        /// Its plugin.
        plugin: String,
        /// Why.
        source: tidegate_record::SchemaError,
    },
    /// The plugin is of a kind that is not an operator, or a window is missing or too much.
    #[error("operator {operator} ({plugin}): {reason}")]
    Kind {
        /// Which operator, from 1.
        operator: usize,
        /// Its plugin.
        plugin: String,
        /// What is wrong.
        reason: String,
    },
}

/// What one entry came to.
pub(crate) struct Outcome {
    /// Records for the output stream, and the commit whose clock their times are of.
    pub batches: Vec<(Arc<Batch>, Stamp)>,
    /// What went wrong, with the operator it went wrong in.
    pub trouble: Vec<(usize, Trouble)>,
}

impl Chain {
    /// Configures each plugin for the fields that reach it.
    pub fn build(options: &PipelineOptions, input: &Arc<Schema>) -> Result<Self, BuildError> {
        let mut operators: Vec<Box<dyn Operator>> = Vec::new();
        let mut schema = input.clone();
        for (index, option) in options.operators.iter().enumerate() {
            let operator = build_operator(&options.name, index + 1, option, &schema)?;
            schema = operator.schema().clone();
            operators.push(operator);
        }
        let counts = vec![(0, 0); operators.len()];
        let shadows = operators.iter().map(|_| None).collect();
        Ok(Chain { operators, shadows, counts, input: input.clone(), schema, fingerprint: fingerprint(options, input) })
    }

    /// The fields of what comes out.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Records into and out of each operator since the pipeline first began.
    pub(crate) fn counts(&self) -> &[(u64, u64)] {
        &self.counts
    }

    /// What counts each operator's cost.
    pub(crate) fn meters(&mut self) -> Vec<Meter> {
        self.operators.iter_mut().map(|operator| Meter::of(operator.runner())).collect()
    }

    /// A number that changes when a snapshot of other operators, parameters or windows must not be gone on from.
    pub(crate) fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// The plugin of an operator, for messages.
    pub(crate) fn plugin(&self, operator: usize) -> String {
        self.operators[operator].plugin()
    }

    /// What it takes to configure other versions of the operators' plugins.
    pub(crate) fn recipes(&self, options: &PipelineOptions) -> Vec<Recipe> {
        let inputs = std::iter::once(&self.input).chain(self.operators.iter().map(|operator| operator.schema()));
        let recipe = |(options, input): (&OperatorOptions, &Arc<Schema>)| Recipe {
            options: options.clone(),
            input: input.clone(),
        };
        options.operators.iter().zip(inputs).map(recipe).collect()
    }

    /// An operator, for another version of its plugin.
    pub(crate) fn operator(&mut self, operator: usize) -> &mut dyn Operator {
        &mut *self.operators[operator]
    }

    /// Has another version run beside an operator, in place of one that did.
    pub(crate) fn shadow(&mut self, operator: usize, shadow: &Shadow) -> Result<(), String> {
        self.shadows[operator] = Some(shadow.begin(&mut *self.operators[operator])?);
        Ok(())
    }

    /// Nothing runs beside an operator any more.
    pub(crate) fn unshadow(&mut self, operator: usize) {
        self.shadows[operator] = None;
    }

    /// Takes an entry through all operators. `verdicts`: what faulted at this entry when it was live.
    pub(crate) fn process(&mut self, entry: &Entry, verdicts: &Verdicts) -> Result<Outcome, Halted> {
        // Blocks keep the fields they were appended with, which may be those of an earlier configuration.
        let mut rows = Rows::of(Batch::fitted(&entry.batch, &self.input), entry.era.map(|era| era.since));
        let mut trouble = Vec::new();
        for (index, operator) in self.operators.iter_mut().enumerate() {
            let verdict = verdicts.at(entry, index);
            let (run, era) = (&entry.run, entry.era);
            let (arrival, wall) = (run.arrival, run.trusted.then_some(run.wall));
            let mut context = Context { arrival, wall, era, verdict, trouble: Trouble::default() };
            let count = &mut self.counts[index];
            count.0 += rows.batch.rows() as u64;
            let shadow = &mut self.shadows[index];
            let given = shadow.is_some().then(|| (rows.clone(), shadow::time_ns(&mut **operator)));
            rows = operator.process(rows, &mut context)?;
            if let (Some(feed), Some((given, began))) = (&*shadow, given)
                && !feed.give(given, &rows, &context, shadow::time_ns(&mut **operator) - began)
            {
                *shadow = None;
            }
            count.1 += rows.batch.rows() as u64;
            let Trouble { rows, windows, late, overflow } = &context.trouble;
            if !(rows.is_empty() && windows.is_empty() && late.is_empty() && overflow.is_empty()) {
                trouble.push((index, context.trouble));
            }
        }
        Ok(Outcome { batches: rows.by_stamp(), trouble })
    }

    /// The arrival time at which an operator wants to be called even if nothing arrives.
    pub(crate) fn due(&self) -> Option<i64> {
        self.operators.iter().filter_map(|o| o.due()).min()
    }

    /// The newest event time any window has seen.
    pub(crate) fn newest(&self) -> Option<i64> {
        self.operators.iter().filter_map(|o| o.newest()).max()
    }

    /// Every operator's state.
    pub(crate) fn save(&mut self) -> Result<Vec<SavedOperator>, Halted> {
        self.operators.iter_mut().map(|o| o.save()).collect()
    }

    /// Goes on from saved states and counts.
    pub(crate) fn restore(
        &mut self,
        saved: Vec<SavedOperator>,
        counts: Vec<(u64, u64)>,
    ) -> Result<(), (usize, RestoreError)> {
        if saved.len() != self.operators.len() || counts.len() != self.operators.len() {
            return Err((0, RestoreError(format!("it holds {} operators", saved.len()))));
        }
        for (index, (operator, saved)) in self.operators.iter_mut().zip(saved).enumerate() {
            operator.restore(saved).map_err(|error| (index, error))?;
        }
        self.counts = counts;
        Ok(())
    }
}

pub(crate) fn build_operator(
    pipeline: &str,
    operator: usize,
    option: &OperatorOptions,
    schema: &Arc<Schema>,
) -> Result<Box<dyn Operator>, BuildError> {
    let plugin = option.plugin.about().name.clone();
    let kind = option.plugin.kind();
    let wrong = |reason: &str| {
        let (plugin, reason) = (plugin.clone(), reason.to_owned());
        Err(BuildError::Kind { operator, plugin, reason })
    };
    if (kind == Kind::Aggregate) != option.window.is_some() {
        return wrong("an aggregate needs a window, and only an aggregate has one");
    }
    let unknown = |name: &&String| schema.position(name).is_none();
    if let Some(name) = option.keep.iter().flatten().find(unknown) {
        return wrong(&format!("keep names {name:?}, which the input has not"));
    }
    let runner = Runner::new(option.plugin.clone(), &option.params, schema, &option.limits)
        .map_err(|source| BuildError::Configure { operator, plugin: plugin.clone(), source })?
        .named(&format!("{pipeline}/{operator}"));
    let no_schema = |source| BuildError::Schema { operator, plugin: plugin.clone(), source };
    Ok(match (kind, option.window) {
        (Kind::Filter, _) => Box::new(Filter::new(runner, schema.clone(), option.max_keys)),
        (Kind::Detect, _) => Box::new(Detect::new(runner, schema, option.max_keys).map_err(no_schema)?),
        (Kind::Aggregate, Some(window)) => Box::new(Window::new(runner, window, option.max_keys).map_err(no_schema)?),
        (Kind::Transform | Kind::Codec, _) => {
            let keep = option.keep.as_deref();
            Box::new(Transform::new(runner, schema, keep, option.max_keys).map_err(no_schema)?)
        }
        (Kind::Aggregate, None) => return wrong("an aggregate needs a window"),
    })
}

/// XXH3-64 over everything that decides what the operators make of their input but the plugins' code: a new version of
/// a plugin goes on from the state of the old one as far as it can load it.
fn fingerprint(options: &PipelineOptions, input: &Schema) -> u64 {
    let mut text = format!("{:?}", (&options.from, input.id()));
    for o in &options.operators {
        text.push_str(&format!("{:?}", (&o.plugin.about().name, &o.params, o.window, o.max_keys)));
        // Said only where it is given: operators without it keep the number they had before there was such an option.
        if let Some(keep) = &o.keep {
            text.push_str(&format!("{keep:?}"));
        }
    }
    xxhash_rust::xxh3::xxh3_64(text.as_bytes())
}
