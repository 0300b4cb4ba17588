//! One instance, and calling into it.

use crate::context::Context;
use crate::fuel::Fuel;
use crate::lines::Said;
use crate::plugin::{Exports, Plugin};
use crate::ticker::{Beating, ticks};
use crate::wire::*;
use crate::{Arrival, Fault, Kind, Limits, LoadProblem, fault};
use std::sync::Arc;
use wasmtime::Store;
use wasmtime::component::{ComponentNamedList, Func, Lift, Lower, TypedFunc};

/// One sandboxed running copy of a plugin. After a fault it is worthless: drop it.
pub(crate) struct Guest {
    store: Store<Context>,
    funcs: Funcs,
    ticks: u64,
    /// Where the engine counts it.
    fuel: Option<Fuel>,
    label: Arc<str>,
}

/// The functions of an instance. Their types were checked when the plugin was loaded: [`Guest::check_types`].
#[derive(Clone, Copy)]
struct Funcs {
    describe: Func,
    configure: Func,
    rows: Func,
    windows: Option<WindowFuncs>,
    state: Option<StateFuncs>,
}

#[derive(Clone, Copy)]
struct WindowFuncs {
    merge: Func,
    finish: Func,
}

#[derive(Clone, Copy)]
struct StateFuncs {
    version: Func,
    save: Func,
    load: Func,
    release: Func,
}

impl Guest {
    /// A new instance, not configured yet.
    pub(crate) fn start(plugin: &Plugin, limits: &Limits) -> Result<Guest, Fault> {
        let mut store = Store::new(plugin.pre.engine(), Context::new(limits));
        store.limiter(|context| context);
        store.set_hostcall_fuel(limits.output_bytes);
        let ticks = ticks(limits.call_time);
        // A store's deadline starts at 0, and start functions run too.
        store.set_epoch_deadline(ticks);
        let mut fuel = plugin.counts_fuel.then(|| Fuel::new(limits.call_fuel));
        if let Some(fuel) = &mut fuel {
            fuel.fill(&mut store);
        }
        let started = {
            let _beating = Beating::start();
            plugin.pre.instantiate(&mut store)
        };
        let instance =
            started.map_err(|error| fault::of(&plugin.label, store.data().denied, limits.output_bytes, &error))?;
        let funcs = Funcs::find(&plugin.exports, |index| instance.get_func(&mut store, index));
        let funcs = funcs.ok_or_else(|| fault::bad_reply(&plugin.label, "an exported function is gone"))?;
        Ok(Guest { store, funcs, ticks, fuel, label: plugin.label.clone() })
    }

    /// Says when the batch of the next calls arrived; `None` for calls that bring none.
    pub(crate) fn at(&mut self, arrival: Option<Arrival>) {
        self.store.data_mut().arrival = arrival;
    }

    /// Counts the fuel of the calls up to [`Guest::burned`], and may hold them to `call_fuel`.
    pub(crate) fn ration(&mut self, rationed: bool) {
        if let Some(fuel) = &mut self.fuel {
            fuel.ration(rationed);
        }
    }

    /// The fuel they took; `None` where it is not counted.
    pub(crate) fn burned(&mut self) -> Option<u64> {
        self.fuel.as_mut().map(Fuel::burned)
    }

    /// What it said since the last time.
    pub(crate) fn said(&mut self) -> Said {
        std::mem::take(&mut self.store.data_mut().said)
    }

    /// Linear memory it has now, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.store.data().memory_bytes
    }

    pub(crate) fn describe(&mut self) -> Result<About, Fault> {
        self.call(self.funcs.describe, ()).map(|(about,)| about)
    }

    pub(crate) fn configure(&mut self, params: &str, fields: &[Field]) -> Result<Result<PlanOut, Vec<Issue>>, Fault> {
        self.looking(self.funcs.configure, (params, fields)).map(|(configured,)| configured)
    }

    pub(crate) fn keep(&mut self, batch: BatchIn<'_>) -> Result<KeptOut, Fault> {
        self.looking(self.funcs.rows, (batch,)).map(|(kept,)| kept)
    }

    pub(crate) fn score(&mut self, batch: BatchIn<'_>) -> Result<FoundOut, Fault> {
        self.looking(self.funcs.rows, (batch,)).map(|(found,)| found)
    }

    pub(crate) fn apply(&mut self, batch: BatchIn<'_>) -> Result<TableOut, Fault> {
        self.looking(self.funcs.rows, (batch,)).map(|(table,)| table)
    }

    pub(crate) fn update(&mut self, batch: BatchIn<'_>) -> Result<Vec<RowFault>, Fault> {
        self.looking(self.funcs.rows, (batch,)).map(|(faults,)| faults)
    }

    pub(crate) fn merge(&mut self, into: &[u32], later: &[u32]) -> Result<(), Fault> {
        match self.funcs.windows {
            Some(windows) => self.looking(windows.merge, (into, later)),
            None => Err(self.lacks("merge")),
        }
    }

    pub(crate) fn finish(&mut self, windows: WindowsIn<'_>) -> Result<Vec<ColumnOut>, Fault> {
        match self.funcs.windows {
            Some(funcs) => self.looking(funcs.finish, (windows,)).map(|(columns,)| columns),
            None => Err(self.lacks("finish")),
        }
    }

    pub(crate) fn state_version(&mut self) -> Result<u32, Fault> {
        match self.funcs.state {
            Some(state) => self.call(state.version, ()).map(|(version,)| version),
            None => Ok(0),
        }
    }

    pub(crate) fn save(&mut self, slots: &[u32]) -> Result<BlobsOut, Fault> {
        match self.funcs.state {
            Some(state) => self.call(state.save, (slots,)).map(|(blobs,)| blobs),
            None => Err(self.lacks("save")),
        }
    }

    pub(crate) fn load(
        &mut self,
        version: u32,
        slots: &[u32],
        states: BlobsIn<'_>,
    ) -> Result<Result<(), String>, Fault> {
        match self.funcs.state {
            Some(state) => self.looking(state.load, (version, slots, states)).map(|(loaded,)| loaded),
            None => Err(self.lacks("load")),
        }
    }

    pub(crate) fn release(&mut self, slots: &[u32]) -> Result<(), Fault> {
        match self.funcs.state {
            Some(state) => self.call(state.release, (slots,)),
            None => Ok(()),
        }
    }

    /// Calls an export that may ask for tables.
    fn looking<P, R>(&mut self, func: Func, params: P) -> Result<R, Fault>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift + 'static,
    {
        self.store.data_mut().may_look = true;
        let answer = self.call(func, params);
        self.store.data_mut().may_look = false;
        answer
    }

    /// Calls an export. The types must be those [`Guest::check_types`] checked for it.
    fn call<P, R>(&mut self, func: Func, params: P) -> Result<R, Fault>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift + 'static,
    {
        // SAFETY: every component is checked against exactly these types when it is loaded (`check_types`); they are
        // spelled again here because a type that borrows cannot be kept.
        let func = unsafe { TypedFunc::<P, R>::new_unchecked(func) };
        self.store.data_mut().denied = None;
        self.store.set_epoch_deadline(self.ticks);
        if let Some(fuel) = &mut self.fuel {
            fuel.fill(&mut self.store);
        }
        let answer = {
            let _beating = Beating::start();
            func.call(&mut self.store, params)
        };
        if let Some(fuel) = &mut self.fuel {
            fuel.read(&self.store);
        }
        answer.map_err(|error| {
            let output_bytes = self.store.hostcall_fuel();
            fault::of(&self.label, self.store.data().denied, output_bytes, &error)
        })
    }

    fn lacks(&self, function: &str) -> Fault {
        fault::bad_reply(&self.label, &format!("the plugin has no function {function}"))
    }

    /// Checks every function's type against the contract, once, when the plugin is loaded.
    pub(crate) fn check_types(&self, kind: Kind) -> Result<(), LoadProblem> {
        let Funcs { describe, configure, rows, windows, state } = self.funcs;
        self.check::<(), (About,)>("plugin", "describe", describe)?;
        self.check::<(&str, &[Field]), (Result<PlanOut, Vec<Issue>>,)>("plugin", "configure", configure)?;
        let (interface, function) = (kind.word(), kind.function());
        match kind {
            Kind::Filter => self.check::<(BatchIn<'_>,), (KeptOut,)>(interface, function, rows),
            Kind::Detect => self.check::<(BatchIn<'_>,), (FoundOut,)>(interface, function, rows),
            Kind::Aggregate => self.check::<(BatchIn<'_>,), (Vec<RowFault>,)>(interface, function, rows),
            Kind::Transform | Kind::Codec => self.check::<(BatchIn<'_>,), (TableOut,)>(interface, function, rows),
        }?;
        if let Some(windows) = windows {
            self.check::<(&[u32], &[u32]), ()>(interface, "merge", windows.merge)?;
            self.check::<(WindowsIn<'_>,), (Vec<ColumnOut>,)>(interface, "finish", windows.finish)?;
        }
        if let Some(state) = state {
            self.check::<(), (u32,)>("state", "version", state.version)?;
            self.check::<(&[u32],), (BlobsOut,)>("state", "save", state.save)?;
            self.check::<(u32, &[u32], BlobsIn<'_>), (Result<(), String>,)>("state", "load", state.load)?;
            self.check::<(&[u32],), ()>("state", "release", state.release)?;
        }
        Ok(())
    }

    fn check<P, R>(&self, interface: &str, function: &str, func: Func) -> Result<(), LoadProblem>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift,
    {
        func.typed::<P, R>(&self.store).map(|_| ()).map_err(|error| LoadProblem::Shape {
            interface: crate::plugin::interface(interface),
            detail: format!("{function}: {error:#}"),
        })
    }
}

impl Funcs {
    fn find(
        exports: &Exports,
        mut get: impl FnMut(&wasmtime::component::ComponentExportIndex) -> Option<Func>,
    ) -> Option<Funcs> {
        let windows = match &exports.windows {
            Some(windows) => Some(WindowFuncs { merge: get(&windows.merge)?, finish: get(&windows.finish)? }),
            None => None,
        };
        let state = match &exports.state {
            Some(state) => Some(StateFuncs {
                version: get(&state.version)?,
                save: get(&state.save)?,
                load: get(&state.load)?,
                release: get(&state.release)?,
            }),
            None => None,
        };
        let (describe, configure, rows) = (get(&exports.describe)?, get(&exports.configure)?, get(&exports.rows)?);
        Some(Funcs { describe, configure, rows, windows, state })
    }
}
