//! Pipelines over the in-memory store with the shipped plugins. A running pipeline that is dropped between two turns is a
//! process killed there; a store whose power was cut loses what was not durable.

mod versions;

use super::*;
use crate::chain::Chain;
use crate::{Ask, Handle, OnQuarantine, OperatorOptions, PipelineOptions, WindowOptions};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use std::path::PathBuf;
use std::time::Duration;
use tidegate_record::{BatchBuilder, Field, ManualClock, Scalar, Schema, streams};
use tidegate_sandbox::{Engine, EngineOptions, Limits};
use tidegate_store::{Append, Hold, Keep, MemoryDisk, MemoryStore, Retention, Store, StreamSpec, Visibility, WhenFull};

mod quarantine;
mod tables;

const SECOND: i64 = 1_000_000;

/// `target/plugins`, where `cargo xtask plugins` puts them.
fn plugins() -> PathBuf {
    let exe = std::env::current_exe().unwrap();
    let folder = exe.ancestors().nth(3).unwrap().join("plugins");
    assert!(folder.exists(), "{} is not there: run `cargo xtask plugins`", folder.display());
    folder
}

fn operator(plugin: &str, params: &str, window: Option<WindowOptions>) -> OperatorOptions {
    let engine = Engine::new(EngineOptions::default()).unwrap();
    let limits = Limits::default();
    let plugin = engine.load(&plugins().join(plugin), &limits).unwrap();
    OperatorOptions { params: params.into(), limits, window, max_keys: 100, ..OperatorOptions::of(plugin) }
}

/// threshold → 10 s window of stats.
fn windowed() -> Vec<OperatorOptions> {
    let window = WindowOptions { size: 10 * SECOND, lateness: 5 * SECOND, idle: 60 * SECOND };
    vec![
        operator("threshold.wasm", r#"{"field":"temp","above":10.0}"#, None),
        operator("stats.wasm", r#"{"fields":["temp"]}"#, Some(window)),
    ]
}

fn readings() -> Arc<Schema> {
    Arc::new(Schema::new(vec![Field::new("temp", Scalar::Float)]).unwrap())
}

/// A disk, the clock, and the store that runs on it.
struct Bench {
    disk: MemoryDisk,
    clock: Arc<ManualClock>,
    store: Arc<dyn Store>,
    operators: Vec<OperatorOptions>,
    tokio: tokio::runtime::Runtime,
}

impl Bench {
    fn new(operators: Vec<OperatorOptions>) -> Self {
        let clock = Arc::new(ManualClock::at(1_800_000_000 * SECOND));
        let disk = MemoryDisk::default();
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let store = open(&disk, &clock, &operators);
        Bench { disk, clock, store, operators, tokio }
    }

    fn options(&self) -> PipelineOptions {
        pipeline_options(self.operators.clone())
    }

    fn begin(&self) -> Running {
        let (pipeline, _) =
            Pipeline::build(self.options(), &readings(), self.store.clone(), self.clock.clone()).unwrap();
        let mut running = pipeline.attach().unwrap();
        running.recover().unwrap();
        running
    }

    fn turn(&self, running: &mut Running) -> bool {
        matches!(self.tokio.block_on(running.turn(&CancellationToken::new())).unwrap(), Turn::Worked)
    }

    /// Appends readings as one commit of a source; waits until they are durable.
    fn append(&self, rows: &[(u8, i64, f64)]) {
        let session = self.store.attach("source/test").unwrap();
        let mut builder = BatchBuilder::new(readings());
        for (device, time, temp) in rows {
            builder.float(0, *temp);
            builder.end_row(&format!("d{device}"), *time).unwrap();
        }
        let mut commit = Commit::by(&session);
        commit.appends.push(Append { stream: "readings".into(), batch: Arc::new(builder.finish()) });
        self.durable(commit);
    }

    fn durable(&self, mut commit: Commit) {
        commit.hurry = true;
        let Ok(receipt) = self.store.commit(commit) else { panic!("refused") };
        self.tokio.block_on(receipt).unwrap();
    }

    /// Waits until everything taken in so far is durable.
    fn flush(&self) {
        let session = self.store.attach("source/flush").unwrap();
        let mut commit = Commit::by(&session);
        commit.state = Some(Vec::new());
        self.durable(commit);
    }

    /// The power is cut; the store opens again with what was durable.
    fn power_cut(&mut self) {
        self.disk.power_cut();
        self.store = open(&self.disk, &self.clock, &self.operators);
    }

    /// Everything durable in a stream, a line a record.
    fn lines(&self, stream: &str) -> Vec<String> {
        let partition = Partition::new(stream, 0);
        let (mut at, mut lines) = (self.store.start(&partition).unwrap(), Vec::new());
        while let Some(block) = self.store.read(&partition, at, Visibility::Durable).unwrap() {
            let rows = 0..block.batch.rows();
            lines.extend(rows.map(|row| serde_json::to_string(&block.batch.row(row)).unwrap()));
            at = block.next;
        }
        lines
    }
}

fn pipeline_options(operators: Vec<OperatorOptions>) -> PipelineOptions {
    PipelineOptions {
        name: "p".into(),
        from: vec!["readings".into()],
        to: "out".into(),
        operators,
        checkpoint_interval: Duration::from_secs(10),
        checkpoint_bytes: 1 << 20,
    }
}

fn open(disk: &MemoryDisk, clock: &Arc<ManualClock>, operators: &[OperatorOptions]) -> Arc<dyn Store> {
    open_with(disk, clock, operators, 64 << 20)
}

/// The same with a cap for what the pipeline appends to.
fn open_with(
    disk: &MemoryDisk,
    clock: &Arc<ManualClock>,
    operators: &[OperatorOptions],
    out_bytes: u64,
) -> Arc<dyn Store> {
    let mut options = tidegate_store::Options::new("", "test");
    options.clock = clock.clone();
    options.commit_interval = Duration::from_millis(1);
    let store = MemoryStore::on(disk.clone(), options, 7);
    let retention = |when_full, max_bytes| Retention {
        max_bytes,
        max_age: None,
        keep: Keep::For(Duration::from_secs(1 << 30)),
        when_full,
    };
    let spec = |name: &str, schema, when_full, readers| StreamSpec {
        name: name.into(),
        schema,
        partitions: 1,
        retention: retention(when_full, if name == "out" { out_bytes } else { 64 << 20 }),
        readers,
    };
    let chain = Chain::build(&pipeline_options(operators.to_vec()), &readings()).unwrap();
    let reader = vec![("pipeline/p".into(), Hold::Snapshot)];
    store
        .declare(vec![
            spec("readings", readings(), WhenFull::Block, reader),
            spec("out", chain.schema().clone(), WhenFull::Block, vec![("sink/s".into(), Hold::Cursor)]),
            spec(streams::DEAD_LETTERS, Arc::new(streams::dead_letters()), WhenFull::DropOldest, Vec::new()),
            spec(streams::LEDGER, Arc::new(streams::ledger()), WhenFull::DropOldest, Vec::new()),
        ])
        .unwrap();
    Arc::new(store)
}

/// Readings of five devices over two minutes, out of order within the lateness bound and sometimes beyond it.
fn some_readings(rng: &mut SmallRng) -> Vec<(u8, i64, f64)> {
    (0..400)
        .map(|number| {
            let behind = if rng.random_bool(0.02) { 40 * SECOND } else { rng.random_range(0..4 * SECOND) };
            let temp = f64::from(rng.random_range(0..400)) / 10.0;
            (rng.random_range(0..5), 1_700_000_000 * SECOND + number * SECOND * 3 / 10 - behind, temp)
        })
        .collect()
}

#[test]
fn windows_survive_kills_and_power_cuts_exactly() {
    let operators = windowed();
    for seed in 0..40 {
        let mut rng = SmallRng::seed_from_u64(seed);
        let rows = some_readings(&mut rng);
        let run = |disturb: bool, rng: &mut SmallRng| {
            let mut bench = Bench::new(operators.clone());
            let mut running = Some(bench.begin());
            for part in rows.chunks(17) {
                bench.clock.advance(rng.random_range(0..4) * SECOND);
                bench.append(part);
                if rng.random_bool(0.7) {
                    while bench.turn(running.as_mut().unwrap()) {}
                }
                if disturb && rng.random_bool(0.3) {
                    // Killed: what was taken in is still committed, or not when the power goes with it.
                    drop(running.take());
                    if rng.random_bool(0.5) {
                        bench.power_cut();
                    }
                    running = Some(bench.begin());
                    let notes = &running.as_ref().unwrap().pipeline.handle.status().notes;
                    assert_eq!(notes, &Vec::<String>::new(), "seed {seed}");
                }
            }
            while bench.turn(running.as_mut().unwrap()) {}
            bench.flush();
            (bench.lines("out"), late(&bench))
        };
        let expected = run(false, &mut rng);
        let seen = run(true, &mut rng);
        assert!(expected.0.len() > 20, "seed {seed}: {} windows", expected.0.len());
        assert_eq!(seen, expected, "seed {seed}");
    }
}

/// Late records in the ledger's totals.
fn late(bench: &Bench) -> u64 {
    let losses = bench.store.health().losses;
    losses.iter().filter(|(_, reason, _)| *reason == tidegate_store::LossReason::Late).map(|(_, _, count)| count).sum()
}

#[test]
fn a_silent_streams_last_window_is_closed_by_a_tick() {
    let bench = Bench::new(windowed());
    let mut running = bench.begin();
    bench.append(&[(1, 1_700_000_000 * SECOND, 20.0)]);
    while bench.turn(&mut running) {}
    bench.flush();
    assert_eq!(bench.lines("out"), Vec::<String>::new());
    let due = running.pipeline.chain.due().expect("an open window");
    bench.store.tick_at(&running.inputs[0], due);
    bench.clock.advance(61 * SECOND);
    bench.tokio.block_on(async {
        tokio::time::timeout(Duration::from_secs(10), running.merge.ready()).await.expect("a tick");
    });
    while bench.turn(&mut running) {}
    bench.flush();
    let lines = bench.lines("out");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].starts_with(r#"{"device":"d1","time":"2023-11-14T22:13:20.000000Z","window_end":1700000010000000,"#)
    );
    assert!(lines[0].contains(r#""temp_mean":20.0"#), "{lines:?}");
}

#[test]
fn a_late_record_is_counted_and_no_window_is_made_again() {
    let bench = Bench::new(windowed());
    let mut running = bench.begin();
    let base = 1_700_000_000 * SECOND;
    bench.append(&[(1, base, 20.0), (1, base + 16 * SECOND, 20.0), (1, base + SECOND, 30.0)]);
    while bench.turn(&mut running) {}
    bench.flush();
    assert_eq!(bench.lines("out").len(), 1);
    assert_eq!(late(&bench), 1);
    let ledger = bench.lines(streams::LEDGER);
    assert!(ledger[0].contains(r#""reason":"late""#) && ledger[0].contains(r#""count":1"#), "{ledger:?}");
}

#[test]
fn devices_beyond_max_keys_go_to_the_dead_letters_with_their_record() {
    let mut operators = windowed();
    operators[1].max_keys = 1;
    let bench = Bench::new(operators);
    let mut running = bench.begin();
    bench.append(&[(1, 0, 20.0), (2, 0, 21.0)]);
    while bench.turn(&mut running) {}
    bench.flush();
    let letters = bench.lines(streams::DEAD_LETTERS);
    assert_eq!(letters.len(), 1);
    assert!(letters[0].contains("max_keys") && letters[0].contains("readings/0@"), "{letters:?}");
    assert_eq!(running.pipeline.handle.status().overflow, 1);
}

#[test]
fn anomalies_stand_beside_the_record_they_were_found_in() {
    let bench = Bench::new(vec![operator("zscore.wasm", r#"{"field":"temp","threshold":4.0}"#, None)]);
    let mut running = bench.begin();
    let mut rows: Vec<_> = (0..200).map(|n| (1, n * SECOND, 20.0 + f64::from((n % 5) as i32) / 10.0)).collect();
    rows.push((1, 200 * SECOND, 90.0));
    for part in rows.chunks(7) {
        bench.append(part);
        while bench.turn(&mut running) {}
    }
    bench.flush();
    let lines = bench.lines("out");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains(r#""temp":90.0,"score":"#) && lines[0].contains(r#""reason":""#), "{lines:?}");
}

#[test]
fn other_parameters_begin_with_empty_state_and_say_so() {
    let mut bench = Bench::new(windowed());
    let mut running = bench.begin();
    bench.append(&[(1, 0, 20.0)]);
    while bench.turn(&mut running) {}
    let commit = running.checkpoint(Commit::by(&running.session)).unwrap();
    bench.durable(commit);
    drop(running);
    bench.operators[0].params = r#"{"field":"temp","above":11.0}"#.into();
    let running = bench.begin();
    let notes = running.pipeline.handle.status().notes;
    assert!(notes[0].contains("empty state"), "{notes:?}");
}

#[test]
fn a_store_that_is_closed_stops_the_pipeline_with_its_reason() {
    let bench = Bench::new(windowed());
    let mut running = bench.begin();
    bench.append(&[(1, 0, 20.0)]);
    bench.tokio.block_on(bench.store.close()).unwrap();
    let Err(Stop::Failed(error)) = bench.tokio.block_on(running.turn(&CancellationToken::new())) else {
        panic!("no refusal")
    };
    assert!(error.to_string().contains("clos"), "{error}");
}

/// Blocks keep the fields they were appended with.
#[test]
fn records_from_before_a_change_of_fields_are_read_by_name() {
    let fields = vec![Field::new("hum", Scalar::Float), Field::new("temp", Scalar::Float)];
    let now = Arc::new(Schema::new(fields).unwrap());
    let threshold = operator("threshold.wasm", r#"{"field":"temp","above":10.0}"#, None);
    let mut chain = Chain::build(&pipeline_options(vec![threshold]), &now).unwrap();
    let mut builder = BatchBuilder::new(readings());
    for temp in [9.0, 11.0] {
        builder.float(0, temp);
        builder.end_row("d1", 0).unwrap();
    }
    let run = tidegate_store::Run { commit: 1, arrival: 0, wall: 0, trusted: true, stamped: None, rows: 2 };
    let batch = Arc::new(builder.finish());
    let entry = Entry { input: 0, first: Position(0), next: Position(2), run, era: None, batch };
    let kept = chain.process(&entry, &mark::Verdicts::default()).unwrap().batches.remove(0).0;
    assert_eq!(kept.schema(), &now);
    assert_eq!(serde_json::to_value(kept.row(0)).unwrap()["temp"], 11.0);
    assert_eq!((kept.rows(), serde_json::to_value(kept.row(0)).unwrap().get("hum")), (1, None));
}

/// A stream holds back what the last checkpoint has not seen, however long nothing comes.
#[test]
fn a_pipeline_whose_input_falls_silent_takes_a_checkpoint() {
    let bench = Bench::new(windowed());
    bench.append(&[(1, 0, 20.0)]);
    let options = PipelineOptions { checkpoint_interval: Duration::from_millis(10), ..bench.options() };
    let (pipeline, handle) = Pipeline::build(options, &readings(), bench.store.clone(), bench.clock.clone()).unwrap();
    let drain = CancellationToken::new();
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| pipeline.run(tokio.handle(), &drain));
        let end = bench.store.health().partitions.iter().find(|p| &*p.partition.stream == "readings").unwrap().durable;
        let seen = || bench.store.snapshot("pipeline/p").unwrap().is_some_and(|s| s.at[0].1 == end);
        let waits = async {
            while !seen() {
                tokio::task::yield_now().await;
            }
        };
        let _ = bench.tokio.block_on(async { tokio::time::timeout(Duration::from_secs(10), waits).await });
        assert!(seen(), "{:?}", handle.status());
        drain.cancel();
    });
}

/// Runs a pipeline on a thread of its own while `outside` looks at it.
fn beside(bench: &Bench, outside: impl AsyncFnOnce(Handle, &CancellationToken)) {
    let (pipeline, handle) =
        Pipeline::build(bench.options(), &readings(), bench.store.clone(), bench.clock.clone()).unwrap();
    let drain = CancellationToken::new();
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| pipeline.run(tokio.handle(), &drain));
        let outside = async { tokio::time::timeout(Duration::from_secs(30), outside(handle, &drain)).await };
        let ended = bench.tokio.block_on(outside);
        drain.cancel();
        ended.expect("it came to an end");
    });
}

async fn until(handle: &Handle, wanted: impl Fn(&crate::Status) -> bool) {
    while !wanted(&handle.status()) {
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_pipeline_is_asked_between_two_turns_and_says_so_when_it_has_stopped() {
    let bench = Bench::new(windowed());
    beside(&bench, async |handle, drain| {
        let refused = handle.ask(Ask::Release { operator: 2 }).await.unwrap_err();
        assert_eq!(refused, "operator 2 of pipeline p is not in quarantine");
        for operator in [0, 3] {
            let refused = handle.ask(Ask::Release { operator }).await.unwrap_err();
            assert!(refused.contains("pipeline p has 2 operators"), "{refused}");
        }
        drain.cancel();
        until(&handle, |s| s.state == State::Stopped).await;
        let refused = handle.ask(Ask::Release { operator: 1 }).await.unwrap_err();
        assert!(refused.contains("has stopped"), "{refused}");
    });
}

#[test]
fn a_pipeline_that_waits_for_room_can_be_asked() {
    let mut bench = Bench::new(vec![operator("threshold.wasm", r#"{"field":"temp","above":10.0}"#, None)]);
    bench.store = open_with(&bench.disk, &bench.clock, &bench.operators, 16 << 10);
    let mut rng = SmallRng::seed_from_u64(1);
    let noise: Vec<_> = (0..4000).map(|n| (1, n, rng.random_range(11.0..12.0))).collect();
    bench.append(&noise);
    let mut running = bench.begin();
    while bench.turn(&mut running) {}
    drop(running);
    bench.append(&noise);
    beside(&bench, async |handle, _| {
        until(&handle, |s| s.state == State::Waiting).await;
        let refused = handle.ask(Ask::Release { operator: 1 }).await.unwrap_err();
        assert!(refused.contains("not in quarantine"), "{refused}");
        until(&handle, |s| s.state == State::Waiting).await;
    });
}

#[test]
fn a_device_whose_state_is_over_its_limit_is_named() {
    let mut zscore = operator("zscore.wasm", r#"{"field":"temp"}"#, None);
    zscore.limits.state_slot_bytes = 8;
    let bench = Bench::new(vec![zscore]);
    let mut running = bench.begin();
    bench.append(&[(3, 0, 20.0)]);
    // The first commit carries a snapshot.
    let Err(Stop::Fell(fallen)) = bench.tokio.block_on(running.turn(&CancellationToken::new())) else {
        panic!("no halt")
    };
    let stopped = fallen.halted.to_string();
    assert!(stopped.contains("device \"d3\": its state takes "), "{stopped}");
    assert!(stopped.contains("more than state_slot_bytes (8) allows"), "{stopped}");
}

#[test]
fn every_operator_says_what_it_costs() {
    let bench = Bench::new(windowed());
    let built = Pipeline::build(bench.options(), &readings(), bench.store.clone(), bench.clock.clone());
    let (pipeline, handle) = built.unwrap();
    let mut running = pipeline.attach().unwrap();
    running.recover().unwrap();
    bench.append(&[(1, 0, 5.0), (1, SECOND, 20.0), (2, SECOND, 30.0), (1, 60 * SECOND, 40.0)]);
    while bench.turn(&mut running) {}
    let costs = handle.costs();
    assert_eq!(
        costs.iter().map(|cost| (cost.operator, cost.kind)).collect::<Vec<_>>(),
        [(1, "filter"), (2, "aggregate")]
    );
    let [filter, window] = &costs[..] else { panic!("two operators: {costs:?}") };
    assert_eq!((filter.plugin.as_str(), filter.records_in, filter.records_out), ("threshold 0.1.0", 4, 3));
    // Three records, and the window of device 1 that the last of them closed.
    assert_eq!((window.records_in, window.records_out, window.faults), (4, 1, 0));
    for cost in &costs {
        assert!(cost.calls > 0 && cost.memory_bytes_peak > 0 && cost.limits_hit.is_empty(), "{cost:?}");
        assert!(cost.ns_per_record > 0 && cost.ns_per_record_p50 <= cost.ns_per_record_p99, "{cost:?}");
    }
    assert!(window.state_bytes > 0 && filter.state_bytes == 0, "the snapshot's");
}
