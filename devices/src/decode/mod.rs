//! Frames to records, sans I/O.

mod csv;
mod error;
mod json;
mod options;
mod pointer;
mod raw;
mod row;
#[cfg(test)]
mod tests;
mod time;
mod topic;
mod value;

pub use error::{DecodeError, Shown};
pub use options::{DecodeOptions, Format, TimeUnit};

use crate::OptionsError;
use row::{Memory, Row};
use std::sync::Arc;
use tidegate_record::{BatchBuilder, Schema, Wall};

/// Most readings one frame may bring.
pub const READINGS_MAX: usize = 65_536;

/// Most values one frame may bring, nulls among them: a reading that says nothing takes as much memory as any other. A
/// frame of the largest packet in which every field is there has fewer.
pub const VALUES_MAX: usize = 4 << 20;

/// Most bytes of text that stand once in a frame, or in its topic, and are copied into each of its readings.
pub const COPIED_BYTES_MAX: usize = 16 << 20;

/// Decodes the frames of one source.
pub struct Decoder {
    wire: Wire,
    topic: Option<topic::Template>,
    schema: Arc<Schema>,
    times: time::Times,
    places: Places,
    memory: Memory,
    loose: bool,
}

enum Wire {
    Json(Box<json::Json>),
    Csv(Box<csv::Csv>),
    Raw(raw::Raw),
}

impl Decoder {
    /// Checks the options against the stream's fields.
    pub fn new(options: DecodeOptions, schema: Arc<Schema>) -> Result<Self, OptionsError> {
        let topic = options.topic.as_deref().map(|t| topic::Template::new(t, &schema)).transpose()?;
        let taken: Vec<Target> = topic.iter().flat_map(|t| t.targets()).collect();
        let (wire, loose) = match options.format {
            Format::Json => {
                (Wire::Json(Box::new(json::Json::new(&options, &schema, &taken)?)), options.numbers_in_text)
            }
            Format::Csv => (Wire::Csv(Box::new(csv::Csv::new(&options, &schema, &taken)?)), true),
            Format::Raw => (Wire::Raw(raw::Raw::new(&schema, &taken)?), false),
        };
        let says = |target| match &wire {
            Wire::Json(_) if target == Target::Device => options.device.is_some(),
            Wire::Json(_) => options.time.is_some(),
            Wire::Csv(csv) => csv.has(target),
            Wire::Raw(_) => false,
        };
        if !says(Target::Device) && !taken.contains(&Target::Device) && options.device_name.is_none() {
            let problem = "nothing says whose readings these are: set device, {device} in topic, or device_name";
            return Err(OptionsError::new("decode.device", problem));
        }
        let places = Places {
            device: options.device.clone(),
            device_name: options.device_name.clone(),
            time: options.time.clone(),
            time_expected: says(Target::Time) || taken.contains(&Target::Time),
        };
        let times = time::Times::new(&options, loose);
        let memory = Memory::new(schema.fields().len());
        Ok(Decoder { wire, topic, schema, times, places, memory, loose })
    }

    /// Whether readings bring their own time.
    pub fn reads_time(&self) -> bool {
        self.places.time_expected
    }

    /// The fields of the records made here.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Adds the records of a frame to `out` and gives how many they are. A frame is all or nothing: after an error
    /// `out` holds what it held before.
    pub fn decode(
        &mut self,
        topic: Option<&str>,
        frame: &[u8],
        wall: Wall,
        out: &mut BatchBuilder,
    ) -> Result<usize, DecodeError> {
        let rows = out.rows();
        let result = self.decode_into(topic, frame, wall, out);
        if result.is_err() {
            out.truncate(rows);
        }
        result
    }

    #[inline]
    fn decode_into(
        &mut self,
        topic: Option<&str>,
        frame: &[u8],
        wall: Wall,
        out: &mut BatchBuilder,
    ) -> Result<usize, DecodeError> {
        let mut topic_values = Vec::new();
        if let Some(template) = &self.topic {
            template.read(topic.unwrap_or_default(), |target, text| {
                topic_values.push((target, text));
                Ok(())
            })?;
        }
        let mut row = Row {
            schema: &self.schema,
            times: &self.times,
            places: &self.places,
            memory: &mut self.memory,
            loose: self.loose,
            wall,
            topic_values: &topic_values,
            time: 0,
        };
        match &mut self.wire {
            Wire::Json(json) => json.decode(frame, &mut row, out),
            Wire::Csv(csv) => csv.decode(frame, &mut row, out),
            Wire::Raw(raw) => raw.decode(topic, frame, &mut row, out),
        }
    }
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder").field("schema", &self.schema).field("topic", &self.topic).finish_non_exhaustive()
    }
}

/// Most readings of one frame, for records of so many fields.
fn readings_max(fields: usize) -> usize {
    READINGS_MAX.min(VALUES_MAX / fields.max(1))
}

/// What a value on the wire is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Device,
    Time,
    /// The array of readings.
    Records,
    /// A position in the schema.
    Field(usize),
}

impl Target {
    const FIRST_FIELD: usize = 3;

    fn named(name: &str, schema: &Schema) -> Option<Self> {
        match name {
            "device" => Some(Target::Device),
            "time" => Some(Target::Time),
            name => schema.position(name).map(Target::Field),
        }
    }

    fn number(self) -> usize {
        match self {
            Target::Device => 0,
            Target::Time => 1,
            Target::Records => 2,
            Target::Field(at) => at + Target::FIRST_FIELD,
        }
    }

    fn name(self, schema: &Schema) -> &str {
        match self {
            Target::Device => "device",
            Target::Time => "time",
            Target::Records => "records",
            Target::Field(at) => &schema.fields()[at].name,
        }
    }
}

/// Where device and time are looked for, for errors and fallbacks.
#[derive(Debug)]
struct Places {
    device: Option<String>,
    device_name: Option<String>,
    time: Option<String>,
    time_expected: bool,
}

impl Places {
    #[cold]
    fn no_device(&self) -> DecodeError {
        DecodeError::NoDevice { place: self.device.as_ref().map_or_else(String::new, |p| format!(" at {p}")) }
    }

    #[cold]
    fn no_time(&self) -> DecodeError {
        DecodeError::NoTime { place: self.time.as_ref().map_or_else(String::new, |p| format!(" at {p}")) }
    }
}
