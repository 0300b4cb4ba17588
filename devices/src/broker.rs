//! An embedded broker, for small sites and a first try.

use std::net::SocketAddr;

/// The embedded broker as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Where MQTT 3.1.1 is spoken.
    pub listen: SocketAddr,
    /// Where MQTT 5 is spoken; another port.
    pub listen_v5: SocketAddr,
    /// Most clients at once, on each of the two.
    pub connections_max: usize,
    /// Most bytes of a message.
    pub payload_bytes_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            listen: SocketAddr::from(([127, 0, 0, 1], 1883)),
            listen_v5: SocketAddr::from(([127, 0, 0, 1], 1884)),
            connections_max: 200,
            payload_bytes_max: 256 * 1024,
        }
    }
}
