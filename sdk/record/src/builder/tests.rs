use super::*;
use crate::{Field, rfc3339};

fn schema() -> Arc<Schema> {
    let fields = [("temp", Scalar::Float), ("n", Scalar::Integer), ("on", Scalar::Boolean), ("note", Scalar::Text)];
    Arc::new(Schema::new(fields.map(|(n, s)| Field::new(n, s)).to_vec()).unwrap())
}

fn json(batch: &Batch) -> Vec<String> {
    (0..batch.rows()).map(|row| serde_json::to_string(&batch.row(row)).unwrap()).collect()
}

#[test]
fn fields_not_set_are_null_and_rows_come_back_in_order() {
    let mut b = BatchBuilder::new(schema());
    assert!(b.float(0, 21.5) && b.text(3, "hi"));
    b.end_row("d1", 0).unwrap();
    assert!(b.integer(1, -4) && b.boolean(2, true));
    b.end_row("d2", 1_500_000).unwrap();
    let batch = b.finish();
    assert_eq!(
        json(&batch),
        [
            r#"{"device":"d1","time":"1970-01-01T00:00:00.000000Z","temp":21.5,"note":"hi"}"#,
            r#"{"device":"d2","time":"1970-01-01T00:00:01.500000Z","n":-4,"on":true}"#,
        ]
    );
}

#[test]
fn a_field_set_twice_has_its_last_value_and_a_wrong_scalar_is_refused() {
    let mut b = BatchBuilder::new(schema());
    assert!(!b.integer(0, 1) && !b.text(1, "x") && !b.bytes(3, b"x"));
    assert!(b.float(0, 1.0) && b.float(0, 2.0) && b.text(3, "one") && b.text(3, "two"));
    b.end_row("d", 0).unwrap();
    let temps = b.finish();
    assert_eq!(json(&temps), [r#"{"device":"d","time":"1970-01-01T00:00:00.000000Z","temp":2.0,"note":"two"}"#]);
}

#[test]
fn rollback_and_truncate_leave_nothing_behind() {
    let mut b = BatchBuilder::new(schema());
    b.float(0, 1.0);
    b.end_row("d", 0).unwrap();
    b.float(0, 9.0);
    b.text(3, "gone");
    b.rollback();
    b.integer(1, 2);
    b.end_row("e", 1).unwrap();
    b.end_row("f", 2).unwrap();
    b.truncate(2);
    b.end_row("g", 3).unwrap();
    let batch = b.finish();
    let devices: Vec<&str> = (0..3).map(|row| batch.device(row)).collect();
    assert_eq!(devices, ["d", "e", "g"]);
    assert!(!batch.columns()[0].is_valid(1) && batch.columns()[0].is_valid(0));
    assert!(!batch.columns()[1].is_valid(2) && batch.columns()[3].valid.as_deref() == Some(&[0, 0, 0]));
}

#[test]
fn device_ids_that_would_break_keys_and_paths_are_refused() {
    let mut b = BatchBuilder::new(schema());
    let long = "x".repeat(DEVICE_BYTES_MAX + 1);
    let cases = [("", DeviceError::Empty), ("a/b", DeviceError::Character), ("a\0b", DeviceError::Character)];
    for (device, error) in cases.into_iter().chain([(long.as_str(), DeviceError::Long)]) {
        assert_eq!(b.end_row(device, 0), Err(error), "{device:?}");
    }
    b.rollback();
    assert_eq!(b.finish().rows(), 0);
}

#[test]
fn a_builder_is_as_new_after_finish() {
    let mut b = BatchBuilder::new(schema());
    b.end_row("d", 0).unwrap();
    assert_eq!(b.finish().rows(), 1);
    b.float(0, 1.0);
    b.end_row("e", 5).unwrap();
    let batch = b.finish();
    assert_eq!((batch.rows(), batch.device(0), batch.devices().len()), (1, "e", 1));
    assert_eq!(batch.columns()[0].valid, None, "a column without nulls keeps no validity");
}

#[test]
fn times_beyond_the_calendar_are_numbers() {
    assert_eq!(rfc3339(i64::MAX), i64::MAX.to_string());
    assert_eq!(rfc3339(-1), "1969-12-31T23:59:59.999999Z");
}
