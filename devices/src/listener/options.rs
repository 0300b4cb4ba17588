//! A listener as configured.

use crate::{Ack, DecodeOptions, Secret};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A listener as configured.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Where devices connect. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Filters of the topics that are taken in.
    pub topics: Vec<String>,
    /// When messages are acknowledged.
    pub ack: Ack,
    /// What every device must say, where it is set.
    pub username: Option<String>,
    /// What every device must say, where it is set.
    pub password: Option<Secret>,
    /// PEM: the certificate, and those it was signed with. TLS is spoken where it is set.
    pub cert_file: Option<PathBuf>,
    /// PEM: its key.
    pub key_file: Option<PathBuf>,
    /// PEM: devices must show a certificate signed by one of these.
    pub client_ca_file: Option<PathBuf>,
    /// Most devices connected at once.
    pub connections_max: usize,
    /// Most sessions kept, of devices that are away too.
    pub sessions_max: usize,
    /// Most unacknowledged messages of a device; 1 to 65535.
    pub receive_max: u16,
    /// Larger packets end the connection.
    pub packet_bytes_max: u32,
    /// How long a device may take to introduce itself.
    pub connect_timeout: Duration,
    /// Longest keep-alive; whoever wants a longer one, or none, has this.
    pub keep_alive_max: Duration,
    /// Longest a session is kept while its device is away.
    pub session_expiry_max: Duration,
    /// How long the first record of a parcel waits for company before it is handed to the store (whose own group
    /// commit comes on top).
    pub linger: Duration,
    /// How frames become records.
    pub decode: DecodeOptions,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            listen: SocketAddr::from(([127, 0, 0, 1], 1883)),
            topics: vec!["#".into()],
            ack: Ack::OnStore,
            username: None,
            password: None,
            cert_file: None,
            key_file: None,
            client_ca_file: None,
            connections_max: 1_000,
            sessions_max: 10_000,
            receive_max: 256,
            packet_bytes_max: 1 << 20,
            connect_timeout: Duration::from_secs(10),
            keep_alive_max: Duration::from_secs(3600),
            session_expiry_max: Duration::from_secs(7 * 24 * 3600),
            linger: Duration::from_millis(10),
            decode: DecodeOptions::default(),
        }
    }
}
