use super::*;
use crate::config;
use std::collections::BTreeMap;
use std::path::Path;
use tidegate_devices::State as SourceState;
use tidegate_pipeline::{OnQuarantine, State as PipelineState};
use tidegate_sinks::forward::State as SinkState;
use tidegate_store::{LossReason, Partition, PartitionHealth, Position, ReaderHealth};

const SECOND: i64 = 1_000_000;
const MIB: u64 = 1 << 20;
/// Now, by every clock.
const NOW: i64 = 1_800_000_000 * SECOND;

/// What is seen, owned.
struct Sight {
    boot: i64,
    wall: Wall,
    health: Health,
    sources: Vec<tidegate_devices::Status>,
    pipelines: Vec<(String, tidegate_pipeline::Status)>,
    sinks: Vec<tidegate_sinks::Status>,
}

/// A gateway where all is well: 100 MiB of 1 GiB used.
fn well() -> Sight {
    let source = tidegate_devices::Status {
        name: "field".into(),
        kind: "mqtt",
        state: SourceState::Connected,
        reason: None,
        failures: 0,
        since: "2027-01-15T08:00:00Z".into(),
        frames: 0,
        records: 0,
        dead_letters: 0,
        dropped: 0,
        redelivered: 0,
        unacked: 0,
        resyncs: 0,
        connections: 0,
        faults: 0,
    };
    let pipeline = tidegate_pipeline::Status {
        state: PipelineState::Running,
        newest_event_time: Some(NOW - SECOND),
        ..Default::default()
    };
    let readers = ["pipeline/climate", "sink/cloud"].map(|reader| ReaderHealth {
        reader: reader.into(),
        cursor: Position(0),
        holds_from: Position(0),
        behind: 0,
        oldest_unread_arrival: None,
    });
    let partition = PartitionHealth {
        partition: Partition::new("readings", 0),
        first: Position(0),
        next: Position(0),
        durable: Position(0),
        appended: 0,
        stored: 0,
        released: 0,
        lost: 0,
        bytes: 20 * MIB,
        oldest_arrival: None,
        readers: readers.into(),
    };
    let health = Health {
        disk_bytes: 100 * MIB,
        disk_bytes_max: 1024 * MIB,
        disk_free: Some(4096 * MIB),
        partitions: vec![partition],
        ..Health::default()
    };
    Sight {
        boot: 0,
        wall: Wall { micros: NOW, trusted: true },
        health,
        sources: vec![source],
        pipelines: vec![("climate".into(), pipeline)],
        sinks: vec![idle()],
    }
}

/// A sink that has delivered everything.
fn idle() -> tidegate_sinks::Status {
    tidegate_sinks::Status {
        name: "cloud".into(),
        stream: "readings".into(),
        upstream: "https://example.com".into(),
        state: SinkState::Idle,
        reason: None,
        since: "2027-01-15T08:00:00Z".into(),
        delivered: 0,
        retries: 0,
        refused: 0,
        cursor: BTreeMap::new(),
        ahead: BTreeMap::new(),
        replaying: Default::default(),
        last_delivery: None,
    }
}

fn monitor(when_full: &str) -> Monitor {
    let text = format!(
        "[gateway]\nname = \"g\"\n[store]\npath = \"s\"\n\
         [streams.readings]\nfields = {{ temp = \"f64\" }}\nmax_bytes = \"100MiB\"\nwhen_full = {when_full:?}\n"
    );
    let config = config::parse(Path::new("gateway.toml"), &text, &|_| None).unwrap();
    Monitor::new(&config.streams).with_reserve(64 * MIB)
}

impl Sight {
    fn judged_by(&self, monitor: &Monitor) -> Vec<String> {
        let seen = Seen {
            boot: self.boot,
            wall: self.wall,
            arrival: NOW,
            health: &self.health,
            sources: &self.sources,
            pipelines: &self.pipelines,
            sinks: &self.sinks,
        };
        let ready = monitor.judge(&seen);
        assert_eq!(ready.ready, ready.reasons.iter().all(|reason| reason.severity != Severity::NotReady));
        assert_eq!(ready.is_healthy(), ready.reasons.iter().all(|reason| reason.severity == Severity::Waiting));
        let line = |reason: &Reason| {
            let sign = match reason.severity {
                Severity::NotReady => "✗",
                Severity::Warning => "!",
                Severity::Waiting => "…",
            };
            format!("{sign} {}: {}", reason.component, reason.reason)
        };
        ready.reasons.iter().map(line).collect()
    }
}

/// What is said when `change` befell a gateway where all was well.
#[track_caller]
fn check(change: impl FnOnce(&mut Sight), expected: &[&str]) {
    let mut sight = well();
    change(&mut sight);
    assert_eq!(sight.judged_by(&monitor("block")), expected);
}

#[test]
fn where_all_is_well_there_is_nothing_to_say() {
    check(|_| {}, &[]);
}

#[test]
fn a_store_that_cannot_take_more_is_not_ready() {
    check(
        |sight| sight.health.poisoned = Some("fdatasync: I/O error".into()),
        &[
            "✗ store: poisoned: it refuses writes until a restart, and nothing is acknowledged: fdatasync: I/O error. Check the disk, then restart the gateway",
        ],
    );
    check(
        |sight| (sight.health.disk_free, sight.health.full) = (Some(60 * MIB), true),
        &["✗ store: the file system has 60.0 MiB free of the 64.0 MiB kept in reserve: nothing is taken in, only \
           drained, until there is room"],
    );
    check(
        |sight| sight.health.disk_free = Some(60 * MIB),
        &[
            "! store: the file system has 60.0 MiB free of the 64.0 MiB kept in reserve: the store goes on in the space \
           it has",
        ],
    );
    check(
        |sight| sight.health.waits_for_disk = true,
        &[
            "✗ store: the file system is full: nothing becomes durable or is acknowledged until somebody frees space on \
           it; nothing is lost",
        ],
    );
    check(
        |sight| {
            sight.health.disk_bytes = 980 * MIB;
            sight.health.partitions[0].partition = Partition::new("dead_letters", 0);
            sight.health.partitions[0].bytes = 500 * MIB;
        },
        &["✗ store: nearly full: 980.0 MiB of 1.0 GiB used"],
    );
    // What was freed is used again.
    check(|sight| sight.health.disk_bytes = 1024 * MIB, &[]);
}

#[test]
fn a_full_stream_that_blocks_is_not_ready() {
    check(
        |sight| sight.health.partitions[0].bytes = 96 * MIB,
        &["✗ stream/readings: nearly full: 96.0 MiB of 100.0 MiB used; then its writers wait or drop"],
    );
    let mut sight = well();
    sight.health.partitions[0].bytes = 100 * MIB;
    assert_eq!(sight.judged_by(&monitor("drop_oldest")), Vec::<String>::new(), "full is its everyday state");
}

#[test]
fn the_time_until_a_stream_is_full_is_told() {
    // 20 MiB and growing by 1 MiB in 10 s: 79 MiB are left.
    let filling = |monitor: &Monitor, behind| {
        let mut sight = well();
        sight.health.partitions[0].readers[1].behind = behind;
        sight.judged_by(monitor);
        sight.boot = 10 * SECOND;
        sight.health.partitions[0].bytes += MIB;
        sight.judged_by(monitor)
    };
    let told = "full in about 13 min at the present rate: 21.0 MiB of 100.0 MiB used; then its";
    assert_eq!(filling(&monitor("block"), 0), [format!("! stream/readings: {told} writers wait or drop")]);
    let told = format!("! stream/readings: {told} oldest records go, delivered or not");
    assert_eq!(filling(&monitor("drop_oldest"), 5), [told]);
    assert_eq!(filling(&monitor("drop_oldest"), 0), Vec::<String>::new(), "nobody needs what goes");
}

#[test]
fn the_time_until_the_store_is_full_is_told() {
    let monitor = monitor("block");
    let mut sight = well();
    sight.health.partitions[0].partition = Partition::new("dead_letters", 0);
    sight.judged_by(&monitor);
    sight.boot = 60 * SECOND;
    sight.health.disk_bytes += 10 * MIB;
    sight.health.partitions[0].bytes += 10 * MIB;
    // 914 MiB of disk are left at 10 MiB a minute, and 482 MiB of what is stored.
    assert_eq!(
        sight.judged_by(&monitor),
        ["! store: full in about 91 min at the present rate: 110.0 MiB of 1.0 GiB used"]
    );
    sight.boot = 120 * SECOND;
    sight.health.partitions[0].bytes -= 10 * MIB;
    assert_eq!(sight.judged_by(&monitor), Vec::<String>::new(), "what was freed is used again");
}

#[test]
fn what_the_store_found_is_told() {
    check(
        |sight| {
            sight.health.notes = vec!["a torn snapshot was removed".into()];
            sight.health.orphans = vec!["sink/old on readings/0".into()];
        },
        &[
            "! store: a torn snapshot was removed",
            "! store: the cursor of sink/old on readings/0 is left over: nobody of that name is configured; it holds \
             nothing back and will expire",
        ],
    );
    let monitor = monitor("block");
    let mut sight = well();
    sight.health.losses = vec![("readings".into(), LossReason::Cap, 5)];
    assert_eq!(sight.judged_by(&monitor), Vec::<String>::new(), "that was before");
    sight.boot = 10 * SECOND;
    sight.health.losses = vec![("readings".into(), LossReason::Cap, 12)];
    assert_eq!(sight.judged_by(&monitor), ["! stream/readings: 7 records were given up lately (cap)"]);
    sight.boot = 600 * SECOND;
    sight.judged_by(&monitor);
    sight.boot = 700 * SECOND;
    assert_eq!(sight.judged_by(&monitor), Vec::<String>::new(), "that was long ago");
}

#[test]
fn a_source_without_its_wire_is_not_ready() {
    let state = |state, reason: Option<&str>| {
        let reason = reason.map(str::to_string);
        move |sight: &mut Sight| {
            sight.sources[0].state = state;
            sight.sources[0].reason = reason;
            sight.sources[0].failures = 4;
        }
    };
    check(state(SourceState::Connecting, None), &["✗ source/field: not connected yet"]);
    check(
        state(SourceState::Retrying, Some("connection refused")),
        &["✗ source/field: not connected since 2027-01-15T08:00:00Z, 4 attempts: connection refused"],
    );
    check(
        state(SourceState::Failed, Some("the store is poisoned")),
        &["✗ source/field: stopped: the store is poisoned"],
    );
    check(state(SourceState::Connected, Some("a filter was refused")), &["! source/field: a filter was refused"]);
    check(state(SourceState::Stopped, None), &[]);
}

#[test]
fn a_pipeline_that_stopped_is_not_ready() {
    let state = |state, reason: Option<&str>| {
        let reason = reason.map(str::to_string);
        move |sight: &mut Sight| {
            sight.pipelines[0].1.state = state;
            sight.pipelines[0].1.reason = reason;
        }
    };
    check(
        state(PipelineState::Failed, Some("stats 1.0.0 faulted 100 times in a row")),
        &["✗ pipeline/climate: stopped: stats 1.0.0 faulted 100 times in a row"],
    );
    check(
        state(PipelineState::Waiting, Some("climate_1s is full")),
        &["! pipeline/climate: waits: climate_1s is full"],
    );
    check(state(PipelineState::Recovering, None), &["! pipeline/climate: recovering: it replays its input"]);
}

#[test]
fn a_plugin_in_quarantine_is_named_with_the_way_back() {
    let held = tidegate_pipeline::Quarantined {
        operator: 2,
        plugin: "stats 1.0.0".into(),
        policy: OnQuarantine::DeadLetter,
        at: "readings/0@7".into(),
        device: "d1".into(),
        reason: "100 faulted calls in a row".into(),
        release_at: None,
        records: 3,
    };
    let sight = |held: &tidegate_pipeline::Quarantined, state| {
        let (held, reason) = (held.clone(), held.sentence());
        move |sight: &mut Sight| {
            let status = &mut sight.pipelines[0].1;
            (status.state, status.reason, status.quarantined) = (state, Some(reason), vec![held]);
        }
    };
    let told = "operator 2 (stats 1.0.0) is in quarantine since readings/0@7 (device d1): 100 faulted calls in a row";
    let release = "`tidegate plugin release climate 2`";
    check(
        sight(&held, PipelineState::Running),
        &[&format!("! pipeline/climate: {told}; 3 records went to the dead letters; {release} puts it back")],
    );
    let other = tidegate_pipeline::Quarantined { operator: 1, records: 0, ..held.clone() };
    let halted = tidegate_pipeline::Quarantined { policy: OnQuarantine::Halt, ..held };
    let stands = format!("✗ pipeline/climate: {told}; it stands until {release}, or a restart");
    check(sight(&halted, PipelineState::Quarantined), &[&stands]);
    // The pipeline went on without another one before.
    let told = other.sentence();
    let passes = "0 records went to the dead letters; `tidegate plugin release climate 1` puts it back";
    check(
        |seen| {
            sight(&halted, PipelineState::Quarantined)(seen);
            seen.pipelines[0].1.quarantined.insert(0, other.clone());
        },
        &[&stands, &format!("! pipeline/climate: {told}; {passes}")],
    );
}

#[test]
fn a_pipeline_that_lags_is_told() {
    check(
        |sight| {
            sight.health.partitions[0].readers[0].behind = 1200;
            sight.health.partitions[0].readers[0].oldest_unread_arrival = Some(NOW - 90 * SECOND);
            sight.pipelines[0].1.newest_event_time = Some(NOW - 3600 * SECOND);
        },
        &[
            "! pipeline/climate: behind its input: 1200 records, the oldest since 90 s",
            "! pipeline/climate: its newest event time is 60 min behind the wall clock",
        ],
    );
    check(
        |sight| {
            sight.wall.trusted = false;
            sight.pipelines[0].1.newest_event_time = Some(0);
        },
        &["! clock: the wall clock is not set: times it gives to records are marked, and corrected once it is"],
    );
}

#[test]
fn a_sink_whose_upstream_is_down_leaves_the_gateway_ready() {
    let unsent = |sight: &mut Sight| {
        sight.health.partitions[0].readers[1].behind = 1200;
        sight.health.partitions[0].readers[1].oldest_unread_arrival = Some(NOW - 3 * 3600 * SECOND);
    };
    check(
        |sight| {
            unsent(sight);
            sight.sinks[0].state = SinkState::Waiting;
            sight.sinks[0].reason = Some("503 Service Unavailable".into());
        },
        &[
            "! sink/cloud: delivery is tried again since 2027-01-15T08:00:00Z: 503 Service Unavailable; 1200 records wait, \
           the oldest since 3 h",
        ],
    );
    check(
        |sight| {
            unsent(sight);
            sight.sinks[0].state = SinkState::Delivering;
        },
        &["! sink/cloud: behind its stream: 1200 records wait, the oldest since 3 h"],
    );
    check(
        |sight| {
            unsent(sight);
            sight.sinks[0].state = SinkState::Held;
            sight.sinks[0].reason = Some("outside of send_window 22:00-06:00 (UTC+00:00)".into());
        },
        &["… sink/cloud: waits since 2027-01-15T08:00:00Z: outside of send_window 22:00-06:00 (UTC+00:00); \
           1200 records wait, the oldest since 3 h"],
    );
    check(
        |sight| {
            sight.sinks[0].state = SinkState::Failed;
            sight.sinks[0].reason = Some("its generation is stale".into());
        },
        &["✗ sink/cloud: stopped: its generation is stale"],
    );
}

#[test]
fn the_worst_comes_first() {
    let mut sight = well();
    sight.health.notes = vec!["repaired".into()];
    sight.sources[0].state = SourceState::Connecting;
    let said = sight.judged_by(&monitor("block"));
    assert_eq!(said, ["✗ source/field: not connected yet", "! store: repaired"]);
}
