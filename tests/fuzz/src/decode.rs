//! A device's frame, decoded: all of it or nothing, and what was understood can be said again.

use crate::Verdict;
use crate::allocation::within;
use crate::bytes::Bytes;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;
use tidegate_devices::decode::{Format, TimeUnit};
use tidegate_devices::{DecodeError, DecodeOptions, Decoder};
use tidegate_record::{Batch, BatchBuilder, DEVICE_BYTES_MAX, Field, Scalar, Schema, Values, Wall};

/// 2026-01-01, by a clock that was set.
const WALL: Wall = Wall { micros: 1_767_225_600_000_000, trusted: true };
const MAX_FUTURE: Duration = Duration::from_secs(3600);
/// Memory a byte of a frame may take: nodes of JSON, and rows that say next to nothing, while their columns grow.
const MEMORY_A_BYTE: usize = 256;

pub fn run(input: &[u8]) -> Verdict {
    let mut input = Bytes(input);
    let choice = input.byte() % WAYS;
    let options = options(choice);
    let (topic, frame) = match (&options.topic, input.0.iter().position(|&byte| byte == b'\n')) {
        (Some(_), Some(end)) => (String::from_utf8_lossy(&input.0[..end]), &input.0[end + 1..]),
        _ => ("sensors/d1".into(), input.0),
    };
    let json = options.format == Format::Json;
    let mut decoder = Decoder::new(options, schema()).expect("options that go together");
    let taken = decode(&mut decoder, &topic, frame);
    assert_eq!(decode(&mut decoder, &topic, frame), taken, "the second time, with a decoder that has seen it");
    match taken {
        Ok(batch) => {
            assert_sound(&batch);
            if json {
                assert!(serde_json::from_slice::<Value>(frame).is_ok(), "what is not JSON was taken");
            }
            assert_eq!(said_again(&batch).as_ref(), Ok(&batch), "said as plain JSON");
            Verdict::Accepted
        }
        Err(error) => {
            let said = error.to_string();
            assert!(!said.is_empty() && said.len() < 2048, "{said:?}");
            Verdict::Refused
        }
    }
}

const WAYS: u8 = 6;

/// The configurations tried: each format, with and without what it may leave out.
fn options(choice: u8) -> DecodeOptions {
    let text = |text: &str| Some(text.to_string());
    let texts = |texts: &[&str]| texts.iter().map(|text| text.to_string()).collect();
    let plain = DecodeOptions { max_future: MAX_FUTURE, ..DecodeOptions::default() };
    match choice {
        0 => DecodeOptions { device: text("/device"), time: text("/ts"), ..plain },
        1 => DecodeOptions {
            records: "/records".into(),
            device: text("/d"),
            time: text("/t"),
            time_unit: TimeUnit::Rfc3339,
            numbers_in_text: true,
            ..plain
        },
        2 => DecodeOptions {
            device: text("/a~1b/0"),
            time: text("/a~1b/1"),
            time_unit: TimeUnit::Seconds,
            fields: [("f", "/v/f"), ("i", "/v/i"), ("t", "/v/0/t")].map(|(a, b)| (a.into(), b.into())).to_vec(),
            ..plain
        },
        3 => DecodeOptions { topic: text("sensors/{device}/+/{t}/#"), time_unit: TimeUnit::Micros, ..plain },
        4 => {
            DecodeOptions { format: Format::Csv, columns: texts(&["device", "time", "f", "i", "b", "t", "x"]), ..plain }
        }
        _ => DecodeOptions {
            format: Format::Csv,
            columns: texts(&["f", "", "t"]),
            delimiter: b';',
            comment: None,
            device_name: text("meter"),
            ..plain
        },
    }
}

fn schema() -> Arc<Schema> {
    use Scalar::{Boolean, Bytes, Float, Integer, Text};
    let fields = [("f", Float), ("i", Integer), ("b", Boolean), ("t", Text), ("x", Bytes)];
    Arc::new(Schema::new(fields.map(|(name, scalar)| Field::new(name, scalar)).to_vec()).expect("a schema"))
}

/// The records of a frame, decoded into a builder that has one record already, which must be left alone.
fn decode(decoder: &mut Decoder, topic: &str, frame: &[u8]) -> Result<Batch, DecodeError> {
    let mut builder = BatchBuilder::new(schema());
    assert!(builder.text(3, "before"));
    builder.end_row("before", 7).expect("a device");
    let memory = MEMORY_A_BYTE * (frame.len() + topic.len()) + (64 << 10);
    let decoded = within(memory, || decoder.decode(Some(topic), frame, WALL, &mut builder));
    let rows = *decoded.as_ref().unwrap_or(&0);
    assert_eq!(builder.rows(), 1 + rows, "all or nothing: {decoded:?}");
    let batch = builder.finish();
    assert_eq!((batch.device(0), batch.times()[0]), ("before", 7));
    decoded.map(|rows| batch.slice(1..1 + rows).compact_devices())
}

/// What everything behind may rely on.
fn assert_sound(batch: &Batch) {
    let parts = (batch.device_ids().to_vec(), batch.times().to_vec(), batch.columns().to_vec());
    let whole = Batch::from_parts(batch.schema().clone(), batch.devices().clone(), parts.0, parts.1, parts.2);
    assert_eq!(whole.as_ref(), Ok(batch), "its parts make a batch");
    for device in batch.devices().iter().map(|device| std::str::from_utf8(device).expect("UTF-8")) {
        assert!((1..=DEVICE_BYTES_MAX).contains(&device.len()), "{device:?}");
        assert!(!device.contains(|c: char| c.is_control() || c == '/'), "{device:?}");
    }
    let latest = WALL.micros + MAX_FUTURE.as_micros() as i64;
    assert!(batch.times().iter().all(|&time| time <= latest), "{:?}", batch.times());
    if let Values::Floats(floats) = &batch.columns()[0].values {
        assert!(floats.iter().all(|float| float.is_finite()), "{floats:?}");
    }
}

/// The batch written as the plainest JSON there is, and decoded.
fn said_again(batch: &Batch) -> Result<Batch, DecodeError> {
    let rows: Vec<Value> = (0..batch.rows()).map(|row| Value::Object(object(batch, row))).collect();
    let frame = Value::Array(rows).to_string();
    let plain = DecodeOptions {
        device: Some("/device".into()),
        time: Some("/time".into()),
        time_unit: TimeUnit::Micros,
        ..DecodeOptions::default()
    };
    let mut decoder = Decoder::new(plain, schema()).expect("options that go together");
    decode(&mut decoder, "", frame.as_bytes())
}

fn object(batch: &Batch, row: usize) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("device".into(), batch.device(row).into());
    object.insert("time".into(), batch.times()[row].into());
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        if !column.is_valid(row) {
            continue;
        }
        let value = match &column.values {
            Values::Floats(values) => json!(values[row]),
            Values::Integers(values) => json!(values[row]),
            Values::Booleans(values) => json!(values[row] == 1),
            Values::Texts(values) | Values::Bytes(values) => json!(values.text(row)),
        };
        object.insert(field.name.clone(), value);
    }
    object
}
