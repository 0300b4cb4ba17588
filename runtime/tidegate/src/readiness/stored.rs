//! The store, its streams and the clock.

use super::rate::Samples;
use super::{FULL_SOON, NEARLY_FULL, Reason, Seen, about};
use crate::config::StreamConfig;
use crate::config::units::Bytes;
use tidegate_record::streams;
use tidegate_store::{Health, WhenFull};

pub(super) fn judge(
    seen: &Seen<'_>,
    (streams, reserve): (&[StreamConfig], u64),
    samples: &Samples,
    reasons: &mut Vec<Reason>,
) {
    store(seen, reserve, samples, reasons);
    for stream in streams {
        filling(seen, stream, samples, reasons);
    }
    let health = seen.health;
    reasons.extend(health.notes.iter().map(|note| Reason::warning("store", note)));
    reasons.extend(health.orphans.iter().map(|reader| {
        let why = "nobody of that name is configured; it holds nothing back and will expire";
        Reason::warning("store", format!("the cursor of {reader} is left over: {why}"))
    }));
    for (stream, reason, count) in samples.lost_lately() {
        let component = format!("stream/{stream}");
        reasons.push(Reason::warning(component, format!("{count} records were given up lately ({reason})")));
    }
    if !seen.wall.trusted {
        reasons.push(Reason::warning(
            "clock",
            "the wall clock is not set: times it gives to records are marked, and corrected once it is",
        ));
    }
}

fn store(seen: &Seen<'_>, reserve: u64, samples: &Samples, reasons: &mut Vec<Reason>) {
    let health = seen.health;
    if let Some(why) = &health.poisoned {
        let what = "it refuses writes until a restart, and nothing is acknowledged";
        reasons.push(Reason::not_ready(
            "store",
            format!("poisoned: {what}: {why}. Check the disk, then restart the gateway"),
        ));
    }
    disk(health, reserve, reasons);
    let (used, max) = (health.disk_bytes, health.disk_bytes_max);
    let stored: u64 = health.partitions.iter().map(|partition| partition.bytes).sum();
    let amount = format!("{} of {} used", Bytes(used), Bytes(max));
    // Space that was freed is used again: only together do the two make it full.
    if is_nearly_full(used, max) && is_nearly_full(stored, max / 2) {
        reasons.push(Reason::not_ready("store", format!("nearly full: {amount}")));
    } else if let Some(left) = samples.store_full_in(max).filter(|left| *left < FULL_SOON) {
        let message = format!("full in about {} at the present rate: {amount}", about(left));
        reasons.push(Reason::warning("store", message));
    }
}

/// The file system, which others may fill too.
fn disk(health: &Health, reserve: u64, reasons: &mut Vec<Reason>) {
    if health.waits_for_disk {
        let what = "nothing becomes durable or is acknowledged until somebody frees space on it; nothing is lost";
        return reasons.push(Reason::not_ready("store", format!("the file system is full: {what}")));
    }
    let Some(free) = health.disk_free.filter(|free| *free < reserve) else { return };
    let have = format!("the file system has {} free of the {} kept in reserve", Bytes(free), Bytes(reserve));
    reasons.push(match health.full {
        true => Reason::not_ready("store", format!("{have}: nothing is taken in, only drained, until there is room")),
        false => Reason::warning("store", format!("{have}: the store goes on in the space it has")),
    });
}

fn filling(seen: &Seen<'_>, stream: &StreamConfig, samples: &Samples, reasons: &mut Vec<Reason>) {
    let name = stream.name.as_str();
    // These two are made to run full, and their oldest to go.
    if name == streams::DEAD_LETTERS || name == streams::LEDGER {
        return;
    }
    let partitions = seen.health.partitions.iter().filter(|partition| &*partition.partition.stream == name);
    let (mut used, mut unread) = (0, false);
    for partition in partitions {
        used += partition.bytes;
        unread |= partition.readers.iter().any(|reader| reader.behind > 0);
    }
    let max = stream.retention.max_bytes;
    let amount = format!("{} of {}", Bytes(used), Bytes(max));
    let component = format!("stream/{name}");
    let blocks = stream.retention.when_full == WhenFull::Block;
    if blocks && is_nearly_full(used, max) {
        reasons
            .push(Reason::not_ready(component, format!("nearly full: {amount} used; then its writers wait or drop")));
    } else if let Some(left) = samples.stream_full_in(name, max).filter(|left| *left < FULL_SOON && (blocks || unread))
    {
        let then = match stream.retention.when_full {
            WhenFull::Block => "its writers wait or drop",
            WhenFull::DropOldest => "its oldest records go, delivered or not",
            WhenFull::Thin(_) => "its oldest records become coarser, and in the end go",
        };
        let message = format!("full in about {} at the present rate: {amount} used; then {then}", about(left));
        reasons.push(Reason::warning(component, message));
    }
}

fn is_nearly_full(used: u64, max: u64) -> bool {
    max > 0 && used / NEARLY_FULL >= max / 100
}
