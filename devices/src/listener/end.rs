//! Why a connection ends.

use super::wire::Version;
use std::fmt;

/// Most bytes of a will, with its topic.
pub(super) const WILL_BYTES_MAX: usize = 16 * 1024;

/// Longest client id: the register of all sessions is written with each new one.
pub(super) const CLIENT_ID_BYTES_MAX: usize = 256;

/// Why a connection ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// The device said goodbye.
    Goodbye,
    /// The same, and its will is to be said.
    GoodbyeWithWill,
    /// The connection broke, or was closed without a word.
    Gone(String),
    /// Bytes that are no MQTT packet.
    Malformed(&'static str),
    /// A packet that may not stand where it does.
    Protocol(&'static str),
    TooLarge {
        bytes: usize,
        max: usize,
    },
    Version(u8),
    ClientId(&'static str),
    Will(usize),
    AuthMethod,
    Credentials,
    /// More unacknowledged messages than we told.
    Quota,
    ConnectionsMax(usize),
    SessionsMax(usize),
    /// No CONNECT in time.
    NoConnect,
    /// The device does not read its answers.
    Unread,
    /// The device was silent for one and a half of its keep-alive.
    Silent,
    /// The device stopped in the middle of a large packet.
    Stalled,
    TakenOver,
    Draining,
    /// The store refuses writes.
    Store,
}

impl End {
    /// The reason code of MQTT 5, for CONNACK and DISCONNECT; none where there is nobody to tell.
    pub fn code(&self) -> Option<u8> {
        Some(match self {
            End::Goodbye | End::GoodbyeWithWill | End::Gone(_) | End::NoConnect | End::Unread => return None,
            End::Malformed(_) => 0x81,
            End::Protocol(_) => 0x82,
            End::Version(_) => 0x84,
            End::ClientId(_) => 0x85,
            End::Credentials => 0x86,
            End::Store => 0x88,
            End::Draining => 0x8b,
            End::AuthMethod => 0x8c,
            End::Silent => 0x8d,
            End::TakenOver => 0x8e,
            End::Quota | End::Will(_) => 0x93,
            End::TooLarge { .. } => 0x95,
            End::ConnectionsMax(_) | End::SessionsMax(_) | End::Stalled => 0x97,
        })
    }

    /// The return code of an MQTT 3.1.1 CONNACK, which has words for little.
    pub fn return_code(&self) -> Option<u8> {
        match self {
            End::Version(_) => Some(1),
            End::ClientId(_) => Some(2),
            End::ConnectionsMax(_) | End::SessionsMax(_) | End::Will(_) | End::Draining | End::Store => Some(3),
            End::Credentials => Some(4),
            End::AuthMethod => Some(5),
            _ => None,
        }
    }

    /// Whether something is wrong with the device or its configuration: worth a person's look.
    pub fn is_fault(&self) -> bool {
        use End::{Draining, Gone, Goodbye, GoodbyeWithWill, Silent, Stalled, Store, TakenOver, Unread};
        !matches!(self, Goodbye | GoodbyeWithWill | Gone(_) | Silent | Stalled | Unread | TakenOver | Draining | Store)
    }

    /// Whether the device's will is said. One that begins anew elsewhere has not gone, and one whose gateway stops neither.
    pub fn says_will(&self) -> bool {
        !matches!(self, End::Goodbye | End::TakenOver | End::Draining | End::Store)
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Goodbye | End::GoodbyeWithWill => f.write_str("the device said goodbye"),
            End::Gone(why) => f.write_str(why),
            End::Malformed(what) => write!(f, "no MQTT packet: {what}"),
            End::Protocol(what) => write!(f, "against the protocol: {what}"),
            End::TooLarge { bytes, max } => {
                write!(f, "a packet of {bytes} bytes is over packet_bytes_max = {max}: raise it, or send less at once")
            }
            End::Version(level) => write!(f, "protocol level {level} is neither MQTT 3.1.1 (4) nor MQTT 5 (5)"),
            End::ClientId(what) => write!(f, "client id: {what}"),
            End::Will(bytes) => write!(f, "a will of {bytes} bytes is over {WILL_BYTES_MAX}: send less, or none"),
            End::Unread => f.write_str("the device does not read its answers"),
            End::AuthMethod => f.write_str("enhanced authentication is not spoken here: use username and password"),
            End::Credentials => f.write_str("wrong username or password"),
            End::Quota => f.write_str("more unacknowledged messages than the receive maximum allows"),
            End::ConnectionsMax(max) => write!(f, "connections_max = {max} devices are connected already"),
            End::SessionsMax(max) => write!(f, "sessions_max = {max} sessions are in use"),
            End::NoConnect => f.write_str("no CONNECT within connect_timeout"),
            End::Silent => f.write_str("silent for longer than its keep-alive allows"),
            End::Stalled => f.write_str("the device stopped in the middle of a large packet"),
            End::TakenOver => f.write_str("another connection has taken over this client id"),
            End::Draining => f.write_str("the gateway stops"),
            End::Store => f.write_str("the store refuses writes"),
        }
    }
}

/// How a connection is refused or ended towards a device of `version`, as bytes; empty where it has no words for it.
pub(super) fn farewell(end: &End, version: Option<Version>, connected: bool, room: usize) -> Vec<u8> {
    let mut out = Vec::new();
    match (version, connected) {
        (Some(Version::V5), true) => {
            if let Some(code) = end.code() {
                super::answer::disconnect(&mut out, code, &end.to_string(), room);
            }
        }
        (Some(Version::V5), false) => {
            if let Some(code) = end.code() {
                super::answer::refuse_v5(&mut out, code, &end.to_string(), room);
            }
        }
        (Some(Version::V311), false) | (None, _) => {
            if let Some(code) = end.return_code() {
                super::answer::refuse_v311(&mut out, code);
            }
        }
        // MQTT 3.1.1 has no word for a server that goes.
        (Some(Version::V311), true) => {}
    }
    out
}
