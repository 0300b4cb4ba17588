//! `[gateway]`, `[log]` and `[control]`.

use super::section::Section;
use crate::log;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tidegate_record::TrustRule;

/// Most bytes a gateway's name may have.
const NAME_BYTES_MAX: usize = 64;

/// The local HTTP and the drain.
#[derive(Debug, Clone)]
pub struct ControlConfig {
    /// Where the local HTTP listens; a loopback address.
    pub listen: SocketAddr,
    /// How long a drain may take.
    pub drain_timeout: Duration,
}

/// The gateway's name, and when its wall clock is trusted.
pub(super) fn gateway(root: &mut Section<'_>) -> (String, TrustRule) {
    root.section("gateway", |section| {
        let name = section.needed_text("name");
        let usable = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
        if name.len() > NAME_BYTES_MAX || !usable {
            let rule = format!("1 to {NAME_BYTES_MAX} letters, digits, '_', '-' and '.'");
            section.problem("name", format!("{name:?} is no usable name: {rule}"));
        }
        let rules = [("date", TrustRule::Date), ("synchronised", TrustRule::Synchronised)];
        (name, section.word("clock", "date", &rules))
    })
}

pub(super) fn log(root: &mut Section<'_>) -> log::Options {
    root.section("log", |section| {
        let level = section.or("level", "info".to_string());
        if let Err(reason) = log::check(&level) {
            section.problem("level", format!("{level:?} is no level and no filter: {reason}"));
        }
        let format = section.word("format", "text", &[("text", log::Format::Text), ("json", log::Format::Json)]);
        log::Options { level, format }
    })
}

pub(super) fn control(root: &mut Section<'_>) -> ControlConfig {
    root.section("control", |section| {
        let listen = section.or("listen", SocketAddr::from((Ipv4Addr::LOCALHOST, 9780)));
        if !listen.ip().is_loopback() {
            section
                .problem("listen", format!("{listen} is no loopback address: the local HTTP asks nobody who they are"));
        }
        let limits = Duration::from_millis(100)..=Duration::from_secs(600);
        ControlConfig { listen, drain_timeout: section.within("drain_timeout", Duration::from_secs(10), limits) }
    })
}
