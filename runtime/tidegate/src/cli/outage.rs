//! What an outage of the upstream needs, against the caps and the disk.
//!
//! A stream that a sink reads holds everything that comes in while the upstream is away; one that only pipelines read
//! holds nothing of it. How much that is follows from records a second, measured on the running gateway or given, and
//! from bytes a record, of what is stored or guessed.

use super::client::Client;
use crate::config::Config;
use crate::config::units::{Bytes, Span};
use serde::Serialize;
use std::time::Duration;
use tidegate_record::{Clock, SystemClock};
use tidegate_store::{Listing, Offline, PartitionListing, WhenFull};

/// sled's file takes about so many times what is stored in it.
const FILE_FACTOR: u64 = 2;
/// Bytes a record where nothing is stored yet: two numbers beside device and time take less.
const RECORD_BYTES_GUESSED: f64 = 16.0;

/// An outage to be assessed.
#[derive(Debug)]
pub(super) struct Outage {
    pub(super) lasts: Duration,
    /// Records a second of each stream; measured where it is not given.
    pub(super) rate: Option<f64>,
    /// How long to measure.
    pub(super) over: Duration,
}

/// What it comes to.
#[derive(Debug, Serialize)]
pub(super) struct Assessment {
    seconds: u64,
    /// Where the rates are from, in words.
    rates: String,
    streams: Vec<Need>,
    /// Bytes the store's file would take, if no cap held it.
    store_bytes: u64,
    /// Bytes the store may take on this disk beside its reserve, where known.
    disk_bytes: Option<u64>,
    /// Caps that cannot be kept.
    #[serde(skip)]
    pub(super) problems: Vec<String>,
    /// Caps that the outage exceeds.
    #[serde(skip)]
    pub(super) warnings: Vec<String>,
}

/// One stream's share.
#[derive(Debug, Serialize)]
struct Need {
    stream: String,
    records_per_second: f64,
    record_bytes: f64,
    bytes: u64,
    max_bytes: u64,
    /// When it is full, if the outage lasts that long.
    full_after_seconds: Option<u64>,
}

/// What is known of a store: what it holds, and how much of it came in over some seconds.
struct Known {
    listing: Option<Listing>,
    /// Appended records by stream at the beginning, and seconds since.
    before: Option<(Listing, f64)>,
}

/// Assesses an outage for a configuration. An error is what keeps it from being measured.
pub(super) fn assess(config: &Config, outage: &Outage) -> Result<Assessment, String> {
    let known = Known::of(config, outage)?;
    let rates = match outage.rate {
        Some(rate) => format!("{rate} records a second into each stream, as given"),
        None => format!("the rate of the last {}", Span(outage.over)),
    };
    let streams: Vec<Need> = (config.streams.iter())
        .filter(|stream| config.sinks.iter().any(|sink| sink.forward.stream == stream.name))
        .map(|stream| {
            let (rate, record) = (outage.rate.unwrap_or_else(|| known.rate(&stream.name)), known.bytes(&stream.name));
            let (a_second, max) = (rate * record, stream.retention.max_bytes);
            let full_after = (a_second > 0.0).then(|| (max as f64 / a_second) as u64);
            Need {
                stream: stream.name.clone(),
                records_per_second: rate,
                record_bytes: record,
                bytes: (a_second * outage.lasts.as_secs_f64()) as u64,
                max_bytes: max,
                full_after_seconds: full_after.filter(|after| *after < outage.lasts.as_secs()),
            }
        })
        .collect();
    let held = known.listing.as_ref().map_or(0, |listing| listing.disk_bytes);
    let free = tidegate_store::sled::free_bytes(&config.store.path);
    let mut assessment = Assessment {
        seconds: outage.lasts.as_secs(),
        rates,
        store_bytes: streams.iter().map(|need| need.bytes).fold(0, u64::saturating_add).saturating_mul(FILE_FACTOR),
        disk_bytes: free.map(|free| (free + held).saturating_sub(config.store.reserve)),
        streams,
        problems: Vec::new(),
        warnings: Vec::new(),
    };
    assessment.hold_against(config);
    Ok(assessment)
}

impl Known {
    fn of(config: &Config, outage: &Outage) -> Result<Self, String> {
        let client = Client::new(&format!("http://{}", config.control.listen))?;
        let ask = || client.json::<Listing>(&["api", "v1", "streams"], &[]);
        let ours = |listing: &Listing| listing.gateway == config.gateway;
        match (ask().ok().filter(ours), outage.rate) {
            (Some(listing), Some(_)) => Ok(Known { listing: Some(listing), before: None }),
            (Some(before), None) => {
                let clock = SystemClock::default();
                let began = clock.boot();
                std::thread::sleep(outage.over);
                let after = ask().map_err(String::from)?;
                let seconds = (clock.boot() - began) as f64 / 1e6;
                Ok(Known { listing: Some(after), before: Some((before, seconds)) })
            }
            // What an earlier run left tells how large records are.
            (None, Some(_)) => {
                let stored = Offline::open(&config.store.path).ok();
                Ok(Known { listing: stored.map(|store| store.listing()), before: None })
            }
            (None, None) => Err(format!(
                "--outage: the gateway {:?} does not answer at {}, so nothing can be measured. Start it, or give --rate",
                config.gateway, config.control.listen
            )),
        }
    }

    /// Records a second that were appended to a stream.
    fn rate(&self, stream: &str) -> f64 {
        let appended = |listing: &Listing| of(listing, stream).map(|p| p.appended).sum::<u64>();
        let (Some(after), Some((before, seconds))) = (&self.listing, &self.before) else { return 0.0 };
        appended(after).saturating_sub(appended(before)) as f64 / seconds
    }

    /// Bytes a record of a stream takes.
    fn bytes(&self, stream: &str) -> f64 {
        let Some(listing) = &self.listing else { return RECORD_BYTES_GUESSED };
        let (stored, bytes) = of(listing, stream).fold((0, 0), |(n, b), p| (n + p.stored, b + p.bytes));
        if stored == 0 { RECORD_BYTES_GUESSED } else { bytes as f64 / stored as f64 }
    }
}

fn of<'l>(listing: &'l Listing, stream: &'l str) -> impl Iterator<Item = &'l PartitionListing> {
    listing.partitions.iter().filter(move |partition| partition.stream == stream)
}

impl Assessment {
    fn hold_against(&mut self, config: &Config) {
        let max = config.store.max_bytes;
        if let Some(disk) = self.disk_bytes.filter(|disk| max > *disk) {
            self.problems.push(format!(
                "store.max_bytes: {} are more than this disk has for it: {} beside the reserve of {}. Lower it, or free \
                 space",
                Bytes(max),
                Bytes(disk),
                Bytes(config.store.reserve)
            ));
        }
        for need in &self.streams {
            let Some(after) = need.full_after_seconds else { continue };
            let stream = config.streams.iter().find(|stream| stream.name == need.stream);
            let then = match stream.map(|stream| stream.retention.when_full) {
                Some(WhenFull::DropOldest) => "its oldest records go",
                Some(WhenFull::Thin(_)) => "its oldest records become coarser",
                Some(WhenFull::Block) | None => "its writers wait or drop",
            };
            self.warnings.push(format!(
                "streams.{}.max_bytes: {} last {} of the outage, then {then}: it needs {}",
                need.stream,
                Bytes(need.max_bytes),
                about(after),
                Bytes(need.bytes)
            ));
        }
        if self.store_bytes > max {
            self.warnings.push(format!(
                "store.max_bytes: the outage needs about {} on disk, twice what is stored, and {} are allowed",
                Bytes(self.store_bytes),
                Bytes(max)
            ));
        }
    }

    /// A line a stream, and one for the store.
    pub(super) fn lines(&self) -> String {
        let mut out = format!("an outage of {}, at {}\n", about(self.seconds), self.rates);
        let names = self.streams.iter().map(|need| need.stream.len()).chain([6]).max().unwrap_or(6);
        let row = |name: &str, cells: [String; 4]| {
            let cells = cells.map(|cell| format!(" {cell:>13}"));
            format!("{name:<names$}{}\n", cells.concat())
        };
        out += &row("stream", ["records/s", "bytes/record", "needs", "max_bytes"].map(str::to_string));
        for need in &self.streams {
            let (rate, record) = (format!("{:.1}", need.records_per_second), format!("{:.1}", need.record_bytes));
            let (bytes, max) = (Bytes(need.bytes).to_string(), Bytes(need.max_bytes).to_string());
            out += &row(&need.stream, [rate, record, bytes, max]);
        }
        let disk = self.disk_bytes.map_or(String::new(), |disk| format!("; this disk has {} for it", Bytes(disk)));
        out + &format!("the store's file: about {}{disk}\n", Bytes(self.store_bytes))
    }
}

/// A duration for people, rounded down.
fn about(seconds: u64) -> String {
    match seconds {
        0..7_200 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3_600),
    }
}
