//! The plugins that ship, through a runner. `cargo xtask plugins` builds them; `cargo xtask test` does so first.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;
use tidegate_record::{Batch, BatchBuilder, Blobs, Field, Scalar, Schema, Values};
use tidegate_sandbox::{Engine, EngineOptions, Grants, Input, Kind, Limits, Plugin, Runner, Window};

fn plugin(file: &str) -> Arc<Plugin> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("target/tmp is in target");
    let engine = Engine::new(EngineOptions::default()).expect("an engine");
    engine.load(&target.join("plugins").join(file), &limits()).expect("run `cargo xtask plugins` first")
}

/// What the plugins that ship are granted: enrich looks things up.
fn limits() -> Limits {
    Limits { grants: Grants { lookup: true, ..Grants::default() }, ..Limits::default() }
}

fn schema() -> Arc<Schema> {
    Arc::new(Schema::new(vec![Field::new("temp", Scalar::Float), Field::new("name", Scalar::Text)]).expect("a schema"))
}

fn batch(values: &[Option<f64>]) -> Arc<Batch> {
    let mut builder = BatchBuilder::new(schema());
    for (time, value) in values.iter().enumerate() {
        if let Some(value) = value {
            assert!(builder.float(0, *value));
        }
        builder.end_row("d1", time as i64).expect("a device");
    }
    Arc::new(builder.finish())
}

fn runner(file: &str, params: &str) -> Runner {
    Runner::new(plugin(file), params, &schema(), &Limits::default()).expect("configures")
}

#[test]
fn every_shipped_plugin_says_what_it_is() {
    for (file, kind, has_state) in [
        ("threshold.wasm", Kind::Filter, false),
        ("stats.wasm", Kind::Aggregate, true),
        ("zscore.wasm", Kind::Detect, true),
        ("deadband.wat", Kind::Filter, true),
        ("scale.wasm", Kind::Transform, false),
        ("ruuvi.wasm", Kind::Codec, false),
        ("enrich.wasm", Kind::Transform, false),
    ] {
        let plugin = plugin(file);
        assert_eq!((plugin.kind(), plugin.has_state()), (kind, has_state), "{file}");
        assert_eq!(plugin.about().name, file.split('.').next().expect("a name"));
        assert!(!plugin.about().summary.is_empty(), "{file}");
        let schema: serde_json::Value = serde_json::from_str(&plugin.about().params).expect("params are JSON");
        assert_eq!(schema["type"], "object", "{file}");
    }
}

#[test]
fn threshold_keeps_what_is_between() {
    let mut runner = runner("threshold.wasm", r#"{"field":"temp","above":20,"below":30}"#);
    assert_eq!(runner.plan().reads, ["temp"]);
    let values: Vec<Option<f64>> = (0..100).map(|i| (i % 7 != 0).then_some(f64::from(i))).collect();
    let kept = runner.keep(Input::of(&batch(&values))).expect("runs");
    let expected: Vec<u8> = values.iter().map(|v| u8::from(v.is_some_and(|v| 20.0 < v && v < 30.0))).collect();
    assert_eq!(kept.keep, expected);
    assert!(kept.faults.is_empty());
    let skip: Vec<u32> = (0..100).filter(|row| row % 2 == 1).collect();
    let kept = runner.keep(Input { skip: &skip, ..Input::of(&batch(&values)) }).expect("runs");
    let expected: Vec<u8> =
        expected.iter().enumerate().map(|(row, keep)| if row % 2 == 1 { 0 } else { *keep }).collect();
    assert_eq!(kept.keep, expected, "skipped rows are not kept");
}

#[test]
fn parameters_that_do_not_fit_are_told_together() {
    let refused = Runner::new(plugin("threshold.wasm"), r#"{"above":"x","over":1}"#, &schema(), &Limits::default());
    let error = refused.err().expect("refused").to_string();
    for part in ["/field: is missing", "/above: expected a number", "/over: there is no such parameter"] {
        assert!(error.contains(part), "{error} does not say {part}");
    }
}

#[test]
fn stats_of_windows_survive_a_move_to_another_runner() {
    let params = r#"{"fields":["temp"]}"#;
    let mut one = runner("stats.wasm", params);
    let slots: Vec<u32> = (0..100).map(|row| row % 3).collect();
    let values: Vec<Option<f64>> = (0..100).map(|i| Some(f64::from(i))).collect();
    assert_eq!(one.update(Input::with_slots(&batch(&values), &slots)).expect("runs"), []);
    let states = one.save(&[0, 1, 2, 9]).expect("saves");
    assert!(states.at(3).is_empty(), "slot 9 was never touched");
    let mut two = runner("stats.wasm", params);
    two.load(one.state_version(), &[0, 1, 2, 9], &states).expect("loads");
    let windows = [0, 1, 2, 9].map(|slot| Window { slot, start: 0, end: 1_000_000 });
    let (a, b) = (one.finish(&windows).expect("finishes"), two.finish(&windows).expect("finishes"));
    assert_eq!(a, b);
    assert_eq!(a.columns[0].values, Values::Integers(vec![34, 33, 33, 0]));
    assert_eq!(a.columns[1].values, Values::Floats(vec![0.0, 1.0, 2.0, 0.0]));
    assert_eq!(a.columns[1].valid, Some(vec![1, 1, 1, 0]), "an untouched slot has no least value");
    two.release(&[0]).expect("releases");
    assert!(two.save(&[0]).expect("saves").at(0).is_empty());
}

#[test]
fn zscore_finds_the_spike() {
    let mut runner = runner("zscore.wasm", r#"{"field":"temp","threshold":4}"#);
    let mut values: Vec<Option<f64>> = (0..200).map(|i| Some(20.0 + f64::from(i % 5) / 10.0)).collect();
    values[150] = Some(99.0);
    let found = runner.score(Input::with_slots(&batch(&values), &vec![0; 200])).expect("runs");
    assert_eq!(found.findings.iter().map(|f| f.row).collect::<Vec<_>>(), [150]);
    assert!(found.findings[0].severity >= 75);
}

const BAND: &str = r#"{"band":0.5}"#;

#[test]
fn deadband_drops_what_is_near_the_last_value_kept_of_its_device() {
    let mut runner = runner("deadband.wat", BAND);
    assert_eq!((runner.plan().reads.as_slice(), runner.plan().slots), (&["temp".to_string()][..], true));
    let some = |values: &[f64]| values.iter().map(|&value| Some(value)).collect::<Vec<_>>();
    // 20.5 is exactly the band away from 20, 20.6 more; 20.2 is near 20.6, the last kept, though not near 20.
    let kept = runner.keep(Input::with_slots(&batch(&some(&[20.0, 20.4, 20.5, 20.6, 20.2, 20.0])), &[0; 6]));
    assert_eq!(kept.expect("runs").keep, [1, 0, 0, 1, 0, 1]);
    // Devices do not see each other's values, whatever the order of their rows.
    let kept = runner.keep(Input::with_slots(&batch(&some(&[5.0, 20.1, 5.1, 21.0])), &[9000, 0, 9000, 0]));
    assert_eq!(kept.expect("runs").keep, [1, 0, 0, 1]);
    let nothing = [None, Some(f64::NAN), Some(-3.0), None, Some(f64::NAN), Some(-3.1)];
    let kept = runner.keep(Input::with_slots(&batch(&nothing), &[4; 6])).expect("runs");
    assert_eq!(kept.keep, [0, 0, 1, 0, 0, 0], "nulls and NaN are no first value and never kept");
    assert!(kept.faults.is_empty());
}

#[test]
fn deadband_goes_on_where_its_saved_state_stood() {
    let mut one = runner("deadband.wat", BAND);
    one.keep(Input::with_slots(&batch(&[Some(1.0), Some(2.0)]), &[0, 1])).expect("runs");
    let states = one.save(&[0, 1, 2]).expect("saves");
    assert_eq!((states.at(0), states.at(2)), (&1.0f64.to_le_bytes()[..], &[][..]));
    let mut two = runner("deadband.wat", BAND);
    two.load(one.state_version(), &[5, 1, 2], &states).expect("loads, under other numbers");
    let next = batch(&[Some(1.2), Some(2.2), Some(2.2)]);
    let kept = two.keep(Input::with_slots(&next, &[5, 1, 2])).expect("runs");
    assert_eq!(kept.keep, [0, 0, 1], "slots 5 and 1 remember, slot 2 was untouched");
    two.release(&[5]).expect("releases");
    let kept = two.keep(Input::with_slots(&next, &[5, 1, 2])).expect("runs");
    assert_eq!(kept.keep, [1, 0, 0], "a released slot is new");
    let refused = two.load(7, &[0, 1, 2], &states).expect_err("version 7 is not known").to_string();
    assert!(refused.contains("knows version 1 only"), "{refused}");
    let mut torn = Blobs::default();
    torn.push(&[1, 2, 3]);
    let refused = two.load(1, &[0], &torn).expect_err("not a state").to_string();
    assert!(refused.contains("a state has 8 bytes"), "{refused}");
}

#[test]
fn deadband_takes_a_plain_decimal_and_nothing_else() {
    let plugin = plugin("deadband.wat");
    let configured = |params: &str| Runner::new(plugin.clone(), params, &schema(), &Limits::default()).map(|_| ());
    for params in [r#"{"band":2}"#, r#"{"band":0.25}"#, r#"{"band": 10.0 }"#] {
        assert_eq!(configured(params), Ok(()), "{params}");
    }
    for params in
        ["{}", r#"{"band":0}"#, r#"{"band":-1}"#, r#"{"band":"1"}"#, r#"{"band":1e-3}"#, r#"{"band":1,"to":2}"#]
    {
        let error = configured(params).expect_err(params).to_string();
        assert!(error.contains("/band: must be given alone, as a plain decimal above 0"), "{params}: {error}");
    }
    let texts = Schema::new(vec![Field::new("name", Scalar::Text)]).expect("a schema");
    let error = Runner::new(plugin, BAND, &texts, &Limits::default()).err().expect("no number").to_string();
    assert!(error.contains("the input has no f64 field"), "{error}");
}
