//! One version of a plugin goes on where another stands, while records come in.
//!
//! The old one gives away all its states first, and then, as often as is asked, those touched since: so most of them are
//! taken in by the new one elsewhere, and only the last few while nobody works.

use super::Runner;
use crate::{Halted, StateError};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tidegate_record::Blobs;

/// Tells handovers apart.
static HANDOVERS: AtomicU64 = AtomicU64::new(0);

/// Slots saved since a handover began.
pub(super) struct Touched {
    handover: u64,
    marks: Vec<bool>,
}

/// States on their way from one version to another.
#[derive(Debug, Clone, Default)]
pub struct Carried {
    /// The handover they are part of.
    pub handover: u64,
    /// The version of these states.
    pub version: u32,
    /// The slots that have one.
    pub slots: Vec<u32>,
    /// Theirs.
    pub states: Blobs,
    /// Slots that have none any more.
    pub gone: Vec<u32>,
}

/// Why another version cannot take over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// It is another plugin.
    #[error("{found} is not another version of {plugin}: its name would let the pipeline begin anew")]
    Name {
        /// What runs.
        plugin: String,
        /// What was to take over.
        found: String,
    },
    /// It is of another kind.
    #[error("{found} is of another kind than {plugin}")]
    Kind {
        /// What runs.
        plugin: String,
        /// What was to take over.
        found: String,
    },
    /// It makes other fields.
    #[error("{found} emits other fields than {plugin}, which the stream behind it has not")]
    Emits {
        /// What runs.
        plugin: String,
        /// What was to take over.
        found: String,
    },
    /// It keeps no state where there is some.
    #[error("{found} keeps no state, and {plugin} has some that would be lost")]
    State {
        /// What runs.
        plugin: String,
        /// What was to take over.
        found: String,
    },
}

impl Runner {
    /// Whether this one can go on where `before` stands. What it reads, and whether it asks for times and slots, may
    /// differ: that is between it and its caller alone.
    pub fn fits(&self, before: &Runner) -> Result<(), Misfit> {
        let (old, new) = (&before.setup.plugin, &self.setup.plugin);
        let (plugin, found) = (old.label.to_string(), new.label.to_string());
        if old.kind != new.kind {
            Err(Misfit::Kind { plugin, found })
        } else if before.setup.plan.emits != self.setup.plan.emits {
            Err(Misfit::Emits { plugin, found })
        } else if old.has_state && !new.has_state {
            Err(Misfit::State { plugin, found })
        } else {
            Ok(())
        }
    }

    /// Whether it is another version of the same plugin, which a restart would go on from, too.
    pub fn succeeds(&self, before: &Runner) -> Result<(), Misfit> {
        let (old, new) = (&before.setup.plugin, &self.setup.plugin);
        if old.about.name == new.about.name {
            return self.fits(before);
        }
        Err(Misfit::Name { plugin: old.label.to_string(), found: new.label.to_string() })
    }

    /// Begins to hand over: the states of `slots`. What is touched from here on is noted for [`Runner::changed`].
    pub fn hand_over(&mut self, slots: &[u32]) -> Result<Carried, Halted> {
        self.rebase()?;
        let handover = HANDOVERS.fetch_add(1, Relaxed);
        self.touched = Some(Touched { handover, marks: Vec::new() });
        let mut carried = self.carried(handover, slots);
        // Who begins has no states that could be gone.
        carried.gone.clear();
        Ok(carried)
    }

    /// The states of slots touched since it was asked last; `None` where that handover is not on: another one began, or this
    /// runner is not the one it began with.
    pub fn changed(&mut self, handover: u64) -> Result<Option<Carried>, Halted> {
        self.rebase()?;
        let Some(touched) = self.touched.as_mut().filter(|touched| touched.handover == handover) else {
            return Ok(None);
        };
        let marks = std::mem::take(&mut touched.marks);
        let slots: Vec<u32> = (0..).zip(&marks).filter(|&(_, &mark)| mark).map(|(slot, _)| slot).collect();
        Ok(Some(self.carried(handover, &slots)))
    }

    /// Takes in what another version gave away.
    pub fn carry(&mut self, carried: &Carried) -> Result<(), StateError> {
        self.release(&carried.gone)?;
        if !carried.slots.is_empty() {
            self.load_states(carried.version, &carried.slots, &carried.states)?;
        }
        Ok(())
    }

    /// The name it counts under on `/metrics`.
    pub fn operator(&self) -> &str {
        self.meters.operator()
    }

    /// Counts on `/metrics` under another name, such as one that says that it is a shadow.
    pub fn label(&mut self, operator: &str) {
        self.meters = self.meters.renamed(operator);
    }

    /// `next` takes this one's place: it goes on with its counts.
    pub fn give_way(&mut self, next: Runner) {
        let before = std::mem::replace(self, next);
        self.meters = before.meters.of(self.setup.plugin.label.clone());
        self.logger = before.logger;
        self.arrival = before.arrival;
    }

    fn carried(&self, handover: u64, slots: &[u32]) -> Carried {
        let (slots, gone) = slots.iter().partition(|&&slot| !self.base.at(slot).is_empty());
        let version = self.setup.state_version;
        let mut carried = Carried { handover, version, slots, states: Blobs::default(), gone };
        carried.slots.iter().for_each(|&slot| carried.states.push(self.base.at(slot)));
        carried
    }

    /// Notes which slots were touched, while a handover is on.
    pub(super) fn note(&mut self, slots: &[u32]) {
        let Some(Touched { marks, .. }) = &mut self.touched else { return };
        let end = slots.iter().max().map_or(0, |&max| max as usize + 1);
        if end > marks.len() {
            marks.resize(end, false);
        }
        slots.iter().for_each(|&slot| marks[slot as usize] = true);
    }
}
