//! `[gateway]`, `[log]` and `[control]`.

use super::secret;
use super::section::Section;
use crate::log;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tidegate_record::TrustRule;
use tidegate_sinks::Secret;

/// Fewest and most characters of a token.
const TOKEN_CHARS: std::ops::RangeInclusive<usize> = 16..=1024;
/// Most bytes a gateway's name may have.
const NAME_BYTES_MAX: usize = 64;

/// The local HTTP and the drain.
#[derive(Debug, Clone)]
pub struct ControlConfig {
    /// Where the local HTTP listens; a loopback address.
    pub listen: SocketAddr,
    /// What calls must bring that change the store; without one, they must come from this machine and from no web page.
    pub token: Option<Secret>,
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
        let token = token(section);
        ControlConfig { listen, token, drain_timeout: section.within("drain_timeout", Duration::from_secs(10), limits) }
    })
}

fn token(section: &mut Section<'_>) -> Option<Secret> {
    let file = section.text("token_file")?;
    let token = secret::from_file(section, "token_file", &file)?;
    let usable = TOKEN_CHARS.contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
    if !usable {
        let rule = format!("{} to {} letters, digits and signs", TOKEN_CHARS.start(), TOKEN_CHARS.end());
        section.problem("token_file", format!("{file} holds no usable token, which is {rule}: openssl rand -hex 32"));
    }
    Some(Secret::from(token))
}
