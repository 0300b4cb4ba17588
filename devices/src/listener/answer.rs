//! What a device is answered, as bytes.

use super::wire::Version;
use crate::leb128;

/// Longest reason a device is told.
const REASON_BYTES_MAX: usize = 200;

/// What CONNACK tells a device of MQTT 5.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Terms {
    pub receive_max: u16,
    pub packet_bytes_max: u32,
    /// Where it is another than the device asked for.
    pub session_expiry: Option<u32>,
    /// Where it is another than the device asked for.
    pub keep_alive: Option<u16>,
    /// Where the device had none.
    pub client_id: Option<String>,
}

/// CONNACK of MQTT 3.1.1.
pub(super) fn welcome_v311(out: &mut Vec<u8>, session_present: bool) {
    out.extend_from_slice(&[0x20, 2, session_present.into(), 0]);
}

/// CONNACK of MQTT 5.
pub(super) fn welcome_v5(out: &mut Vec<u8>, session_present: bool, terms: &Terms) {
    let mut properties = vec![33];
    properties.extend_from_slice(&terms.receive_max.to_be_bytes());
    properties.push(39);
    properties.extend_from_slice(&terms.packet_bytes_max.to_be_bytes());
    if let Some(expiry) = terms.session_expiry {
        properties.push(17);
        properties.extend_from_slice(&expiry.to_be_bytes());
    }
    if let Some(keep_alive) = terms.keep_alive {
        properties.push(19);
        properties.extend_from_slice(&keep_alive.to_be_bytes());
    }
    if let Some(client_id) = &terms.client_id {
        properties.push(18);
        text(&mut properties, client_id);
    }
    // No subscription identifiers, no shared subscriptions: there are no subscriptions.
    properties.extend_from_slice(&[41, 0, 42, 0]);
    let mut body = vec![session_present.into(), 0];
    leb128::put(&mut body, properties.len() as u64);
    body.extend_from_slice(&properties);
    packet(out, 0x20, &body);
}

/// CONNACK that refuses.
pub(super) fn refuse_v311(out: &mut Vec<u8>, code: u8) {
    out.extend_from_slice(&[0x20, 2, 0, code]);
}

/// CONNACK that refuses.
pub(super) fn refuse_v5(out: &mut Vec<u8>, code: u8, reason: &str, room: usize) {
    let mut body = vec![0, code];
    reason_string(&mut body, reason, room);
    packet(out, 0x20, &body);
}

/// DISCONNECT of MQTT 5.
pub(super) fn disconnect(out: &mut Vec<u8>, code: u8, reason: &str, room: usize) {
    let mut body = vec![code];
    reason_string(&mut body, reason, room);
    packet(out, 0xe0, &body);
}

/// PUBACK, PUBREC or PUBCOMP, by its first byte. MQTT 3.1.1 has no reason codes.
pub(super) fn acknowledge(out: &mut Vec<u8>, first: u8, version: Version, id: u16, code: u8) {
    let [high, low] = id.to_be_bytes();
    match (version, code) {
        (Version::V5, 1..) => out.extend_from_slice(&[first, 3, high, low, code]),
        _ => out.extend_from_slice(&[first, 2, high, low]),
    }
}

/// SUBACK that grants nothing: this is no broker.
pub(super) fn no_subscription(out: &mut Vec<u8>, version: Version, id: u16, filters: usize) {
    let mut body = id.to_be_bytes().to_vec();
    let code = match version {
        Version::V311 => 0x80,
        // Not authorized.
        Version::V5 => {
            body.push(0);
            0x87
        }
    };
    body.resize(body.len() + filters, code);
    packet(out, 0x90, &body);
}

/// UNSUBACK.
pub(super) fn unsubscribed(out: &mut Vec<u8>, version: Version, id: u16, filters: usize) {
    let mut body = id.to_be_bytes().to_vec();
    if version == Version::V5 {
        body.push(0);
        // No subscription existed.
        body.resize(body.len() + filters, 0x11);
    }
    packet(out, 0xb0, &body);
}

/// PINGRESP.
pub(super) fn pong(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xd0, 0]);
}

fn reason_string(body: &mut Vec<u8>, reason: &str, room: usize) {
    let end = (0..=reason.len().min(REASON_BYTES_MAX)).rev().find(|&at| reason.is_char_boundary(at)).unwrap_or(0);
    // Header, code and lengths take 16 bytes at most.
    if room < end + 16 {
        body.push(0);
        return;
    }
    leb128::put(body, 3 + end as u64);
    body.push(31);
    text(body, &reason[..end]);
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn packet(out: &mut Vec<u8>, first: u8, body: &[u8]) {
    out.push(first);
    leb128::put(out, body.len() as u64);
    out.extend_from_slice(body);
}
