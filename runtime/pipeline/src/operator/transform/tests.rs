//! Chains with the shipped transform and codec.

use super::*;
use crate::digest::Digest;
use crate::entry::{Entry, Era};
use crate::mark::Verdicts;
use crate::operator::{Trouble, Window};
use crate::{Chain, OperatorOptions, PipelineOptions, WindowOptions};
use serde_json::{Value, json};
use std::time::Duration;
use tidegate_record::BatchBuilder;
use tidegate_sandbox::{Engine, EngineOptions, Limits, Plugin};
use tidegate_store::{Position, Run};

/// A payload of the published test vectors, of sensor cbb8334c884f.
const PAYLOAD: &str = "0512FC5394C37C0004FFFC040CAC364200CDCBB8334C884F";

fn plugin(name: &str) -> Arc<Plugin> {
    let exe = std::env::current_exe().unwrap();
    let file = exe.ancestors().nth(3).unwrap().join("plugins").join(name);
    Engine::new(EngineOptions::default()).unwrap().load(&file, &Limits::default()).unwrap()
}

fn chain(name: &str, params: &Value, keep: Option<&[&str]>, input: &Arc<Schema>) -> Result<Chain, String> {
    let plugin = plugin(name);
    let keep = keep.map(|names| names.iter().map(ToString::to_string).collect());
    let operator = OperatorOptions { params: params.to_string(), keep, max_keys: 100, ..OperatorOptions::of(plugin) };
    let options = PipelineOptions {
        name: "p".into(),
        from: vec!["in".into()],
        to: "out".into(),
        operators: vec![operator],
        checkpoint_interval: Duration::from_secs(10),
        checkpoint_bytes: 1 << 20,
    };
    Chain::build(&options, input).map_err(|error| error.to_string())
}

fn process(chain: &mut Chain, batch: Batch) -> (Vec<Value>, Vec<(u32, String)>) {
    let rows = batch.rows() as u32;
    let run = Run { commit: 1, arrival: 0, wall: 0, trusted: true, stamped: None, rows };
    let entry =
        Entry { input: 0, first: Position(0), next: Position(rows.into()), run, era: None, batch: Arc::new(batch) };
    let outcome = chain.process(&entry, &Verdicts::default()).unwrap();
    let made = &outcome.batches[0].0;
    let records = (0..made.rows()).map(|row| serde_json::to_value(made.row(row)).unwrap());
    let faults = outcome.trouble.into_iter().flat_map(|(_, trouble)| trouble.rows);
    (records.collect(), faults.map(|(row, _, fault)| (row, fault.message)).collect())
}

fn climate() -> Arc<Schema> {
    Arc::new(Schema::new(vec![Field::new("temp", Scalar::Float), Field::new("hum", Scalar::Float)]).unwrap())
}

fn readings() -> Batch {
    let mut builder = BatchBuilder::new(climate());
    for (device, temp) in [("d1", 212.0), ("d2", 32.0)] {
        builder.float(0, temp);
        builder.float(1, 40.0);
        builder.end_row(device, 1_000_000).unwrap();
    }
    builder.finish()
}

#[test]
fn a_transforms_fields_stand_beside_the_records_own_and_in_place_of_equal_names() {
    let record = |device: &str, temp: f64| json!({"device": device, "time": "1970-01-01T00:00:01.000000Z", "temp": temp, "hum": 40.0});
    let params = json!({"field": "temp", "factor": 0.5, "offset": 1.0});
    let mut scale = chain("scale.wasm", &params, None, &climate()).unwrap();
    assert_eq!(process(&mut scale, readings()), (vec![record("d1", 107.0), record("d2", 17.0)], vec![]));
    let params = json!({"field": "temp", "factor": 0.5, "to": "half", "unit": "Cel"});
    let mut scale = chain("scale.wasm", &params, Some(&["hum"]), &climate()).unwrap();
    let names: Vec<&str> = scale.schema().fields().iter().map(|field| field.name.as_str()).collect();
    assert_eq!((names, scale.schema().fields()[1].unit.as_str()), (vec!["hum", "half"], "Cel"));
    assert_eq!(process(&mut scale, readings()).0[0]["half"], 106.0);
}

#[test]
fn a_field_to_keep_that_is_not_there_is_told() {
    let error = chain("scale.wasm", &json!({"field": "temp", "factor": 2.0}), Some(&["humid"]), &climate());
    assert_eq!(error.err().unwrap(), r#"operator 1 (scale): keep names "humid", which the input has not"#);
}

fn frames(payloads: &[&str]) -> Batch {
    let fields = vec![Field::new("frame", Scalar::Bytes), Field::new("topic", Scalar::Text)];
    let mut builder = BatchBuilder::new(Arc::new(Schema::new(fields).unwrap()));
    for payload in payloads {
        builder.bytes(0, payload.as_bytes());
        builder.text(1, "ruuvi/gateway");
        builder.end_row("gateway", 5_000_000).unwrap();
    }
    builder.finish()
}

#[test]
fn a_codec_makes_records_of_frames_with_devices_of_their_own() {
    let input = frames(&[]).schema().clone();
    let mut ruuvi = chain("ruuvi.wasm", &json!({}), None, &input).unwrap();
    assert_eq!((ruuvi.schema().position("frame"), ruuvi.schema().position("device")), (None, None));
    let (records, faults) = process(&mut ruuvi, frames(&[PAYLOAD, "rubbish", PAYLOAD]));
    assert_eq!(faults, [(1, "7 bytes, where data format 5 has 24".to_string())]);
    assert_eq!(records.len(), 2);
    assert_eq!((&records[0]["device"], &records[0]["temp"]), (&json!("cbb8334c884f"), &json!(24.3)));
    assert_eq!(records[0]["time"], "1970-01-01T00:00:05.000000Z", "the frame's own");
}

#[test]
fn the_gateways_clock_has_no_part_in_times_that_a_codec_gives_nor_in_windows_of_them() {
    let runner = |name: &str, params: &str, input: &Schema| {
        Runner::new(plugin(name), params, input, &Limits::default()).unwrap()
    };
    let unset = PAYLOAD.replace("00CDCBB8", "FFFFCBB8");
    let input = frames(&[]).schema().clone();
    let ruuvi = runner("ruuvi.wasm", "{}", &input);
    // It gives no time: its count, 205 or none, stands in for one.
    let time = ruuvi.plan().emits.iter().position(|field| field.name == "sequence");
    let mut codec = Transform { time, ..Transform::new(ruuvi, &input, None, 100).unwrap() };
    let stats = runner("stats.wasm", r#"{"fields":["temp"]}"#, codec.schema());
    let window = WindowOptions { size: 100, lateness: 0, idle: 50 };
    let mut window = Window::new(stats, window, 100).unwrap();
    let mut feed = |payloads: &[&str], arrival, era: Era| {
        let era = Some(era);
        let mut context =
            Context { arrival, wall: None, era, verdict: None, trouble: Trouble::default(), digest: Digest::default() };
        let rows = Rows::of(Arc::new(frames(payloads)), era.map(|era| era.since));
        let made = codec.process(rows, &mut context).unwrap();
        let stamps = (0..made.batch.rows()).map(|row| made.stamps.at(row)).collect::<Vec<_>>();
        let closed = window.process(made, &mut context).unwrap();
        let closed = (0..closed.batch.rows()).map(|row| (closed.batch.times()[row], closed.stamps.at(row)));
        (stamps, closed.collect::<Vec<_>>())
    };
    // Somebody sets the clock, by fifty years.
    let (boot, right) = (Era { since: 7, offset: 0 }, Era { since: 9, offset: 1_600_000_000_000_000 });
    assert_eq!(feed(&[PAYLOAD], 1, boot), (vec![None], vec![]));
    assert_eq!(feed(&[PAYLOAD], 2, right), (vec![None], vec![]), "the same window goes on");
    assert_eq!(feed(&[], 60, right), (vec![], vec![(200, None)]), "one window, as the device dated it");
    // A record without a time of its own has the frame's, which we set.
    assert_eq!(feed(&[PAYLOAD, &unset], 61, right).0, [None, Some(9)]);
    assert_eq!(feed(&[], 200, right).1, [(5_000_000, Some(9))], "the record before it was late");
}

#[test]
fn a_frame_with_a_device_that_is_none_is_set_aside_whole() {
    let mut names = Blobs::default();
    ["m1", "m2", "a/b", "", "m1"].iter().for_each(|name| names.push(name.as_bytes()));
    let columns = vec![Column::of(Values::Texts(names))];
    let (devices, wrong) = Devices::of(&columns[0]);
    assert_eq!(devices.ids, [0, 1, 2, 3, 0]);
    let mut table = Table { origin: vec![0, 1, 1, 2, 3], columns, faults: Vec::new() };
    let faulted = without(&mut table, wrong);
    assert_eq!(faulted.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [1, 2]);
    assert!(faulted[1].1.contains("empty"), "{faulted:?}");
    assert_eq!((table.origin, table.columns[0].values.len()), (vec![0, 3], 2));
}
