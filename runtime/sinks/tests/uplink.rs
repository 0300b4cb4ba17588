//! Sinks that share an uplink: by weight, urgent ones first, within a budget and a window.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

#[path = "forward/script.rs"]
mod script;

use common::{NOW, Notes, Site, sink};
use script::{Call, Script, retry};
use std::sync::Arc;
use std::time::Duration;
use tidegate_record::ManualClock;
use tidegate_sinks::forward::State;
use tidegate_sinks::uplink::Share;
use tidegate_sinks::{Delivery, ForwardOptions, UplinkOptions};
use tokio::sync::Semaphore;

const HOUR: i64 = 3_600_000_000;
/// About ten of the test's records.
const SMALL: usize = 2500;

fn small(name: &str) -> ForwardOptions {
    ForwardOptions { request_bytes_max: SMALL, ..sink(name) }
}

fn share(weight: u32, urgent: bool) -> Share {
    Share { weight, urgent }
}

/// An upstream that takes everything and notes whose request came, and how large it was.
fn taking(name: &'static str, order: &Notes<(&'static str, usize)>) -> Script {
    let order = order.clone();
    let rule = move |call: &Call| {
        order.push((name, call.bytes));
        Delivery::Delivered
    };
    Script::new(&Notes::new(), rule)
}

async fn filled(site: &Site, records: i64) {
    for first in (0..records).step_by(100) {
        site.append(first..(first + 100).min(records)).await;
    }
}

#[tokio::test]
async fn bytes_are_shared_by_weight_while_both_have_a_backlog() {
    let site = Site::at(&Arc::new(ManualClock::at(NOW)));
    filled(&site, 3_000).await;
    let uplink = site.uplink(UplinkOptions::default());
    let (order, gate) = (Notes::new(), Arc::new(Semaphore::new(0)));
    let cloud = taking("cloud", &order).behind(gate.clone());
    let mut cloud = site.run_with(small("cloud"), cloud, Some((&uplink, share(3, false))));
    script::until(|| order.len() == 1).await;
    let alarms = taking("alarms", &order).behind(gate.clone());
    let mut alarms = site.run_with(small("alarms"), alarms, Some((&uplink, share(1, false))));
    script::until(|| uplink.status().asking == 1).await;
    gate.add_permits(100_000);
    cloud.settled(3_000).await;
    alarms.settled(3_000).await;
    cloud.drain().await;
    alarms.drain().await;
    let (mut bytes, mut requests) = ([0; 2], 0);
    let order = order.all();
    let ends = order.iter().rposition(|(name, _)| *name == "cloud").unwrap();
    // From when the second one has come until the first one is through.
    let begins = order.iter().position(|(name, _)| *name == "alarms").unwrap();
    for (name, size) in &order[begins..ends] {
        bytes[usize::from(*name == "alarms")] += size;
        requests += 1;
    }
    let ratio = bytes[0] as f64 / bytes[1] as f64;
    assert!(requests > 100 && (2.7..3.3).contains(&ratio), "{bytes:?} bytes in {requests} requests");
}

#[tokio::test]
async fn an_urgent_sink_sends_next_although_another_has_a_backlog() {
    let site = Site::at(&Arc::new(ManualClock::at(NOW)));
    filled(&site, 1_000).await;
    let uplink = site.uplink(UplinkOptions::default());
    let (order, gate) = (Notes::new(), Arc::new(Semaphore::new(0)));
    let cloud = taking("cloud", &order).behind(gate.clone());
    let mut cloud = site.run_with(small("cloud"), cloud, Some((&uplink, share(1_000, false))));
    gate.add_permits(3);
    script::until(|| order.len() == 4).await;
    let alarms = taking("alarms", &order);
    let mut alarms = site.run_with(small("alarms"), alarms, Some((&uplink, share(1, true))));
    // The urgent one has nothing before its first look; it asks while the other is under way.
    script::until(|| uplink.status().asking == 1).await;
    gate.add_permits(1_000);
    alarms.settled(1_000).await;
    cloud.settled(1_000).await;
    cloud.drain().await;
    alarms.drain().await;
    let order: Vec<_> = order.all().into_iter().map(|(name, _)| name).collect();
    assert_eq!(order[..6], ["cloud", "cloud", "cloud", "cloud", "alarms", "alarms"], "{order:?}");
    // What the others keep of the bytes is a tenth.
    let last_alarm = order.iter().rposition(|name| *name == "alarms").unwrap();
    let between = order[4..last_alarm].iter().filter(|name| **name == "cloud").count();
    assert!((4..=20).contains(&between), "{between} of {last_alarm}");
}

#[tokio::test]
async fn an_urgent_sink_tries_again_at_once_when_another_finds_the_line_back() {
    let site = Site::at(&Arc::new(ManualClock::at(NOW)));
    filled(&site, 300).await;
    let uplink = site.uplink(UplinkOptions::default());
    let line = || {
        let calls = Notes::new();
        let first = calls.clone();
        Script::new(&calls, move |_| if first.len() == 0 { retry("no connection") } else { Delivery::Delivered })
    };
    let an_hour = Duration::from_secs(3600);
    let patient = ForwardOptions { backoff_min: an_hour, backoff_max: an_hour, ..small("alarms") };
    let mut alarms = site.run_with(patient, line(), Some((&uplink, share(1, true))));
    alarms.until(|status| status.state == State::Waiting).await;
    let mut cloud = site.run_with(small("cloud"), line(), Some((&uplink, share(1, false))));
    alarms.settled(300).await;
    cloud.settled(300).await;
    alarms.drain().await;
    cloud.drain().await;
}

#[tokio::test]
async fn an_upstream_that_is_down_or_hangs_keeps_nobody_else_from_sending() {
    for hangs in [false, true] {
        let clock = Arc::new(ManualClock::at(NOW));
        let site = Site::at(&clock);
        filled(&site, 300).await;
        let uplink = site.uplink(UplinkOptions::default());
        let (calls, gate) = (Notes::new(), Arc::new(Semaphore::new(if hangs { 0 } else { 1_000_000 })));
        let down = Script::new(&calls, |_| retry("HTTP 503")).behind(gate);
        let down = site.run_with(small("alarms"), down, Some((&uplink, share(1_000, true))));
        script::until(|| calls.len() >= 1).await;
        // A minute later it is plain that it does not use the line.
        clock.advance(60_000_000);
        let other = taking("cloud", &Notes::new());
        let mut other = site.run_with(small("cloud"), other, Some((&uplink, share(1, false))));
        other.settled(300).await;
        other.drain().await;
        down.kill().await;
    }
}

#[tokio::test]
async fn a_budget_is_kept_over_crashes_and_comes_back_with_the_next_hour() {
    let clock = Arc::new(ManualClock::at(NOW));
    let mut site = Site::at(&clock);
    filled(&site, 2_000).await;
    let budget = UplinkOptions { max_bytes_per_hour: Some(60_000), ..UplinkOptions::default() };
    let sent = Notes::new();
    let total = |sent: &Notes<(&str, usize)>| sent.all().iter().map(|(_, bytes)| bytes).sum::<usize>();
    for crash in 0..4 {
        let uplink = site.uplink(budget.clone());
        let mut sink = site.run_with(small("cloud"), taking("cloud", &sent), Some((&uplink, Share::default())));
        let status = sink.until(|s| s.state == State::Held).await;
        assert!(status.reason.as_ref().unwrap().contains("max_bytes_per_hour (60000) is spent"), "{status:?}");
        assert_eq!(status.retries, 0, "it is no failure");
        let bytes = total(&sent);
        assert!((50_000..=60_000).contains(&bytes), "{bytes} bytes after {crash} crashes");
        assert!(uplink.status().bytes_left.unwrap() < 10_000, "{:?}", uplink.status());
        sink.kill().await;
        site = site.power_cut();
    }
    let uplink = site.uplink(budget);
    let mut sink = site.run_with(small("cloud"), taking("cloud", &sent), Some((&uplink, Share::default())));
    sink.until(|s| s.state == State::Held).await;
    clock.advance(HOUR);
    script::until(|| total(&sent) > 100_000).await;
    sink.until(|s| s.state == State::Held).await;
    assert!(total(&sent) <= 120_000, "{} bytes in two hours", total(&sent));
    let status = sink.drain().await;
    assert_eq!(status.refused, 0);
}

#[tokio::test]
async fn a_sink_waits_for_its_window_and_an_urgent_one_need_not() {
    // Midnight.
    let clock = Arc::new(ManualClock::at(NOW));
    let site = Site::at(&clock);
    filled(&site, 100).await;
    let window = Some("08:00-09:00".parse().unwrap());
    let uplink = site.uplink(UplinkOptions { send_window: window, urgent_any_time: true, ..UplinkOptions::default() });
    let sent = Notes::new();
    let mut sink = site.run_with(small("cloud"), taking("cloud", &sent), Some((&uplink, share(1, false))));
    let status = sink.until(|s| s.state == State::Held).await;
    assert_eq!(status.reason.as_deref(), Some("outside of send_window 08:00-09:00 (UTC+00:00)"));
    assert_eq!(uplink.status().shut, status.reason);
    let mut alarms = site.run_with(small("alarms"), taking("alarms", &sent), Some((&uplink, share(1, true))));
    alarms.settled(100).await;
    alarms.drain().await;
    assert!(sent.all().iter().all(|(name, _)| *name == "alarms"));
    clock.advance(8 * HOUR);
    let status = sink.settled(100).await;
    assert_eq!((status.refused, status.retries), (0, 0));
    sink.drain().await;
}

#[tokio::test]
async fn a_sink_that_is_held_drains_at_once() {
    let clock = Arc::new(ManualClock::at(NOW));
    let site = Site::at(&clock);
    filled(&site, 100).await;
    let window = Some("08:00-09:00".parse().unwrap());
    let uplink = site.uplink(UplinkOptions { send_window: window, ..UplinkOptions::default() });
    let sent = Notes::new();
    let mut sink = site.run_with(small("cloud"), taking("cloud", &sent), Some((&uplink, Share::default())));
    sink.until(|s| s.state == State::Held).await;
    assert_eq!(sink.drain().await.delivered, 0);
    assert_eq!(sent.len(), 0);
}
