//! What a source says of itself.

use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tidegate_record::{Wall, rfc3339};

/// How a source stands with its wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Not there yet (again).
    #[default]
    Connecting,
    /// Frames can come.
    Connected,
    /// The last attempt failed; the reason says why. It tries again.
    Retrying,
    /// It has given up for good: the store refuses writes. Only a new run leaves this state.
    Failed,
    /// It was drained.
    Stopped,
}

/// What a source says of itself, for readiness and the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Its name in the configuration.
    pub name: String,
    /// `mqtt`, `mqtt_listener` or `serial`.
    pub kind: &'static str,
    /// How it stands.
    pub state: State,
    /// Why, where it does not stand well, or did not until a connection that has yet to show that it works.
    pub reason: Option<String>,
    /// How many times in a row it failed for one reason, connections in between that got nowhere included.
    pub failures: u64,
    /// Since when (RFC 3339, by the gateway's wall clock).
    pub since: String,
    /// Frames received.
    pub frames: u64,
    /// Records decoded.
    pub records: u64,
    /// Frames set aside as dead letters.
    pub dead_letters: u64,
    /// Frames given up because the stream was full.
    pub dropped: u64,
    /// Redelivered messages recognised and dropped.
    pub redelivered: u64,
    /// Messages received and not acknowledged yet.
    pub unacked: u64,
    /// Times framing lost its place and found the next delimiter.
    pub resyncs: u64,
    /// Devices that are connected to a listener.
    pub connections: u64,
    /// Connections a listener refused or ended because something was wrong with the device.
    pub faults: u64,
}

/// A cheap view of a running source.
#[derive(Debug, Clone)]
pub struct Handle(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    kind: &'static str,
    standing: Mutex<Standing>,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Standing {
    state: State,
    reason: Option<String>,
    /// The last failure, which outlives a connection that did not get anywhere.
    last_failure: String,
    failures: u64,
    since: i64,
}

impl Standing {
    fn reason(&self) -> Option<String> {
        self.reason.clone().or_else(|| (self.failures > 0).then(|| self.last_failure.clone()))
    }
}

/// Counters a source keeps.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub frames: AtomicU64,
    pub records: AtomicU64,
    pub dead_letters: AtomicU64,
    pub dropped: AtomicU64,
    pub redelivered: AtomicU64,
    pub unacked: AtomicU64,
    pub resyncs: AtomicU64,
    pub connections: AtomicU64,
    pub faults: AtomicU64,
}

impl Handle {
    pub(crate) fn new(name: &str, kind: &'static str) -> Self {
        let (standing, counts) = Default::default();
        Handle(Arc::new(Inner { name: name.into(), kind, standing, counts }))
    }

    /// What the source says of itself now.
    pub fn status(&self) -> Status {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Inner { name, kind, counts, .. } = &*self.0;
        let standing = self.standing();
        Status {
            name: name.clone(),
            kind,
            state: standing.state,
            reason: standing.reason(),
            failures: standing.failures,
            since: rfc3339(standing.since),
            frames: count(&counts.frames),
            records: count(&counts.records),
            dead_letters: count(&counts.dead_letters),
            dropped: count(&counts.dropped),
            redelivered: count(&counts.redelivered),
            unacked: count(&counts.unacked),
            resyncs: count(&counts.resyncs),
            connections: count(&counts.connections),
            faults: count(&counts.faults),
        }
    }

    /// The source's name in the configuration.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.0.counts
    }

    /// The source is in `state` and nothing is wrong.
    pub(crate) fn stands(&self, state: State, wall: Wall) {
        let mut standing = self.standing();
        if standing.state != State::Failed {
            (standing.state, standing.reason, standing.since) = (state, None, wall.micros);
        }
    }

    /// The wire works: what failed before is over.
    pub(crate) fn works(&self) {
        let mut standing = self.standing();
        standing.failures = 0;
        standing.last_failure.clear();
    }

    /// The source stands badly. Gives how many times in a row for this very reason.
    pub(crate) fn fails(&self, state: State, reason: String, wall: Wall) -> u64 {
        let mut standing = self.standing();
        if standing.state == State::Failed {
            return standing.failures;
        }
        if standing.last_failure != reason {
            (standing.failures, standing.last_failure) = (0, reason.clone());
        }
        standing.failures += 1;
        if standing.state != state {
            standing.since = wall.micros;
        }
        (standing.state, standing.reason) = (state, Some(reason));
        standing.failures
    }

    pub(crate) fn status_is(&self, state: State) -> bool {
        self.standing().state == state
    }

    /// A sentence about a source that stands well all the same (a filter the broker refused).
    pub(crate) fn remarks(&self, reason: String) {
        self.standing().reason = Some(reason);
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.0.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What `/metrics` says of a source. Made when it runs, so that the recorder is there.
pub(crate) struct Metrics {
    counters: Vec<(metrics::Counter, Count)>,
    unacked: Option<metrics::Gauge>,
    connections: Option<metrics::Gauge>,
}

type Count = fn(&Counts) -> &AtomicU64;

impl Metrics {
    pub fn new(handle: &Handle) -> Self {
        let counter =
            |name: &'static str, count: Count| (metrics::counter!(name, "source" => handle.name().to_owned()), count);
        let mut counters = vec![
            counter("tidegate_source_frames_total", |c| &c.frames),
            counter("tidegate_source_records_total", |c| &c.records),
            counter("tidegate_source_dead_letters_total", |c| &c.dead_letters),
            counter("tidegate_source_dropped_frames_total", |c| &c.dropped),
        ];
        let (mqtt, listener) = (handle.0.kind != "serial", handle.0.kind == "mqtt_listener");
        counters.push(match mqtt {
            true => counter("tidegate_mqtt_redelivered_total", |c| &c.redelivered),
            false => counter("tidegate_serial_resyncs_total", |c| &c.resyncs),
        });
        let unacked =
            mqtt.then(|| metrics::gauge!("tidegate_mqtt_unacked_messages", "source" => handle.name().to_owned()));
        let connections =
            listener.then(|| metrics::gauge!("tidegate_listener_connections", "source" => handle.name().to_owned()));
        if listener {
            counters.push(counter("tidegate_listener_faults_total", |c| &c.faults));
        }
        Metrics { counters, unacked, connections }
    }

    /// Once a parcel, not once a record.
    pub fn publish(&self, handle: &Handle) {
        for (counter, count) in &self.counters {
            counter.absolute(count(handle.counts()).load(Ordering::Relaxed));
        }
        if let Some(unacked) = &self.unacked {
            unacked.set(handle.counts().unacked.load(Ordering::Relaxed) as f64);
        }
        if let Some(connections) = &self.connections {
            connections.set(handle.counts().connections.load(Ordering::Relaxed) as f64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stands_badly_since_the_first_failure_and_not_since_the_last() {
        let handle = Handle::new("field", "mqtt");
        let at = |micros| Wall { micros, trusted: true };
        handle.stands(State::Connected, at(1_000_000));
        handle.fails(State::Retrying, "gone".into(), at(2_000_000));
        handle.fails(State::Retrying, "refused".into(), at(3_000_000));
        assert_eq!(handle.fails(State::Retrying, "refused".into(), at(4_000_000)), 2);
        let Status { since, failures, reason, .. } = handle.status();
        assert_eq!((since, failures, reason), (rfc3339(2_000_000), 2, Some("refused".into())));
    }
}
