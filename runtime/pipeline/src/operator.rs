//! Operators: a plugin with what the host does around it.

mod detect;
mod filter;
mod keyed;
mod transform;
mod window;

use crate::digest::Digest;
use crate::entry::Era;
use crate::rows::Rows;
use serde::{Deserialize, Serialize};
use tidegate_record::{Blobs, Schema};
use tidegate_sandbox::{Fault, FaultKind, Halted};

pub(crate) use detect::Detect;
pub(crate) use filter::Filter;
pub(crate) use transform::Transform;
pub(crate) use window::Window;

/// What an operator is told of the entry in hand, and where it notes what went wrong.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    /// Arrival time of the entry.
    pub arrival: i64,
    /// The date then, where the wall clock was trusted.
    pub wall: Option<i64>,
    /// The clock of its event times, where the gateway set them.
    pub era: Option<Era>,
    /// At replay: what faulted in this operator at this entry when it was live.
    pub verdict: Option<&'a Verdict>,
    /// What went wrong now.
    pub trouble: Trouble,
    /// What the plugin answered so far, and now.
    pub digest: Digest,
}

impl Context<'_> {
    /// What a plugin is told of it.
    pub(crate) fn told(&self) -> tidegate_sandbox::Arrival {
        tidegate_sandbox::Arrival { clock: self.arrival, wall: self.wall }
    }
}

/// Which rows (of the operator's input) and which windows (in the order of closing) faulted. Committed with the outputs
/// and obeyed by replay: time-outs are not deterministic.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Verdict {
    pub rows: Vec<u32>,
    pub windows: Vec<u32>,
}

/// What an operator could not do with an entry.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    /// Faulted rows (of the operator's input) with the row of the entry each comes from.
    pub rows: Vec<(u32, u32, Fault)>,
    /// Faulted windows (in the order of closing) with device and start.
    pub windows: Vec<(u32, String, i64, Fault)>,
    /// Late rows, as rows of the entry.
    pub late: Vec<u32>,
    /// Rows of devices beyond `max_keys`, as rows of the entry.
    pub overflow: Vec<u32>,
    /// Rows set aside since the plugin is in quarantine, as rows of the entry.
    pub aside: Vec<u32>,
    /// How many rows passed by a plugin in quarantine.
    pub passed: usize,
}

impl Trouble {
    /// Whether nothing went wrong.
    pub fn is_none(&self) -> bool {
        let Trouble { rows, windows, late, overflow, aside, passed } = self;
        rows.is_empty()
            && windows.is_empty()
            && late.is_empty()
            && overflow.is_empty()
            && aside.is_empty()
            && *passed == 0
    }

    /// What replay must obey. A record that was rejected was given to the plugin, whose state may be by it: it is given
    /// again, and rejected again.
    pub fn verdict(&self) -> Option<Verdict> {
        let broke = self.rows.iter().filter(|(.., fault)| fault.kind != FaultKind::Rejected);
        let verdict =
            Verdict { rows: broke.map(|row| row.0).collect(), windows: self.windows.iter().map(|w| w.0).collect() };
        (verdict != Verdict::default()).then_some(verdict)
    }
}

/// What an operator must keep to go on after a restart: opaque bytes, and its plugin's states by slot.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SavedOperator {
    pub host: Vec<u8>,
    pub version: u32,
    pub slots: Vec<u32>,
    pub offsets: Vec<u32>,
    pub states: Vec<u8>,
}

impl SavedOperator {
    fn new(host: Vec<u8>, version: u32, slots: Vec<u32>, states: &Blobs) -> Self {
        SavedOperator { host, version, slots, offsets: states.offsets().to_vec(), states: states.data().to_vec() }
    }

    fn states(&self) -> Result<Blobs, RestoreError> {
        let blobs = Blobs::from_parts(self.offsets.clone(), self.states.clone());
        blobs.filter(|b| b.len() == self.slots.len()).ok_or_else(|| RestoreError("its states are cut short".into()))
    }
}

/// Why a snapshot cannot be gone on from.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub(crate) struct RestoreError(pub String);

/// A step that turns records into records.
pub(crate) trait Operator: Send {
    /// The fields of what it makes.
    fn schema(&self) -> &std::sync::Arc<Schema>;
    /// The plugin's name and version.
    fn plugin(&self) -> String;
    /// One entry's worth of rows (none for a tick). Where it halts, its row is one of the entry's.
    fn process(&mut self, rows: Rows, context: &mut Context<'_>) -> Result<Rows, Halted>;
    /// The rows as they go on when the plugin is in quarantine; `None` where no row can do without it.
    fn pass(&self, rows: Rows) -> Option<Rows> {
        let _ = rows;
        None
    }
    /// The arrival time at which it wants to be called even if nothing arrives.
    fn due(&self) -> Option<i64> {
        None
    }
    /// The newest event time it has seen.
    fn newest(&self) -> Option<i64> {
        None
    }
    /// How many windows it has had finished, and the nanoseconds that took.
    fn finished(&self) -> (u64, u64) {
        (0, 0)
    }
    /// What runs its plugin, for another version to take its place.
    fn runner(&mut self) -> &mut tidegate_sandbox::Runner;
    /// The slots in use.
    fn slots(&self) -> Vec<u32>;
    /// For a snapshot.
    fn save(&mut self) -> Result<SavedOperator, Halted>;
    /// Goes on from a snapshot.
    fn restore(&mut self, saved: SavedOperator) -> Result<(), RestoreError>;
}

/// `name version` of a runner's plugin.
fn plugin_name(runner: &tidegate_sandbox::Runner) -> String {
    let about = runner.plugin().about();
    format!("{} {}", about.name, about.version)
}
