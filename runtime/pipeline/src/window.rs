//! Tumbling windows on event time, per device: which window a record falls into, which records are late, which windows
//! are closed by what. Knows no plugin, no clock and no I/O.

mod left;

use crate::WindowOptions;
use crate::entry::Era;
use crate::keys::{Keys, NO_KEY};
use crate::rows::Stamp;
use left::Left;
pub(crate) use left::SavedEras;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use tidegate_record::Batch;

/// The windows of all devices of one operator.
///
/// A device's watermark is its newest event time less the lateness bound. A window is closed once its end is not after
/// the watermark, or once the device has been silent for the idle time-out; a record of a closed window is late.
#[derive(Debug)]
pub(crate) struct Windows {
    options: WindowOptions,
    keys: Keys,
    devices: Vec<Device>,
    slots: Slots,
    /// (arrival at which it may have been silent too long, device), one entry a device with open windows. An entry may
    /// be early (the device was heard since): it is put back when it comes up.
    idle: BTreeSet<(i64, u32)>,
    left: Left,
}

/// One device's windows.
#[derive(Debug, Clone)]
struct Device {
    newest: i64,
    /// Windows that end here or before are closed.
    closed_to: i64,
    last_arrival: i64,
    /// The clock of its times, where the gateway sets them.
    era: Option<Era>,
    queued: bool,
    /// Open windows by start, oldest first.
    open: Vec<Open>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Open {
    start: i64,
    slot: u32,
}

/// A window that takes no more records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closed {
    pub key: u32,
    pub slot: u32,
    pub start: i64,
    pub end: i64,
    /// Whose clock start and end are of.
    pub stamp: Stamp,
    /// The row that closed it; 0 where time did.
    pub row: u32,
}

/// Where the rows of a batch belong.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Assigned {
    /// A slot a row; [`NO_KEY`] for rows that are late or have no room.
    pub slots: Vec<u32>,
    /// Rows beyond the lateness bound.
    pub late: Vec<u32>,
    /// Rows of a new device when there were too many devices already.
    pub overflow: Vec<u32>,
    /// Windows closed by these rows, in the order of the rows.
    pub closed: Vec<Closed>,
}

/// What must be kept to go on after a restart.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Saved {
    devices: Vec<SavedDevice>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct SavedDevice {
    name: String,
    newest: i64,
    closed_to: i64,
    last_arrival: i64,
    open: Vec<Open>,
}

impl Windows {
    /// No devices yet.
    pub fn new(options: WindowOptions, max_keys: usize) -> Self {
        Windows {
            options,
            keys: Keys::new(max_keys),
            devices: Vec::new(),
            slots: Slots::default(),
            idle: BTreeSet::new(),
            left: Left::default(),
        }
    }

    /// The devices.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Assigns each row to a window and closes what the rows close. `era` gives the clock of a row's time, where the
    /// gateway set it: once that was stepped a device begins anew, so that no record is late and no window closes for it.
    pub fn assign(&mut self, batch: &Batch, arrival: i64, era: impl Fn(usize) -> Option<Era>) -> Assigned {
        let numbers = self.keys.number(batch);
        let fresh = Device {
            newest: i64::MIN,
            closed_to: i64::MIN,
            last_arrival: arrival,
            era: None,
            queued: false,
            open: Vec::new(),
        };
        self.devices.resize(self.keys.names().len(), fresh);
        let WindowOptions { size, lateness, idle } = self.options;
        let mut out = Assigned { slots: Vec::with_capacity(batch.rows()), ..Assigned::default() };
        for (row, (&key, &time)) in numbers.iter().zip(batch.times()).enumerate() {
            if key == NO_KEY {
                out.overflow.push(row as u32);
                out.slots.push(NO_KEY);
                continue;
            }
            let device = &mut self.devices[key as usize];
            device.last_arrival = arrival;
            let era = era(row);
            if era.is_some() && device.era != era {
                self.left.step(key, device, era, &self.options);
            }
            let start = device.start_of(time, size);
            if start.saturating_add(size) <= device.closed_to {
                out.late.push(row as u32);
                out.slots.push(NO_KEY);
                continue;
            }
            out.slots.push(device.slot(start, &mut self.slots));
            if !device.queued {
                device.queued = true;
                self.idle.insert((arrival.saturating_add(idle), key));
            }
            if time > device.newest {
                device.newest = time;
                device.close_to(time.saturating_sub(lateness), size, key, row as u32, &mut out.closed);
            }
        }
        out
    }

    /// Closes the windows of devices that have been silent for the idle time-out at `arrival`, the longest silent
    /// first.
    pub fn close_idle(&mut self, arrival: i64) -> Vec<Closed> {
        let mut silent = Vec::new();
        while let Some(&(due, key)) = self.idle.first() {
            if due > arrival {
                break;
            }
            self.idle.pop_first();
            let device = &mut self.devices[key as usize];
            let due = device.last_arrival.saturating_add(self.options.idle);
            if device.open.is_empty() {
                device.queued = false;
            } else if due <= arrival {
                device.queued = false;
                silent.push((due, key));
            } else {
                self.idle.insert((due, key));
            }
        }
        silent.sort_unstable();
        let mut closed = self.left.due(arrival, self.options.size);
        let mut left = self.left.of(silent.iter().map(|(_, key)| *key), self.options.size);
        for (_, key) in silent {
            closed.extend(left.remove(&key).unwrap_or_default());
            let device = &mut self.devices[key as usize];
            let end = device.open.last().map_or(i64::MIN, |o| o.start.saturating_add(self.options.size));
            device.close_to(end, self.options.size, key, 0, &mut closed);
        }
        closed
    }

    /// The arrival time at which [`Windows::close_idle`] is worth calling next.
    pub fn idle_due(&self) -> Option<i64> {
        self.idle.first().map(|&(due, _)| due).into_iter().chain(self.left.first_due()).min()
    }

    /// The windows were finished: their slots may be used again.
    pub fn free(&mut self, closed: &[Closed]) {
        self.slots.free.extend(closed.iter().map(|c| c.slot));
    }

    /// The device of the open window that has a slot.
    pub fn device_of(&self, slot: u32) -> Option<&str> {
        let key = self.devices.iter().position(|device| device.open.iter().any(|open| open.slot == slot))?;
        self.keys.named(key as u32)
    }

    /// The slots of all open windows.
    pub fn open_slots(&self) -> Vec<u32> {
        let open = self.devices.iter().flat_map(|d| d.open.iter().map(|o| o.slot));
        open.chain(self.left.slots()).collect()
    }

    /// The newest event time seen, of all devices.
    pub fn newest(&self) -> Option<i64> {
        self.devices.iter().map(|d| d.newest).max()
    }

    /// For a snapshot.
    pub fn save(&self) -> Saved {
        let device = |(name, d): (String, &Device)| SavedDevice {
            name,
            newest: d.newest,
            closed_to: d.closed_to,
            last_arrival: d.last_arrival,
            open: d.open.clone(),
        };
        Saved {
            devices: self.keys.names().iter().map(|name| name.to_string()).zip(&self.devices).map(device).collect(),
        }
    }

    /// What a snapshot needs beside that, where the gateway sets times.
    pub fn save_eras(&self) -> Option<SavedEras> {
        let any = !self.left.is_empty() || self.devices.iter().any(|device| device.era.is_some());
        any.then(|| SavedEras::new(self.devices.iter().map(|device| device.era).collect(), &self.left))
    }

    /// Goes on from a snapshot; these windows were empty before.
    pub fn restore(&mut self, saved: Saved, eras: SavedEras) {
        let (devices, left) = eras.split();
        self.left = left;
        let eras = devices.into_iter().chain(std::iter::repeat(None));
        for (saved, era) in saved.devices.into_iter().zip(eras) {
            let key = self.keys.key(&saved.name);
            if key == NO_KEY {
                continue;
            }
            let queued = !saved.open.is_empty();
            if queued {
                self.idle.insert((saved.last_arrival.saturating_add(self.options.idle), key));
            }
            self.devices.push(Device {
                newest: saved.newest,
                closed_to: saved.closed_to,
                last_arrival: saved.last_arrival,
                era,
                queued,
                open: saved.open,
            });
        }
        let used: BTreeSet<u32> = self.open_slots().into_iter().collect();
        self.slots.next = used.last().map_or(0, |last| last + 1);
        self.slots.free = (0..self.slots.next).filter(|slot| !used.contains(slot)).collect();
    }
}

impl Device {
    /// The start of the window `time` falls into; the newest open window is tried before dividing.
    fn start_of(&self, time: i64, size: i64) -> i64 {
        match self.open.last() {
            Some(o) if time >= o.start && time.checked_sub(o.start).is_some_and(|d| d < size) => o.start,
            _ => time.saturating_sub(time.rem_euclid(size)),
        }
    }

    /// The slot of the window that starts at `start`, a new one where it is not open yet.
    fn slot(&mut self, start: i64, slots: &mut Slots) -> u32 {
        match self.open.last() {
            Some(last) if last.start == start => return last.slot,
            Some(last) if last.start > start => {}
            _ => {
                let slot = slots.take();
                self.open.push(Open { start, slot });
                return slot;
            }
        }
        match self.open.binary_search_by_key(&start, |o| o.start) {
            Ok(at) => self.open[at].slot,
            Err(at) => {
                let slot = slots.take();
                self.open.insert(at, Open { start, slot });
                slot
            }
        }
    }

    /// Closes the windows that end at `to` or before.
    fn close_to(&mut self, to: i64, size: i64, key: u32, row: u32, closed: &mut Vec<Closed>) {
        if to <= self.closed_to {
            return;
        }
        self.closed_to = to;
        let ends = |o: &Open| o.start.saturating_add(size);
        let stamp = self.era.map(|era| era.since);
        let count = self.open.iter().take_while(|o| ends(o) <= to).count();
        closed.extend(self.open.drain(..count).map(|o| Closed {
            key,
            slot: o.slot,
            start: o.start,
            end: ends(&o),
            stamp,
            row,
        }));
    }
}

/// Dense numbers for windows, used again after a window is finished.
#[derive(Debug, Default)]
struct Slots {
    next: u32,
    free: Vec<u32>,
}

impl Slots {
    fn take(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.next += 1;
            self.next - 1
        })
    }
}

#[cfg(test)]
mod tests;
