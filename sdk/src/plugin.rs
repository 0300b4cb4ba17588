//! What a plugin implements.

use crate::{Batch, Column, Fault, Field, Finding, Issue, Params};

/// What a plugin says about itself; [`crate::export!`] takes it from the crate's manifest.
#[derive(Debug, Clone, Copy)]
pub struct About {
    /// `CARGO_PKG_NAME`.
    pub name: &'static str,
    /// `CARGO_PKG_VERSION`.
    pub version: &'static str,
    /// `CARGO_PKG_DESCRIPTION`.
    pub summary: &'static str,
}

/// What a configured plugin reads and makes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// The fields that cross to it, in this order.
    pub reads: Vec<String>,
    /// Whether event times cross.
    pub times: bool,
    /// Whether slots cross; [`crate::export!`] sees to it where there is state.
    pub slots: bool,
    /// The fields an aggregate makes of a window.
    pub emits: Vec<Field>,
}

/// A plugin, configured.
pub trait Plugin: Sized + 'static {
    /// Its parameters.
    type Params: Params;

    /// Checks parameters against the fields there are; tells all that is wrong.
    fn configure(params: Self::Params, fields: &[Field]) -> Result<(Self, Plan), Vec<Issue>>;
}

/// A plugin that keeps or drops records.
pub trait Filter: Plugin {
    /// A byte a row, 1 = keep. What is pushed to `faults` is set aside.
    fn keep(&mut self, batch: &Batch, faults: &mut Vec<Fault>) -> Vec<u8>;
}

/// A plugin that finds anomalies.
pub trait Detect: Plugin {
    /// Pushes findings with their rows. Gives a score a row, or nothing.
    fn score(&mut self, batch: &Batch, findings: &mut Vec<(u32, Finding)>, faults: &mut Vec<Fault>)
    -> Option<Vec<f64>>;
}

/// A window to be finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Its slot.
    pub slot: u32,
    /// First event time in it, microseconds since the epoch.
    pub start: i64,
    /// First event time after it.
    pub end: i64,
}

/// A plugin that makes one result of a window's records.
pub trait Aggregate: Plugin + State {
    /// Adds rows to their slots.
    fn update(&mut self, batch: &Batch, faults: &mut Vec<Fault>);

    /// Slot `into` takes in slot `later`, whose rows are later. `later` stays as it was.
    fn merge(&mut self, into: u32, later: u32);

    /// A column a field of [`Plan::emits`], a row a window. State stays as it was.
    fn finish(&mut self, windows: &[Window]) -> Vec<Column>;
}

/// State by slot. [`crate::Slots`] keeps it for plugins whose state is a struct.
pub trait State {
    /// Of the saved form; raise it when that changes, and read the older ones in [`State::load`].
    const VERSION: u32 = 1;

    /// Appends a slot's state; nothing for a slot that was never touched.
    fn save(&self, slot: u32, out: &mut Vec<u8>);

    /// Replaces a slot's state by a saved one, empty for a slot never touched.
    fn load(&mut self, version: u32, slot: u32, state: &[u8]) -> Result<(), String>;

    /// Forgets a slot: its number will be used again.
    fn release(&mut self, slot: u32);
}

/// What an author's function may give: the thing itself, or a reason why the record is set aside.
#[doc(hidden)]
pub mod outcome {
    /// `T`, or `Result<T, impl Display>`.
    pub trait Outcome<T> {
        /// The thing, or the reason.
        fn outcome(self) -> Result<T, String>;
    }

    macro_rules! plain {
        ($($plain:ty),*) => {$(
            impl Outcome<$plain> for $plain {
                fn outcome(self) -> Result<$plain, String> {
                    Ok(self)
                }
            }
        )*};
    }
    plain!(bool, (), Option<crate::Finding>);

    impl<T, E: std::fmt::Display> Outcome<T> for Result<T, E> {
        fn outcome(self) -> Result<T, String> {
            self.map_err(|error| error.to_string())
        }
    }
}
