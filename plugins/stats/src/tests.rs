use super::*;
use tidegate::Values;

fn stats(fields: &[&str]) -> (Stats, Plan) {
    let known = ["temp", "hum"].map(|name| Field { name: name.into(), scalar: Scalar::Float, unit: "u".into() });
    let params = Fields { fields: fields.iter().map(ToString::to_string).collect() };
    Stats::configure(params, &known).expect("configures")
}

fn update(stats: &mut Stats, slots: &[u32], values: &[Option<f64>]) {
    let columns = vec![Column::floats(values.iter().copied())];
    let batch = Batch { rows: slots.len() as u32, times: None, slots: Some(slots.to_vec()), columns };
    stats.update(&batch, &mut Vec::new());
}

fn results(stats: &mut Stats, slot: u32) -> Vec<Option<f64>> {
    let row = |column: &Column| match &column.values {
        Values::Floats(values) => column.is_valid(0).then(|| values[0]),
        Values::Integers(values) => Some(values[0] as f64),
        other => panic!("unexpected {other:?}"),
    };
    stats.finish(&[Window { slot, start: 0, end: 1 }]).iter().map(row).collect()
}

#[test]
fn a_window_is_described_by_its_values() {
    let (mut stats, plan) = stats(&["temp"]);
    let names: Vec<&str> = plan.emits.iter().map(|f| f.name.as_str()).collect();
    let expected = ["count", "temp_min", "temp_max", "temp_mean", "temp_stddev", "temp_first", "temp_last", "temp_sum"];
    assert_eq!(names, expected);
    update(&mut stats, &[1, 0, 1, 1, 1], &[Some(2.0), Some(9.0), Some(4.0), None, Some(6.0)]);
    let some = |values: [f64; 8]| values.map(Some).to_vec();
    assert_eq!(results(&mut stats, 1), some([4.0, 2.0, 6.0, 4.0, 2.0, 2.0, 6.0, 12.0]));
    let single = results(&mut stats, 0);
    assert_eq!((single[0], single[4]), (Some(1.0), None), "one value has no standard deviation");
    let empty = results(&mut stats, 7);
    assert_eq!(empty[0], Some(0.0));
    assert!(empty[1..].iter().all(Option::is_none), "no values, no results: {empty:?}");
}

#[test]
fn large_offsets_do_not_drown_the_deviation() {
    let (mut stats, _) = stats(&["temp"]);
    let values: Vec<_> = (0..1000).map(|i| Some(1e9 + f64::from(i % 2))).collect();
    update(&mut stats, &[0; 1000], &values);
    let stddev = results(&mut stats, 0)[4].expect("many values");
    assert!((stddev - 0.500_250_187_6).abs() < 1e-6, "{stddev}");
}

#[test]
fn merged_halves_are_the_whole() {
    let values: Vec<_> = (0..100).map(|i| Some(f64::from(i * 37 % 101) - 20.0)).collect();
    let (mut whole, _) = stats(&["temp"]);
    update(&mut whole, &[0; 100], &values);
    let (mut halves, _) = stats(&["temp"]);
    update(&mut halves, &[0; 40], &values[..40]);
    update(&mut halves, &[1; 60], &values[40..]);
    halves.merge(0, 1);
    halves.merge(0, 5);
    for (a, b) in results(&mut whole, 0).into_iter().zip(results(&mut halves, 0)) {
        let (a, b) = (a.expect("there"), b.expect("there"));
        assert!((a - b).abs() < 1e-9, "{a} {b}");
    }
    assert_eq!(results(&mut halves, 1)[0], Some(60.0), "the later slot stays as it was");
}

#[test]
fn a_saved_slot_goes_on_where_it_stood() {
    let (mut one, _) = stats(&["temp"]);
    update(&mut one, &[3, 3], &[Some(1.5), Some(-2.5)]);
    let mut saved = Vec::new();
    one.save(3, &mut saved);
    let (mut other, _) = stats(&["temp"]);
    other.load(Stats::VERSION, 3, &saved).expect("loads");
    update(&mut one, &[3], &[Some(7.0)]);
    update(&mut other, &[3], &[Some(7.0)]);
    assert_eq!(results(&mut one, 3), results(&mut other, 3));
    other.release(3);
    saved.clear();
    other.save(3, &mut saved);
    assert!(saved.is_empty(), "a released slot is untouched");
    let (mut two, _) = stats(&["temp", "hum"]);
    one.save(3, &mut saved);
    assert!(two.load(Stats::VERSION, 3, &saved).is_err(), "states of other fields are refused");
    assert!(two.load(9, 3, &[]).is_err());
}

#[test]
fn windows_saved_by_version_1_go_on() {
    let (mut old, _) = stats(&["temp"]);
    // Four records with the values 2, 4 and 6, by Welford's moments: n, mean, m2, min, max, sum, first, last.
    let mut saved = Vec::new();
    tidegate::write_state(&(4u64, vec![(3u64, 4.0, 8.0, 2.0, 6.0, 12.0, 2.0, 6.0)]), &mut saved);
    old.load(1, 5, &saved).expect("loads");
    let (mut new, _) = stats(&["temp"]);
    update(&mut new, &[5; 4], &[Some(2.0), None, Some(4.0), Some(6.0)]);
    assert_eq!(results(&mut old, 5), results(&mut new, 5));
    update(&mut old, &[5], &[Some(8.0)]);
    update(&mut new, &[5], &[Some(8.0)]);
    assert_eq!(results(&mut old, 5), results(&mut new, 5));
}

#[test]
fn what_is_nothing_counts_as_a_record_and_no_value() {
    let (mut stats, _) = stats(&["temp"]);
    update(&mut stats, &[0; 5], &[Some(f64::NAN), Some(1.0), Some(f64::NAN), Some(3.0), Some(f64::NAN)]);
    update(&mut stats, &[0; 2], &[None, Some(f64::NAN)]);
    let results = results(&mut stats, 0);
    assert_eq!((results[0], results[3], results[7]), (Some(7.0), Some(2.0), Some(4.0)));
}

#[test]
fn an_outlier_at_the_beginning_costs_no_digits_that_matter() {
    let (mut stats, _) = stats(&["temp"]);
    let values: Vec<f64> = std::iter::once(0.0).chain((0..9999).map(|i| 1e6 + f64::from(i % 3))).collect();
    update(&mut stats, &[0; 10_000], &values.iter().copied().map(Some).collect::<Vec<_>>());
    let mean = values.iter().sum::<f64>() / 1e4;
    let expected = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 9999.0).sqrt();
    let stddev = results(&mut stats, 0)[4].expect("many values");
    assert!((stddev / expected - 1.0).abs() < 1e-9, "{stddev} {expected}");
}

#[test]
fn fields_that_cannot_be_described_are_named() {
    let known = [Field { name: "ok".into(), scalar: Scalar::Boolean, unit: String::new() }];
    let params = Fields { fields: vec!["ok".into(), "gone".into(), "gone".into()] };
    let issues = Stats::configure(params, &known).err().expect("refused");
    assert_eq!(issues.iter().map(|i| i.at.as_str()).collect::<Vec<_>>(), ["/fields/0", "/fields/1", "/fields/2"]);
}
