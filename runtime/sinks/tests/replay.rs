//! A sink that delivers again what it has delivered, and does not lose the place it had reached.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

#[path = "forward/script.rs"]
mod script;

use common::{Notes, Running, STREAM, Site};
use script::{Call, Script, retry};
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use tidegate_sinks::Delivery;
use tidegate_sinks::forward::{Replay, State};
use tokio::sync::Semaphore;

/// About ten of the test's records.
const SMALL: usize = 2500;
const LARGE: usize = 1 << 20;

/// A site with records `0..count` in blocks of ten.
async fn filled(count: i64) -> Site {
    let site = Site::new();
    for begin in (0..count).step_by(10) {
        site.append(begin..(begin + 10).min(count)).await;
    }
    site
}

/// Records `from..to` of a site, by number.
fn range(site: &Site, from: i64, to: Option<i64>, rate: Option<u32>) -> Vec<Replay> {
    let offsets = site.offsets();
    let offset = |n: i64| offsets.get(&n).copied().unwrap_or(u64::MAX);
    vec![Replay { partition: 0, from: offset(from), to: to.map(offset), rate: rate.and_then(NonZeroU32::new) }]
}

fn delivered(calls: &Notes<Call>) -> Vec<i64> {
    calls.all().into_iter().filter(|call| call.delivered).flat_map(|call| call.values).collect()
}

fn sorted(mut values: Vec<i64>) -> Vec<i64> {
    values.sort_unstable();
    values
}

/// A sink that has delivered records `0..10` and has `10..20` in hand, at an upstream that fails until it is set up.
async fn waiting() -> (Site, Running, Notes<Call>, Arc<AtomicBool>) {
    let site = filled(10).await;
    let (calls, up) = (Notes::new(), Arc::new(AtomicBool::new(true)));
    let flag = up.clone();
    let rule = move |_: &Call| if flag.load(SeqCst) { Delivery::Delivered } else { retry("HTTP 503") };
    let mut sink = site.run(Script::new(&calls, rule), LARGE);
    sink.settled(10).await;
    up.store(false, SeqCst);
    site.append(10..20).await;
    sink.until(|s| s.state == State::Waiting).await;
    (site, sink, calls, up)
}

/// Waits until everything is delivered and nothing is left to replay, and ends the sink.
async fn finish(site: &Site, mut sink: Running) {
    let health = site.store.health();
    let end = health.partitions.iter().find(|p| &*p.partition.stream == STREAM).unwrap().durable.0;
    sink.until(|s| s.cursor.get(&0) == Some(&end) && s.ahead.is_empty() && s.replaying.is_empty()).await;
    sink.drain().await;
    assert_eq!(site.cursor().unwrap().0, end, "the place it had reached is durable");
}

#[tokio::test]
async fn without_an_end_everything_from_there_on_comes_again_in_order() {
    let site = filled(100).await;
    let calls = Notes::new();
    let mut sink = site.run(Script::new(&calls, |_| Delivery::Delivered), SMALL);
    sink.settled(100).await;
    sink.handle.replay(range(&site, 35, None, None)).await.unwrap();
    site.append(100..110).await;
    sink.settled(100 + 65 + 10).await;
    finish(&site, sink).await;
    assert_eq!(delivered(&calls), (0..100).chain(35..110).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_range_comes_again_and_then_the_sink_goes_on_where_it_stood() {
    let site = filled(100).await;
    let calls = Notes::new();
    let mut sink = site.run(Script::new(&calls, |_| Delivery::Delivered), SMALL);
    sink.settled(100).await;
    sink.handle.replay(range(&site, 23, Some(41), None)).await.unwrap();
    sink.settled(118).await;
    site.append(100..110).await;
    finish(&site, sink).await;
    assert_eq!(delivered(&calls), (0..100).chain(23..41).chain(100..110).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_cannot_be_replayed_is_refused_and_nothing_moves() {
    let site = filled(20).await;
    let calls = Notes::new();
    let mut sink = site.run(Script::new(&calls, |_| Delivery::Delivered), LARGE);
    sink.settled(20).await;
    let refused = |replays: Vec<Replay>| sink.handle.replay(replays);
    let stands = site.offsets()[&19] + 1;
    let ahead = vec![Replay { partition: 0, from: stands, to: None, rate: None }];
    assert!(refused(ahead).await.unwrap_err().contains(&format!("it stands at {stands}")));
    assert!(refused(range(&site, 7, Some(7), None)).await.unwrap_err().contains("is not behind"));
    let other = vec![Replay { partition: 3, from: 0, to: None, rate: None }];
    assert!(refused(other).await.unwrap_err().contains("no partition 3"));
    let handle = sink.handle.clone();
    finish(&site, sink).await;
    assert_eq!(delivered(&calls).len(), 20);
    assert!(handle.replay(range(&site, 0, None, None)).await.unwrap_err().contains("has stopped"));
}

#[tokio::test]
async fn a_replay_begins_while_the_upstream_fails_and_what_was_in_hand_comes_once_it_is_back() {
    let (site, sink, calls, up) = waiting().await;
    sink.handle.replay(range(&site, 2, Some(6), None)).await.unwrap();
    up.store(true, SeqCst);
    finish(&site, sink).await;
    assert_eq!(sorted(delivered(&calls)), sorted((0..10).chain(2..6).chain(10..20).collect()));
}

#[tokio::test]
async fn a_replay_that_is_refused_while_the_upstream_fails_costs_nothing_of_what_was_in_hand() {
    let (site, sink, calls, up) = waiting().await;
    let other = vec![Replay { partition: 3, from: 0, to: None, rate: None }];
    assert!(sink.handle.replay(other).await.unwrap_err().contains("no partition 3"));
    up.store(true, SeqCst);
    site.append(20..30).await;
    finish(&site, sink).await;
    assert_eq!(delivered(&calls), (0..30).collect::<Vec<_>>());
}

#[tokio::test]
async fn fresh_records_go_beside_a_paced_replay_which_is_cut_into_seconds() {
    let site = filled(200).await;
    let calls = Notes::new();
    let mut sink = site.run(Script::new(&calls, |_| Delivery::Delivered), LARGE);
    sink.settled(200).await;
    let before = calls.len();
    // All of it would take twenty seconds.
    sink.handle.replay(range(&site, 0, None, Some(10))).await.unwrap();
    site.append(200..230).await;
    let status = sink.settled(200 + 30).await;
    assert!(!status.replaying.is_empty(), "{status:?}");
    sink.kill().await;
    let again = calls.all().split_off(before);
    let (fresh, old): (Vec<_>, Vec<_>) = again.into_iter().partition(|call| call.values[0] >= 200);
    assert_eq!(fresh.into_iter().flat_map(|call| call.values).collect::<Vec<_>>(), (200..230).collect::<Vec<_>>());
    assert!(old.len() < 20 && old.iter().all(|call| call.values.len() <= 10), "{old:?}");
}

#[tokio::test]
async fn a_crash_in_the_middle_of_a_replay_goes_on_with_it_and_loses_no_place() {
    for (survived, power_cuts) in (0..10).map(|n| (n, n % 2 == 0)) {
        let mut site = filled(300).await;
        let calls = Notes::new();
        let gate = Arc::new(Semaphore::new(100));
        let mut sink = site.run(Script::new(&calls, |_| Delivery::Delivered).behind(gate.clone()), SMALL);
        sink.settled(300).await;
        gate.forget_permits(gate.available_permits());
        let seen = calls.len();
        sink.handle.replay(range(&site, 50, Some(250), (survived % 3 == 0).then_some(1_000_000))).await.unwrap();
        site.append(300..310).await;
        gate.add_permits(survived);
        script::until(|| calls.len() == seen + survived + 1).await;
        sink.kill().await;
        let in_hand = calls.len() - 1;
        if power_cuts {
            site = site.power_cut();
        }
        let sink = site.run(Script::new(&calls, |_| Delivery::Delivered), SMALL);
        finish(&site, sink).await;
        let mut times: BTreeMap<i64, usize> = BTreeMap::new();
        let answered = calls.all().into_iter().enumerate().filter(|(index, _)| *index != in_hand);
        answered.flat_map(|(_, call)| call.values).for_each(|n| *times.entry(n).or_default() += 1);
        assert_eq!(times.len(), 310, "{survived}: every record came");
        for (n, times) in times {
            match n {
                50..250 => assert!(times >= 2, "{survived}: record {n} of the range did not come again"),
                // What was under way at the crash comes again.
                300.. => assert!(times <= 2, "{survived}: record {n} came {times} times"),
                _ => assert_eq!(times, 1, "{survived}: record {n} is not of the range"),
            }
        }
    }
}
