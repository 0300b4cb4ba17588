//! Devices by dense number.

use std::collections::HashMap;
use tidegate_record::Batch;

/// Which number each device has: the slot of its state, or an index into per-device tables. Numbers are given in order
/// of first sight and never change, so a log read again gives the same ones.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    numbers: HashMap<Box<str>, u32>,
    names: Vec<Box<str>>,
    max: usize,
}

/// A row whose device has no number because there are too many devices.
pub(crate) const NO_KEY: u32 = u32::MAX;

impl Keys {
    /// No devices yet, and room for `max`.
    pub fn new(max: usize) -> Self {
        Keys { numbers: HashMap::new(), names: Vec::new(), max }
    }

    /// The devices in the order of their numbers.
    pub fn names(&self) -> &[Box<str>] {
        &self.names
    }

    /// The name of device `key`.
    pub fn name(&self, key: u32) -> &str {
        &self.names[key as usize]
    }

    /// The name of device `key`, where there is one.
    pub fn named(&self, key: u32) -> Option<&str> {
        self.names.get(key as usize).map(|name| &**name)
    }

    /// The number of each row's device; [`NO_KEY`] for a new device when there is no room.
    pub fn number(&mut self, batch: &Batch) -> Vec<u32> {
        const UNSEEN: u32 = u32::MAX - 1;
        let devices = batch.devices();
        let mut map = vec![UNSEEN; devices.len()];
        let mut out = Vec::with_capacity(batch.rows());
        for &id in batch.device_ids() {
            let mut key = map[id as usize];
            if key == UNSEEN {
                key = self.key(devices.text(id as usize));
                map[id as usize] = key;
            }
            out.push(key);
        }
        out
    }

    /// The number of `device`, a new one if there is room.
    pub fn key(&mut self, device: &str) -> u32 {
        if let Some(&key) = self.numbers.get(device) {
            return key;
        }
        if self.names.len() >= self.max {
            return NO_KEY;
        }
        let key = self.names.len() as u32;
        self.names.push(device.into());
        self.numbers.insert(device.into(), key);
        key
    }
}
