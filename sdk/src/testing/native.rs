//! The plugin of a crate as a native test calls it: by the same code as the gateway does.

use crate::bindings::aggregate::Windows;
use crate::bindings::plugin::{Issue, Plan};
use crate::bindings::{detect::Found, filter::Kept};
use crate::export::glue::{self, Held};
use crate::{Aggregate, Batch, Blobs, Codec, Column, Detect, Fault, Field, Filter, Plugin, State, Table, Transform};

/// What [`crate::export!`] makes a plugin known by.
pub trait Exported {
    /// A new instance, not configured yet.
    fn instance() -> Box<dyn Instance>;
}

/// What a plugin answers to a batch.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// A filter's.
    Kept(Kept),
    /// A detector's.
    Found(Found),
    /// A transform's or codec's.
    Made(Table),
    /// An aggregate's.
    Added(Vec<Fault>),
}

/// One running copy of a plugin.
pub trait Instance {
    /// See the contract for each of these.
    fn configure(&self, params: &str, fields: &[Field]) -> Result<Plan, Vec<Issue>>;
    #[allow(missing_docs)]
    fn rows(&self, batch: Batch) -> Answer;
    /// Whether it is an aggregate's.
    fn is_windowed(&self) -> bool;
    #[allow(missing_docs)]
    fn merge(&self, into: &[u32], later: &[u32]);
    #[allow(missing_docs)]
    fn finish(&self, windows: &Windows) -> Vec<Column>;
    /// Version and states of slots; none where it keeps no state.
    fn save(&self, slots: &[u32]) -> Option<(u32, Blobs)>;
    #[allow(missing_docs)]
    fn load(&self, version: u32, slots: &[u32], states: &Blobs) -> Result<(), String>;
    /// Forgets slots, where it keeps state.
    fn release(&self, slots: &[u32]);
}

type Rows<P> = fn(&Held<P>, Batch) -> Answer;
type Load<P> = fn(&Held<P>, u32, &[u32], &Blobs) -> Result<(), String>;
type Finish<P> = fn(&Held<P>, &Windows) -> Vec<Column>;
type Merge<P> = fn(&Held<P>, &[u32], &[u32]);

/// What a plugin has of the contract, put together by the interfaces it exports.
pub struct Of<P> {
    held: Held<P>,
    slots: bool,
    rows: Option<Rows<P>>,
    windows: Option<(Merge<P>, Finish<P>)>,
    state: Option<StateOf<P>>,
}

struct StateOf<P> {
    version: fn(&Held<P>) -> u32,
    save: fn(&Held<P>, &[u32]) -> Blobs,
    load: Load<P>,
    release: fn(&Held<P>, &[u32]),
}

#[allow(missing_docs)]
impl<P: Plugin> Of<P> {
    pub fn new(slots: bool) -> Self {
        Of { held: Held::new(None), slots, rows: None, windows: None, state: None }
    }

    fn answering(self, rows: Rows<P>) -> Self {
        Of { rows: Some(rows), ..self }
    }

    pub fn filter(self) -> Self
    where
        P: Filter,
    {
        self.answering(|held, batch| Answer::Kept(glue::keep(held, batch)))
    }

    pub fn detect(self) -> Self
    where
        P: Detect,
    {
        self.answering(|held, batch| Answer::Found(glue::score(held, batch)))
    }

    pub fn transform(self) -> Self
    where
        P: Transform,
    {
        self.answering(|held, batch| Answer::Made(glue::apply(held, batch)))
    }

    pub fn codec(self) -> Self
    where
        P: Codec,
    {
        self.answering(|held, batch| Answer::Made(glue::decode(held, batch)))
    }

    pub fn aggregate(self) -> Self
    where
        P: Aggregate,
    {
        let of = self.answering(|held, batch| Answer::Added(glue::update(held, batch)));
        Of { windows: Some((glue::merge, glue::finish)), ..of }
    }

    pub fn state(self) -> Self
    where
        P: State,
    {
        let state = StateOf { version: glue::version, save: glue::save, load: glue::load, release: glue::release };
        Of { state: Some(state), ..self }
    }
}

impl<P: Plugin> Instance for Of<P> {
    fn configure(&self, params: &str, fields: &[Field]) -> Result<Plan, Vec<Issue>> {
        glue::configure(&self.held, params, fields, self.slots)
    }

    fn rows(&self, batch: Batch) -> Answer {
        match self.rows {
            Some(rows) => rows(&self.held, batch),
            None => unreachable!("a plugin is of one kind"),
        }
    }

    fn is_windowed(&self) -> bool {
        self.windows.is_some()
    }

    fn merge(&self, into: &[u32], later: &[u32]) {
        self.windows.iter().for_each(|(merge, _)| merge(&self.held, into, later));
    }

    fn finish(&self, windows: &Windows) -> Vec<Column> {
        self.windows.map(|(_, finish)| finish(&self.held, windows)).unwrap_or_default()
    }

    fn save(&self, slots: &[u32]) -> Option<(u32, Blobs)> {
        self.state.as_ref().map(|state| ((state.version)(&self.held), (state.save)(&self.held, slots)))
    }

    fn load(&self, version: u32, slots: &[u32], states: &Blobs) -> Result<(), String> {
        self.state.as_ref().map_or(Ok(()), |state| (state.load)(&self.held, version, slots, states))
    }
    fn release(&self, slots: &[u32]) {
        self.state.iter().for_each(|state| (state.release)(&self.held, slots));
    }
}
