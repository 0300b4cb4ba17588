//! The row in hand: its device and time, and which values it has.

use super::error::DecodeError;
use super::time::Times;
use super::value::{Found, assign};
use super::{Places, Target};
use std::fmt::Write as _;
use tidegate_record::{BatchBuilder, Schema, Wall};

/// What outlives a frame: buffers, and which targets the row in hand has. A target is set in the row that carries its
/// number, so that beginning a row touches nothing.
#[derive(Debug)]
pub(super) struct Memory {
    set_in: Vec<u64>,
    row: u64,
    device: String,
}

impl Memory {
    pub fn new(fields: usize) -> Self {
        Memory { set_in: vec![0; fields + Target::FIRST_FIELD], row: 0, device: String::new() }
    }
}

/// The row in hand of one frame.
pub(super) struct Row<'a> {
    pub schema: &'a Schema,
    pub times: &'a Times,
    pub places: &'a Places,
    pub memory: &'a mut Memory,
    /// Texts may spell numbers.
    pub loose: bool,
    pub wall: Wall,
    /// What the topic says, for every row.
    pub topic_values: &'a [(Target, &'a str)],
    pub time: i64,
}

impl Row<'_> {
    pub fn begin(&mut self) {
        self.memory.row += 1;
    }

    #[inline]
    pub fn is_set(&self, target: Target) -> bool {
        self.memory.set_in[target.number()] == self.memory.row
    }

    /// Sets a value of the row; null counts as set and stays null.
    #[inline]
    pub fn set(&mut self, target: Target, found: Found<'_>, out: &mut BatchBuilder) -> Result<(), DecodeError> {
        let row = self.memory.row;
        let set_in = &mut self.memory.set_in[target.number()];
        if std::mem::replace(set_in, row) == row {
            return Err(DecodeError::Twice { name: target.name(self.schema).into() });
        }
        match target {
            Target::Field(at) => assign(out, at, &self.schema.fields()[at], found, self.loose),
            Target::Device => self.set_device(found),
            Target::Time if found == Found::Null => {
                self.memory.set_in[Target::Time.number()] = 0;
                Ok(())
            }
            Target::Time => {
                self.time = self.times.read(found)?;
                self.times.check(self.time, self.wall)
            }
            Target::Records => Ok(()),
        }
    }

    /// Completes the row.
    #[inline]
    pub fn end(&mut self, out: &mut BatchBuilder) -> Result<(), DecodeError> {
        for &(target, text) in self.topic_values {
            // A level of a topic is text, whatever it spells.
            let loose = std::mem::replace(&mut self.loose, true);
            let result = self.set(target, Found::Text(text), out);
            self.loose = loose;
            result?;
        }
        let time = match self.is_set(Target::Time) {
            true => self.time,
            false if self.places.time_expected => return Err(self.places.no_time()),
            false => self.wall.micros,
        };
        let device = match (self.is_set(Target::Device), &self.places.device_name) {
            (true, _) => self.memory.device.as_str(),
            (false, Some(name)) => name,
            (false, None) => return Err(self.places.no_device()),
        };
        Ok(out.end_row(device, time)?)
    }

    #[inline]
    fn set_device(&mut self, found: Found<'_>) -> Result<(), DecodeError> {
        let device = &mut self.memory.device;
        device.clear();
        match found {
            Found::Text(text) => device.push_str(text),
            Found::Integer(number) => _ = write!(device, "{number}"),
            Found::Null => self.memory.set_in[Target::Device.number()] = 0,
            found => {
                let (name, expected) = ("device".into(), "text or a whole number");
                return Err(DecodeError::WrongType { name, expected, found: found.shown() });
            }
        }
        Ok(())
    }
}
