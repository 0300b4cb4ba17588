use super::*;
use tidegate::Column;

fn options() -> Options {
    Options { field: "temp".into(), alpha: 0.1, threshold: 4.0, warmup: 20, min_deviation: 0.001 }
}

fn detector(options: Options) -> Zscore {
    let fields = [Field { name: "temp".into(), scalar: Scalar::Float, unit: String::new() }];
    Zscore::configure(options, &fields).expect("configures").0
}

fn score(detector: &mut Zscore, rows: &[(u32, Option<f64>)]) -> Vec<(u32, Finding)> {
    let columns = vec![Column::floats(rows.iter().map(|row| row.1))];
    let slots = Some(rows.iter().map(|row| row.0).collect());
    let mut found = Vec::new();
    let batch = Batch { rows: rows.len() as u32, times: None, slots, columns };
    assert_eq!(detector.score(&batch, &mut found, &mut Vec::new()), None);
    found
}

/// A steady device: 20 ± 0.5.
fn steady(rows: usize) -> Vec<(u32, Option<f64>)> {
    (0..rows).map(|i| (0, Some(20.0 + [0.0, 0.5, -0.5, 0.25][i % 4]))).collect()
}

#[test]
fn a_spike_is_found_and_the_next_one_too() {
    let mut detector = detector(options());
    assert_eq!(score(&mut detector, &steady(100)), []);
    for _ in 0..3 {
        let found = score(&mut detector, &[(0, Some(35.0))]);
        assert_eq!(found.len(), 1, "a spike does not blind the detector");
        assert!(found[0].1.score > 4.0 && found[0].1.severity >= 75, "{found:?}");
        assert!(found[0].1.reason.contains("temp 35 is"), "{found:?}");
    }
}

#[test]
fn nothing_is_unusual_before_the_warm_up() {
    let mut detector = detector(options());
    assert_eq!(score(&mut detector, &[(0, Some(20.0)), (0, Some(500.0)), (0, None), (0, Some(f64::NAN))]), []);
}

#[test]
fn a_device_that_stands_still_alarms_at_no_last_digit() {
    let mut detector = detector(options());
    score(&mut detector, &vec![(0, Some(20.0)); 100]);
    assert_eq!(score(&mut detector, &[(0, Some(20.002))]), []);
    assert_eq!(score(&mut detector, &[(0, Some(20.1))]).len(), 1);
}

#[test]
fn devices_are_told_apart_and_a_new_level_is_learned() {
    let mut detector = detector(options());
    score(&mut detector, &steady(100));
    let level = vec![(1, Some(80.0)); 100];
    assert_eq!(score(&mut detector, &level), [], "another device has another mean");
    let changed: Vec<_> = level.iter().map(|&(_, value)| (0, value)).collect();
    let found = score(&mut detector, &changed);
    assert!(!found.is_empty() && found.len() < 60, "found {}", found.len());
}

#[test]
fn results_do_not_depend_on_cuts_nor_on_a_restart() {
    let mut rows = steady(60);
    rows.extend([(0, Some(30.0)), (0, Some(19.5)), (0, Some(3.0))]);
    let mut whole = detector(options());
    let expected = score(&mut whole, &rows);
    assert_eq!(expected.len(), 2);
    let mut cut = detector(options());
    let mut found = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        let mut saved = Vec::new();
        cut.save(0, &mut saved);
        cut = detector(options());
        cut.load(Zscore::VERSION, 0, &saved).expect("loads");
        found.extend(score(&mut cut, &[*row]).into_iter().map(|(_, finding)| (at as u32, finding)));
    }
    assert_eq!(found, expected);
}

#[test]
fn options_that_make_no_sense_are_refused_together() {
    let wrong = Options { field: "x".into(), alpha: 0.0, threshold: -1.0, warmup: 0, min_deviation: 0.0 };
    let issues = Zscore::configure(wrong, &[]).err().expect("refused");
    assert_eq!(
        issues.iter().map(|i| i.at.as_str()).collect::<Vec<_>>(),
        ["/field", "/alpha", "/threshold", "/min_deviation"]
    );
}
