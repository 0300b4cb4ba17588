//! What is written is read back by the same crate's reader of rows, which shares no code with the writer above.

use super::*;
use ::parquet::file::reader::{FileReader as _, SerializedFileReader};
use ::parquet::record::Field as Cell;
use tidegate_record::BatchBuilder;
use tidegate_store::{Position, Run};

fn schema() -> Arc<Schema> {
    let fields = [
        ("temp", Scalar::Float),
        ("count", Scalar::Integer),
        ("open", Scalar::Boolean),
        ("note", Scalar::Text),
        ("frame", Scalar::Bytes),
    ];
    Arc::new(Schema::new(fields.map(|(name, scalar)| Field::new(name, scalar)).into()).unwrap())
}

/// A block of records from `numbers`: every third has no values.
fn block(first: u64, numbers: Range<i64>) -> Block {
    let mut builder = BatchBuilder::new(schema());
    for n in numbers {
        if n % 3 != 0 {
            builder.float(0, n as f64 / 4.0);
            assert!(builder.integer(1, -n));
            builder.boolean(2, n % 2 == 0);
            builder.text(3, &format!("größe {n}"));
            builder.bytes(4, &[0xff, n as u8]);
        }
        builder.end_row(&format!("d{}", n % 5), n * 1_000_001).unwrap();
    }
    let batch = Arc::new(builder.finish());
    let rows = batch.rows() as u32;
    let run = Run { commit: 1, arrival: 1, wall: 1, trusted: true, stamped: None, rows };
    Block { first: Position(first), next: Position(first + u64::from(rows)), runs: vec![run], pass: 0, batch }
}

fn identity() -> Identity {
    Identity { gateway: "plant-7".into(), epoch: 7 }
}

/// The columns' names and the rows of a file.
fn read(file: Vec<u8>) -> (Vec<String>, Vec<Vec<Cell>>) {
    let reader = SerializedFileReader::new(bytes::Bytes::from(file)).unwrap();
    let named = reader.metadata().file_metadata().schema_descr().columns().iter().map(|c| c.name().to_string());
    let names = named.collect();
    let row = |row: ::parquet::record::Row| row.into_columns().into_iter().map(|(_, cell)| cell).collect();
    (names, reader.get_row_iter(None).unwrap().map(|read| row(read.unwrap())).collect())
}

#[test]
fn values_and_nulls_of_every_type_come_back_as_they_were() {
    let mut file = Vec::new();
    let mut table = Table::begin(identity(), &schema(), &mut file).unwrap();
    let partition = Partition::new("readings", 0);
    table.take(&partition, (&block(0, 0..50), &Dates::default()), 0..50).unwrap();
    table.take(&partition, (&block(60, 50..100), &Dates::default()), 10..20).unwrap();
    table.finish().unwrap();
    let (names, rows) = read(file);
    assert_eq!(names, ["_id", "device", "time", "_clock", "temp", "count", "open", "note", "frame"]);
    let expected = (0..50).chain(60..70).map(|n: i64| {
        let offset = if n < 50 { n } else { n + 10 };
        let there = |cell: Cell| if n % 3 == 0 { Cell::Null } else { cell };
        vec![
            Cell::Str(format!("plant-7/readings/0/0000000000000007/{offset}")),
            Cell::Str(format!("d{}", n % 5)),
            Cell::TimestampMicros(n * 1_000_001),
            Cell::Null,
            there(Cell::Double(n as f64 / 4.0)),
            there(Cell::Long(-n)),
            there(Cell::Bool(n % 2 == 0)),
            there(Cell::Str(format!("größe {n}"))),
            there(Cell::Bytes(bytes(&[0xff, n as u8]))),
        ]
    });
    assert_eq!(rows, expected.collect::<Vec<_>>());
}

#[test]
fn times_of_a_clock_that_was_wrong_come_corrected_and_marked() {
    let mut block = block(0, 1..3);
    block.runs[0].stamped = Some(1);
    block.runs[0].trusted = false;
    let mark = Some(tidegate_store::ClockMark::Corrected);
    let dating = tidegate_store::Dating { since: 1, offset: 0, shift: 500, mark };
    let dates = Dates::of(&block.runs, |_| Some(dating));
    let mut file = Vec::new();
    let mut table = Table::begin(identity(), &schema(), &mut file).unwrap();
    table.take(&Partition::new("readings", 0), (&block, &dates), 0..2).unwrap();
    table.finish().unwrap();
    let (_, rows) = read(file);
    assert_eq!(rows[1][2..4], [Cell::TimestampMicros(2 * 1_000_001 + 500), Cell::Str("corrected".into())]);
}

#[test]
fn row_groups_are_bounded() {
    let mut file = Vec::new();
    let mut table = Table::begin(identity(), &schema(), &mut file).unwrap();
    let (block, rows) = (block(0, 0..4096), 40 * 4096);
    for _ in 0..40 {
        table.take(&Partition::new("readings", 0), (&block, &Dates::default()), 0..4096).unwrap();
        assert!(table.rows <= GROUP_ROWS_MAX && table.bytes < GROUP_BYTES);
    }
    table.finish().unwrap();
    assert!(file.len() < rows * 8, "{} bytes of {rows} records", file.len());
    let reader = SerializedFileReader::new(bytes::Bytes::from(file)).unwrap();
    let groups: Vec<i64> = reader.metadata().row_groups().iter().map(|group| group.num_rows()).collect();
    assert_eq!(groups.iter().sum::<i64>(), rows as i64);
    assert!(groups.len() > 1 && groups.iter().all(|rows| *rows <= GROUP_ROWS_MAX as i64), "{groups:?}");
}

#[test]
fn blocks_of_one_record_are_not_gathered_for_ever() {
    let mut file = Vec::new();
    let mut table = Table::begin(identity(), &schema(), &mut file).unwrap();
    let (partition, block) = (Partition::new("readings", 0), block(0, 0..1));
    for _ in 0..2 * GROUP_BYTES / PIECE_BYTES {
        table.take(&partition, (&block, &Dates::default()), 0..1).unwrap();
    }
    table.finish().unwrap();
    let reader = SerializedFileReader::new(bytes::Bytes::from(file)).unwrap();
    assert!(reader.num_row_groups() > 1);
}

#[test]
fn a_field_that_is_called_like_a_column_of_every_file_is_refused() {
    let schema = Schema::new(vec![Field::new("_id", Scalar::Text)]).unwrap();
    let refused = Table::begin(identity(), &schema, &mut Vec::new()).err().unwrap();
    assert!(refused.contains("\"_id\"") && refused.contains("NDJSON"), "{refused}");
}
