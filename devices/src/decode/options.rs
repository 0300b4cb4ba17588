//! How frames become records, as configured.

use std::time::Duration;

/// The wire format of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// A JSON text.
    #[default]
    Json,
    /// One line of delimited values.
    Csv,
    /// None: the frame as it is, for a codec.
    Raw,
}

/// What a time on the wire is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimeUnit {
    /// Seconds since the epoch, fractions allowed.
    Seconds,
    /// Milliseconds since the epoch, fractions allowed.
    #[default]
    Millis,
    /// Microseconds since the epoch.
    Micros,
    /// RFC 3339 text.
    Rfc3339,
}

/// How frames become records. The default is JSON whose fields are read from `/NAME`.
#[derive(Debug, Clone, PartialEq)]
pub struct DecodeOptions {
    /// The wire format.
    pub format: Format,
    /// Template that takes the device (and fields) out of the topic: `sensors/{device}/{line}`. `+` passes any level.
    /// What it names is not looked for in the payload.
    pub topic: Option<String>,
    /// JSON: pointer to an array of readings inside the payload; `""` is the payload itself.
    pub records: String,
    /// JSON: pointer to the device, in the reading or else in the payload.
    pub device: Option<String>,
    /// The device where neither topic nor payload says.
    pub device_name: Option<String>,
    /// JSON: pointer to the time, in the reading or else in the payload; without it records get the wall clock.
    pub time: Option<String>,
    /// What the time is.
    pub time_unit: TimeUnit,
    /// Whether `"21.5"` is taken as a number (CSV values always are).
    pub numbers_in_text: bool,
    /// JSON: field and its pointer; a field not named here is read from `/NAME`.
    pub fields: Vec<(String, String)>,
    /// CSV: what each column is: `device`, `time`, a field, or `""` to skip it.
    pub columns: Vec<String>,
    /// CSV: what stands between values.
    pub delimiter: u8,
    /// CSV: lines that begin with it are ignored.
    pub comment: Option<u8>,
    /// How far ahead of a trusted wall clock an event time may be.
    pub max_future: Duration,
}

impl Default for DecodeOptions {
    fn default() -> Self {
        DecodeOptions {
            format: Format::Json,
            topic: None,
            records: String::new(),
            device: None,
            device_name: None,
            time: None,
            time_unit: TimeUnit::Millis,
            numbers_in_text: false,
            fields: Vec::new(),
            columns: Vec::new(),
            delimiter: b',',
            comment: Some(b'#'),
            max_future: Duration::from_secs(3600),
        }
    }
}
