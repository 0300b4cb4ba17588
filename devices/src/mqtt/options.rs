//! An MQTT source as configured.

use crate::{Ack, DecodeOptions, Secret};
use std::path::PathBuf;
use std::time::Duration;

/// The protocol spoken with the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Version {
    /// MQTT 5.
    #[default]
    V5,
    /// MQTT 3.1.1.
    V311,
}

/// What is promised for a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Qos {
    /// QoS 0: the newest are dropped (ledgered) when the stream is full.
    AtMostOnce,
    /// QoS 1: acknowledged as [`Ack`] says.
    #[default]
    AtLeastOnce,
    /// QoS 2: the same, and what the broker sends again is recognised for as long as it may.
    ExactlyOnce,
}

/// An MQTT source as configured. `url`, `topics` and `client_id` have no default.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// `mqtt://host[:1883]` or `mqtts://host[:8883]`.
    pub url: String,
    /// Filters to subscribe to.
    pub topics: Vec<String>,
    /// Fixed: the broker keeps the session under it while the gateway is away.
    pub client_id: String,
    /// The protocol.
    pub version: Version,
    /// What is promised for a message.
    pub qos: Qos,
    /// When messages of QoS 1 and 2 are acknowledged.
    pub ack: Ack,
    /// Credentials.
    pub username: Option<String>,
    /// Credentials.
    pub password: Option<Secret>,
    /// PEM certificates trusted instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// MQTT 5: most unacknowledged messages the broker may have under way; 1 to 65535.
    pub receive_max: u16,
    /// Larger packets end the connection.
    pub packet_bytes_max: u32,
    /// How often a silent connection is checked; 5 s to 18 h.
    pub keep_alive: Duration,
    /// MQTT 5: how long the broker keeps the session.
    pub session_expiry: Duration,
    /// Whether retained messages are taken in.
    pub retained: bool,
    /// How long the first record of a parcel waits for company before it is handed to the store (whose own group
    /// commit comes on top).
    pub linger: Duration,
    /// How frames become records.
    pub decode: DecodeOptions,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            url: String::new(),
            topics: Vec::new(),
            client_id: String::new(),
            version: Version::V5,
            qos: Qos::AtLeastOnce,
            ack: Ack::OnStore,
            username: None,
            password: None,
            ca_file: None,
            receive_max: 1024,
            packet_bytes_max: 1 << 20,
            keep_alive: Duration::from_secs(30),
            session_expiry: Duration::from_secs(7 * 24 * 3600),
            retained: false,
            linger: Duration::from_millis(25),
            decode: DecodeOptions::default(),
        }
    }
}
