//! A loaded plugin.

use crate::context::Context;
use crate::{Grant, KeyId, LoadProblem};
use std::fmt;
use std::sync::Arc;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre};

/// The WIT package this host speaks.
pub const PACKAGE: &str = "tidegate:plugin@1.0.0";

/// The full name of an interface of the contract.
pub(crate) fn interface(name: &str) -> String {
    let (package, version) = PACKAGE.split_once('@').unwrap_or((PACKAGE, ""));
    format!("{package}/{name}@{version}")
}

/// What a plugin is, by the interface it exports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Keeps or drops records.
    Filter,
    /// Makes records of records.
    Transform,
    /// Finds anomalies.
    Detect,
    /// Makes one result of a window's records.
    Aggregate,
    /// Makes records of frames.
    Codec,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 5] = [Kind::Filter, Kind::Transform, Kind::Detect, Kind::Aggregate, Kind::Codec];

    /// The word in configuration, which is also the interface's name.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Filter => "filter",
            Kind::Transform => "transform",
            Kind::Detect => "detect",
            Kind::Aggregate => "aggregate",
            Kind::Codec => "codec",
        }
    }

    /// The function that takes batches.
    pub(crate) fn function(self) -> &'static str {
        match self {
            Kind::Filter => "keep",
            Kind::Transform => "apply",
            Kind::Detect => "score",
            Kind::Aggregate => "update",
            Kind::Codec => "decode",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What a plugin says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// One line.
    pub summary: String,
    /// JSON Schema (2020-12) of its parameters, at most [`About::PARAMS_BYTES_MAX`] bytes.
    pub params: String,
}

impl About {
    /// The largest schema of parameters: pages parse it whenever somebody looks, and people read it.
    pub const PARAMS_BYTES_MAX: usize = 64 << 10;
}

/// A plugin, compiled and ready to be instantiated by [`crate::Runner`]s of any thread.
pub struct Plugin {
    pub(crate) about: About,
    pub(crate) kind: Kind,
    pub(crate) hash: [u8; 32],
    pub(crate) signer: Option<KeyId>,
    pub(crate) has_state: bool,
    pub(crate) counts_fuel: bool,
    pub(crate) imports: Vec<Grant>,
    /// `name version`, in faults.
    pub(crate) label: Arc<str>,
    pub(crate) pre: InstancePre<Context>,
    pub(crate) exports: Exports,
}

impl Plugin {
    /// Which kind it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What it says about itself.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// SHA-256 of the component.
    pub fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// The same as people read it: 64 hexadecimal digits.
    pub fn sha256(&self) -> String {
        crate::cache::hex(&self.hash)
    }

    /// Who of the trusted signed it; `None` where nobody did or nobody is trusted.
    pub fn signer(&self) -> Option<KeyId> {
        self.signer
    }

    /// The imports of the contract it uses.
    pub fn imports(&self) -> &[Grant] {
        &self.imports
    }

    /// Whether what its calls take in fuel is counted.
    pub fn counts_fuel(&self) -> bool {
        self.counts_fuel
    }

    /// Whether it keeps state in slots.
    pub fn has_state(&self) -> bool {
        self.has_state
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plugin").field("about", &self.about).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// Where a component's functions are, looked up once.
pub(crate) struct Exports {
    pub(crate) describe: ComponentExportIndex,
    pub(crate) configure: ComponentExportIndex,
    /// `keep`, `apply`, `score`, `update` or `decode`.
    pub(crate) rows: ComponentExportIndex,
    pub(crate) windows: Option<WindowExports>,
    pub(crate) state: Option<StateExports>,
}

pub(crate) struct WindowExports {
    pub(crate) merge: ComponentExportIndex,
    pub(crate) finish: ComponentExportIndex,
}

pub(crate) struct StateExports {
    pub(crate) version: ComponentExportIndex,
    pub(crate) save: ComponentExportIndex,
    pub(crate) load: ComponentExportIndex,
    pub(crate) release: ComponentExportIndex,
}

impl Exports {
    pub(crate) fn of(component: &Component, kind: Kind, state: bool) -> Result<Exports, LoadProblem> {
        let find = |interface_name: &str, function: &str| {
            let name = interface(interface_name);
            let instance = component.get_export_index(None, &name);
            let found = instance.and_then(|instance| component.get_export_index(Some(&instance), function));
            found.ok_or_else(|| LoadProblem::Shape { interface: name, detail: format!("no function {function}") })
        };
        let windows = match kind {
            Kind::Aggregate => {
                Some(WindowExports { merge: find("aggregate", "merge")?, finish: find("aggregate", "finish")? })
            }
            _ => None,
        };
        let state = match state {
            true => Some(StateExports {
                version: find("state", "version")?,
                save: find("state", "save")?,
                load: find("state", "load")?,
                release: find("state", "release")?,
            }),
            false => None,
        };
        Ok(Exports {
            describe: find("plugin", "describe")?,
            configure: find("plugin", "configure")?,
            rows: find(kind.word(), kind.function())?,
            windows,
            state,
        })
    }
}
