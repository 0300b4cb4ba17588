//! An embedded broker, for small sites and a first try.
//!
//! Its sessions are in memory and it acknowledges devices on its own: custody begins only behind it, at the source that
//! subscribes. It marks no redelivery (DUP) and renumbers packet ids, so that a message which was under way at a crash
//! may be stored twice. rumqttd cannot be stopped: it ends with the process.

use rumqttd::{Config, ConnectionSettings, RouterConfig, ServerSettings};
use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener};

/// Bytes of a piece of the log the broker keeps for every filter.
const SEGMENT_BYTES: usize = 1 << 20;
/// Pieces of that log: a subscriber that is further behind misses the oldest messages.
const SEGMENTS: usize = 8;
/// Unacknowledged messages a subscriber may have under way.
const INFLIGHT_MAX: usize = 200;
/// How long a client may take to introduce itself.
const CONNECT_TIMEOUT_MS: u16 = 5_000;

/// The embedded broker as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Where MQTT 3.1.1 is spoken. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where MQTT 5 is spoken; another port. Port 0 takes a free one.
    pub listen_v5: SocketAddr,
    /// Most clients at once.
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

/// Why there is no broker.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A port that cannot be listened on.
    #[error("{option} = {address}: {source}; is another broker running there?")]
    Listen {
        /// `listen` or `listen_v5`.
        option: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// No thread could be started.
    #[error("the broker's thread does not start: {0}")]
    Thread(#[from] io::Error),
}

/// A broker that runs until the process ends.
#[derive(Debug, Clone, Copy)]
pub struct Broker {
    /// Where MQTT 3.1.1 is spoken.
    pub listen: SocketAddr,
    /// Where MQTT 5 is spoken.
    pub listen_v5: SocketAddr,
}

impl Broker {
    /// Starts it on threads of its own. Clients can connect a moment later.
    pub fn start(options: &Options) -> Result<Self, Error> {
        // rumqttd only logs a port that is taken: look before.
        let (v4, v5) = (probe("listen", options.listen)?, probe("listen_v5", options.listen_v5)?);
        let broker = Broker { listen: address(&v4, options.listen), listen_v5: address(&v5, options.listen_v5) };
        drop((v4, v5));
        let mut rumqttd = rumqttd::Broker::new(config(options, broker));
        std::thread::Builder::new().name("mqtt-broker".into()).spawn(move || {
            if let Err(error) = rumqttd.start() {
                tracing::error!(%error, "embedded broker ended, devices cannot connect");
            }
        })?;
        tracing::info!(listen = %broker.listen, listen_v5 = %broker.listen_v5, "embedded broker runs");
        Ok(broker)
    }
}

fn probe(option: &'static str, address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).map_err(|source| Error::Listen { option, address, source })
}

fn address(listener: &TcpListener, configured: SocketAddr) -> SocketAddr {
    listener.local_addr().unwrap_or(configured)
}

fn config(options: &Options, broker: Broker) -> Config {
    let server = |name: &str, listen| {
        let connections = ConnectionSettings {
            connection_timeout_ms: CONNECT_TIMEOUT_MS,
            max_payload_size: options.payload_bytes_max,
            max_inflight_count: INFLIGHT_MAX,
            auth: None,
            external_auth: None,
            dynamic_filters: true,
        };
        let settings =
            ServerSettings { name: name.into(), listen, tls: None, next_connection_delay_ms: 1, connections };
        Some(HashMap::from([(name.to_owned(), settings)]))
    };
    Config {
        router: RouterConfig {
            max_connections: options.connections_max,
            max_outgoing_packet_count: INFLIGHT_MAX as u64,
            max_segment_size: SEGMENT_BYTES,
            max_segment_count: SEGMENTS,
            ..Default::default()
        },
        v4: server("mqtt-v4", broker.listen),
        v5: server("mqtt-v5", broker.listen_v5),
        ..Default::default()
    }
}
