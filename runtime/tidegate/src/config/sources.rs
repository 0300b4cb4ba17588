//! `[sources.NAME]` and `[broker]`: what brings frames in.

use super::section::Section;
use super::units::Size;
use super::{mqtt, serial};
use std::time::Duration;
use tidegate_devices::{DecodeOptions, broker};

/// A source as configured.
#[derive(Debug, Clone)]
pub struct SourceConfig {
    /// Its name.
    pub name: String,
    /// The stream it appends to.
    pub stream: String,
    /// What it is.
    pub kind: SourceKind,
}

/// The kinds of sources.
#[derive(Debug, Clone)]
pub enum SourceKind {
    /// Subscribes to an MQTT broker.
    Mqtt(tidegate_devices::mqtt::Options),
    /// Reads a serial port.
    Serial(tidegate_devices::serial::Options),
}

impl SourceConfig {
    /// How its frames become records.
    pub fn decode(&self) -> &DecodeOptions {
        match &self.kind {
            SourceKind::Mqtt(options) => &options.decode,
            SourceKind::Serial(options) => &options.decode,
        }
    }
}

/// The sources in the order of the file.
pub(super) fn read(root: &mut Section<'_>, max_future: Duration) -> Vec<SourceConfig> {
    let sources = root.named("sources", |name, section| {
        let stream = section.needed_text("stream");
        let read: Option<Reader> = section.needed_word("type", &[("mqtt", read_mqtt), ("serial", read_serial)]);
        let Some(read) = read else {
            section.ignore();
            return None;
        };
        Some(SourceConfig { name: name.into(), stream, kind: read(section, max_future) })
    });
    sources.into_iter().flatten().collect()
}

type Reader = fn(&mut Section<'_>, Duration) -> SourceKind;

fn read_mqtt(section: &mut Section<'_>, max_future: Duration) -> SourceKind {
    SourceKind::Mqtt(mqtt::read(section, max_future))
}

fn read_serial(section: &mut Section<'_>, max_future: Duration) -> SourceKind {
    SourceKind::Serial(serial::read(section, max_future))
}

/// The embedded broker, where there is one.
pub(super) fn broker(root: &mut Section<'_>) -> Option<broker::Options> {
    root.optional("broker", |section| {
        let why = "the embedded broker acknowledges devices before anything is stored and keeps its sessions in memory: \
                   custody begins only behind it, at the source that subscribes to it";
        section.context.warning_at("broker", why);
        let default = broker::Options::default();
        let payload_bytes_max = Size(default.payload_bytes_max as u64);
        let options = broker::Options {
            listen: section.or("listen", default.listen),
            listen_v5: section.or("listen_v5", default.listen_v5),
            connections_max: section.within("connections_max", default.connections_max, 1..=10_000),
            payload_bytes_max: section.within("payload_bytes_max", payload_bytes_max, Size(128)..=Size::mib(64)).0 as usize,
        };
        if options.listen == options.listen_v5 {
            section.problem("listen_v5", "the same as listen: MQTT 5 needs a port of its own");
        }
        options
    })
}
