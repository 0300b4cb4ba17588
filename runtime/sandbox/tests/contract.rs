//! The contract as it was released: plugins built for it load and give the same answers for ever.
//!
//! `golden` holds one component of each kind and of each import, a few kilobytes each, with their text beside them. They are
//! never built again: what a gateway of today makes of them, every later one must.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tidegate_record::{Batch, BatchBuilder, Blobs, Column, Field, Scalar, Schema, Values};
use tidegate_sandbox::{
    Arrival, ConfigureError, Engine, EngineOptions, Grant, Grants, Input, KeyedTable, Kind, Limits, Plugin, Runner,
    Tables, Window,
};

/// SHA-256 of `sdk/wit/tidegate.wit` as released, without comments and spaces.
const RELEASED: &str = "00909c2cd27bd99f51d8f646dcc648afcfc84054a302e2b27cb8e40b7868d3c1";

/// Every golden component: its file, kind, imports, and SHA-256.
const GOLDEN: [(&str, Kind, &[Grant], &str); 8] = [
    ("filter", Kind::Filter, &[], "2e129df6dd3db515ea7eda72733b09b44a00bec9f0db6096086d4726209071cb"),
    ("transform", Kind::Transform, &[], "e269dc1e44013e2a7fb53ec3604988a9906c032c03e4ce96e28383e2016c6232"),
    ("detect", Kind::Detect, &[], "cb821c548f20c9e5010d67d95c9b56224a09e26025974b9d3faad2be799d0326"),
    ("aggregate", Kind::Aggregate, &[], "d98b4829aa9575782d464ae3228831cade9c12e318922bca4ebe826dbadd821d"),
    ("codec", Kind::Codec, &[], "12a1d0a95a3ef3ff095509621a0d5dc5d96fdb30f55585c3db9c52da84b6ecee"),
    ("log", Kind::Filter, &[Grant::Log], "5c099e284f5fe019a09b8a1b0ad25c5aa5f515c6a9ea51bbf80a8a7e6303b6e6"),
    ("clock", Kind::Filter, &[Grant::Clock], "f5f62e0e81f6341b011ee7950d11440b7110621d9daac2d9b378e33288fb2965"),
    ("lookup", Kind::Transform, &[Grant::Lookup], "786eef5d5c1b0c1e3c4296b84882a32c4fcba1c7d44f3c93c127805fa8642580"),
];

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden"))
}

fn limits() -> Limits {
    Limits { grants: Grants::all(), ..Limits::default() }
}

fn plugin(name: &str) -> Arc<Plugin> {
    let engine = Engine::new(EngineOptions::default()).expect("an engine");
    let loaded = engine.load(&folder().join(format!("{name}.wasm")), &limits());
    loaded.unwrap_or_else(|error| panic!("{error}\nplugins people have built for 1.0.0 must load for ever"))
}

fn schema(fields: &[(&str, Scalar)]) -> Arc<Schema> {
    Arc::new(Schema::new(fields.iter().map(|(name, scalar)| Field::new(*name, *scalar)).collect()).expect("a schema"))
}

fn runner(name: &str, params: &str) -> Runner {
    Runner::new(plugin(name), params, &schema(&[("temp", Scalar::Float)]), &limits()).expect("configures")
}

fn batch(values: &[Option<f64>]) -> Arc<Batch> {
    let mut builder = BatchBuilder::new(schema(&[("temp", Scalar::Float)]));
    for value in values {
        assert!(value.is_none_or(|value| builder.float(0, value)));
        builder.end_row("d1", 0).expect("a device");
    }
    Arc::new(builder.finish())
}

fn floats(column: &Column) -> Vec<Option<f64>> {
    let Values::Floats(values) = &column.values else { panic!("{column:?}") };
    values.iter().enumerate().map(|(row, value)| column.is_valid(row).then_some(*value)).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_contract_is_the_one_released() {
    let wit =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../sdk/wit/tidegate.wit")).expect("there");
    let code = wit.lines().map(|line| line.split("//").next().unwrap_or_default());
    let words: Vec<&str> = code.flat_map(str::split_whitespace).collect();
    assert_eq!(
        hex(&Sha256::digest(words.join(" "))),
        RELEASED,
        "tidegate:plugin@1.0.0 is released: plugins in the field were built for it. What is new goes into an interface of its \
         own, of a new version of the package, beside this one"
    );
}

#[test]
fn every_golden_component_is_what_it_was_and_loads() {
    for (name, kind, imports, hash) in GOLDEN {
        let bytes = std::fs::read(folder().join(format!("{name}.wasm"))).expect("there");
        assert_eq!(hex(&Sha256::digest(&bytes)), hash, "{name}.wasm: golden components never change; add another");
        let plugin = plugin(name);
        assert_eq!((plugin.kind(), plugin.imports()), (kind, imports), "{name}");
        assert_eq!(plugin.about().version, "1.0.0", "{name}");
    }
}

#[test]
fn the_golden_filter_keeps_what_it_kept() {
    let mut runner = runner("filter", r#"{"band":0.5}"#);
    let values = [Some(20.0), Some(20.4), Some(20.6), None, Some(20.2), Some(20.0)];
    assert_eq!(runner.keep(Input::with_slots(&batch(&values[..4]), &[0; 4])).expect("runs").keep, [1, 0, 1, 0]);
    let states = runner.save(&[0]).expect("saves");
    assert_eq!((runner.state_version(), states.at(0)), (1, &20.6f64.to_le_bytes()[..]));
    let mut next = self::runner("filter", r#"{"band":0.5}"#);
    next.load(1, &[0], &states).expect("loads");
    assert_eq!(next.keep(Input::with_slots(&batch(&values[4..]), &[0; 2])).expect("runs").keep, [0, 1]);
    let refused = next.load(2, &[0], &states).expect_err("another version").to_string();
    assert!(refused.ends_with("refuses the saved states of version 2: knows version 1 only"), "{refused}");
    let schema = schema(&[("temp", Scalar::Float)]);
    let refused = Runner::new(plugin("filter"), r#"{"band":0}"#, &schema, &limits()).err().expect("refused");
    let ConfigureError::Issues { issues, .. } = refused else { panic!("{refused}") };
    assert_eq!(issues.iter().map(|issue| issue.at.as_str()).collect::<Vec<_>>(), ["/band"]);
}

#[test]
fn the_golden_transform_makes_what_it_made() {
    let mut runner = runner("transform", "{}");
    assert_eq!(
        (runner.plan().reads.as_slice(), runner.plan().emits.as_slice()),
        (&["temp".to_string()][..], &[Field::new("twice", Scalar::Float)][..])
    );
    let table = runner.apply(Input::of(&batch(&[Some(1.5), None, Some(-3.0)]))).expect("runs");
    assert_eq!((table.origin, floats(&table.columns[0])), (vec![0, 1, 2], vec![Some(3.0), None, Some(-6.0)]));
}

#[test]
fn the_golden_detector_finds_what_it_found() {
    let found = runner("detect", "{}").score(Input::of(&batch(&[Some(31.0), Some(30.0), Some(99.5)]))).expect("runs");
    let findings: Vec<_> = found.findings.iter().map(|f| (f.row, f.score, f.severity, f.reason.as_str())).collect();
    assert_eq!(findings, [(0, 31.0, 75, "hot"), (2, 99.5, 75, "hot")]);
    assert_eq!(found.scores, Some(vec![31.0, 30.0, 99.5]));
}

#[test]
fn the_golden_aggregate_adds_up_as_it_did() {
    let mut first = runner("aggregate", "{}");
    let values = [Some(1.0), Some(10.0), Some(2.0), Some(20.0)];
    assert!(first.update(Input::with_slots(&batch(&values), &[0, 3, 0, 3])).expect("runs").is_empty());
    let states = first.save(&[0, 3]).expect("saves");
    assert_eq!([states.at(0), states.at(1)], [3.0f64.to_le_bytes(), 30.0f64.to_le_bytes()]);
    let mut next = runner("aggregate", "{}");
    next.load(1, &[5, 6], &states).expect("loads");
    assert!(next.merge(&[5], &[6]).expect("merges").is_empty());
    next.release(&[6]).expect("releases");
    let window = |slot| Window { slot, start: 0, end: 1_000_000 };
    let finished = next.finish(&[window(5), window(6)]).expect("finishes");
    assert_eq!(floats(&finished.columns[0]), [Some(33.0), Some(0.0)]);
}

#[test]
fn the_golden_codec_decodes_as_it_did() {
    let schema = schema(&[("frame", Scalar::Bytes), ("topic", Scalar::Text)]);
    let mut runner = Runner::new(plugin("codec"), "{}", &schema, &limits()).expect("configures");
    let mut builder = BatchBuilder::new(schema);
    for (frame, topic) in [(&b"abc"[..], "a/1"), (b"", "b"), (&[0, 255], "")] {
        assert!(builder.bytes(0, frame) && builder.text(1, topic));
        builder.end_row("port", 0).expect("a device");
    }
    let table = runner.apply(Input::of(&Arc::new(builder.finish()))).expect("runs");
    let Values::Texts(devices) = &table.columns[0].values else { panic!("{table:?}") };
    assert_eq!(devices.iter().collect::<Vec<_>>(), [&b"a/1"[..], b"b", b""]);
    assert_eq!(table.columns[1].values, Values::Integers(vec![3, 0, 2]));
}

#[test]
fn the_golden_imports_mean_what_they_meant() {
    let mut log = runner("log", "{}");
    assert_eq!(log.keep(Input::of(&batch(&[Some(1.0)]))).expect("runs").keep, [1]);
    assert_eq!(log.stats().log_lines.load(Relaxed), 1);
    // It keeps records that arrived before their date, in microseconds: none where there is no date.
    let mut clock = runner("clock", "{}");
    for (at, wall, kept) in [(7, Some(8), 1), (8, Some(8), 0), (7, None, 0)] {
        clock.at(Arrival { clock: at, wall });
        assert_eq!(clock.keep(Input::of(&batch(&[Some(1.0)]))).expect("runs").keep, [kept]);
    } // It makes `site` of the table `sites` by device.
    let text = |values: [&str; 2]| {
        let mut blobs = Blobs::default();
        values.iter().for_each(|value| blobs.push(value.as_bytes()));
        Column::of(Values::Texts(blobs))
    };
    let fields = vec![Field::new("device", Scalar::Text), Field::new("site", Scalar::Text)];
    let sites = KeyedTable::new(fields, vec![text(["d0", "d1"]), text(["north", "south"])]).expect("a table");
    let limits = Limits { tables: Arc::new(Tables::new([("sites".into(), sites)])), ..limits() };
    let schema = schema(&[("temp", Scalar::Float)]);
    let mut lookup = Runner::new(plugin("lookup"), "{}", &schema, &limits).expect("configures");
    let table = lookup.apply(Input::of(&batch(&[Some(1.0), Some(2.0)]))).expect("runs");
    let Values::Texts(sites) = &table.columns[0].values else { panic!("{table:?}") };
    assert_eq!(sites.iter().collect::<Vec<_>>(), [b"south", b"south"]);
}
