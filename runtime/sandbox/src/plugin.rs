//! A loaded plugin.

use std::fmt;

/// The WIT package this host speaks.
pub(crate) const PACKAGE: &str = "tidegate:plugin@1.0.0";

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
    /// JSON Schema (2020-12) of its parameters.
    pub params: String,
}

/// A plugin, compiled and ready to be instantiated by [`crate::Runner`]s of any thread.
pub struct Plugin {
    pub(crate) about: About,
    pub(crate) kind: Kind,
    pub(crate) hash: [u8; 32],
    pub(crate) has_state: bool,
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
