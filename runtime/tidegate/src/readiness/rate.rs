//! How fast things fill: a minute of samples.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use tidegate_store::{Health, LossReason};

/// How long samples are kept: rates are over this long.
const WINDOW_US: i64 = 60_000_000;
/// Samples closer together than this are not kept; nor is a rate over less worth anything.
const SPACING_US: i64 = 3_000_000;

/// What was stored at one moment.
#[derive(Debug)]
struct Sample {
    boot: i64,
    disk_bytes: u64,
    streams: BTreeMap<String, u64>,
    losses: BTreeMap<(String, &'static str), u64>,
}

/// Recent samples, oldest first. Bounded: at most one a [`SPACING_US`] of [`WINDOW_US`], and the newest.
#[derive(Debug, Default)]
pub(super) struct Samples(VecDeque<Sample>);

impl Samples {
    pub fn add(&mut self, boot: i64, health: &Health) {
        // The newest is replaced until it is far enough from the one before.
        let close = self.0.len() >= 2 && self.0[self.0.len() - 1].boot - self.0[self.0.len() - 2].boot < SPACING_US;
        if close {
            self.0.pop_back();
        }
        self.0.push_back(Sample::of(boot, health));
        while self.0.len() > 2 && boot - self.0[1].boot > WINDOW_US {
            self.0.pop_front();
        }
    }

    /// How long until the store is full; `None` when that is not in sight, or nothing is known yet.
    ///
    /// Space that was freed is used again: the store is full when the disk's `max` bytes are taken and what is stored
    /// takes half of them.
    pub fn store_full_in(&self, max: u64) -> Option<Duration> {
        let disk = self.full_in(max, |sample| sample.disk_bytes)?;
        let stored = self.full_in(max / 2, |sample| sample.streams.values().sum())?;
        Some(disk.max(stored))
    }

    /// How long until a stream holds `max` bytes.
    pub fn stream_full_in(&self, stream: &str, max: u64) -> Option<Duration> {
        self.full_in(max, |sample| sample.streams.get(stream).copied().unwrap_or(0))
    }

    /// Records given up since the oldest sample: stream, reason, count.
    pub fn lost_lately(&self) -> Vec<(&str, &'static str, u64)> {
        let (Some(first), Some(last)) = (self.0.front(), self.0.back()) else { return Vec::new() };
        let mut lost = Vec::new();
        for (key, count) in &last.losses {
            let before = first.losses.get(key).copied().unwrap_or(0);
            if *count > before {
                lost.push((key.0.as_str(), key.1, count - before));
            }
        }
        lost
    }

    fn full_in(&self, max: u64, bytes: impl Fn(&Sample) -> u64) -> Option<Duration> {
        let (first, last) = (self.0.front()?, self.0.back()?);
        let room = max.saturating_sub(bytes(last));
        if room == 0 {
            return Some(Duration::ZERO);
        }
        let elapsed = last.boot - first.boot;
        let grown = bytes(last).checked_sub(bytes(first)).filter(|grown| *grown > 0)?;
        if elapsed < SPACING_US {
            return None;
        }
        let seconds = room as f64 / grown as f64 * elapsed as f64 / 1e6;
        Duration::try_from_secs_f64(seconds).ok()
    }
}

impl Sample {
    fn of(boot: i64, health: &Health) -> Self {
        let mut streams = BTreeMap::new();
        for partition in &health.partitions {
            *streams.entry(partition.partition.stream.to_string()).or_default() += partition.bytes;
        }
        let loss = |(stream, reason, count): &(String, LossReason, u64)| ((stream.clone(), reason.word()), *count);
        Sample { boot, disk_bytes: health.disk_bytes, streams, losses: health.losses.iter().map(loss).collect() }
    }
}
