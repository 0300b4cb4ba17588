//! Windows that a step of the gateway's clock left behind: their device's times go on elsewhere.
//!
//! They close when they would have without the step: once their own clock, which the arrival clock carries on, has
//! passed their end and the lateness bound, or once their device falls silent.

use super::{Closed, Device};
use crate::WindowOptions;
use crate::entry::Era;
use crate::rows::Stamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A clock that moved further has been stepped.
const STEP_US: i64 = 1_000_000;
/// Most windows left open; those due first close early.
pub(super) const LEFT_MAX: usize = 65_536;

/// The windows left behind, by when they are due.
#[derive(Debug, Default)]
pub(super) struct Left {
    windows: BTreeSet<Window>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Window {
    /// The arrival at which it closes.
    due: i64,
    key: u32,
    start: i64,
    slot: u32,
    stamp: Stamp,
}

/// What of it must be kept to go on after a restart: the clocks of the devices in their order, and the windows.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct SavedEras {
    devices: Vec<Option<Era>>,
    left: BTreeSet<Window>,
}

impl SavedEras {
    pub(super) fn new(devices: Vec<Option<Era>>, left: &Left) -> Self {
        SavedEras { devices, left: left.windows.clone() }
    }

    pub(super) fn split(self) -> (Vec<Option<Era>>, Left) {
        (self.devices, Left { windows: self.left })
    }
}

impl Left {
    /// The clock of a device's times is another now. Where that is no more than a new name for it the device goes on.
    pub(super) fn step(&mut self, key: u32, device: &mut Device, now: Option<Era>, options: &WindowOptions) {
        let (before, after) = (std::mem::replace(&mut device.era, now), now);
        let (Some(before), Some(after)) = (before, after) else { return };
        if after.offset.saturating_sub(before.offset).saturating_abs() <= STEP_US {
            return;
        }
        let windows = device.open.drain(..).map(|open| Window {
            due: open.start.saturating_add(options.size).saturating_add(options.lateness).saturating_sub(before.offset),
            key,
            start: open.start,
            slot: open.slot,
            stamp: Some(before.since),
        });
        self.windows.extend(windows);
        (device.newest, device.closed_to) = (i64::MIN, i64::MIN);
    }

    /// Takes out the windows that are due at `arrival`.
    pub(super) fn due(&mut self, arrival: i64, size: i64) -> Vec<Closed> {
        let mut closed = Vec::new();
        while let Some(first) = self.windows.first() {
            if first.due > arrival && self.windows.len() <= LEFT_MAX {
                break;
            }
            closed.extend(self.windows.pop_first().map(|window| window.closed(size)));
        }
        closed
    }

    /// Takes out the windows of some devices; gives them by device.
    pub(super) fn of(&mut self, keys: impl Iterator<Item = u32>, size: i64) -> BTreeMap<u32, Vec<Closed>> {
        let mut of: BTreeMap<u32, Vec<Closed>> = keys.map(|key| (key, Vec::new())).collect();
        if of.is_empty() || self.windows.is_empty() {
            return of;
        }
        // One look at each for all devices: many fall silent together.
        self.windows.retain(|window| match of.get_mut(&window.key) {
            Some(windows) => {
                windows.push(window.closed(size));
                false
            }
            None => true,
        });
        of
    }

    pub(super) fn first_due(&self) -> Option<i64> {
        self.windows.first().map(|window| window.due)
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = u32> {
        self.windows.iter().map(|window| window.slot)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }
}

impl Window {
    fn closed(&self, size: i64) -> Closed {
        let Window { key, start, slot, stamp, .. } = *self;
        Closed { key, slot, start, end: start.saturating_add(size), stamp, row: 0 }
    }
}
