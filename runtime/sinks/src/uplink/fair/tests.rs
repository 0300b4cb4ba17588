use super::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const MIB: u64 = 1 << 20;

/// A line that takes a request of so many bytes at a time; flows are driven by hand.
struct Line1 {
    fair: Fair,
    now: i64,
    sent: Vec<u64>,
}

impl Line1 {
    fn of(flows: &[(u32, bool)]) -> Self {
        let mut fair = Fair::new(1);
        for &(weight, urgent) in flows {
            fair.join(weight, urgent);
        }
        Line1 { fair, now: 0, sent: vec![0; flows.len()] }
    }

    /// Grants one request and ends it; the flow that sent.
    fn send(&mut self) -> Option<usize> {
        let flow = self.fair.grant(self.now)?;
        let Stage::Sending { bytes, .. } = self.fair.flows[flow].stage else { panic!("{:?}", self.fair) };
        self.now += 1 + bytes as i64 / 100;
        self.sent[flow] += bytes;
        self.fair.ended(flow, bytes, self.now);
        Some(flow)
    }
}

#[test]
fn bytes_come_out_as_the_weights_are_whatever_the_requests_sizes() {
    for seed in 0..200 {
        let mut rng = StdRng::seed_from_u64(seed);
        let weights: Vec<u32> = (0..rng.random_range(2..6)).map(|_| rng.random_range(1..20)).collect();
        let largest: Vec<u64> = weights.iter().map(|_| rng.random_range(1_000..MIB)).collect();
        let mut line = Line1::of(&weights.iter().map(|weight| (*weight, false)).collect::<Vec<_>>());
        for (flow, largest) in largest.iter().enumerate() {
            line.fair.ask(flow, rng.random_range(1..=*largest));
        }
        for _ in 0..500 {
            let flow = line.send().expect("one always asks");
            line.fair.ask(flow, rng.random_range(1..=largest[flow]));
            // No two flows that always ask are further apart than a request of each.
            for (a, b) in (0..weights.len()).flat_map(|a| (0..a).map(move |b| (a, b))) {
                let share = |flow: usize| line.sent[flow] as f64 / f64::from(weights[flow]);
                let bound = |flow: usize| largest[flow] as f64 / f64::from(weights[flow]);
                let apart = (share(a) - share(b)).abs();
                assert!(apart <= bound(a) + bound(b) + 1.0, "seed {seed}: {a} and {b} are {apart} apart");
            }
        }
    }
}

#[test]
fn nobody_that_asks_starves_under_random_demands_urgent_ones_or_not() {
    for seed in 0..200 {
        let mut rng = StdRng::seed_from_u64(seed);
        let flows: Vec<(u32, bool)> = (0..6).map(|_| (rng.random_range(1..10), rng.random_bool(0.3))).collect();
        let mut line = Line1::of(&flows);
        let mut waiting_since = vec![None; flows.len()];
        let mut total = 0;
        for _ in 0..2_000 {
            for (flow, waiting_since) in waiting_since.iter_mut().enumerate() {
                match line.fair.flows[flow].stage {
                    Stage::Resting | Stage::Coming { .. } if rng.random_bool(0.5) => {
                        line.fair.ask(flow, rng.random_range(1..=MIB));
                        *waiting_since = Some(total);
                    }
                    Stage::Coming { .. } => assert!(line.fair.rest(flow)),
                    _ => {}
                }
            }
            if let Some(flow) = line.send() {
                total = line.sent.iter().sum();
                waiting_since[flow] = None;
            }
            // A weight is at least 1 of 60, an ordinary one of that a tenth; and a request of each is in the way.
            let longest = waiting_since.iter().flatten().map(|since| total - since).max().unwrap_or(0);
            assert!(longest < 10 * 60 * 2 * MIB, "seed {seed}: a flow has waited for {longest} bytes of others");
        }
        assert!(line.sent.iter().all(|sent| *sent > 0), "seed {seed}: {:?}", line.sent);
    }
}

#[test]
fn an_urgent_flow_goes_next_and_the_others_keep_a_tenth() {
    let mut line = Line1::of(&[(1, false), (1, true)]);
    line.fair.ask(0, MIB);
    assert_eq!(line.send(), Some(0));
    line.fair.ask(0, MIB);
    line.fair.ask(1, 1_000);
    assert_eq!(line.send(), Some(1), "the urgent one goes first");
    for _ in 0..1_000 {
        line.fair.ask(0, MIB);
        line.fair.ask(1, MIB);
        assert!(line.send().is_some());
    }
    let share = line.sent[0] as f64 / (line.sent[0] + line.sent[1]) as f64;
    assert!((0.09..0.11).contains(&share), "the ordinary flow has {share} of the bytes");
}

#[test]
fn weights_hold_for_flows_that_take_a_moment_between_two_requests() {
    let mut line = Line1::of(&[(3, false), (1, false)]);
    let mut coming: Option<usize> = None;
    line.fair.ask(0, 1_000);
    line.fair.ask(1, 1_000);
    while line.sent.iter().sum::<u64>() < 400_000 {
        // The other one asks all the while, and the line is kept for the one that comes where it is its turn.
        if line.send().is_none_or(|flow| coming.replace(flow).is_some()) {
            line.now += 1_000;
        }
        if let Some(flow) = coming.take() {
            line.fair.ask(flow, 1_000);
        }
    }
    assert_eq!(line.sent[0] / 1_000, 300, "{:?}", line.sent);
}

#[test]
fn one_that_comes_is_waited_for_only_so_long_and_not_when_it_rests() {
    let mut line = Line1::of(&[(100, false), (1, false)]);
    line.fair.ask(0, 10);
    assert_eq!(line.send(), Some(0));
    line.fair.ask(1, 10);
    assert_eq!(line.send(), Some(1), "both began at the same tag, and the first has sent");
    line.fair.ask(1, 10);
    assert_eq!(line.fair.grant(line.now), None, "it is the first one's turn, and it may be coming");
    let again = line.fair.look_again(line.now).expect("a time to look again");
    assert_eq!(line.fair.grant(again), Some(1), "it did not come");
    line.fair.ended(1, 10, again);
    line.fair.ask(0, 10);
    line.now = again;
    assert_eq!(line.send(), Some(0));
    line.fair.ask(1, 10);
    assert_eq!(line.fair.grant(line.now), None);
    line.fair.rest(0);
    assert_eq!(line.fair.grant(line.now), Some(1), "it rests");
}

#[test]
fn an_upstream_that_hangs_does_not_keep_the_line() {
    let mut fair = Fair::new(1);
    let (hanging, other) = (fair.join(1, false), fair.join(1, false));
    fair.ask(hanging, 10);
    assert_eq!(fair.grant(0), Some(hanging));
    fair.ask(other, 10);
    assert_eq!(fair.grant(1), None, "one at a time");
    assert_eq!(fair.grant(13_000_000), None, "100 KiB at 64 kbit/s take so long");
    let again = fair.look_again(1).expect("a time to look again");
    assert_eq!(again, SLOT_MAX_US);
    assert_eq!(fair.grant(again), Some(other));
}

#[test]
fn a_flow_that_was_at_rest_has_saved_nothing_up() {
    let mut line = Line1::of(&[(1, false), (1, false)]);
    for _ in 0..100 {
        line.fair.ask(0, MIB);
        assert_eq!(line.send(), Some(0));
    }
    for _ in 0..20 {
        line.fair.ask(0, MIB);
        line.fair.ask(1, MIB);
        assert!(line.send().is_some());
    }
    let late = line.sent[1] / MIB;
    assert!((9..=11).contains(&late), "{late} of 20");
}

#[test]
fn what_was_not_sent_is_given_back() {
    let mut fair = Fair::new(1);
    let (a, b) = (fair.join(1, false), fair.join(1, false));
    fair.ask(a, 100 * MIB);
    assert_eq!(fair.grant(0), Some(a));
    fair.ask(b, 10);
    fair.ended(a, 0, 1);
    fair.ask(a, 5);
    assert_eq!(fair.grant(2), Some(a), "the connection failed before anything was sent");
    // It is held before it begins: its window shuts.
    fair.ask(b, 10);
    assert!(fair.rest(a));
    fair.ask(a, 5);
    assert_eq!(fair.grant(3), Some(a), "it has sent nothing yet");
}
