//! The operators of a pipeline, one behind the other. No clock, no I/O.

mod beside;

use crate::cost::Meter;
use crate::digest::Digest;
use crate::entry::Entry;
use crate::handover::Recipe;
use crate::mark::Verdicts;
use crate::operator::{
    Context, Detect, Filter, Operator, RestoreError, SavedOperator, Transform, Trouble, Verdict, Window,
};
use crate::quarantine::{At, Fallen, Held, OnQuarantine};
use crate::rows::{Rows, Stamp};
use crate::shadow::{Feed, Spent};
use crate::{OperatorOptions, PipelineOptions};
use std::collections::BTreeMap;
use std::sync::Arc;
use tidegate_record::{Batch, Schema};
use tidegate_sandbox::{ConfigureError, Grant, Halted, Kind, Runner};

/// The operators of one pipeline instance.
pub struct Chain {
    operators: Vec<Box<dyn Operator>>,
    /// What runs beside each operator.
    shadows: Vec<Option<Feed>>,
    counts: Vec<(u64, u64)>,
    digests: Vec<Digest>,
    /// The quarantine each operator is in.
    held: Vec<Option<Held>>,
    /// The first 8 bytes of each plugin's SHA-256.
    plugins: Vec<u64>,
    /// The first 8 bytes of the SHA-256 of each table that plugins may look things up in.
    tables: BTreeMap<String, u64>,
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
        let count = operators.len();
        Ok(Chain {
            shadows: operators.iter().map(|_| None).collect(),
            operators,
            counts: vec![(0, 0); count],
            digests: vec![Digest::default(); count],
            held: vec![None; count],
            plugins: options.operators.iter().map(|o| short(o.plugin.hash())).collect(),
            tables: tables(options),
            input: input.clone(),
            schema,
            fingerprint: fingerprint(options, input),
        })
    }

    /// The fields of what comes out.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Records into and out of each operator since the pipeline first began.
    pub(crate) fn counts(&self) -> &[(u64, u64)] {
        &self.counts
    }

    /// Says whether the entries from here on were worked up before: [`tidegate_sandbox::Runner::replays`].
    pub(crate) fn replays(&mut self, replaying: bool) {
        self.operators.iter_mut().for_each(|operator| operator.runner().replays(replaying));
    }

    /// What counts each operator's cost.
    pub(crate) fn meters(&mut self) -> Vec<Meter> {
        self.operators.iter_mut().map(|operator| Meter::of(operator.runner())).collect()
    }

    /// What each operator's plugin answered since the pipeline first began.
    pub(crate) fn digests(&self) -> Vec<u64> {
        self.digests.iter().map(|digest| digest.0).collect()
    }

    /// What results depend on beside the input and the fingerprint, by name.
    pub(crate) fn notes(&self) -> Vec<(String, u64)> {
        let plugins = (1..).zip(&self.plugins).map(|(operator, hash)| (format!("plugin/{operator}"), *hash));
        plugins.chain(self.tables.iter().map(|(name, hash)| (format!("table/{name}"), *hash))).collect()
    }

    /// The tables that are not those of a snapshot's notes.
    pub(crate) fn other_tables(&self, notes: &[(String, u64)]) -> Vec<&str> {
        let noted = |name: &str| notes.iter().find(|(known, _)| known.strip_prefix("table/") == Some(name));
        // A snapshot of version 1 has no notes: nothing is known.
        let others = self.tables.iter().filter(|_| !notes.is_empty());
        others
            .filter(|(name, hash)| noted(name).is_none_or(|(_, then)| then != *hash))
            .map(|(name, _)| name.as_str())
            .collect()
    }

    /// The same operators, configured anew with empty state.
    pub(crate) fn afresh(&self, options: &PipelineOptions) -> Result<Self, BuildError> {
        Chain::build(options, &self.input)
    }

    /// From its entry on an operator is not called.
    pub(crate) fn hold(&mut self, held: Held) {
        if let Some(place) = self.held.get_mut(held.operator as usize) {
            *place = Some(held);
        }
    }

    /// An operator is called again; gives the quarantine it was in.
    pub(crate) fn release(&mut self, operator: usize) -> Option<Held> {
        self.held.get_mut(operator)?.take()
    }

    /// The quarantine an operator is in.
    pub(crate) fn held(&self, operator: usize) -> Option<&Held> {
        self.held.get(operator)?.as_ref()
    }

    /// All quarantines.
    pub(crate) fn all_held(&self) -> Vec<Held> {
        self.held.iter().flatten().cloned().collect()
    }

    /// The first 8 bytes of the SHA-256 of an operator's plugin.
    pub(crate) fn plugin_hash(&self, operator: usize) -> u64 {
        self.plugins[operator]
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

    /// Another version is in an operator's place: the quarantine was the old one's, and so was what ran beside it.
    pub(crate) fn swapped(&mut self, operator: usize) {
        self.plugins[operator] = short(self.operators[operator].runner().plugin().hash());
        self.held[operator] = None;
        self.unshadow(operator, "another version took the place of the live one");
    }

    /// Takes an entry through all operators. `verdicts`: what faulted at this entry when it was live.
    pub(crate) fn process(&mut self, entry: &Entry, verdicts: &Verdicts) -> Result<Outcome, Box<Fallen>> {
        // Blocks keep the fields they were appended with, which may be those of an earlier configuration.
        let mut rows = Rows::of(Batch::fitted(&entry.batch, &self.input), entry.era.map(|era| era.since));
        let mut trouble = Vec::new();
        for (index, operator) in self.operators.iter_mut().enumerate() {
            self.counts[index].0 += rows.batch.rows() as u64;
            let held = self.held[index].as_ref().filter(|held| held.since <= At::of(entry));
            let (made, found) = match held {
                Some(held) => by(held, &**operator, rows),
                None => {
                    let fallen = |halted| Box::new(Fallen { operator: index, halted, entry: Some(entry.clone()) });
                    let verdict = verdicts.at(entry, index);
                    call(&mut **operator, entry, verdict, rows, &mut self.digests[index], &mut self.shadows[index])
                        .map_err(fallen)?
                }
            };
            rows = made;
            self.counts[index].1 += rows.batch.rows() as u64;
            if !found.is_none() {
                trouble.push((index, found));
            }
        }
        Ok(Outcome { batches: rows.by_stamp(), trouble })
    }

    /// The arrival time at which an operator wants to be called even if nothing arrives.
    pub(crate) fn due(&self) -> Option<i64> {
        let called = self.operators.iter().zip(&self.held).filter(|(_, held)| held.is_none());
        called.filter_map(|(operator, _)| operator.due()).min()
    }

    /// The newest event time any window has seen.
    pub(crate) fn newest(&self) -> Option<i64> {
        self.operators.iter().filter_map(|o| o.newest()).max()
    }

    /// Every operator's state.
    pub(crate) fn save(&mut self) -> Result<Vec<SavedOperator>, Box<Fallen>> {
        let saved = self.operators.iter_mut().enumerate();
        let fallen = |operator, halted| Box::new(Fallen { operator, halted, entry: None });
        saved.map(|(operator, o)| o.save().map_err(|halted| fallen(operator, halted))).collect()
    }

    /// Goes on from saved states and counts.
    pub(crate) fn restore(
        &mut self,
        saved: Vec<SavedOperator>,
        counts: Vec<(u64, u64)>,
        digests: &[u64],
    ) -> Result<(), (usize, RestoreError)> {
        if saved.len() != self.operators.len() || counts.len() != self.operators.len() {
            return Err((0, RestoreError(format!("it holds {} operators", saved.len()))));
        }
        for (index, (operator, saved)) in self.operators.iter_mut().zip(saved).enumerate() {
            operator.restore(saved).map_err(|error| (index, error))?;
        }
        self.counts = counts;
        self.digests.iter_mut().zip(digests).for_each(|(digest, saved)| *digest = Digest(*saved));
        Ok(())
    }
}

/// Gives rows to an operator; what it makes of them.
fn call(
    operator: &mut dyn Operator,
    entry: &Entry,
    verdict: Option<&Verdict>,
    rows: Rows,
    digest: &mut Digest,
    shadow: &mut Option<Feed>,
) -> Result<(Rows, Trouble), Halted> {
    let Entry { run, era, .. } = entry;
    let (arrival, wall) = (run.arrival, run.trusted.then_some(run.wall));
    let mut context = Context { arrival, wall, era: *era, verdict, trouble: Trouble::default(), digest: *digest };
    let given = shadow.is_some().then(|| (rows.clone(), Spent::of(operator)));
    let made = operator.process(rows, &mut context)?;
    if let (Some(feed), Some((given, began))) = (&*shadow, given)
        && !feed.give(given, &made, &context, Spent::of(operator).since(began))
    {
        *shadow = None;
    }
    *digest = context.digest;
    let Trouble { rows: faulted, windows, .. } = &context.trouble;
    if verdict.is_some() || !faulted.is_empty() || !windows.is_empty() {
        // What faulted then, and what faults now: live and at replay the same together.
        let (then_rows, then_windows) = verdict.map_or((&[][..], &[][..]), |v| (&v.rows, &v.windows));
        let mut all: Vec<u32> = faulted.iter().map(|row| row.0).chain(then_rows.iter().copied()).collect();
        all.sort_unstable();
        digest.numbers(&all);
        let mut all: Vec<u32> = windows.iter().map(|window| window.0).chain(then_windows.iter().copied()).collect();
        all.sort_unstable();
        digest.numbers(&all);
    }
    Ok((made, context.trouble))
}

/// Rows that meet an operator in quarantine.
fn by(held: &Held, operator: &dyn Operator, rows: Rows) -> (Rows, Trouble) {
    let count = rows.batch.rows();
    if held.shown.policy == OnQuarantine::Bypass
        && let Some(passed) = operator.pass(rows.clone())
    {
        return (passed, Trouble { passed: count, ..Trouble::default() });
    }
    let aside = (0..count as u32).map(|row| rows.origin(row)).collect();
    (Rows::none(operator.schema()), Trouble { aside, ..Trouble::default() })
}

/// What plugins that look things up may look them up in.
fn tables(options: &PipelineOptions) -> BTreeMap<String, u64> {
    let looking = options.operators.iter().filter(|operator| operator.plugin.imports().contains(&Grant::Lookup));
    looking.flat_map(|o| o.limits.tables.iter()).map(|(name, table)| (name.into(), short(table.hash()))).collect()
}

/// The first 8 bytes of a SHA-256.
fn short(hash: &[u8; 32]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *hash;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
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
    if option.on_quarantine == OnQuarantine::Bypass && !matches!(kind, Kind::Filter | Kind::Transform) {
        return wrong(&format!(
            "on_quarantine = \"bypass\" is for filter and transform: past a {kind} there is nothing that goes on; say \
             \"halt\" or \"dead_letter\""
        ));
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
