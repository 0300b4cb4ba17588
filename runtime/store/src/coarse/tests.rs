use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use tidegate_record::Field;

const MINUTE: i64 = 60_000_000;

fn schema() -> Arc<Schema> {
    let field = |name: &str, scalar| Field::new(name, scalar);
    let fields = vec![field("f", Scalar::Float), field("i", Scalar::Integer), field("t", Scalar::Text)];
    Arc::new(Schema::new(fields).unwrap())
}

/// Device, event time in seconds, the three fields.
type Record = (u8, i64, Option<f64>, Option<i64>, Option<String>);

fn batch(records: &[Record]) -> Batch {
    let mut builder = BatchBuilder::new(schema());
    for (device, second, f, i, t) in records {
        f.iter().for_each(|f| assert!(builder.float(0, *f)));
        i.iter().for_each(|i| assert!(builder.integer(1, *i)));
        t.iter().for_each(|t| assert!(builder.text(2, t)));
        builder.end_row(&format!("d{device}"), second * 1_000_000).unwrap();
    }
    builder.finish()
}

fn records(batch: &Batch) -> Vec<Record> {
    let [f, i, t] = batch.columns() else { panic!("three fields") };
    let (Values::Floats(fs), Values::Integers(is), Values::Texts(ts)) = (&f.values, &i.values, &t.values) else {
        panic!("their scalars")
    };
    let record = |row: usize| {
        let device = batch.device(row)[1..].parse().unwrap();
        let f = f.is_valid(row).then_some(fs[row]);
        let i = i.is_valid(row).then_some(is[row]);
        (device, batch.times()[row] / 1_000_000, f, i, t.is_valid(row).then(|| ts.text(row).to_string()))
    };
    (0..batch.rows()).map(record).collect()
}

fn coarser(value: ThinValue, batches: &[Batch]) -> Vec<Record> {
    let mut coarser = Coarser::new(schema(), MINUTE, value);
    batches.iter().for_each(|batch| coarser.add(batch));
    records(&coarser.finish().unwrap())
}

fn text(text: &str) -> Option<String> {
    Some(text.into())
}

#[test]
fn one_record_a_device_and_span_stands_for_all_of_them() {
    let first = batch(&[
        (1, 0, Some(1.0), Some(1), text("a")),
        (2, 10, Some(100.0), None, None),
        (1, 59, Some(3.0), Some(4), text("b")),
    ]);
    let second = batch(&[(1, 30, Some(2.0), Some(2), text("late")), (1, 60, Some(9.0), Some(9), None)]);
    let cases = [
        (ThinValue::Mean, (2.0, 2)),
        (ThinValue::Last, (3.0, 4)),
        (ThinValue::Min, (1.0, 1)),
        (ThinValue::Max, (3.0, 4)),
    ];
    for (value, (f, i)) in cases {
        let expected = vec![
            (2, 10, Some(100.0), None, None),
            (1, 59, Some(f), Some(i), text("b")),
            (1, 60, Some(9.0), Some(9), None),
        ];
        assert_eq!(coarser(value, &[first.clone(), second.clone()]), expected, "{value:?}");
    }
}

#[test]
fn nulls_and_nan_give_way_to_values() {
    let nan = batch(&[
        (1, 0, Some(f64::NAN), None, None),
        (1, 1, Some(2.0), Some(-3), text("kept")),
        (1, 2, None, Some(-4), None),
        (1, 3, Some(f64::NAN), None, None),
    ]);
    for value in [ThinValue::Mean, ThinValue::Min, ThinValue::Max] {
        let [(_, 3, Some(f), Some(i), Some(t))] = &coarser(value, std::slice::from_ref(&nan))[..] else {
            panic!("one whole record")
        };
        let integer = if value == ThinValue::Max { -3 } else { -4 };
        assert_eq!((*f, *i, t.as_str()), (2.0, integer, "kept"), "{value:?}");
    }
    let only = batch(&[(1, 0, Some(f64::NAN), None, None), (1, 1, Some(f64::NAN), None, None)]);
    assert!(coarser(ThinValue::Mean, &[only])[0].2.unwrap().is_nan());
}

#[test]
fn means_of_the_largest_numbers_are_numbers() {
    let huge = batch(&[(1, 0, Some(f64::MAX), Some(i64::MAX), None), (1, 1, Some(f64::MAX), Some(i64::MAX), None)]);
    let low = batch(&[(2, 0, Some(f64::MIN), Some(i64::MIN), None), (2, 1, Some(f64::MAX), Some(i64::MIN), None)]);
    let joined = coarser(ThinValue::Mean, &[huge, low]);
    assert_eq!((joined[0].2, joined[0].3), (Some(f64::MAX), Some(i64::MAX)));
    assert_eq!(joined[1].3, Some(i64::MIN));
    assert!(joined[1].2.unwrap().is_finite());
}

fn any_records() -> impl Strategy<Value = Vec<Record>> {
    let f = prop::option::of(-1e9..1e9f64);
    let record = (0u8..4, -200i64..400, f, prop::option::of(any::<i64>()), prop::option::of("[a-c]{0,3}"));
    prop::collection::vec(record, 1..60)
}

proptest! {
    #[test]
    fn every_record_has_one_that_stands_for_it_within_its_bounds(
        all in any_records(),
        cut in 0usize..60,
        value in prop::sample::select(vec![ThinValue::Mean, ThinValue::Last, ThinValue::Min, ThinValue::Max]),
    ) {
        let cut = cut.min(all.len());
        let joined = coarser(value, &[batch(&all[..cut]), batch(&all[cut..])]);
        let mut groups: BTreeMap<(u8, i64), Vec<&Record>> = BTreeMap::new();
        for record in &all {
            groups.entry((record.0, record.1.div_euclid(60))).or_default().push(record);
        }
        prop_assert_eq!(joined.len(), groups.len());
        prop_assert!(joined.is_sorted_by_key(|record| record.1), "oldest first");
        for (device, second, f, i, t) in &joined {
            let group = &groups[&(*device, second.div_euclid(60))];
            prop_assert_eq!(*second, group.iter().map(|r| r.1).max().unwrap());
            let floats: Vec<f64> = group.iter().filter_map(|r| r.2).collect();
            let integers: Vec<i64> = group.iter().filter_map(|r| r.3).collect();
            prop_assert_eq!(f.is_some(), !floats.is_empty());
            prop_assert_eq!(i.is_some(), !integers.is_empty());
            prop_assert_eq!(t.is_some(), group.iter().any(|r| r.4.is_some()));
            if let (Some(f), Some(i)) = (f, i) {
                let (low, high) = (floats.iter().copied().fold(f64::MAX, f64::min), floats.iter().copied().fold(f64::MIN, f64::max));
                prop_assert!((low..=high).contains(f));
                prop_assert!((*integers.iter().min().unwrap()..=*integers.iter().max().unwrap()).contains(i));
                match value {
                    ThinValue::Min => prop_assert_eq!(*f, low),
                    ThinValue::Max => prop_assert_eq!(*f, high),
                    ThinValue::Last => prop_assert!(floats.contains(f)),
                    ThinValue::Mean => {
                        let mean = floats.iter().sum::<f64>() / floats.len() as f64;
                        prop_assert!((f - mean).abs() <= 1e-6 * (1.0 + mean.abs()));
                    }
                }
            }
        }
    }
}
