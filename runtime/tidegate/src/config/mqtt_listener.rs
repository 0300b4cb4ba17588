//! `type = "mqtt_listener"`: devices connect to the gateway.

use super::mqtt::{acks, filters, packet_bytes_max};
use super::section::Section;
use super::{decode, secret};
use std::path::PathBuf;
use std::time::Duration;
use tidegate_devices::Secret;
use tidegate_devices::listener::Options;
use tidegate_devices::mqtt::KEEP_ALIVE;

const MINUTE: Duration = Duration::from_secs(60);

pub(super) fn read(section: &mut Section<'_>, max_future: Duration) -> Options {
    let default = Options::default();
    let topics = section.or("topics", default.topics.clone());
    let connections_max = section.within("connections_max", default.connections_max, 1..=100_000);
    let sessions_max = section.within("sessions_max", default.sessions_max, 1..=1_000_000);
    if sessions_max < connections_max {
        let message =
            format!("{sessions_max} sessions are fewer than connections_max = {connections_max} devices need");
        section.problem("sessions_max", message);
    }
    let options = Options {
        listen: section.or("listen", default.listen),
        topics: filters(section, topics),
        ack: acks(section),
        username: section.text("username"),
        password: secret::read(section, "password", "password_file").map(Secret::from),
        cert_file: file(section, "cert_file"),
        key_file: file(section, "key_file"),
        client_ca_file: file(section, "client_ca_file"),
        connections_max,
        sessions_max,
        receive_max: section.within("receive_max", default.receive_max, 1..=u16::MAX),
        packet_bytes_max: packet_bytes_max(section, default.packet_bytes_max),
        connect_timeout: section.within("connect_timeout", default.connect_timeout, MINUTE / 60..=5 * MINUTE),
        keep_alive_max: section.within("keep_alive_max", default.keep_alive_max, KEEP_ALIVE),
        session_expiry_max: section.within(
            "session_expiry_max",
            default.session_expiry_max,
            MINUTE..=5_256_000 * MINUTE,
        ),
        decode: decode::read(section, true, max_future),
        ..default
    };
    secured(section, &options);
    options
}

fn file(section: &mut Section<'_>, key: &'static str) -> Option<PathBuf> {
    section.text(key).map(|path| section.context.resolve(&path))
}

/// What must stand together, and what makes a door that anyone can open.
fn secured(section: &Section<'_>, options: &Options) {
    let tls = options.cert_file.is_some();
    if tls != options.key_file.is_some() {
        let (there, missing) = if tls { ("cert_file", "key_file") } else { ("key_file", "cert_file") };
        section.problem(there, format!("TLS needs {missing} beside it"));
    }
    if options.client_ca_file.is_some() && !tls {
        section.problem("client_ca_file", "devices show certificates only over TLS: set cert_file and key_file");
    }
    if options.password.is_some() && options.username.is_none() {
        section.problem("password", "a password needs a username beside it");
    }
    let warning = |message: String| section.context.warning_at(&section.path_of("listen"), message);
    let listen = options.listen;
    match (listen.ip().is_loopback(), &options.username, &options.client_ca_file) {
        (true, ..) | (.., Some(_)) => {}
        (false, None, None) => {
            warning(format!(
                "whoever reaches {listen} can write readings: set username and password, or client_ca_file"
            ));
        }
        (false, Some(_), None) if !tls => {
            warning(format!("the password crosses the network to {listen} in the clear: set cert_file and key_file"));
        }
        _ => {}
    }
}
