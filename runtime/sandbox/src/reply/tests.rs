use super::*;
use tidegate_record::Scalar;

fn field(scalar: Scalar) -> Field {
    Field::new("f", scalar)
}

fn check(values: ValuesOut, valid: Option<Vec<u8>>, scalar: Scalar, rows: usize) -> Checked<Column> {
    columns(vec![ColumnOut { values, valid }], &[field(scalar)], rows).map(|mut columns| columns.remove(0))
}

fn text(offsets: &[u32], data: &[u8]) -> ValuesOut {
    ValuesOut::Texts(BlobsOut { offsets: offsets.to_vec(), data: data.to_vec() })
}

#[test]
fn columns_that_lie_are_refused_by_name() {
    let refused = |result: Checked<Column>, part: &str| {
        let error = result.expect_err("must be refused");
        assert!(error.contains(part), "{error} does not say {part}");
    };
    refused(check(ValuesOut::Floats(vec![1.0]), None, Scalar::Float, 2), "1 values for 2 rows");
    refused(check(ValuesOut::Integers(vec![1]), None, Scalar::Float, 1), "i64 where the plan says f64");
    refused(check(ValuesOut::Floats(vec![1.0]), Some(vec![1, 1]), Scalar::Float, 1), "validity of f has 2 bytes");
    refused(check(ValuesOut::Floats(vec![1.0]), Some(vec![7]), Scalar::Float, 1), "is 7, not 0 or 1");
    refused(check(ValuesOut::Booleans(vec![2]), None, Scalar::Boolean, 1), "is 2, not 0 or 1");
    refused(check(text(&[0, 9], b"ab"), None, Scalar::Text, 1), "offsets of f");
    refused(check(text(&[1, 2], b"ab"), None, Scalar::Text, 1), "offsets of f");
    refused(check(text(&[0, 2, 1, 2], b"ab"), None, Scalar::Text, 3), "offsets of f");
    refused(check(text(&[], b"a"), None, Scalar::Text, 0), "offsets of f");
    assert!(check(text(&[], b""), None, Scalar::Text, 0).is_ok(), "no rows need no offsets");
    refused(check(text(&[0, 2], b"\xff\xfe"), None, Scalar::Text, 1), "not UTF-8 in row 0");
    // A character cut in two by the offsets is not UTF-8 in either row.
    refused(check(text(&[0, 1, 2], "ä".as_bytes()), None, Scalar::Text, 2), "not UTF-8 in row 0");
    assert!(columns(vec![], &[field(Scalar::Float)], 0).is_err());
}

#[test]
fn equal_results_are_equal_bytes() {
    let odd_nan = f64::from_bits(0xfff8_0000_dead_beef);
    let column = check(ValuesOut::Floats(vec![odd_nan, 5.0]), Some(vec![1, 0]), Scalar::Float, 2);
    let expected = Column { values: Values::Floats(vec![f64::NAN, 0.0]), valid: Some(vec![1, 0]) };
    assert_eq!(column, Ok(expected));
    let column = check(text(&[0, 1, 2], b"ab"), Some(vec![0, 1]), Scalar::Text, 2).expect("fits");
    let Values::Texts(texts) = &column.values else { panic!("text stays text") };
    assert_eq!((texts.at(0), texts.at(1)), (&b""[..], &b"b"[..]));
    let column = check(ValuesOut::Integers(vec![3]), Some(vec![1]), Scalar::Integer, 1).expect("fits");
    assert_eq!(column.valid, None, "no nulls, no validity");
}

#[test]
fn origins_ascend_and_name_rows() {
    assert_eq!(origin(None, 3), Ok(vec![0, 1, 2]));
    assert_eq!(origin(Some(vec![0, 0, 2]), 3), Ok(vec![0, 0, 2]));
    assert!(origin(Some(vec![1, 0]), 3).is_err());
    assert!(origin(Some(vec![3]), 3).is_err());
}

#[test]
fn rejected_rows_come_sorted_once_and_bounded() {
    let fault = |row, reason: &str| WireFault { row, reason: reason.into() };
    let plugin: Arc<str> = "p 1".into();
    let faults =
        rejected(&plugin, vec![fault(2, "b"), fault(0, &"ä".repeat(400)), fault(2, "c")], 3).expect("in range");
    assert_eq!(faults.iter().map(|f| f.row).collect::<Vec<_>>(), [0, 2]);
    assert_eq!(faults[0].fault.message.len(), crate::TEXT_BYTES_MAX);
    assert!(rejected(&plugin, vec![fault(3, "")], 3).is_err());
}
