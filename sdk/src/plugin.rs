//! What a plugin implements.

use crate::{Batch, Column, Fault, Field, FieldsHelp, Finding, Issue, Params, Table};

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
    /// The fields a transform or codec makes of its rows, an aggregate of a window.
    pub emits: Vec<Field>,
}

/// A plugin, configured.
pub trait Plugin: Sized + 'static {
    /// Its parameters.
    type Params: Params;

    /// Checks parameters against the fields there are; tells all that is wrong.
    fn configure(params: Self::Params, fields: &[Field]) -> Result<(Self, Plan), Vec<Issue>>;

    /// What the fields mean that it reads and emits, for `plugin inspect`; `None` where its parameters name them.
    fn fields_help() -> Option<FieldsHelp> {
        None
    }
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

/// A plugin that makes records of records.
pub trait Transform: Plugin {
    /// A column a field of [`Plan::emits`], a row a record made; [`Table::origin`] says which row each was made of.
    fn apply(&mut self, batch: &Batch) -> Table;
}

/// A plugin that makes records of frames: for wires nobody has a decoder for.
pub trait Codec: Plugin {
    /// As [`Transform::apply`]; the input's fields are `frame` and `topic`, and emitted fields `device` (text) and
    /// `time` (integer, microseconds since the epoch) become the record's own.
    fn decode(&mut self, batch: &Batch) -> Table;
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
    #[diagnostic::on_unimplemented(
        message = "the function gives `{Self}`, where `{T}` is expected",
        label = "not what this kind of plugin gives",
        note = "it may also be a Result of `{T}`, whose error sets the record aside"
    )]
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

    #[diagnostic::on_unimplemented(
        message = "`{Self}` is no record that is made",
        label = "not what a transform or codec gives",
        note = "it is a struct with #[derive(Emits)], an Option or a Vec of one, or a Result of these"
    )]
    /// The records a transform or codec makes of one: one, an `Option`, a `Vec`, or a `Result` of these.
    pub trait Made {
        /// A record made.
        type Row: crate::Emits;
        /// Gives each to `push`, or the reason why the record is set aside.
        fn each(self, push: impl FnMut(Self::Row)) -> Result<(), String>;
    }

    impl<E: crate::Emits> Made for E {
        type Row = E;
        fn each(self, mut push: impl FnMut(E)) -> Result<(), String> {
            push(self);
            Ok(())
        }
    }

    impl<E: crate::Emits> Made for Option<E> {
        type Row = E;
        fn each(self, push: impl FnMut(E)) -> Result<(), String> {
            self.into_iter().for_each(push);
            Ok(())
        }
    }

    impl<E: crate::Emits> Made for Vec<E> {
        type Row = E;
        fn each(self, push: impl FnMut(E)) -> Result<(), String> {
            self.into_iter().for_each(push);
            Ok(())
        }
    }

    impl<M: Made, E: std::fmt::Display> Made for Result<M, E> {
        type Row = M::Row;
        fn each(self, push: impl FnMut(M::Row)) -> Result<(), String> {
            self.map_err(|error| error.to_string())?.each(push)
        }
    }

    impl<T, E: std::fmt::Display> Outcome<T> for Result<T, E> {
        fn outcome(self) -> Result<T, String> {
            self.map_err(|error| error.to_string())
        }
    }
}
