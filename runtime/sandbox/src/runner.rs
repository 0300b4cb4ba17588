//! What pipelines use: a configured plugin that outlives its faults.
//!
//! A fault poisons the instance it happens in. So the runner keeps, in memory, the last saved state of every slot and
//! a bounded journal of what was done since; after a fault it makes a new instance, brings its slots back to where they
//! stood, and probes the faulted call by halves for the record at fault. That record costs itself and nothing else:
//! what comes out is what would have come out if it had never been there.

mod budget;
mod drive;
mod handover;
mod recover;
mod room;
mod rows;
mod work;

use crate::base::Base;
use crate::guest::Guest;
use crate::journal::Journal;
use crate::lines::Logger;
use crate::setup::Setup;
use crate::stats::Meters;
use crate::{Arrival, ConfigureError, Fault, Finished, Halted, Limits, Plan, Plugin, StateError, Stats, Window};
use room::Room;
use std::sync::Arc;
use tidegate_record::{Blobs, Column, Schema};
use work::{Finish, Merge};

pub use handover::{Carried, Misfit};

/// A configured plugin that outlives its faults. Single-threaded: move it to the thread that uses it.
///
/// The results and the state are those of the records given, in order; how they are cut into calls does not show. After
/// a [`Halted`], every further call is likely to halt again: the pipeline stops.
pub struct Runner {
    setup: Setup,
    /// Lost at a fault, made anew at the next call.
    guest: Option<Guest>,
    base: Base,
    journal: Journal,
    /// Slots saved since a handover began, where one did.
    touched: Option<handover::Touched>,
    faults_in_row: u32,
    /// Rises by [`STORM_SHARE`](crate::limits::STORM_SHARE) with every item at fault, falls by one with every other.
    storm: u32,
    room: Room,
    /// What it is given was given before, and what faulted then is left out.
    replaying: bool,
    recycle_bytes: usize,
    /// When what it is given arrived.
    arrival: Arrival,
    logger: Logger,
    meters: Meters,
}

impl Runner {
    /// Configures a plugin for records of `fields`. `params`: a JSON object.
    pub fn new(plugin: Arc<Plugin>, params: &str, fields: &Schema, limits: &Limits) -> Result<Runner, ConfigureError> {
        let (setup, guest) = Setup::new(plugin, params, fields, limits)?;
        let meters = Meters::new(&setup.plugin.about.name, setup.plugin.label.clone(), Arc::default());
        Ok(Runner {
            recycle_bytes: recover::recycle_bytes(limits.memory_bytes),
            setup,
            guest: Some(guest),
            base: Base::default(),
            journal: Journal::default(),
            touched: None,
            faults_in_row: 0,
            storm: 0,
            room: Room::default(),
            replaying: false,
            arrival: Arrival::default(),
            logger: Logger::new(&limits.log),
            meters,
        })
    }

    /// Names the operator on `/metrics`, such as `climate/0`; without it the plugin's name stands there.
    pub fn named(mut self, operator: &str) -> Runner {
        self.meters = self.meters.renamed(operator);
        self
    }

    /// Says when what it is given from now on arrived; results may depend on it where the clock is granted.
    pub fn at(&mut self, arrival: Arrival) {
        self.arrival = arrival;
    }

    /// Says whether what it is given from now on was given before, without the records at fault then: those that passed are
    /// not held to a limit of fuel once more, for another instance may take more over them.
    pub fn replays(&mut self, replaying: bool) {
        self.replaying = replaying;
    }

    /// The plugin it runs.
    pub fn plugin(&self) -> &Arc<Plugin> {
        &self.setup.plugin
    }

    /// What it reads and makes.
    pub fn plan(&self) -> &Plan {
        &self.setup.plan
    }

    /// What it has done so far.
    pub fn stats(&self) -> &Arc<Stats> {
        &self.meters.stats
    }

    /// Aggregate: slot `into[i]` takes in slot `later[i]`, whose rows are later and which stays as it was. Gives the
    /// pairs at fault, which were not merged.
    pub fn merge(&mut self, into: &[u32], later: &[u32]) -> Result<Vec<(usize, Fault)>, Halted> {
        assert_eq!(into.len(), later.len(), "merge is given pairs");
        let mut faults = Vec::new();
        self.drive(&Merge { into, later }, |range, outcome| {
            faults.extend(outcome.err().map(|fault| (range.start, fault)));
        })?;
        Ok(faults)
    }

    /// Aggregate: the results of windows. State stays as it was: a window may be read early and again.
    pub fn finish(&mut self, windows: &[Window]) -> Result<Finished, Halted> {
        let mut columns: Vec<Column> = self.setup.plan.emits.iter().map(|f| Column::empty(f.scalar)).collect();
        let mut faults = Vec::new();
        let scalars: Vec<_> = self.setup.plan.emits.iter().map(|f| f.scalar).collect();
        self.drive(&Finish { windows }, |range, outcome| {
            let made = outcome.unwrap_or_else(|fault| {
                faults.push((range.start, fault));
                scalars.iter().map(|&scalar| Column::nulls(scalar, 1)).collect()
            });
            columns.iter_mut().zip(&made).for_each(|(all, some)| all.extend(some));
        })?;
        self.meters.made(windows.len() - faults.len(), 0);
        Ok(Finished { columns, faults })
    }

    /// The version of the states [`Runner::save`] gives; 0 where the plugin keeps none.
    pub fn state_version(&self) -> u32 {
        self.setup.state_version
    }

    /// The state of each slot; empty where it was never touched.
    pub fn save(&mut self, slots: &[u32]) -> Result<Blobs, Halted> {
        self.rebase()?;
        let mut states = Blobs::default();
        slots.iter().for_each(|&slot| states.push(self.base.at(slot)));
        Ok(states)
    }

    /// Replaces the state of slots by saved ones, which may be of an older version.
    pub fn load(&mut self, version: u32, slots: &[u32], states: &Blobs) -> Result<(), StateError> {
        assert_eq!(slots.len(), states.len(), "load is given a state a slot");
        self.load_states(version, slots, states)
    }

    /// Forgets slots: their numbers will be used again.
    pub fn release(&mut self, slots: &[u32]) -> Result<(), Halted> {
        if !self.setup.plugin.has_state || slots.is_empty() {
            return Ok(());
        }
        let mut guest = self.take_guest()?;
        // Noted first: where the call faults, the next instance is brought here by doing it again.
        self.journal.released(slots);
        match guest.release(slots) {
            Ok(()) => self.guest = Some(guest),
            Err(fault) => drop(self.faulted(fault)?),
        }
        if self.journal.is_full() { self.rebase() } else { Ok(()) }
    }
}
