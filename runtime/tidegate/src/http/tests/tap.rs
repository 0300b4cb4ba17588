use super::*;

fn numbers(body: &str) -> Vec<i64> {
    let line = |line: &str| serde_json::from_str::<Value>(line).unwrap()["n"].as_i64().unwrap();
    body.lines().map(line).collect()
}

#[tokio::test]
async fn from_the_start_every_record_comes_in_order() {
    let served = served(Limits::default()).await;
    for begin in [0, 300, 600] {
        served.append(begin..begin + 300).await;
    }
    let tap = served.get("/api/v1/streams/readings/tap?from=start&limit=900").await;
    assert_eq!(tap.status, 200);
    assert!(tap.head.contains("content-type: application/x-ndjson"), "{}", tap.head);
    assert_eq!(numbers(&tap.body), (0..900).collect::<Vec<_>>());
}

#[tokio::test]
async fn every_record_carries_its_identity() {
    let served = served(Limits::default()).await;
    served.append(7..8).await;
    let tap = served.get("/api/v1/streams/readings/tap?from=start&limit=1").await;
    let line: Value = serde_json::from_str(tap.body.trim_end()).unwrap();
    let id = line["_id"].as_str().unwrap();
    let epoch = format!("{:016x}", served.store.identity().epoch);
    assert!(id.starts_with(&format!("plant-7/readings/0/{epoch}/")), "{id}");
    assert_eq!((&line["device"], &line["time"]), (&json!("d1"), &json!("1970-01-01T00:00:07.000000Z")));
}

#[tokio::test]
async fn from_an_offset_the_tap_begins_there() {
    let served = served(Limits::default()).await;
    served.append(0..10).await;
    let all = served.get("/api/v1/streams/readings/tap?from=start&limit=10").await;
    let ids = all.body.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["_id"].to_string());
    let fifth = ids.clone().nth(5).unwrap();
    let offset = fifth.trim_matches('"').rsplit('/').next().unwrap();
    let rest = served.get(&format!("/api/v1/streams/readings/tap?from={offset}&limit=5")).await;
    assert_eq!(numbers(&rest.body), (5..10).collect::<Vec<_>>());
}

#[tokio::test]
async fn from_the_end_only_what_comes_later_is_seen() {
    let served = served(Limits::default()).await;
    served.append(0..5).await;
    let mut tap = served.ask("/api/v1/streams/readings/tap?limit=2", "localhost").await;
    tap.until("\r\n\r\n").await;
    served.append(5..7).await;
    assert_eq!(numbers(&tap.answer().await.body), [5, 6]);
}

#[tokio::test]
async fn a_limit_ends_within_a_block() {
    let served = served(Limits::default()).await;
    served.append(0..1000).await;
    let tap = served.get("/api/v1/streams/readings/tap?from=start&limit=301").await;
    assert_eq!(numbers(&tap.body), (0..301).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let served = served(Limits::default()).await;
    let cases = [
        ("readngs/tap", 404, "there is no stream \"readngs\""),
        ("readings/tap?from=middle", 400, "from=\"middle\" is not start, end or an offset"),
        ("readings/tap?limit=0", 400, "limit is at least 1"),
        ("readings/tap?limit=x", 400, "invalid digit"),
        ("readings/tap?form=start", 400, "unknown field `form`"),
    ];
    for (path, status, error) in cases {
        let answer = served.get(&format!("/api/v1/streams/{path}")).await;
        let said = answer.json()["error"].as_str().unwrap().to_string();
        assert!(answer.status == status && said.contains(error), "{path}: {} {said}", answer.status);
    }
}

#[tokio::test]
async fn a_tap_too_many_is_refused_until_one_ends() {
    let served = served(Limits { taps_max: 1, ..Limits::default() }).await;
    let mut first = served.ask("/api/v1/streams/readings/tap", "localhost").await;
    first.until("\r\n\r\n").await;
    let refused = served.get("/api/v1/streams/readings/tap").await;
    assert_eq!((refused.status, refused.json()), (429, json!({ "error": "1 taps are open already: end one of them" })));

    drop(first);
    served.append(0..1).await;
    let freed = async {
        loop {
            let next = served.get("/api/v1/streams/readings/tap?from=start&limit=1").await;
            if next.status == 200 {
                return next;
            }
        }
    };
    let next = tokio::time::timeout(DEADLINE, freed).await.expect("a client that leaves ends its tap");
    assert_eq!(numbers(&next.body), [0]);
}

#[tokio::test]
async fn a_client_that_takes_nothing_loses_its_tap() {
    let limits = Limits { taps_max: 1, tap_stall: Duration::from_millis(50), ..Limits::default() };
    let served = served(limits).await;
    // More than the sockets' buffers hold.
    for begin in 0..60 {
        served.append(begin * 4096..(begin + 1) * 4096).await;
    }
    let _stalled = served.ask("/api/v1/streams/readings/tap?from=start", "localhost").await;
    let freed = async {
        let mut was_taken = false;
        loop {
            let status = served.get("/api/v1/streams/readings/tap?from=start&limit=1").await.status;
            was_taken |= status == 429;
            if status == 200 && was_taken {
                return;
            }
        }
    };
    tokio::time::timeout(DEADLINE, freed).await.expect("a client that takes nothing ends its tap");
}

#[tokio::test]
async fn a_drain_ends_taps_and_the_listener() {
    let served = served(Limits::default()).await;
    let mut tap = served.ask("/api/v1/streams/readings/tap", "localhost").await;
    tap.until("\r\n\r\n").await;
    served.drain.cancel();
    assert_eq!(tap.answer().await.body, "");
    tokio::time::timeout(DEADLINE, served.task).await.expect("it ends").unwrap();
    assert!(TcpStream::connect(served.address).await.is_err(), "nobody listens any more");
}
