use super::*;
use tidegate_store::{Loss, LossReason};

impl Served {
    async fn lose(&self, reason: LossReason, count: u64) {
        let mut commit = Commit::by(&self.session);
        let stage = "source/test".into();
        commit.losses.push(Loss { stream: "readings".into(), partition: 0, reason, stage, count, offsets: None });
        commit.hurry = true;
        self.store.commit(commit).expect("there is room").await.expect("it becomes durable");
    }
}

#[tokio::test]
async fn the_streams_are_told_in_numbers() {
    let served = served(Limits::default()).await;
    served.append(0..7).await;
    let answer = served.get("/api/v1/streams").await.json();
    assert_eq!((answer["gateway"].as_str(), answer["epoch"].as_str().map(str::len)), (Some("plant-7"), Some(16)));
    let partitions = answer["partitions"].as_array().unwrap();
    let names: Vec<_> = partitions.iter().map(|p| p["stream"].as_str().unwrap()).collect();
    assert_eq!(names, ["dead_letters", "ledger", "readings"]);
    let readings = &partitions[2];
    assert_eq!((&readings["stored"], &readings["appended"], &readings["lost"]), (&json!(7), &json!(7), &json!(0)));
    assert!(readings["bytes"].as_u64() > Some(0), "{readings}");
}

#[tokio::test]
async fn the_ledger_has_totals_and_its_latest_entries() {
    let served = served(Limits::default()).await;
    assert_eq!(served.get("/api/v1/ledger").await.json(), json!({ "totals": [], "recent": [] }));
    served.lose(LossReason::Late, 3).await;
    served.lose(LossReason::Full, 2).await;
    served.lose(LossReason::Late, 4).await;
    let answer = served.get("/api/v1/ledger?recent=1000").await.json();
    let late = json!({ "stream": "readings", "reason": "late", "count": 7 });
    assert!(answer["totals"].as_array().unwrap().contains(&late), "{answer}");
    let counts: Vec<_> = answer["recent"].as_array().unwrap().iter().map(|e| e["count"].as_i64().unwrap()).collect();
    assert_eq!(counts.first(), Some(&4), "the newest comes first: {answer}");
    assert_eq!(served.get("/api/v1/ledger?recent=1001").await.status, 400);
    assert_eq!(served.get("/api/v1/ledger?since=1").await.status, 400);
}

#[tokio::test]
async fn a_tap_until_the_end_does_not_wait_for_more() {
    let served = served(Limits::default()).await;
    let empty = served.get("/api/v1/streams/readings/tap?from=start&until=end").await;
    assert_eq!((empty.status, empty.body.as_str()), (200, ""));
    served.append(0..10).await;
    let tap = served.get("/api/v1/streams/readings/tap?from=start&until=end").await;
    assert_eq!(tap.body.lines().count(), 10);
    assert_eq!(served.get("/api/v1/streams/readings/tap?until=now").await.status, 400);
}

#[tokio::test]
async fn pipelines_are_told_by_name() {
    let served = served(Limits::default()).await;
    assert_eq!(served.get("/api/v1/pipelines").await.json(), json!({ "p": { "operators": [] } }));
}

#[tokio::test]
async fn plugins_are_told_by_name() {
    let served = served(Limits::default()).await;
    let warm = json!({ "kind": "filter", "params": { "type": "object" } });
    assert_eq!(served.get("/api/v1/plugins").await.json(), json!({ "warm": warm }));
    assert_eq!(served.get("/api/v1/plugins/warm").await.json(), warm);
    let other = served.get("/api/v1/plugins/cold").await;
    let reason = "no operator has a plugin \"cold\"; there are [\"warm\"]";
    assert_eq!((other.status, other.json()), (404, json!({ "error": reason })));
}
