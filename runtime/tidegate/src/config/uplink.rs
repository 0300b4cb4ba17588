//! `[uplink]`: what the sinks share, and each sink's part of it.

use super::section::Section;
use super::units::Size;
use super::value::{Read, Value};
use tidegate_sinks::UplinkOptions;
use tidegate_sinks::uplink::{SendWindow, Share, UtcOffset};

/// The uplink, where there is such a section.
pub(super) fn read(root: &mut Section<'_>) -> Option<UplinkOptions> {
    root.optional("uplink", |section| {
        let default = UplinkOptions::default();
        let requests_max = section.within("requests_max", default.requests_max, 1..=64);
        let per_hour = section.opt_within("max_bytes_per_hour", Size::kib(64)..=Size::gib(1_024));
        let send_window: Option<SendWindow> = section.opt("send_window");
        let offset = section.or("utc_offset", UtcOffset::default());
        let urgent_any_time = section.or("urgent_any_time", default.urgent_any_time);
        for option in ["utc_offset", "urgent_any_time"] {
            if section.has(option) && !section.has("send_window") {
                section.context.warning_at(&section.path_of(option), "not used without send_window");
            }
        }
        UplinkOptions {
            requests_max,
            max_bytes_per_hour: per_hour.map(|size| size.0),
            send_window: send_window.map(|window| window.at(offset)),
            urgent_any_time,
        }
    })
}

/// A sink's part; `None` where it does not share the uplink.
pub(super) fn share(section: &mut Section<'_>) -> Option<Share> {
    let default = Share::default();
    let shares = section.or("uplink", true);
    let weight = section.within("weight", default.weight, 1..=1_000);
    let urgent = section.or("urgent", default.urgent);
    shares.then_some(Share { weight, urgent })
}

impl Read for SendWindow {
    fn read(value: &Value<'_>) -> Result<Self, String> {
        String::read(value)?.parse()
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Read for UtcOffset {
    fn read(value: &Value<'_>) -> Result<Self, String> {
        String::read(value)?.parse()
    }

    fn show(&self) -> String {
        self.to_string()
    }
}
