use super::*;
use proptest::prelude::*;
use tidegate_record::{Blobs, Column, Field, Scalar, Values};

fn schema(scalars: &[Scalar]) -> Arc<Schema> {
    let fields = scalars.iter().enumerate().map(|(i, &s)| Field::new(format!("f{i}"), s)).collect();
    Arc::new(Schema::new(fields).unwrap())
}

fn blobs<T: AsRef<[u8]>>(values: &[T]) -> Blobs {
    let mut blobs = Blobs::default();
    values.iter().for_each(|v| blobs.push(v.as_ref()));
    blobs
}

fn run(commit: u64, rows: u32) -> Run {
    Run {
        commit,
        arrival: 1_000 + commit as i64,
        wall: 1_767_225_600_000_000 - commit as i64,
        trusted: rows.is_multiple_of(2),
        stamped: commit.is_multiple_of(3).then_some(commit),
        rows,
    }
}

/// Every scalar, nulls, odd floats, unused devices, two runs: what the golden file holds.
fn golden() -> (Decoded, u64) {
    let schema = schema(&[Scalar::Float, Scalar::Integer, Scalar::Boolean, Scalar::Text, Scalar::Bytes, Scalar::Float]);
    let batch = Batch::from_parts(
        schema.clone(),
        Arc::new(blobs(&["unused", "d1", "d2"])),
        vec![2, 1, 2, 2],
        vec![1_767_225_600_000_000, 1_767_225_600_250_000, 1_767_225_600_500_001, -7],
        vec![
            Column::of(Values::Floats(vec![21.5, -0.25, f64::NAN, 40.125])),
            Column { values: Values::Integers(vec![i64::MIN, 0, 7, i64::MAX]), valid: Some(vec![1, 0, 1, 1]) },
            Column::of(Values::Booleans(vec![1, 0, 0, 1])),
            Column::of(Values::Texts(blobs(&["warm", "warm", "Grüße", "warm"]))),
            Column::of(Values::Bytes(blobs(&[&[0u8, 255][..], &[], &[1, 2, 3], &[9]]))),
            Column::of(Values::Floats(vec![std::f64::consts::PI, 1e300, -0.0, 5e-324])),
        ],
    );
    let id = schema.id();
    (Decoded { first: 41, runs: vec![run(7, 1), run(9, 3)], pass: 2, batch: Arc::new(batch.unwrap()) }, id)
}

fn round_trip(block: &Decoded) -> Vec<u8> {
    let schema = block.batch.schema().clone();
    let encoded = Encoder::new().unwrap().encode(block, schema.id()).unwrap().bytes;
    let peeked = peek(&encoded).unwrap();
    assert_eq!((peeked.first, peeked.rows as usize), (block.first, block.batch.rows()));
    let back = decode(&encoded, |id| (id == schema.id()).then(|| schema.clone())).unwrap();
    assert_eq!(&back, block);
    encoded
}

#[test]
fn every_scalar_round_trips() {
    round_trip(&golden().0);
}

#[test]
fn a_tick_round_trips() {
    let batch = Arc::new(Batch::empty(schema(&[Scalar::Float, Scalar::Text])));
    let encoded = round_trip(&Decoded { first: 5, runs: vec![run(3, 0)], pass: 0, batch });
    assert_eq!(peek(&encoded).map(|p| p.next()), Ok(6));
}

#[test]
fn whose_clock_set_the_times_of_a_result_round_trips() {
    let (mut block, _) = golden();
    block.runs =
        vec![Run { stamped: Some(0), ..run(7, 1) }, Run { stamped: Some(6), trusted: false, ..run(1 << 40, 3) }];
    block.runs[1].stamped = Some((1 << 40) - u64::from(u32::MAX));
    round_trip(&block);
}

#[test]
fn blocks_of_every_format_are_readable_for_ever() {
    let (block, id) = golden();
    if let Ok(path) = std::env::var("WRITE_GOLDEN") {
        let bytes = round_trip(&block);
        let lines: Vec<String> = bytes.chunks(32).map(|c| c.iter().map(|b| format!("{b:02x}")).collect()).collect();
        std::fs::write(path, lines.join("\n") + "\n").unwrap();
    }
    let schema = block.batch.schema().clone();
    let stored = |hex: &str| {
        let hex: String = hex.split_whitespace().collect();
        let byte = |i: usize| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap();
        let bytes: Vec<u8> = (0..hex.len() / 2).map(byte).collect();
        decode(&bytes, |found| (found == id).then(|| schema.clone()))
    };
    // What a format did not know yet is read as nothing.
    let mut first = Decoded { pass: 0, ..block.clone() };
    first.runs.iter_mut().for_each(|run| run.stamped = None);
    assert_eq!(stored(include_str!("../../fixtures/block_v1.hex")), Ok(first));
    assert_eq!(stored(include_str!("../../fixtures/block_v2.hex")), Ok(block));
}

#[test]
fn every_flipped_byte_is_an_error() {
    let (block, _) = golden();
    let mut bytes = round_trip(&block);
    let schema = block.batch.schema().clone();
    for at in 0..bytes.len() {
        for mask in [0x01, 0x80, 0xff] {
            bytes[at] ^= mask;
            assert!(decode(&bytes, |_| Some(schema.clone())).is_err(), "byte {at} with {mask:02x}");
            bytes[at] ^= mask;
        }
        assert!(decode(&bytes[..at], |_| Some(schema.clone())).is_err(), "cut at {at}");
    }
}

/// With the checksum made right again every length inside is still checked: nothing panics or takes memory.
#[test]
fn damage_behind_a_right_checksum_never_panics() {
    let (block, _) = golden();
    let bytes = round_trip(&block);
    let schema = block.batch.schema().clone();
    let mut refused = 0;
    for at in FRONT..bytes.len() {
        for mask in [0x01, 0x08, 0x80, 0xff] {
            let mut bad = bytes.clone();
            bad[at] ^= mask;
            let sum = checksum(&bad).to_le_bytes();
            bad[1..FRONT].copy_from_slice(&sum);
            refused += usize::from(decode(&bad, |_| Some(schema.clone())).is_err());
        }
    }
    assert!(refused > 0, "none of the damaged blocks was refused");
}

#[test]
fn a_body_may_not_grow_beyond_what_its_header_says() {
    let zeros = vec![0u8; 1 << 20];
    let packed = zstd::bulk::compress(&zeros, 1).unwrap();
    assert!(decompress(&packed, 1 << 10).is_err());
    assert_eq!(decompress(&packed, 1 << 20).map(|v| v.len()), Ok(1 << 20));
}

/// A dictionary says one long value for many rows in few bytes, and every column may have one.
#[test]
fn columns_that_become_more_than_a_body_together_are_damage() {
    let text = |fields: usize| {
        let schema = schema(&vec![Scalar::Text; fields]);
        let column = || Column::of(Values::Texts(blobs(&vec!["x".repeat(10 << 10); 2048])));
        let columns = (0..fields).map(|_| column()).collect();
        let devices = Arc::new(blobs(&["d"]));
        let batch = Batch::from_parts(schema, devices, vec![0; 2048], vec![0; 2048], columns).unwrap();
        Decoded { first: 0, runs: vec![run(1, 2048)], pass: 0, batch: Arc::new(batch) }
    };
    assert!(round_trip(&text(3)).len() < 2048, "60 MiB of text in a few bytes");
    let large = text(4);
    let schema = large.batch.schema().clone();
    let bytes = Encoder::new().unwrap().encode(&large, schema.id()).unwrap().bytes;
    let error = decode(&bytes, |_| Some(schema.clone())).unwrap_err();
    assert!(error.to_string().contains("bytes left to it"), "{error}");
}

#[test]
fn an_unknown_schema_is_an_error_that_names_it() {
    let (block, id) = golden();
    let error = decode(&round_trip(&block), |_| None).unwrap_err();
    assert!(error.to_string().contains(&format!("{id:016x}")), "{error}");
}

#[test]
fn climate_readings_take_at_most_nine_bytes() {
    let schema = schema(&[Scalar::Float, Scalar::Float]);
    let rows = 1024u32;
    let names: Vec<String> = (0..100).map(|i| format!("d{i:04}")).collect();
    let noise = |i: u32, k: u32| f64::from(i.wrapping_mul(2_654_435_761).rotate_left(k) % 400) / 100.0;
    let batch = Batch::from_parts(
        schema,
        Arc::new(blobs(&names)),
        (0..rows).map(|i| i % 100).collect(),
        (0..rows).map(|i| 1_767_225_600_000_000 + i64::from(i) * 10_000).collect(),
        vec![
            Column::of(Values::Floats(
                (0..rows).map(|i| 20.0 + noise(i, 3)).map(|x| (x * 100.0).round() / 100.0).collect(),
            )),
            Column::of(Values::Floats(
                (0..rows).map(|i| 40.0 + noise(i, 9)).map(|x| (x * 100.0).round() / 100.0).collect(),
            )),
        ],
    );
    let block = Decoded { first: 0, runs: vec![run(1, rows)], pass: 0, batch: Arc::new(batch.unwrap()) };
    let bytes = round_trip(&block).len();
    assert!(bytes <= 9 * rows as usize, "{bytes} bytes for {rows} records");
}

fn column(scalar: Scalar, rows: usize) -> BoxedStrategy<Column> {
    let values = match scalar {
        Scalar::Float => prop::collection::vec(
            prop_oneof![any::<u64>().prop_map(f64::from_bits), (-5000i32..5000).prop_map(|q| f64::from(q) / 100.0)],
            rows,
        )
        .prop_map(Values::Floats)
        .boxed(),
        Scalar::Integer => {
            prop::collection::vec(prop_oneof![any::<i64>(), -9i64..9], rows).prop_map(Values::Integers).boxed()
        }
        Scalar::Boolean => prop::collection::vec(0u8..2, rows).prop_map(Values::Booleans).boxed(),
        Scalar::Text => prop::collection::vec(prop_oneof!["[a-c]", "\\PC{0,8}"], rows)
            .prop_map(|v| Values::Texts(blobs(&v)))
            .boxed(),
        Scalar::Bytes => prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), rows)
            .prop_map(|v| Values::Bytes(blobs(&v)))
            .boxed(),
    };
    let valid = prop::option::of(prop::collection::vec(0u8..2, rows));
    (values, valid).prop_map(|(values, valid)| Column { values, valid }).boxed()
}

fn any_scalar() -> impl Strategy<Value = Scalar> {
    prop_oneof![
        Just(Scalar::Float),
        Just(Scalar::Integer),
        Just(Scalar::Boolean),
        Just(Scalar::Text),
        Just(Scalar::Bytes)
    ]
}

fn any_block() -> impl Strategy<Value = Decoded> {
    (prop::collection::vec(any_scalar(), 0..5), 1usize..80, any::<u32>()).prop_flat_map(|(scalars, rows, first)| {
        let columns: Vec<_> = scalars.iter().map(|&s| column(s, rows)).collect();
        let ids = prop::collection::vec(0u32..3, rows);
        let times = prop::collection::vec(prop_oneof![any::<i64>(), 0i64..1_000_000], rows);
        (columns, ids, times).prop_map(move |(columns, ids, times)| {
            let devices = Arc::new(blobs(&["a", "bb", "ccc"]));
            let batch = Batch::from_parts(schema(&scalars), devices, ids, times, columns).unwrap();
            Decoded {
                first: first.into(),
                runs: vec![run(1, 1), run(2, rows as u32 - 1)],
                pass: 0,
                batch: Arc::new(batch),
            }
        })
    })
}

proptest! {
    #[test]
    fn any_block_round_trips(block in any_block()) {
        round_trip(&block);
    }

    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut bytes = bytes;
        let _ = decode(&bytes, |_| None);
        if bytes.len() > FRONT {
            bytes[0] = FORMAT;
            let sum = checksum(&bytes).to_le_bytes();
            bytes[1..FRONT].copy_from_slice(&sum);
        }
        prop_assert!(decode(&bytes, |_| None).is_err());
    }
}
