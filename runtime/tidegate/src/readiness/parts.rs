//! Sources, pipelines, sinks.

use super::{BEHIND, Reason, Seen, WATERMARK_LAG, about, since};
use std::time::Duration;
use tidegate_devices::State as SourceState;
use tidegate_pipeline::{OnQuarantine, State as PipelineState};
use tidegate_sinks::forward::State as SinkState;

pub(super) fn judge(seen: &Seen<'_>, reasons: &mut Vec<Reason>) {
    seen.sources.iter().for_each(|status| source(status, reasons));
    seen.pipelines.iter().for_each(|(name, status)| pipeline(seen, name, status, reasons));
    seen.sinks.iter().for_each(|status| sink(seen, status, reasons));
}

fn source(status: &tidegate_devices::Status, reasons: &mut Vec<Reason>) {
    let component = format!("source/{}", status.name);
    let reason = status.reason.as_deref().unwrap_or("no reason given");
    let since = &status.since;
    match (status.state, &status.reason) {
        (SourceState::Connecting, _) => reasons.push(Reason::not_ready(component, "not connected yet")),
        (SourceState::Retrying, _) => {
            let attempts = match status.failures {
                1 => "1 attempt".into(),
                times => format!("{times} attempts"),
            };
            let message = format!("not connected since {since}, {attempts}: {reason}");
            reasons.push(Reason::not_ready(component, message));
        }
        (SourceState::Failed, _) => reasons.push(Reason::not_ready(component, format!("stopped: {reason}"))),
        (SourceState::Connected, Some(remark)) => reasons.push(Reason::warning(component, remark)),
        (SourceState::Connected | SourceState::Stopped, _) => {}
    }
}

fn pipeline(seen: &Seen<'_>, name: &str, status: &tidegate_pipeline::Status, reasons: &mut Vec<Reason>) {
    let component = format!("pipeline/{name}");
    let reason = status.reason.as_deref().unwrap_or("no reason given");
    match status.state {
        PipelineState::Failed => reasons.push(Reason::not_ready(&component, format!("stopped: {reason}"))),
        PipelineState::Recovering => reasons.push(Reason::warning(&component, "recovering: it replays its input")),
        PipelineState::Waiting => reasons.push(Reason::warning(&component, format!("waits: {reason}"))),
        PipelineState::Quarantined => {
            // It may go on without others.
            let stands = status.quarantined.iter().find(|held| held.policy == OnQuarantine::Halt);
            let operator = stands.map_or(0, |held| held.operator);
            let remedy = format!("it stands until `tidegate plugin release {name} {operator}`, or a restart");
            reasons.push(Reason::not_ready(&component, format!("{reason}; {remedy}")));
        }
        PipelineState::Running | PipelineState::Stopped => {}
    }
    for held in status.quarantined.iter().filter(|held| held.policy != OnQuarantine::Halt) {
        let (sentence, operator, records) = (held.sentence(), held.operator, held.records);
        let what = match held.policy {
            OnQuarantine::Bypass => "passed by it",
            _ => "went to the dead letters",
        };
        let remedy = format!("`tidegate plugin release {name} {operator}` puts it back");
        reasons.push(Reason::warning(&component, format!("{sentence}; {records} records {what}; {remedy}")));
    }
    if let Some((records, age)) = behind(seen, &component) {
        let message = format!("behind its input: {records} records, the oldest since {}", about(age));
        reasons.push(Reason::warning(&component, message));
    }
    let lag = status.newest_event_time.map(|newest| since(newest, seen.wall.micros));
    if let Some(lag) = lag.filter(|lag| seen.wall.trusted && *lag > WATERMARK_LAG) {
        let message = format!("its newest event time is {} behind the wall clock", about(lag));
        reasons.push(Reason::warning(&component, message));
    }
    reasons.extend(status.notes.iter().map(|note| Reason::warning(&component, note)));
}

fn sink(seen: &Seen<'_>, status: &tidegate_sinks::Status, reasons: &mut Vec<Reason>) {
    let component = format!("sink/{}", status.name);
    let reason = status.reason.as_deref().unwrap_or("no reason given");
    let waiting = oldest(seen, &component);
    let unsent = match waiting {
        Some((records, age)) => format!("{records} records wait, the oldest since {}", about(age)),
        None => "nothing waits".into(),
    };
    match status.state {
        SinkState::Failed => reasons.push(Reason::not_ready(&component, format!("stopped: {reason}"))),
        SinkState::Waiting => {
            let message = format!("delivery is tried again since {}: {reason}; {unsent}", status.since);
            reasons.push(Reason::warning(&component, message));
        }
        SinkState::Held => {
            let message = format!("waits since {}: {reason}; {unsent}", status.since);
            reasons.push(Reason::waiting(&component, message));
        }
        SinkState::Idle | SinkState::Delivering => {
            if behind(seen, &component).is_some() {
                let message = match status.ahead.is_empty() {
                    true => format!("behind its stream: {unsent}"),
                    false => format!("a backlog goes beside fresh records: at most {unsent}"),
                };
                reasons.push(Reason::warning(&component, message));
            }
        }
    }
}

/// As [`oldest`], where that is older than [`BEHIND`].
fn behind(seen: &Seen<'_>, reader: &str) -> Option<(u64, Duration)> {
    oldest(seen, reader).filter(|(_, age)| *age > BEHIND)
}

/// How many records a reader has not read, and how long the oldest of them has waited.
fn oldest(seen: &Seen<'_>, reader: &str) -> Option<(u64, Duration)> {
    let readers = seen.health.partitions.iter().flat_map(|partition| &partition.readers);
    let mine = readers.filter(|health| health.reader == reader);
    let (mut records, mut oldest) = (0, None);
    for health in mine {
        records += health.behind;
        oldest = match (oldest, health.oldest_unread_arrival) {
            (Some(one), Some(other)) => Some(std::cmp::min::<i64>(one, other)),
            (one, other) => one.or(other),
        };
    }
    oldest.map(|arrival| (records, since(arrival, seen.arrival)))
}
