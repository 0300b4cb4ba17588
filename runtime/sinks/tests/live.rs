//! A sink with a live share: after an outage fresh records go beside the backlog, and each record once.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

#[path = "forward/script.rs"]
mod script;

use common::{Notes, Running, STREAM, Site, sink};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use script::{Call, Script, retry};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tidegate_sinks::forward::{Live, State};
use tidegate_sinks::{Delivery, ForwardOptions, Upstream};
use tidegate_store::{Commit, LossReason, Partition};
use tokio::sync::Semaphore;

/// About ten of the test's records.
const SMALL: usize = 2500;

/// Three blocks waiting are backlog at once, so that no test waits.
fn live(share: f64) -> ForwardOptions {
    ForwardOptions { request_bytes_max: SMALL, live: Live { share, after: Duration::ZERO }, ..sink("cloud") }
}

fn run(site: &Site, share: f64, upstream: impl Upstream) -> Running {
    site.run_with(live(share), upstream, None)
}

/// Blocks of ten records, from record `next` on.
async fn arrive(site: &Site, next: &mut i64, blocks: i64) {
    for _ in 0..blocks {
        site.append(*next..*next + 10).await;
        *next += 10;
    }
}

fn delivered(calls: &Notes<Call>) -> Vec<i64> {
    calls.all().into_iter().filter(|call| call.delivered).flat_map(|call| call.values).collect()
}

/// Waits until the sink has nothing left, and ends it.
async fn finish(site: &Site, mut sink: Running) {
    let end =
        |site: &Site| site.store.health().partitions.iter().find(|p| &*p.partition.stream == STREAM).unwrap().durable;
    let end = end(site).0;
    sink.until(|s| s.cursor.get(&0) == Some(&end) && s.ahead.is_empty()).await;
    sink.drain().await;
}

#[tokio::test]
async fn fresh_records_arrive_within_the_first_requests_while_the_backlog_drains_in_its_share() {
    let site = Site::new();
    let mut next = 0;
    arrive(&site, &mut next, 100).await;
    let (calls, gate) = (Notes::new(), Arc::new(Semaphore::new(0)));
    let sink = run(&site, 0.5, Script::new(&calls, |_| Delivery::Delivered).behind(gate.clone()));
    // The request in hand when the upstream is back.
    script::until(|| calls.len() == 1).await;
    for round in 1..=40 {
        arrive(&site, &mut next, 1).await;
        let fresh = next - 1;
        let before = calls.len();
        while !calls.all().iter().any(|call| call.values.contains(&fresh)) {
            let seen = calls.len();
            gate.add_permits(1);
            script::until(|| calls.len() > seen).await;
            assert!(calls.len() - before <= 2, "round {round}: record {fresh} did not come within two requests");
        }
    }
    let sent = calls.all();
    let backlog = sent.iter().filter(|call| call.values[0] < 1_000).count();
    let fresh = sent.len() - backlog;
    assert!(backlog.abs_diff(fresh) <= 2, "{backlog} requests of the backlog, {fresh} fresh ones");
    gate.add_permits(10_000);
    finish(&site, sink).await;
    let values = delivered(&calls);
    for span in [0..1_000, 1_000..next] {
        let inside: Vec<i64> = values.iter().copied().filter(|n| span.contains(n)).collect();
        assert_eq!(inside, span.collect::<Vec<_>>(), "each of the two is in order, and whole");
    }
    assert_eq!(values.len() as i64, next, "each record once");
}

#[tokio::test]
async fn what_was_delivered_alone_before_a_power_cut_comes_again_alone() {
    let (mut site, calls, mut next) = (Site::new(), Notes::new(), 0);
    // Room for many blocks in a request.
    let large = ForwardOptions { request_bytes_max: 1 << 20, ..live(0.5) };
    let run = |site: &Site, upstream| site.run_with(large.clone(), upstream, None);
    for _ in 0..20 {
        let mut sink = run(&site, Script::new(&calls, |_| Delivery::Delivered));
        arrive(&site, &mut next, 1).await;
        let last = site.offsets()[&(next - 1)];
        sink.until(|s| s.cursor.get(&0).is_some_and(|at| *at > last)).await;
        sink.kill().await;
        site = site.power_cut();
        // Behind what comes again there is a backlog now, which a live share splits off.
        arrive(&site, &mut next, 5).await;
        finish(&site, run(&site, Script::new(&calls, |_| Delivery::Delivered))).await;
    }
    let mut keys = std::collections::HashMap::new();
    for call in calls.all() {
        for value in call.values {
            let key = keys.entry(value).or_insert_with(|| call.key.clone());
            assert_eq!(*key, call.key, "record {value} came in two requests");
        }
    }
    assert_eq!(keys.len() as i64, next);
}

#[tokio::test]
async fn without_a_live_share_the_order_is_strict() {
    let site = Site::new();
    let mut next = 0;
    arrive(&site, &mut next, 50).await;
    let (calls, gate) = (Notes::new(), Arc::new(Semaphore::new(0)));
    let sink = run(&site, 0.0, Script::new(&calls, |_| Delivery::Delivered).behind(gate.clone()));
    script::until(|| calls.len() == 1).await;
    arrive(&site, &mut next, 50).await;
    gate.add_permits(10_000);
    finish(&site, sink).await;
    assert_eq!(delivered(&calls), (0..next).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_restart_in_the_middle_delivers_what_was_not_delivered_and_nothing_else() {
    // With the same share, and by a configuration that has taken it away.
    for share in [0.5, 0.0] {
        let mut site = Site::new();
        let mut next = 0;
        arrive(&site, &mut next, 60).await;
        let (calls, gate) = (Notes::new(), Arc::new(Semaphore::new(0)));
        let sink = run(&site, 0.5, Script::new(&calls, |_| Delivery::Delivered).behind(gate.clone()));
        script::until(|| calls.len() == 1).await;
        for _ in 0..20 {
            arrive(&site, &mut next, 1).await;
            let seen = calls.len();
            gate.add_permits(1);
            script::until(|| calls.len() > seen).await;
        }
        gate.add_permits(1);
        let status = sink.drain().await;
        // What was fresh at first may have fallen behind by now and be a span of its own.
        let (from, to) = status.ahead[&0][0];
        assert!(status.cursor[&0] < from && from < to, "{status:?}");
        site = site.power_cut();
        arrive(&site, &mut next, 1).await;
        let sink = run(&site, share, Script::new(&calls, |_| Delivery::Delivered));
        finish(&site, sink).await;
        let mut values = delivered(&calls);
        values.sort_unstable();
        assert_eq!(values, (0..next).collect::<Vec<_>>(), "each once");
        let state = site.store.state("sink/cloud").unwrap().unwrap();
        assert_eq!(String::from_utf8_lossy(&state), "{}", "nothing is ahead any more");
    }
}

#[tokio::test]
async fn what_was_delivered_ahead_is_not_made_coarser_once_the_stream_is_to_thin_in_place_of_a_live_share() {
    let site = Site::thinning();
    let mut next = 0;
    arrive(&site, &mut next, 3).await;
    let offsets = site.offsets();
    let (from, to) = (offsets[&10], offsets[&20]);
    // As a sink with a live share left it.
    let session = site.store.attach("sink/cloud").unwrap();
    let mut left = Commit::by(&session);
    left.state = Some(format!(r#"{{"0":{{"fence":0,"ahead":[[{from},{to}]]}}}}"#).into_bytes());
    site.store.commit(left).unwrap_or_else(|refusal| panic!("{refusal:?}")).await.unwrap();
    let (calls, gate) = (Notes::new(), Arc::new(Semaphore::new(0)));
    let sink = run(&site, 0.0, Script::new(&calls, |_| Delivery::Delivered).behind(gate.clone()));
    script::until(|| calls.len() == 1).await;
    let thinned = || site.store.health().losses.iter().any(|loss| loss.1 == LossReason::Thinned && loss.2 > 1_000);
    while !thinned() {
        site.append_patiently(next..next + 50).await;
        next += 50;
    }
    let now = site.offsets();
    assert!((0..20).all(|n| now.get(&n) == offsets.get(&n)), "{now:?}");
    gate.add_permits(100_000);
    finish(&site, sink).await;
    let values = delivered(&calls);
    assert_eq!(values[..10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert!(values[10..].iter().all(|n| *n >= 20), "{values:?}");
}

#[tokio::test]
async fn a_cursor_moved_back_delivers_again_what_is_behind_it() {
    let site = Site::new();
    let mut next = 0;
    arrive(&site, &mut next, 20).await;
    let calls = Notes::new();
    let sink = run(&site, 0.5, Script::new(&calls, |_| Delivery::Delivered));
    finish(&site, sink).await;
    let session = site.store.attach("sink/cloud").unwrap();
    let mut back = Commit::by(&session);
    let partition = Partition::new(STREAM, 0);
    back.reads.push((partition.clone(), site.store.start(&partition).unwrap()));
    site.store.commit(back).unwrap_or_else(|refusal| panic!("{refusal:?}")).await.unwrap();
    let sink = run(&site, 0.5, Script::new(&calls, |_| Delivery::Delivered));
    finish(&site, sink).await;
    assert_eq!(delivered(&calls).len() as i64, 2 * next);
}

#[tokio::test]
async fn nothing_is_lost_and_identities_stay_over_outages_and_power_cuts_at_random() {
    for seed in 0..40 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut site = Site::new();
        let mut next = 0;
        arrive(&site, &mut next, rng.random_range(1..20)).await;
        let calls = Notes::new();
        let mut spans = 0;
        for _ in 0..rng.random_range(1..8) {
            let (taken, limit) = (Notes::new(), rng.random_range(0..12));
            let rule = move |_: &Call| {
                if taken.len() >= limit {
                    return retry("an outage begins");
                }
                taken.push(());
                Delivery::Delivered
            };
            let mut sink = run(&site, 0.4, Script::new(&calls, rule));
            for _ in 0..rng.random_range(0..6) {
                arrive(&site, &mut next, rng.random_range(1..5)).await;
            }
            let status = sink.until(|s| s.state == State::Waiting || s.state == State::Idle).await;
            spans = spans.max(1 + status.ahead.get(&0).map_or(0, Vec::len));
            sink.kill().await;
            if rng.random_bool(0.5) {
                site = site.power_cut();
            }
            arrive(&site, &mut next, rng.random_range(0..10)).await;
        }
        let sink = run(&site, 0.4, Script::new(&calls, |_| Delivery::Delivered));
        finish(&site, sink).await;
        let offsets = site.offsets();
        let mut by_value: BTreeMap<i64, u64> = BTreeMap::new();
        for call in calls.all().iter().filter(|call| call.delivered) {
            let first = call.key.rsplit('/').next().unwrap().split('-').next().unwrap().parse::<u64>().unwrap();
            assert_eq!(first, offsets[&call.values[0]], "seed {seed}: {call:?} has another identity");
            for value in &call.values {
                *by_value.entry(*value).or_default() += 1;
            }
        }
        assert_eq!(by_value.into_keys().collect::<Vec<_>>(), (0..next).collect::<Vec<_>>(), "seed {seed}");
        assert!(spans <= 8, "seed {seed}: {spans} spans");
    }
}
