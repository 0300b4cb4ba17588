//! `[sources.NAME]`: what brings frames in.

use super::section::Section;
use super::{mqtt, mqtt_listener, serial};
use std::time::Duration;
use tidegate_devices::DecodeOptions;

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
    /// Devices connect to it.
    Listener(tidegate_devices::listener::Options),
    /// Reads a serial port.
    Serial(tidegate_devices::serial::Options),
}

impl SourceConfig {
    /// How its frames become records.
    pub fn decode(&self) -> &DecodeOptions {
        match &self.kind {
            SourceKind::Mqtt(options) => &options.decode,
            SourceKind::Listener(options) => &options.decode,
            SourceKind::Serial(options) => &options.decode,
        }
    }
}

/// What the section of earlier versions is answered.
const BROKER: &str = "there is no embedded broker any more: devices connect straight to a source. Write a section \
                      [sources.NAME] with type = \"mqtt_listener\", listen, stream and a decode section, in place of \
                      [broker] and of the mqtt source that subscribed to it; it speaks MQTT 3.1.1 and 5 on one port";

/// The sources in the order of the file.
pub(super) fn read(root: &mut Section<'_>, max_future: Duration) -> Vec<SourceConfig> {
    root.not_here(&["broker"], BROKER);
    let sources = root.named("sources", |name, section| {
        let stream = section.needed_text("stream");
        let kinds: [(&str, Reader); 3] =
            [("mqtt", read_mqtt), ("mqtt_listener", read_listener), ("serial", read_serial)];
        let read = section.needed_word("type", &kinds);
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

fn read_listener(section: &mut Section<'_>, max_future: Duration) -> SourceKind {
    SourceKind::Listener(mqtt_listener::read(section, max_future))
}

fn read_serial(section: &mut Section<'_>, max_future: Duration) -> SourceKind {
    SourceKind::Serial(serial::read(section, max_future))
}
