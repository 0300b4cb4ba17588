//! Power cuts and kills at random instants.

use tidegate_tests::torture::{Options, Trial};

#[test]
fn nothing_acknowledged_is_lost_in_twenty_power_cuts() {
    hold(Options { cuts: 20, kills: 0, seed: 20, rate: 1_000, progress: false });
}

#[test]
fn nothing_acknowledged_is_lost_in_a_hundred_kills() {
    hold(Options { cuts: 0, kills: 100, seed: 100, rate: 1_000, progress: false });
}

fn hold(options: Options) {
    let verdict = Trial::run(options).expect("a trial");
    println!("{verdict}");
    assert_eq!(verdict.violations, Vec::<String>::new());
}
