//! Fuel: what a call costs in steps of the guest's code, which no other process and no other machine changes.
//!
//! An engine counts it or does not, since code is compiled for it. Only calls with records are held to
//! [`crate::Limits::call_fuel`]: what an instance takes to start, to save its state, to merge and finish windows or to be
//! brought where another stood is no record's doing.

use crate::context::Context;
use wasmtime::Store;

/// The fuel of one instance.
pub(crate) struct Fuel {
    /// Most that a call with records may take.
    call_max: u64,
    rationed: bool,
    /// What the call at hand began with.
    given: u64,
    burned: u64,
}

impl Fuel {
    /// `call_max`: [`crate::Limits::call_fuel`].
    pub(crate) fn new(call_max: Option<u64>) -> Self {
        Fuel { call_max: call_max.unwrap_or(u64::MAX), rationed: false, given: 0, burned: 0 }
    }

    /// Counts what is called from here on from nothing, and may hold it to the limit.
    pub(crate) fn ration(&mut self, rationed: bool) {
        (self.rationed, self.burned) = (rationed, 0);
    }

    /// What that took; calls after it have no limit.
    pub(crate) fn burned(&mut self) -> u64 {
        self.rationed = false;
        self.burned
    }

    /// Before a call, and before start functions: a store has none at first.
    pub(crate) fn fill(&mut self, store: &mut Store<Context>) {
        self.given = if self.rationed { self.call_max } else { u64::MAX };
        // An error where the engine counts none, and then there is no `Fuel`.
        let _ = store.set_fuel(self.given);
    }

    /// After a call, however it ended.
    pub(crate) fn read(&mut self, store: &Store<Context>) {
        let left = store.get_fuel().unwrap_or(self.given);
        self.burned = self.burned.saturating_add(self.given.saturating_sub(left));
    }
}
