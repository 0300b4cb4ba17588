//! `type = "mqtt"`: a source that subscribes to a broker.

use super::section::Section;
use super::units::Size;
use super::{decode, secret, url};
use std::time::Duration;
use tidegate_devices::mqtt::{KEEP_ALIVE, Options, PACKET_BYTES, Qos, TEXT_BYTES_MAX, TOPICS_MAX, Version};
use tidegate_devices::{Ack, Secret};

const MINUTE: Duration = Duration::from_secs(60);

pub(super) fn read(section: &mut Section<'_>, max_future: Duration) -> Options {
    let default = Options::default();
    let url = section.needed_text("url");
    url::check(section, "url", &url, &["mqtt", "mqtts"]);
    let qos = [("1", Qos::AtLeastOnce), ("2", Qos::ExactlyOnce), ("0", Qos::AtMostOnce)];
    let qos = section.word("qos", "1", &qos);
    let ack = ack(section, qos);
    let ca_file = section.text("ca_file").map(|path| section.context.resolve(&path));
    if ca_file.is_some() && url.starts_with("mqtt://") {
        section.context.warning_at(&section.path_of("ca_file"), "not used with mqtt://: write mqtts:// for TLS");
    }
    Options {
        topics: topics(section),
        client_id: client_id(section),
        version: section.word("version", "5", &[("5", Version::V5), ("3.1.1", Version::V311)]),
        qos,
        ack,
        username: section.text("username"),
        password: secret::read(section, "password", "password_file").map(Secret::from),
        ca_file,
        receive_max: section.within("receive_max", default.receive_max, 1..=u16::MAX),
        packet_bytes_max: packet_bytes_max(section, default.packet_bytes_max),
        keep_alive: section.within("keep_alive", default.keep_alive, KEEP_ALIVE),
        session_expiry: section.within("session_expiry", default.session_expiry, MINUTE..=5_256_000 * MINUTE),
        retained: section.or("retained", default.retained),
        decode: decode::read(section, true, max_future),
        url,
        ..default
    }
}

/// What is acknowledged when, and what makes that promise empty.
fn ack(section: &mut Section<'_>, qos: Qos) -> Ack {
    let ack = self::acks(section);
    let why = "no custody at QoS 0: what comes while the gateway is away or its stream is full is lost";
    match (qos, ack) {
        (Qos::AtMostOnce, Ack::OnStore) if section.has("ack") => {
            let remedy = "set qos = 1 or 2, or leave ack out";
            section
                .problem("ack", format!("nothing is acknowledged with qos = 0, so nothing can wait: {remedy}; {why}"));
        }
        (Qos::AtMostOnce, _) => section.context.warning_at(&section.path_of("qos"), why),
        _ => {}
    }
    let clean = "the session is always kept, else the broker would forget what is not acknowledged yet: leave it out";
    section.not_here(&["clean_session", "clean_start"], clean);
    ack
}

/// `ack = "on_store" | "on_receive"`.
pub(super) fn acks(section: &mut Section<'_>) -> Ack {
    let ack = section.word("ack", "on_store", &[("on_store", Ack::OnStore), ("on_receive", Ack::OnReceive)]);
    if ack == Ack::OnReceive {
        let why = "no custody: what is acknowledged is in memory until the next group commit, and a power cut takes it; \
                   with on_store nothing acknowledged is lost";
        section.context.warning_at(&section.path_of("ack"), why);
    }
    ack
}

pub(super) fn packet_bytes_max(section: &mut Section<'_>, default: u32) -> u32 {
    let limits = Size((*PACKET_BYTES.start()).into())..=Size((*PACKET_BYTES.end()).into());
    section.within("packet_bytes_max", Size(default.into()), limits).0.try_into().unwrap_or(default)
}

fn client_id(section: &mut Section<'_>) -> String {
    let id: String = section.needed("client_id").unwrap_or_default();
    if section.has("client_id") && id.is_empty() {
        let why =
            "the broker would give a random one, and what it keeps for the gateway would never be asked for again";
        section.problem("client_id", format!("must not be empty: {why}; give a name that stays the same"));
    }
    if id.len() > TEXT_BYTES_MAX || id.chars().any(char::is_control) {
        section.problem("client_id", format!("at most {TEXT_BYTES_MAX} bytes without control characters"));
    }
    id
}

fn topics(section: &mut Section<'_>) -> Vec<String> {
    let topics = section.needed("topics").unwrap_or_default();
    filters(section, topics)
}

/// Checks the filters of `topics`.
pub(super) fn filters(section: &Section<'_>, topics: Vec<String>) -> Vec<String> {
    if section.has("topics") && !(1..=TOPICS_MAX).contains(&topics.len()) {
        section.problem("topics", format!("{} filters are outside of 1 to {TOPICS_MAX}", topics.len()));
    }
    for topic in &topics {
        if let Some(reason) = filter_problem(topic) {
            section.problem("topics", format!("{topic:?} is no topic filter: {reason}"));
        }
    }
    topics
}

/// What the MQTT specification (4.7) has against a filter.
fn filter_problem(filter: &str) -> Option<&'static str> {
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        if level == "#" && levels.peek().is_some() {
            return Some("'#' stands only at the end");
        }
        if level.len() > 1 && level.contains(['#', '+']) {
            return Some("'+' and '#' stand for whole levels");
        }
    }
    if filter.is_empty() {
        Some("it is empty")
    } else if filter.len() > TEXT_BYTES_MAX {
        Some("it is longer than 65535 bytes")
    } else if filter.contains('\0') {
        Some("it holds a NUL")
    } else {
        None
    }
}
