//! The same operators in every language: each is begun by `plugin new`, built by `plugin build`, holds its cases, and gives
//! what the one in Rust gives, to the last bit.
//!
//! What the languages need is installed by `cargo xtask test`; where it is missing, `plugin build` names it and the test
//! fails.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tidegate::author::{self, Cases, Lang};
use tidegate_pipeline::{OperatorOptions, Trial, WindowOptions};
use tidegate_record::{Batch, BatchBuilder, Field, Scalar, Schema, Values};
use tidegate_sandbox::{Engine, EngineOptions, Input, Kind, Limits, Plugin, Runner, Window};

/// Readings a fixture has.
const READINGS: usize = 3000;
/// Devices they are of.
const DEVICES: u32 = 7;

#[test]
fn filters_are_the_same_in_every_language() {
    hold("filter", &["{}", r#"{"above":-0.5,"below":1e3}"#, r#"{"above":19.999}"#]);
}

#[test]
fn detectors_are_the_same_in_every_language() {
    hold("detect", &["{}", r#"{"threshold":1.7}"#]);
}

#[test]
fn aggregates_are_the_same_in_every_language() {
    hold("aggregate", &["{}"]);
}

/// Holds the plugin of that kind in every language against the one in Rust.
fn hold(kind: &str, params: &[&str]) {
    let batch = readings();
    let fixtures = |plugin: &Arc<Plugin>, limits: &Limits| -> Vec<Vec<String>> {
        let cuts = [cut(batch.rows(), 4096), cut(batch.rows(), 500), cut(batch.rows(), 40)];
        let all = params.iter().flat_map(|params| cuts.iter().map(move |cuts| (params, cuts)));
        all.map(|(params, cuts)| made(plugin, params, limits, &batch, cuts)).collect()
    };
    let mut rust: Option<(Arc<Plugin>, Vec<Vec<String>>)> = None;
    for lang in Lang::ALL {
        let word = lang.word();
        let folder = built(lang, kind);
        let limits = limits(lang);
        // Not `author::load`: that has this program compile, which is none of the gateway's.
        let engine = Engine::new(EngineOptions::default()).unwrap();
        let plugin = engine.load(&author::file_of(&folder).unwrap(), &limits);
        let plugin = plugin.unwrap_or_else(|error| panic!("{word}: {error}"));
        assert_eq!((plugin.kind().word(), &*plugin.about().name), (kind, &*format!("{kind}-{word}")));
        for verdict in author::run(&plugin, &Cases::read(&folder.join("cases.yaml")).unwrap(), &limits) {
            assert!(verdict.wrong.is_empty(), "{word}: {}:\n{}", verdict.name, verdict.wrong.join("\n"));
        }
        let made = fixtures(&plugin, &limits);
        let (rust, expected) = rust.get_or_insert_with(|| (plugin.clone(), made.clone()));
        for (made, expected) in made.iter().zip(&*expected) {
            assert!(made.len() > 100, "{word}: {} lines say little", made.len());
            same(word, made, expected);
        }
        if plugin.has_state() {
            let [made, expected] = [&plugin, &*rust].map(|after| taken_over(rust, after, &limits, &batch));
            same(word, &made, &expected);
        }
    }
}

#[track_caller]
fn same(word: &str, made: &[String], expected: &[String]) {
    let differs = made.iter().zip(expected).find(|(made, expected)| made != expected);
    assert_eq!(differs, None, "{word} (left), rust (right)");
    assert_eq!(made.len(), expected.len(), "{word} (left), rust (right)");
}

/// What `after` makes of the second half of the readings with the states that `before` had after the first; windows are
/// merged at the end.
fn taken_over(before: &Arc<Plugin>, after: &Arc<Plugin>, limits: &Limits, batch: &Batch) -> Vec<String> {
    let half = batch.rows() / 2;
    let [first, second] = [0..half, half..batch.rows()].map(|rows| Arc::new(batch.slice(rows)));
    let runner = |plugin: &Arc<Plugin>| Runner::new(plugin.clone(), "{}", batch.schema(), limits).unwrap();
    let (mut before, mut after) = (runner(before), runner(after));
    made_of(&mut before, &first);
    // The last one nobody touched.
    let slots: Vec<u32> = (0..=DEVICES).collect();
    let states = before.save(&slots).unwrap();
    after.load(before.state_version(), &slots, &states).unwrap();
    let mut made = made_of(&mut after, &second);
    if after.plugin().kind() == Kind::Aggregate {
        assert_eq!(after.merge(&[3, 4, DEVICES, 6], &[4, 5, 2, DEVICES]).unwrap(), []);
        let windows: Vec<_> = slots.iter().map(|&slot| Window { slot, start: 0, end: 1 }).collect();
        let finished = after.finish(&windows).unwrap();
        made.extend(finished.columns.iter().map(|column| format!("{column:?}")));
        assert_eq!(finished.faults, []);
    }
    made
}

fn made_of(runner: &mut Runner, batch: &Arc<Batch>) -> Vec<String> {
    let slots: Vec<u32> = (0..batch.rows()).map(|row| batch.device(row)[1..].parse().unwrap()).collect();
    let input = Input { batch, slots: Some(&slots), skip: &[] };
    let (mut made, faults) = match runner.plugin().kind() {
        Kind::Detect => {
            let found = runner.score(input).unwrap();
            (found.findings.iter().map(|finding| format!("{finding:?}")).collect(), found.faults)
        }
        _ => (Vec::new(), runner.update(input).unwrap()),
    };
    made.extend(faults.into_iter().map(|fault| format!("row {}: {}", fault.row, fault.fault.message)));
    made
}

/// What a gateway must allow the language: the defaults, but for Python.
fn limits(lang: Lang) -> Limits {
    match lang {
        Lang::Python => Limits { module_bytes: 32 << 20, instances: 64, ..author::limits() },
        _ => author::limits(),
    }
}

/// A folder with the plugin, as an author comes by it.
fn built(lang: Lang, kind: &str) -> PathBuf {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("languages");
    let folder = home.join(format!("{kind}-{}", lang.word()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&home).unwrap();
    let sdk = concat!(env!("CARGO_MANIFEST_DIR"), "/../../sdk");
    let path = folder.display().to_string();
    tidegate(&["plugin", "new", &path, "--kind", kind, "--lang", lang.word(), "--sdk", sdk]);
    tidegate(&["plugin", "build", &path]);
    folder
}

fn tidegate(arguments: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    // One folder for what is built of the SDK, and none of the last optimisation: as in the tests of the author's loop.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("author");
    command.env("CARGO_TARGET_DIR", target).env("CARGO_PROFILE_RELEASE_LTO", "off");
    let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("tools");
    let ours = ["javascript/node_modules/.bin", "python/bin"].map(|folder| tools.join(folder));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(ours.into_iter().chain(std::env::split_paths(&path))).unwrap();
    let output = command.args(arguments).env("PATH", path).output().unwrap();
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    assert!(output.status.success(), "tidegate {arguments:?}: {}", said.concat());
}

/// Readings of seven devices around 20, with spikes, a change of level, nulls, and everything a double can be.
fn readings() -> Batch {
    let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 5e-324, 1e300, -1e300];
    let schema = Schema::new(vec![Field::new("hum", Scalar::Integer), Field::new("temp", Scalar::Float)]).unwrap();
    let mut rng = SmallRng::seed_from_u64(11);
    let mut builder = BatchBuilder::new(Arc::new(schema));
    for row in 0..READINGS {
        let level = if row > READINGS / 2 { 23.0 } else { 20.0 };
        // Two devices tell what is odd, so that the others show more than its traces.
        let device = rng.random_range(0..DEVICES);
        let temp = match rng.random_range(0..40) {
            0 => None,
            1 if device < 2 => Some(odd[rng.random_range(0..odd.len())]),
            2 => Some(level + rng.random_range(-30.0..30.0)),
            _ => Some(level + rng.random_range(-1.0..1.0)),
        };
        builder.integer(0, row as i64);
        if let Some(temp) = temp {
            builder.float(1, temp);
        }
        // Three readings a second, some of them a little late.
        let time = row as i64 * 333_333 - rng.random_range(0..1_500_000);
        builder.end_row(&format!("d{device}"), time).unwrap();
    }
    builder.finish()
}

/// Cuts of at most so many rows.
fn cut(rows: usize, most: usize) -> Vec<Range<usize>> {
    let mut rng = SmallRng::seed_from_u64(most as u64);
    let (mut cuts, mut from) = (Vec::new(), 0);
    while from < rows {
        let end = (from + if most < rows { rng.random_range(1..=most) } else { rows }).min(rows);
        cuts.push(from..end);
        from = end;
    }
    cuts
}

/// A line a record made, a line a fault, as exact as can be; with a restart at every cut.
fn made(plugin: &Arc<Plugin>, params: &str, limits: &Limits, batch: &Batch, cuts: &[Range<usize>]) -> Vec<String> {
    let windows =
        WindowOptions { size: 10_000_000, lateness: 1_000_000, idle: Duration::from_secs(3600).as_micros() as i64 };
    let operator = OperatorOptions {
        params: params.into(),
        limits: limits.clone(),
        window: (plugin.kind().word() == "aggregate").then_some(windows),
        ..OperatorOptions::of(plugin.clone())
    };
    let mut trial = Trial::new(vec![operator], batch.schema()).unwrap();
    let (mut made, mut faults, mut late) = (Vec::new(), Vec::new(), 0);
    let parts = cuts.iter().map(|cut| (Arc::new(batch.slice(cut.clone())), 0));
    for (part, arrival) in parts.chain([(Arc::new(batch.slice(0..0)), 1 << 50)]) {
        let tried = trial.process(part, arrival).unwrap();
        made.extend((0..tried.batch.rows()).map(|row| line(&tried.batch, row)));
        faults.extend(tried.faults.into_iter().map(|(row, reason)| format!("row {row}: {reason}")));
        assert_eq!((tried.windows, tried.overflow), (vec![], vec![]));
        late += tried.late.len();
        trial.restart().unwrap();
    }
    made.extend(faults);
    made.push(format!("{late} late"));
    made
}

/// A record, its floats with their bits.
fn line(batch: &Batch, row: usize) -> String {
    let mut line = format!("{} {}", batch.device(row), batch.times()[row]);
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        line += &format!(" {}=", field.name);
        line += &match &column.values {
            _ if !column.is_valid(row) => "null".to_string(),
            Values::Floats(values) if values[row].is_nan() => "NaN".to_string(),
            Values::Floats(values) => format!("{} ({:016x})", values[row], values[row].to_bits()),
            Values::Integers(values) => values[row].to_string(),
            Values::Booleans(values) => values[row].to_string(),
            Values::Texts(texts) => texts.text(row).to_string(),
            Values::Bytes(bytes) => format!("{:?}", bytes.at(row)),
        };
    }
    line
}
