//! A serial source as configured.

use crate::DecodeOptions;
use std::path::PathBuf;
use std::time::Duration;

/// The parity bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Parity {
    /// No parity bit.
    #[default]
    None,
    /// Odd.
    Odd,
    /// Even.
    Even,
}

/// How the receiver holds the sender back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FlowControl {
    /// Not at all.
    #[default]
    None,
    /// XON/XOFF.
    Software,
    /// RTS/CTS.
    Hardware,
}

/// How bytes become frames.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum FramingOptions {
    /// Lines that end in `\n` or `\r\n`; empty lines are no frames.
    #[default]
    Line,
    /// Frames that end in these bytes (1 to 16 of them).
    Delimiter(Vec<u8>),
}

/// A serial source as configured. `port` has no default.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// The device file; one that stays the same after replugging (`/dev/serial/by-id/…`).
    pub port: PathBuf,
    /// Bits a second.
    pub baud: u32,
    /// 5 to 8.
    pub data_bits: u8,
    /// The parity bit.
    pub parity: Parity,
    /// 1 or 2.
    pub stop_bits: u8,
    /// How the receiver holds the sender back.
    pub flow_control: FlowControl,
    /// How bytes become frames.
    pub framing: FramingOptions,
    /// Longer frames go to the dead letters.
    pub frame_bytes_max: usize,
    /// How long the first record of a parcel waits for company before it is handed to the store.
    pub linger: Duration,
    /// How frames become records.
    pub decode: DecodeOptions,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            port: PathBuf::new(),
            baud: 9600,
            data_bits: 8,
            parity: Parity::None,
            stop_bits: 1,
            flow_control: FlowControl::None,
            framing: FramingOptions::Line,
            frame_bytes_max: 4096,
            linger: Duration::from_millis(25),
            decode: DecodeOptions::default(),
        }
    }
}
