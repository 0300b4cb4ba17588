//! What the options of everything that speaks MQTT are bounded by: the MQTT source and the listener.

use crate::{OptionsError, Secret};
use std::ops::RangeInclusive;
use std::time::Duration;

/// Most filters of a source.
pub const TOPICS_MAX: usize = 256;
/// Most bytes of a text on the wire.
pub const TEXT_BYTES_MAX: usize = 65_535;
/// Of a keep-alive; the wire has 16 bits of seconds.
pub const KEEP_ALIVE: RangeInclusive<Duration> = Duration::from_secs(5)..=Duration::from_secs(65_535);
/// Of the largest packet: it may become one record, and a store takes batches of twice this.
pub const PACKET_BYTES: RangeInclusive<u32> = 1024..=16 << 20;

/// The options that both have.
pub(crate) struct Limited<'a> {
    pub topics: &'a [String],
    pub username: Option<&'a str>,
    pub password: Option<&'a Secret>,
    pub receive_max: u16,
    pub packet_bytes_max: u32,
    /// With the option's name.
    pub keep_alive: (&'static str, Duration),
}

impl Limited<'_> {
    pub fn check(&self) -> Result<(), OptionsError> {
        let error = |option: &str, problem: String| Err(OptionsError::new(option, problem));
        if self.topics.is_empty() || self.topics.len() > TOPICS_MAX {
            return error("topics", format!("name 1 to {TOPICS_MAX} filters, such as \"sensors/+\""));
        }
        if let Some(bad) = self.topics.iter().find(|t| !rumqttc::valid_filter(t) || t.len() > TEXT_BYTES_MAX) {
            return error("topics", format!("{bad:?} is no filter: + stands for a level, # for the rest at the end"));
        }
        if self.password.is_some() && self.username.is_none() {
            return error("username", "a password needs a username".into());
        }
        if self.receive_max == 0 {
            return error("receive_max", "1 to 65535".into());
        }
        if !PACKET_BYTES.contains(&self.packet_bytes_max) {
            return error("packet_bytes_max", format!("{} to {} bytes", PACKET_BYTES.start(), PACKET_BYTES.end()));
        }
        let (option, keep_alive) = self.keep_alive;
        if !KEEP_ALIVE.contains(&keep_alive) {
            let (least, most) = (KEEP_ALIVE.start().as_secs(), KEEP_ALIVE.end().as_secs());
            return error(option, format!("{least}s to {most}s"));
        }
        Ok(())
    }
}
