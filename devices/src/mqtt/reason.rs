//! Why there is no connection, as a sentence that says what to do.

use super::address::Address;
use crate::words::words;
use rumqttc::tokio_rustls::rustls;
use rumqttc::{ConnectionError, StateError, TlsError, v5};
use std::io;

pub(super) fn of_v4(error: &ConnectionError, address: &Address) -> String {
    use rumqttc::ConnectReturnCode as Code;
    match error {
        ConnectionError::Io(error) => io_reason(error, address),
        ConnectionError::Tls(error) => tls_reason(error, address),
        ConnectionError::NetworkTimeout | ConnectionError::FlushTimeout => no_answer(address),
        ConnectionError::ConnectionRefused(Code::BadUserNamePassword | Code::NotAuthorized) => credentials(),
        ConnectionError::ConnectionRefused(code) => refused(&format!("{code:?}")),
        ConnectionError::MqttState(StateError::Io(error)) => io_reason(error, address),
        ConnectionError::MqttState(StateError::AwaitPingResp) => no_answer(address),
        ConnectionError::MqttState(StateError::ConnectionAborted) => closed(),
        ConnectionError::MqttState(StateError::Deserialization(error)) => match error {
            rumqttc::Error::PayloadSizeLimitExceeded(bytes) => too_large(*bytes),
            rumqttc::Error::Io(error) => io_reason(error, address),
            error => format!("the broker sends what is no MQTT 3.1.1: {error}"),
        },
        error => error.to_string(),
    }
}

pub(super) fn of_v5(error: &v5::ConnectionError, address: &Address) -> String {
    use v5::mqttbytes::Error;
    use v5::mqttbytes::v5::{ConnectReturnCode as Code, DisconnectReasonCode};
    use v5::{ConnectionError, StateError};
    match error {
        ConnectionError::Io(error) => io_reason(error, address),
        ConnectionError::Tls(error) => tls_reason(error, address),
        ConnectionError::Timeout(_) => no_answer(address),
        ConnectionError::ConnectionRefused(Code::BadUserNamePassword | Code::NotAuthorized) => credentials(),
        ConnectionError::ConnectionRefused(Code::UnsupportedProtocolVersion | Code::RefusedProtocolVersion) => {
            "the broker does not speak MQTT 5: set version = \"3.1.1\"".into()
        }
        ConnectionError::ConnectionRefused(code) => refused(&format!("{code:?}")),
        ConnectionError::MqttState(state) => match state {
            StateError::Io(error) => io_reason(error, address),
            StateError::AwaitPingResp => no_answer(address),
            StateError::ConnectionAborted => closed(),
            StateError::ServerDisconnect { reason_code: DisconnectReasonCode::SessionTakenOver, .. } => {
                "another client took over this client_id: every gateway needs its own".into()
            }
            StateError::ServerDisconnect { reason_code, reason_string } => {
                let more = reason_string.as_ref().map(|text| format!(" ({text})")).unwrap_or_default();
                format!("the broker ended the connection: {}{more}", words(&format!("{reason_code:?}")))
            }
            StateError::IncomingPacketTooLarge { pkt_size, .. } => too_large(*pkt_size),
            StateError::Deserialization(Error::PayloadSizeLimitExceeded { pkt_size, .. }) => too_large(*pkt_size),
            StateError::Deserialization(Error::Io(error)) => io_reason(error, address),
            StateError::Deserialization(error) => format!("the broker sends what is no MQTT 5: {error}"),
            error => error.to_string(),
        },
        error => error.to_string(),
    }
}

fn io_reason(error: &io::Error, address: &Address) -> String {
    if let Some(inner) = error.get_ref()
        && let Some(tls) = inner.downcast_ref::<rustls::Error>()
    {
        return certificate_reason(tls, address);
    }
    let Address { host, .. } = address;
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            format!("{address} refuses the connection: is the broker running, and on this port?")
        }
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            "the broker or the network closed the connection: does another client use this client_id?".into()
        }
        io::ErrorKind::UnexpectedEof => closed(),
        _ if error.to_string().contains("failed to lookup address") => {
            format!("the name {host} cannot be resolved: check the host of url, and this machine's DNS")
        }
        _ => format!("{address}: {error}"),
    }
}

fn tls_reason(error: &TlsError, address: &Address) -> String {
    match error {
        TlsError::Io(error) => io_reason(error, address),
        TlsError::TLS(error) => certificate_reason(error, address),
        TlsError::DNSName(_) => format!("{} is no name a certificate can be for", address.host),
        error => format!("TLS with {address} fails: {error}"),
    }
}

fn certificate_reason(error: &rustls::Error, address: &Address) -> String {
    use rustls::CertificateError as Bad;
    let host = &address.host;
    match error {
        rustls::Error::InvalidCertificate(bad) => match bad {
            // An authority of the same name with another key is another authority.
            Bad::UnknownIssuer | Bad::BadSignature => format!(
                "the certificate of {address} is signed by nobody we trust: set ca_file to the authority that signed it"
            ),
            Bad::NotValidForName => format!("the certificate of {address} is not for {host}"),
            Bad::NotValidForNameContext { presented, .. } => {
                format!("the certificate of {address} is not for {host}: it is for {}", presented.join(", "))
            }
            Bad::Expired | Bad::ExpiredContext { .. } => {
                format!("the certificate of {address} has expired (or this machine's clock is wrong)")
            }
            Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
                format!("the certificate of {address} is not valid yet: is this machine's clock set?")
            }
            bad => format!("the certificate of {address} is refused: {bad}"),
        },
        rustls::Error::InvalidMessage(_) => format!("{address} does not speak TLS: is it the broker's TLS port?"),
        error => format!("TLS with {address} fails: {error}"),
    }
}

fn no_answer(address: &Address) -> String {
    format!("{address} does not answer")
}

fn closed() -> String {
    "the broker closed the connection: does another client use this client_id?".into()
}

fn credentials() -> String {
    "the broker refuses the credentials: check username and password".into()
}

fn refused(code: &str) -> String {
    format!("the broker refuses the connection: {}", words(code))
}

fn too_large(bytes: usize) -> String {
    format!("a packet of {bytes} bytes is over packet_bytes_max: raise it, or the broker sends it again for ever")
}
