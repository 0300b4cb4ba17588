//! Why a frame does not decode.

use std::fmt;
use tidegate_record::DeviceError;

/// Most characters of a found value that a sentence quotes.
const QUOTED_CHARS: usize = 48;

/// Why a frame does not decode; the sentence goes into its dead letter.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// The frame is not JSON.
    #[error("not JSON: {problem} at byte {at}")]
    NotJson {
        /// What the parser says.
        problem: String,
        /// Where.
        at: usize,
    },
    /// The payload holds neither a reading nor an array of them where `records` points.
    #[error("no readings at {pointer:?}: {found}")]
    Records {
        /// The pointer.
        pointer: String,
        /// What is there.
        found: Shown,
    },
    /// More readings than a frame may bring.
    #[error("more than {0} readings in one frame")]
    TooMany(usize),
    /// Texts around the readings that would be copied into each of them, and are too long for that.
    #[error("{bytes} bytes of text around {readings} readings: copied into each they are over {max} bytes")]
    TooLong {
        /// Bytes of text.
        bytes: usize,
        /// Readings in the frame.
        readings: usize,
        /// [`COPIED_BYTES_MAX`](super::COPIED_BYTES_MAX).
        max: usize,
    },
    /// A value of another scalar.
    #[error("{name} must be {expected}, found {found}")]
    WrongType {
        /// The field, `device` or `time`.
        name: String,
        /// What it must be.
        expected: &'static str,
        /// What came.
        found: Shown,
    },
    /// A number the field cannot hold.
    #[error("{name} is out of range: {found}")]
    OutOfRange {
        /// The field or `time`.
        name: String,
        /// What came.
        found: Shown,
    },
    /// NaN or an infinity.
    #[error("{name} is not a finite number: {found}")]
    NotFinite {
        /// The field.
        name: String,
        /// What came.
        found: Shown,
    },
    /// One key twice in one reading: nobody can tell which is meant.
    #[error("{name} is there twice")]
    Twice {
        /// The field, `device` or `time`.
        name: String,
    },
    /// Nothing says whose reading it is.
    #[error("no device{place}; set device_name for devices that do not say")]
    NoDevice {
        /// Where it was looked for.
        place: String,
    },
    /// A device id nobody could use as a key.
    #[error("{0}")]
    Device(#[from] DeviceError),
    /// The configured time is missing.
    #[error("no time{place}; leave `time` out of the configuration to use the gateway's clock")]
    NoTime {
        /// Where it was looked for.
        place: String,
    },
    /// A time ahead of the gateway.
    #[error("time is {ahead} ahead of the gateway's clock")]
    Future {
        /// How far, for people.
        ahead: String,
    },
    /// A topic the template does not fit.
    #[error("topic {topic:?} does not fit the template {template:?}")]
    Topic {
        /// The topic.
        topic: String,
        /// The template.
        template: String,
    },
    /// A line with more or fewer values than there are columns.
    #[error("{found} values where {expected} columns are configured, line {line}")]
    Columns {
        /// How many came.
        found: usize,
        /// How many there are.
        expected: usize,
        /// The line of the frame, from 1.
        line: u64,
    },
    /// A value that is not UTF-8.
    #[error("{name} is not UTF-8 text")]
    NotText {
        /// The field, `device` or `time`.
        name: String,
    },
}

impl DecodeError {
    /// The stage a dead letter names: `time` for event times in the future, else `decode`.
    pub fn stage(&self) -> &'static str {
        match self {
            DecodeError::Future { .. } => "time",
            _ => "decode",
        }
    }
}

/// A value as a sentence shows it: short, and clear about what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown(String);

impl Shown {
    pub(super) fn text(text: &str) -> Self {
        let short: String = text.chars().take(QUOTED_CHARS).collect();
        let more = if short.len() < text.len() { "…" } else { "" };
        Shown(format!("the text {short:?}{more}"))
    }

    pub(super) fn plain(value: impl fmt::Display) -> Self {
        Shown(value.to_string())
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
