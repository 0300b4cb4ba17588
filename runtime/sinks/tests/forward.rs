//! The forward loop against an upstream that does what it is told: order, cutting, bisection, restarts.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

#[path = "forward/script.rs"]
mod script;

use common::{NOW, Notes, STREAM, Site};
use script::{Call, Script, retry};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use tidegate_record::{ManualClock, streams};
use tidegate_sinks::Delivery;
use tidegate_sinks::forward::{REFUSED_IN_ROW_MAX, State};
use tidegate_sinks::upstream::Refused;
use tidegate_store::Error;
use tokio::sync::Semaphore;

const LARGE: usize = 1 << 20;
/// About ten of the test's records.
const SMALL: usize = 2500;

#[tokio::test]
async fn every_record_is_delivered_once_and_in_order() {
    let site = Site::new();
    for block in 0..50 {
        site.append(block * 20..block * 20 + 20).await;
    }
    let calls = Notes::new();
    let mut sink = site.run(Script::new(&calls, |_| Delivery::Delivered), LARGE);
    sink.settled(1000).await;
    site.append(1000..1001).await;
    sink.settled(1001).await;
    let status = sink.drain().await;
    assert_eq!((status.state, status.delivered, status.refused), (State::Idle, 1001, 0));
    let delivered: Vec<i64> = calls.all().into_iter().flat_map(|c| c.values).collect();
    assert_eq!(delivered, (0..1001).collect::<Vec<_>>());
    assert!(calls.len() < 10, "a backlog is joined: {} requests", calls.len());
    assert_eq!(site.cursor().unwrap().0, site.offsets()[&1000] + 1);
}

#[tokio::test]
async fn records_keep_their_order_in_each_partition() {
    let site = Site::of(4);
    for block in 0..30 {
        site.append(block * 10..block * 10 + 10).await;
    }
    let calls = Notes::new();
    let mut sink = site.run(Script::new(&calls, |_| Delivery::Delivered), LARGE);
    sink.settled(300).await;
    sink.drain().await;
    let mut by_device: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for n in calls.all().into_iter().flat_map(|c| c.values) {
        by_device.entry(n % 5).or_default().push(n);
    }
    for (device, values) in by_device {
        assert_eq!(values, (0..60).map(|i| i * 5 + device).collect::<Vec<_>>(), "device d{device}");
    }
}

#[tokio::test]
async fn a_failed_delivery_is_tried_again_as_the_same_request_and_shown() {
    let site = Site::new();
    site.append(0..10).await;
    let calls = Notes::new();
    let up = Arc::new(AtomicBool::new(false));
    let flag = up.clone();
    let rule = move |_: &Call| if flag.load(SeqCst) { Delivery::Delivered } else { retry("HTTP 503") };
    let mut sink = site.run(Script::new(&calls, rule), LARGE);
    let status = sink.until(|s| s.retries >= 5).await;
    assert_eq!((status.state, status.reason.as_deref()), (State::Waiting, Some("HTTP 503")));
    assert_eq!(status.delivered, 0);
    up.store(true, SeqCst);
    let status = sink.settled(10).await;
    assert_eq!(status.reason, None);
    sink.drain().await;
    let all = calls.all();
    assert!(all.len() > 5 && all.iter().all(|call| call.key == all[0].key && call.values == all[0].values), "{all:?}");
    assert_eq!(site.dead_letters(), []);
}

#[tokio::test]
async fn a_clock_that_is_set_corrects_all_but_the_request_in_hand() {
    let clock = Arc::new(ManualClock::at(NOW));
    clock.set_wall(5_000_000, false);
    let site = Site::at(&clock);
    site.append_dated(0..2).await;
    site.append_dated(2..4).await;
    let (calls, gate) = (Notes::new(), Arc::new(Semaphore::new(0)));
    let mut sink = site.run(Script::new(&calls, |_| Delivery::Delivered).behind(gate.clone()), LARGE);
    // The second block is read by then: it might have been joined.
    script::until(|| calls.len() == 1).await;
    clock.set_wall(NOW, true);
    site.append_dated(4..5).await;
    gate.add_permits(10);
    sink.settled(5).await;
    sink.drain().await;
    let clocks: Vec<_> = calls.all().into_iter().flat_map(|call| call.clocks).collect();
    let (unset, corrected) = (Some("unset"), Some("corrected"));
    assert_eq!(clocks, [unset, unset, corrected, corrected, None]);
}

#[tokio::test]
async fn bisection_finds_exactly_the_records_that_are_refused() {
    let site = Site::new();
    site.append(0..300).await;
    let bad = |n: &i64| [0, 41, 42, 170, 299].contains(n);
    let calls = Notes::new();
    let rule = move |call: &Call| match call.values.iter().any(bad) {
        true => Delivery::Bisect { reason: "HTTP 422: no such device".into() },
        false => Delivery::Delivered,
    };
    let mut sink = site.run(Script::new(&calls, rule), LARGE);
    let status = sink.settled(300).await;
    assert_eq!((status.delivered, status.refused), (295, 5));
    sink.drain().await;
    let delivered: Vec<i64> = calls.all().into_iter().filter(|c| c.delivered).flat_map(|c| c.values).collect();
    assert_eq!(delivered, (0..300).filter(|n| !bad(n)).collect::<Vec<_>>());
    let offsets = site.offsets();
    let expected: Vec<_> = [0, 41, 42, 170, 299]
        .iter()
        .map(|n| (format!("{STREAM}/0@{}", offsets[n]), "HTTP 422: no such device".to_owned(), frame(*n)))
        .collect();
    assert_eq!(site.dead_letters(), expected);
    assert_eq!(site.losses(), 5);
    assert_eq!(site.cursor().unwrap().0, offsets[&299] + 1);
}

#[tokio::test]
async fn records_named_by_the_upstream_are_set_aside_without_bisection() {
    let site = Site::new();
    site.append(0..10).await;
    let calls = Notes::new();
    let refused = vec![Refused { index: 3, reason: "too large".into() }];
    let mut sink = site.run(Script::new(&calls, move |_| Delivery::Refused(refused.clone())), LARGE);
    let status = sink.settled(10).await;
    assert_eq!((status.delivered, status.refused), (9, 1));
    sink.drain().await;
    assert_eq!(calls.len(), 1);
    assert_eq!(site.dead_letters()[0].2, frame(3));
}

#[tokio::test]
async fn a_request_that_is_too_large_is_split_and_a_single_record_that_is_goes_to_the_dead_letters() {
    let site = Site::new();
    site.append_with(0..100, |n| if n == 57 { "x".repeat(5000) } else { format!("note {n}") }).await;
    let calls = Notes::new();
    let rule = |call: &Call| match call.values.len() > 7 || call.bytes > 4000 {
        true => Delivery::Split { reason: "HTTP 413".into() },
        false => Delivery::Delivered,
    };
    let mut sink = site.run(Script::new(&calls, rule), LARGE);
    let status = sink.settled(100).await;
    assert_eq!((status.delivered, status.refused), (99, 1));
    sink.drain().await;
    let delivered: Vec<i64> = calls.all().into_iter().filter(|c| c.delivered).flat_map(|c| c.values).collect();
    assert_eq!(delivered, (0..100).filter(|n| *n != 57).collect::<Vec<_>>());
    assert_eq!(site.dead_letters().len(), 1);
}

#[tokio::test]
async fn a_size_that_was_too_large_is_not_tried_for_every_request() {
    let site = Site::new();
    for first in (0..3_000).step_by(100) {
        site.append(first..first + 100).await;
    }
    let calls = Notes::new();
    let rule = |call: &Call| match call.values.len() > 30 {
        true => Delivery::Split { reason: "the request ran out of time".into() },
        false => Delivery::Delivered,
    };
    let mut sink = site.run(Script::new(&calls, rule), LARGE);
    sink.settled(3_000).await;
    sink.drain().await;
    let calls = calls.all();
    let too_large = calls.iter().filter(|call| !call.delivered).count();
    assert!(too_large <= 30, "{too_large} of {} pieces were too large", calls.len());
    let delivered: Vec<i64> = calls.into_iter().filter(|c| c.delivered).flat_map(|c| c.values).collect();
    assert!(delivered.into_iter().eq(0..3_000), "all, and in order");
}

#[tokio::test]
async fn an_upstream_that_refuses_everything_costs_no_record() {
    let site = Site::new();
    site.append(0..1000).await;
    let calls = Notes::new();
    let mended = Arc::new(AtomicBool::new(false));
    let flag = mended.clone();
    let rule = move |call: &Call| match (flag.load(SeqCst), call.values.contains(&5)) {
        (true, false) => Delivery::Delivered,
        _ => Delivery::Bisect { reason: "HTTP 400: wrong path".into() },
    };
    let mut sink = site.run(Script::new(&calls, rule), LARGE);
    let status = sink.until(|s| s.retries >= 3).await;
    assert_eq!(status.state, State::Waiting);
    let reason = status.reason.unwrap();
    assert!(reason.contains("refuses every record (HTTP 400: wrong path)"), "{reason}");
    assert_eq!((status.refused, site.dead_letters().len()), (0, 0));
    mended.store(true, SeqCst);
    let status = sink.settled(1000).await;
    assert_eq!((status.delivered, status.refused), (999, 1), "one of them was really bad");
    sink.drain().await;
}

#[tokio::test]
async fn an_upstream_that_refuses_everything_costs_few_records_when_they_come_one_by_one() {
    let site = Site::new();
    for n in 0..100 {
        site.append(n..n + 1).await;
    }
    let calls = Notes::new();
    // A request holds one record.
    let mut sink = site.run(Script::new(&calls, |_| Delivery::Bisect { reason: "HTTP 400".into() }), 1);
    let status = sink.until(|s| s.state == State::Waiting && s.retries >= 3).await;
    assert_eq!(status.refused, REFUSED_IN_ROW_MAX as u64);
    sink.drain().await;
    assert_eq!(site.dead_letters().len(), REFUSED_IN_ROW_MAX);
}

#[tokio::test]
async fn a_single_refused_record_holds_nobody_up() {
    let site = Site::new();
    let calls = Notes::new();
    let rule = |call: &Call| match call.values == [1] {
        true => Delivery::Bisect { reason: "HTTP 400".into() },
        false => Delivery::Delivered,
    };
    let mut sink = site.run(Script::new(&calls, rule), LARGE);
    for n in 0..3 {
        site.append(n..n + 1).await;
        sink.settled(n as u64 + 1).await;
    }
    let status = sink.drain().await;
    assert_eq!((status.delivered, status.refused), (2, 1));
}

#[tokio::test]
async fn a_refused_dead_letter_does_not_come_back_as_another() {
    let site = Site::new();
    site.append(0..1).await;
    let refuse = |_: &Call| Delivery::Bisect { reason: "HTTP 400".into() };
    let calls = Notes::new();
    let mut sink = site.run(Script::new(&calls, refuse), LARGE);
    sink.settled(1).await;
    sink.drain().await;
    assert_eq!(site.dead_letters().len(), 1);
    let mut sink = site.run_from(streams::DEAD_LETTERS, Script::new(&calls, refuse), LARGE);
    sink.settled(1).await;
    sink.drain().await;
    assert_eq!(site.dead_letters().len(), 1);
    assert!(site.store.health().losses.iter().any(|(stream, _, count)| stream == streams::DEAD_LETTERS && *count == 1));
}

#[tokio::test]
async fn a_drain_finishes_the_request_in_hand_and_no_other() {
    let site = Site::new();
    site.append(0..10).await;
    site.append(10..20).await;
    let (calls, gate) = (Notes::new(), Arc::new(tokio::sync::Semaphore::new(0)));
    let sink = site.run(Script::new(&calls, |_| Delivery::Delivered).behind(gate.clone()), SMALL / 5);
    script::until(|| calls.len() == 1).await;
    let draining = tokio::spawn(sink.drain());
    tokio::task::yield_now().await;
    gate.add_permits(100);
    let status = draining.await.unwrap();
    let first = calls.all()[0].values.len();
    assert_eq!((calls.len(), status.delivered as usize), (1, first));
    let next = site.offsets()[&(first as i64)];
    assert_eq!(site.cursor().unwrap().0, next, "the cursor is durable");
}

#[tokio::test]
async fn a_waiting_sink_drains_at_once() {
    let site = Site::new();
    site.append(0..10).await;
    let calls = Notes::new();
    let wait =
        |_: &Call| Delivery::Retry { reason: "HTTP 429".into(), after: Some(std::time::Duration::from_secs(600)) };
    let mut sink = site.run(Script::new(&calls, wait), LARGE);
    sink.until(|s| s.state == State::Waiting).await;
    let status = sink.drain().await;
    assert_eq!((status.delivered, calls.len()), (0, 1));
    assert_eq!(site.dead_letters(), []);
}

#[tokio::test]
async fn restarts_at_any_point_make_the_same_requests_though_more_has_arrived() {
    for (survived, power_cuts) in (0..12).map(|n| (n, n % 2 == 0)) {
        let mut site = Site::new();
        let mut total = arrive(&site, 0, 12).await;
        let calls = Notes::new();
        for life in 0..3 {
            let (taken, limit) = (Notes::new(), survived + life);
            let rule = move |_: &Call| {
                if taken.len() >= limit {
                    return retry("the reply is lost with the process");
                }
                taken.push(());
                Delivery::Delivered
            };
            let mut sink = site.run(Script::new(&calls, rule), SMALL);
            sink.until(|s| s.state == State::Waiting || s.state == State::Idle).await;
            sink.kill().await;
            if power_cuts {
                site = site.power_cut();
            }
            total = arrive(&site, total, 9).await;
        }
        let mut sink = site.run(Script::new(&calls, |_| Delivery::Delivered), SMALL);
        let last = site.offsets()[&(total - 1)];
        sink.until(|s| s.cursor.get(&0).is_some_and(|at| *at > last)).await;
        sink.drain().await;
        let calls = calls.all();
        assert_same_when_overlapping(&calls);
        let mut seen: Vec<i64> = calls.iter().flat_map(|c| c.values.clone()).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, (0..total).collect::<Vec<_>>(), "nothing is left out");
        assert!(calls.iter().any(|c| c.values.len() > 4 && c.values.len() < 35), "blocks were joined");
    }
}

#[tokio::test]
async fn what_was_delivered_alone_and_is_not_durably_so_comes_again_alone() {
    let (mut site, calls, mut next) = (Site::new(), Notes::new(), 0);
    for _ in 0..20 {
        let mut sink = site.run(Script::new(&calls, |_| Delivery::Delivered), LARGE);
        site.append(next..next + 3).await;
        let last = site.offsets()[&(next + 2)];
        sink.until(|s| s.cursor.get(&0).is_some_and(|at| *at > last)).await;
        sink.kill().await;
        site = site.power_cut();
        // Behind what comes again there is a backlog now.
        next = arrive(&site, next + 3, 5).await;
        let last = site.offsets()[&(next - 1)];
        let mut sink = site.run(Script::new(&calls, |_| Delivery::Delivered), LARGE);
        sink.until(|s| s.cursor.get(&0).is_some_and(|at| *at > last)).await;
        sink.drain().await;
    }
    let calls = calls.all();
    assert_same_when_overlapping(&calls);
    let delivered: usize = calls.iter().map(|call| call.values.len()).sum();
    assert!(delivered as i64 > next, "nothing came again: no cut took a cursor");
}

/// Appends blocks, most smaller and some larger than a request, from record `next` on; gives the next record.
async fn arrive(site: &Site, mut next: i64, blocks: i64) -> i64 {
    for block in 0..blocks {
        let rows = if block % 7 == 3 { 35 } else { 1 + block % 4 };
        site.append(next..next + rows).await;
        next += rows;
    }
    next
}

/// Two requests that share a record are one and the same.
fn assert_same_when_overlapping(calls: &[Call]) {
    let mut by_value: BTreeMap<i64, &Call> = BTreeMap::new();
    for call in calls {
        for value in &call.values {
            let other = by_value.entry(*value).or_insert(call);
            assert_eq!((&other.key, &other.values), (&call.key, &call.values), "record {value} came in two requests");
        }
    }
}

#[tokio::test]
async fn a_sink_stops_with_the_reason_when_another_takes_its_name() {
    let site = Site::new();
    let calls = Notes::new();
    let mut first = site.run(Script::new(&calls, |_| Delivery::Delivered), LARGE);
    first.until(|s| s.cursor.contains_key(&0)).await;
    let mut second = site.run(Script::new(&calls, |_| Delivery::Delivered), LARGE);
    second.until(|s| s.cursor.contains_key(&0)).await;
    site.append(0..1).await;
    let mut handle = first.handle.clone();
    let error = first.ended().await.unwrap_err();
    assert!(error.to_string().contains("stale"), "{error}");
    let status = handle.wait_for(|s| s.state == State::Failed).await.unwrap();
    assert_eq!(status.reason, Some(error.to_string()));
    second.settled(1).await;
    second.drain().await;
}

#[tokio::test]
async fn a_sink_stops_with_the_reason_when_the_store_is_poisoned() {
    let site = Site::new();
    site.append(0..10).await;
    let calls = Notes::new();
    let mut sink = site.run(Script::new(&calls, |_| Delivery::Delivered), LARGE);
    sink.settled(10).await;
    site.poison().await;
    let handle = sink.handle.clone();
    let error = sink.ended().await.unwrap_err();
    assert!(matches!(error, Error::Poisoned(_)), "{error}");
    let status = handle.status();
    assert_eq!((status.state, status.reason), (State::Failed, Some(error.to_string())));
    assert_eq!(status.delivered, 10, "what is not durable is not delivered");
}

#[tokio::test]
async fn an_upstream_that_hangs_after_a_failure_does_not_hold_up_the_drain() {
    let site = Site::new();
    site.append(0..10).await;
    let (calls, gate) = (Notes::new(), Arc::new(tokio::sync::Semaphore::new(2)));
    let mut sink = site.run(Script::new(&calls, |_| retry("HTTP 503")).behind(gate), LARGE);
    sink.until(|s| s.retries == 2).await;
    script::until(|| calls.len() == 3).await;
    let status = sink.drain().await;
    assert_eq!((status.delivered, calls.len()), (0, 3));
}

#[tokio::test]
async fn a_sink_that_panics_is_failed_and_says_so() {
    let site = Site::new();
    site.append(0..10).await;
    let mut sink = site.run(Script::new(&Notes::new(), |_| panic!("a defect")), LARGE);
    let status = sink.until(|s| s.state == State::Failed).await;
    assert!(status.reason.is_some_and(|reason| reason.contains("a defect of the gateway")));
}

/// The record as its dead letter shows it.
fn frame(n: i64) -> String {
    let seconds = n % 60;
    let minutes = n / 60;
    format!(
        r#"{{"device":"d{}","time":"2026-06-01T00:{minutes:02}:{seconds:02}.000000Z","n":{n},"note":"note {n}"}}"#,
        n % 5
    )
}
