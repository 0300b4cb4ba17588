//! `[store]`: where the streams are kept and how much they may take.

use super::section::Section;
use super::units::Size;
use super::value::{Read, Value};
use crate::flash;
use std::time::Duration;
use tidegate_store::Options;

/// The store's options (its clock is the caller's to set), how far ahead of a trusted wall clock an event time may
/// be, and what is said of the flash.
pub(super) fn read(root: &mut Section<'_>, gateway: &str) -> (Options, Duration, flash::Options) {
    root.section("store", |section| {
        let path = section.needed_text("path");
        let mut options = Options::new(section.context.resolve(&path), gateway);
        let second = Duration::from_secs(1);
        let flash = flash(section, &mut options.commit_interval);
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
        options.renew_bytes =
            section.within("renew_bytes", Size(options.renew_bytes), Size::kib(64)..=Size::gib(1_024)).0;
        let max_future = section.within("max_future", 3_600 * second, second..=365 * 86_400 * second);
        (options, max_future, flash)
    })
}

fn memory(section: &mut Section<'_>, key: &'static str, default: usize, min: Size) -> usize {
    section.within(key, Size(default as u64), min..=Size::gib(4)).0 as usize
}

/// `commit_interval`, and what it is chosen by.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Interval {
    Auto,
    Fixed(Duration),
}

impl Read for Interval {
    fn read(value: &Value<'_>) -> Result<Self, String> {
        if String::read(value).is_ok_and(|text| text == "auto") {
            return Ok(Interval::Auto);
        }
        Duration::read(value).map(Interval::Fixed)
    }

    fn show(&self) -> String {
        match self {
            Interval::Auto => "auto".into(),
            Interval::Fixed(interval) => interval.show(),
        }
    }
}

fn flash(section: &mut Section<'_>, interval: &mut Duration) -> flash::Options {
    let asked = section.or("commit_interval", Interval::Fixed(*interval));
    let limits = Duration::from_millis(1)..=Duration::from_secs(60);
    match asked {
        Interval::Auto => *interval = flash::AUTO_MIN,
        Interval::Fixed(fixed) => *interval = section.limited("commit_interval", Some(fixed), limits).unwrap_or(fixed),
    }
    let endurance = section.opt_within("endurance", Size::gib(1)..=Size(u64::MAX)).map(|size| size.0);
    let write_budget = section.opt_within("write_budget", Size::gib(1)..=Size(u64::MAX)).map(|size| size.0);
    let auto = asked == Interval::Auto;
    match (auto, write_budget) {
        (true, None) => section.problem("commit_interval", "\"auto\" needs write_budget: the bytes a year to keep to"),
        (false, Some(_)) => {
            let path = section.path_of("write_budget");
            section.context.warning_at(&path, "is kept to by commit_interval = \"auto\" only: set that");
        }
        _ => {}
    }
    flash::Options { endurance, write_budget, auto }
}
