//! The HTTP sink against a real server that misbehaves on command.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

#[path = "http/double.rs"]
mod double;

use common::{STREAM, Site};
use double::{Answer, Double};
use std::sync::Arc;
use std::time::Duration;
use tidegate_sinks::Secret;
use tidegate_sinks::forward::State;
use tidegate_sinks::http::{Format, Http, HttpOptions, Method};
use tokio::time::Instant;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

const LARGE: usize = 1 << 20;

fn to(double: &Double) -> HttpOptions {
    HttpOptions { url: double.url.clone(), ..HttpOptions::default() }
}

fn http(options: HttpOptions) -> Http {
    Http::build(options).unwrap()
}

#[tokio::test]
async fn a_request_carries_key_identity_and_token() {
    let double = Double::script(vec![]).await;
    let site = Site::new();
    site.append(0..3).await;
    let options = HttpOptions {
        method: Method::Put,
        bearer_token: Some("t0ken".into()),
        headers: vec![("X-Site".into(), "plant-7".into())],
        ..to(&double)
    };
    let mut sink = site.run(http(options), LARGE);
    sink.settled(3).await;
    sink.drain().await;
    let arrivals = double.arrivals.all();
    assert_eq!(arrivals.len(), 1);
    let request = &arrivals[0];
    let (epoch, first) = (site.store.identity().epoch, site.offsets()[&0]);
    assert_eq!((request.method.as_str(), request.path.as_str()), ("PUT", "/ingest"));
    let expected = [
        ("idempotency-key", format!("plant-7/{STREAM}/0/{epoch:016x}/{first}-{}", first + 2)),
        ("tidegate-gateway", "plant-7".into()),
        ("tidegate-stream", STREAM.into()),
        ("tidegate-partition", "0".into()),
        ("tidegate-epoch", format!("{epoch:016x}")),
        ("tidegate-first-offset", first.to_string()),
        ("tidegate-last-offset", (first + 2).to_string()),
        ("tidegate-count", "3".into()),
        ("authorization", "Bearer t0ken".into()),
        ("x-site", "plant-7".into()),
        ("content-type", "application/x-ndjson".into()),
        ("content-encoding", "gzip".into()),
    ];
    for (name, value) in expected {
        assert_eq!(request.header(name), value, "{name}");
    }
    let line = format!(
        r#"{{"_id":"plant-7/{STREAM}/0/{epoch:016x}/{}","device":"d1","time":"2026-06-01T00:00:01.000000Z","n":1,"note":"note 1"}}"#,
        first + 1
    );
    assert_eq!(request.body.lines().nth(1), Some(line.as_str()));
}

#[tokio::test]
async fn bodies_are_ndjson_or_an_array_compressed_or_not() {
    for (format, gzip) in [(Format::Ndjson, true), (Format::Ndjson, false), (Format::Json, true), (Format::Json, false)]
    {
        let double = Double::script(vec![]).await;
        let site = Site::new();
        site.append(0..2000).await;
        let mut sink = site.run(http(HttpOptions { format, gzip, ..to(&double) }), LARGE);
        sink.settled(2000).await;
        sink.drain().await;
        let arrivals = double.arrivals.all();
        let values: Vec<i64> = arrivals.iter().flat_map(double::Arrival::values).collect();
        assert_eq!(values, (0..2000).collect::<Vec<_>>(), "{format:?} {gzip}");
        let (wire, plain) = (arrivals[0].wire_bytes, arrivals[0].body.len());
        assert_eq!(wire < plain / 5, gzip, "{wire} of {plain} bytes");
        assert!(plain <= LARGE, "{plain} bytes in a request");
    }
}

#[tokio::test]
async fn answers_that_can_be_mended_cost_no_record_however_often_they_come() {
    let statuses = [503, 500, 502, 429, 408, 401, 403, 404, 405, 407, 409, 415, 301, 308, 418];
    let double = Double::script(statuses.map(Answer::status).to_vec()).await;
    let site = Site::new();
    site.append(0..5).await;
    let mut sink = site.run(http(to(&double)), LARGE);
    let status = sink.settled(5).await;
    assert_eq!((status.delivered, status.refused, status.retries), (5, 0, statuses.len() as u64));
    sink.drain().await;
    let keys = double.keys();
    assert_eq!(keys.len(), statuses.len() + 1);
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    assert_eq!(site.dead_letters(), []);
    assert_eq!(site.losses(), 0);
}

#[tokio::test]
async fn the_status_says_what_the_upstream_said_and_what_to_do() {
    for (answer, expected) in [
        (Answer::Say(503, vec![], "in  maintenance\n"), "HTTP 503 Service Unavailable: in maintenance"),
        (Answer::status(401), "HTTP 401 Unauthorized. Check the bearer token"),
        (Answer::status(404), "HTTP 404 Not Found. Check url and method"),
        (
            Answer::Say(302, vec![("location", "https://elsewhere/?key=secret".into())], ""),
            "HTTP 302 Found. It redirects to https://elsewhere/, which is not followed: check url",
        ),
        (Answer::Cut, "the request failed: "),
        (Answer::Hang, "the request ran out of time"),
    ] {
        let double = Double::start(move |_| answer.clone()).await;
        let site = Site::new();
        site.append(0..1).await;
        let options = HttpOptions { timeout: Duration::from_millis(500), ..to(&double) };
        let mut sink = site.run(http(options), LARGE);
        let status = sink.until(|s| s.state == State::Waiting).await;
        let reason = status.reason.unwrap();
        assert!(reason.starts_with(expected), "{reason:?}, not {expected:?}");
        sink.drain().await;
    }
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_waited_for() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let site = Site::new();
    site.append(0..1).await;
    let options = HttpOptions { url: format!("http://127.0.0.1:{port}/?key=s3cret"), ..HttpOptions::default() };
    let mut sink = site.run(http(options), LARGE);
    let status = sink.until(|s| s.retries >= 3).await;
    let reason = status.reason.unwrap();
    assert!(reason.starts_with("no connection: ") && reason.contains("refused"), "{reason}");
    assert!(!reason.contains("s3cret") && !status.upstream.contains("s3cret"), "{reason} {}", status.upstream);
    sink.drain().await;
    assert_eq!(site.dead_letters(), []);
}

#[tokio::test]
async fn the_tokens_file_is_read_again_when_the_token_has_expired() {
    let double = Double::start(|arrival| match arrival.header("authorization") {
        "Bearer new" => Answer::status(200),
        _ => Answer::status(401),
    })
    .await;
    let site = Site::new();
    site.append(0..10).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "old\n").unwrap();
    let options = HttpOptions { bearer_token_file: Some(file.path().into()), ..to(&double) };
    let mut sink = site.run(http(options), LARGE);
    sink.until(|s| s.retries >= 3).await;
    std::fs::write(file.path(), "new\n").unwrap();
    let status = sink.settled(10).await;
    assert_eq!((status.delivered, status.refused), (10, 0));
    sink.drain().await;
    assert_eq!(site.dead_letters(), []);
}

#[tokio::test]
async fn poisoned_records_are_found_by_their_status_and_the_rest_is_delivered() {
    let bad = [7, 8, 64];
    let double = Double::start(move |arrival| match arrival.values().iter().any(|n| bad.contains(n)) {
        true => Answer::Say(422, vec![], "temp out of range"),
        false => Answer::status(204),
    })
    .await;
    let site = Site::new();
    site.append(0..100).await;
    let mut sink = site.run(http(to(&double)), LARGE);
    let status = sink.settled(100).await;
    assert_eq!((status.delivered, status.refused), (97, 3));
    sink.drain().await;
    let letters = site.dead_letters();
    let offsets = site.offsets();
    for (letter, n) in letters.iter().zip(bad) {
        assert_eq!(letter.0, format!("{STREAM}/0@{}", offsets[&n]));
        assert_eq!(letter.1, "HTTP 422 Unprocessable Entity: temp out of range");
        assert!(letter.2.contains(&format!(r#""n":{n},"#)), "{}", letter.2);
    }
    assert_eq!((letters.len(), site.losses()), (3, 3));
}

#[tokio::test]
async fn requests_that_are_too_large_are_split() {
    let double = Double::start(|arrival| match arrival.body.len() > 3000 {
        true => Answer::status(413),
        false => Answer::status(200),
    })
    .await;
    let site = Site::new();
    site.append_with(0..200, |n| if n == 150 { "x".repeat(4000) } else { String::new() }).await;
    let mut sink = site.run(http(to(&double)), LARGE);
    let status = sink.settled(200).await;
    assert_eq!((status.delivered, status.refused), (199, 1));
    sink.drain().await;
    let taken = double.arrivals.all().into_iter().filter(|a| a.body.len() <= 3000);
    let values: Vec<i64> = taken.flat_map(|a| a.values()).collect();
    assert_eq!(values, (0..200).filter(|n| *n != 150).collect::<Vec<_>>());
    assert!(site.dead_letters()[0].1.starts_with("HTTP 413"));
}

/// On a slow line a backlog's large requests would run out of time for ever.
#[tokio::test]
async fn requests_that_run_out_of_time_again_and_again_are_split() {
    let double = Double::start(|arrival| if arrival.records().len() > 60 { Answer::Hang } else { Answer::status(200) });
    let double = double.await;
    let site = Site::new();
    site.append(0..200).await;
    let mut sink = site.run(http(HttpOptions { timeout: Duration::from_millis(500), ..to(&double) }), LARGE);
    let status = sink.settled(200).await;
    assert_eq!((status.delivered, status.refused), (200, 0));
    sink.drain().await;
    let taken = double.arrivals.all().into_iter().filter(|a| a.records().len() <= 60);
    assert_eq!(taken.flat_map(|a| a.values()).collect::<Vec<_>>(), (0..200).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_lost_reply_brings_the_same_request_with_the_same_identities() {
    let double = Double::script(vec![Answer::Cut, Answer::Cut]).await;
    let site = Site::new();
    site.append(0..10).await;
    let mut sink = site.run(http(to(&double)), LARGE);
    sink.settled(10).await;
    sink.drain().await;
    let arrivals = double.arrivals.all();
    assert_eq!(arrivals.len(), 3);
    for arrival in &arrivals {
        assert_eq!(arrival.header("idempotency-key"), arrivals[0].header("idempotency-key"));
        assert_eq!(arrival.body, arrivals[0].body);
    }
}

#[tokio::test]
async fn a_lost_reply_and_a_restart_bring_the_same_request_though_more_has_arrived() {
    let double = Double::script(vec![Answer::status(200), Answer::Hang]).await;
    let site = Site::new();
    for block in 0..6 {
        site.append(block * 10..block * 10 + 10).await;
    }
    // A request holds about two of the blocks.
    let sink = site.run(http(to(&double)), 5000);
    let arrived = double.arrivals.clone();
    tokio::time::timeout(common::PATIENCE, async {
        while arrived.len() < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    sink.kill().await;
    site.append(60..65).await;
    let mut sink = site.run(http(to(&double)), 5000);
    sink.until(|s| s.cursor.get(&0).is_some_and(|at| *at > site.offsets()[&64])).await;
    sink.drain().await;
    let arrivals = double.arrivals.all();
    let lost = &arrivals[1];
    let again: Vec<_> =
        arrivals[2..].iter().filter(|a| a.header("idempotency-key") == lost.header("idempotency-key")).collect();
    assert_eq!((again.len(), &again[0].body), (1, &lost.body));
    let mut values: Vec<i64> = arrivals.iter().flat_map(double::Arrival::values).collect();
    values.dedup();
    assert!(values.len() >= 65 && values.last() == Some(&64), "{values:?}");
}

#[tokio::test]
async fn the_wait_an_upstream_asks_for_is_kept() {
    let double = Double::script(vec![Answer::Say(503, vec![("retry-after", "1".into())], "")]).await;
    let site = Site::new();
    site.append(0..1).await;
    let began = Instant::now();
    // The backoff alone is 20 ms at most.
    let mut sink = site.run(http(to(&double)), LARGE);
    sink.settled(1).await;
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    sink.drain().await;
}

#[tokio::test]
async fn certificates_are_checked_and_ca_file_is_trusted() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key);
    let double = Double::with_tls(Arc::new(config.unwrap()).into()).await;
    let site = Site::new();
    site.append(0..4).await;
    let mut sink = site.run(http(to(&double)), LARGE);
    let status = sink.until(|s| s.state == State::Waiting).await;
    let reason = status.reason.unwrap();
    assert!(reason.starts_with("no connection: ") && reason.contains("certificate"), "{reason}");
    sink.drain().await;
    let ca_file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(ca_file.path(), made.cert.pem()).unwrap();
    let mut sink = site.run(http(HttpOptions { ca_file: Some(ca_file.path().into()), ..to(&double) }), LARGE);
    sink.settled(4).await;
    sink.drain().await;
    assert_eq!(double.arrivals.all()[0].values(), [0, 1, 2, 3]);
}

#[test]
fn options_that_cannot_be_used_are_refused_with_the_reason() {
    let good = || HttpOptions { url: "https://example.com/ingest".into(), ..HttpOptions::default() };
    let refused = |options: HttpOptions| Http::build(options).unwrap_err().to_string();
    let missing = "/nowhere/at/all";
    for (options, expected) in [
        (HttpOptions { url: "example.com".into(), ..good() }, "url: is no URL"),
        (HttpOptions { url: "ftp://example.com".into(), ..good() }, "url: begins with ftp://"),
        (
            HttpOptions { bearer_token: Some("a".into()), bearer_token_file: Some(missing.into()), ..good() },
            "bearer_token: give it or bearer_token_file, not both",
        ),
        (HttpOptions { bearer_token: Some("a\nb".into()), ..good() }, "bearer_token: holds characters"),
        (
            HttpOptions { bearer_token_file: Some(missing.into()), ..good() },
            "bearer_token_file: the file /nowhere/at/all",
        ),
        (HttpOptions { ca_file: Some(missing.into()), ..good() }, "ca_file: the file /nowhere/at/all cannot be read"),
        (
            HttpOptions { ca_file: Some("/dev/null".into()), ..good() },
            "ca_file: the file /dev/null holds no certificate",
        ),
        (HttpOptions { headers: vec![("a b".into(), "c".into())], ..good() }, "headers.a b: is no header's name"),
        (
            HttpOptions { headers: vec![("Idempotency-Key".into(), "c".into())], ..good() },
            "headers.Idempotency-Key: is set",
        ),
        (
            HttpOptions { headers: vec![("Tidegate-Epoch".into(), "c".into())], ..good() },
            "headers.Tidegate-Epoch: is set",
        ),
    ] {
        let error = refused(options);
        assert!(error.starts_with(expected), "{error:?}, not {expected:?}");
    }
    assert!(Http::build(good()).is_ok());
}

#[test]
fn secrets_do_not_show_in_debug() {
    let options = HttpOptions {
        url: "https://user:s3cret@example.com/ingest?key=s3cret".into(),
        bearer_token: Some(Secret::from("s3cret")),
        headers: vec![("X-Api-Key".into(), "s3cret".into())],
        ..HttpOptions::default()
    };
    assert!(!format!("{options:?}").contains("s3cret"), "{options:?}");
    let http = http(options);
    assert!(!format!("{http:?}").contains("s3cret"), "{http:?}");
}
