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
    fn finish(&self, windows: &Windows) -> Vec<Column>;
    /// Version and states of slots; none where it keeps no state.
    fn save(&self, slots: &[u32]) -> Option<(u32, Blobs)>;
    #[allow(missing_docs)]
    fn load(&self, version: u32, slots: &[u32], states: &Blobs) -> Result<(), String>;
}

type Rows<P> = fn(&Held<P>, Batch) -> Answer;
type Load<P> = fn(&Held<P>, u32, &[u32], &Blobs) -> Result<(), String>;
type Finish<P> = fn(&Held<P>, &Windows) -> Vec<Column>;

/// What a plugin has of the contract, put together by the interfaces it exports.
pub struct Of<P> {
    held: Held<P>,
    slots: bool,
    rows: Option<Rows<P>>,
    finish: Option<Finish<P>>,
    state: Option<StateOf<P>>,
}

struct StateOf<P> {
    version: fn(&Held<P>) -> u32,
    save: fn(&Held<P>, &[u32]) -> Blobs,
    load: Load<P>,
}

#[allow(missing_docs)]
impl<P: Plugin> Of<P> {
    pub fn new(slots: bool) -> Self {
        Of { held: Held::new(None), slots, rows: None, finish: None, state: None }
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
        Of { finish: Some(glue::finish), ..of }
    }

    pub fn state(self) -> Self
    where
        P: State,
    {
        Of { state: Some(StateOf { version: glue::version, save: glue::save, load: glue::load }), ..self }
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
        self.finish.is_some()
    }

    fn finish(&self, windows: &Windows) -> Vec<Column> {
        self.finish.map(|finish| finish(&self.held, windows)).unwrap_or_default()
    }

    fn save(&self, slots: &[u32]) -> Option<(u32, Blobs)> {
        self.state.as_ref().map(|state| ((state.version)(&self.held), (state.save)(&self.held, slots)))
    }

    fn load(&self, version: u32, slots: &[u32], states: &Blobs) -> Result<(), String> {
        self.state.as_ref().map_or(Ok(()), |state| (state.load)(&self.held, version, slots, states))
    }
}
