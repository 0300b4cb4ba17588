//! `[store]`: where the streams are kept and how much they may take.

use super::section::Section;
use super::units::Size;
use std::time::Duration;
use tidegate_store::Options;

/// The store's options (its clock is the caller's to set), and how far ahead of a trusted wall clock an event time may
/// be.
pub(super) fn read(root: &mut Section<'_>, gateway: &str) -> (Options, Duration) {
    root.section("store", |section| {
        let path = section.needed_text("path");
        let mut options = Options::new(section.context.resolve(&path), gateway);
        let second = Duration::from_secs(1);
        options.commit_interval =
            section.within("commit_interval", options.commit_interval, Duration::from_millis(1)..=60 * second);
        options.commit_bytes =
            section.within("commit_bytes", Size(options.commit_bytes), Size::kib(1)..=Size::mib(16)).0;
        options.max_bytes = section.within("max_bytes", Size(options.max_bytes), Size::mib(16)..=Size::gib(65_536)).0;
        options.reserve = section.within("reserve", Size(options.reserve), Size(0)..=Size::gib(1_024)).0;
        options.staged_bytes = memory(section, "staged_bytes", options.staged_bytes, Size::kib(256));
        if options.reserve < 4 * options.staged_bytes as u64 {
            let path = section.path_of("reserve");
            let why = "on a full disk, what waits for a commit may have to wait until somebody frees space";
            section.context.warning_at(&path, format!("less than four times staged_bytes: {why}"));
        }
        options.tail_bytes = memory(section, "tail_bytes", options.tail_bytes, Size(0));
        let max_future = section.within("max_future", 3_600 * second, second..=365 * 86_400 * second);
        (options, max_future)
    })
}

fn memory(section: &mut Section<'_>, key: &'static str, default: usize, min: Size) -> usize {
    section.within(key, Size(default as u64), min..=Size::gib(4)).0 as usize
}
