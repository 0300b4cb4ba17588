use super::*;

fn reason(severity: Severity) -> Reason {
    Reason { severity, component: "sink/cloud".into(), reason: "delivery waits".into() }
}

#[tokio::test]
async fn readiness_names_its_reasons() {
    let served = served(Limits::default()).await;
    let all_well = served.get("/readyz").await;
    assert_eq!((all_well.status, all_well.json()), (200, json!({ "ready": true, "reasons": [] })));
    assert_eq!(served.get("/healthz").await.status, 200);

    served.say(vec![reason(Severity::Warning)]);
    let degraded = served.get("/readyz").await;
    let sink = json!({ "severity": "warning", "component": "sink/cloud", "reason": "delivery waits" });
    assert_eq!((degraded.status, degraded.json()), (200, json!({ "ready": true, "reasons": [sink] })));
    assert_eq!(served.get("/healthz").await.status, 503, "healthy is: all parts work");

    served.say(vec![reason(Severity::NotReady)]);
    let stuck = served.get("/readyz").await;
    assert_eq!((stuck.status, &stuck.json()["ready"]), (503, &json!(false)));
    assert_eq!(stuck.json()["reasons"][0]["severity"], "not_ready");
    assert_eq!(served.get("/livez").await.status, 200, "it answers all the same");
}

#[tokio::test]
async fn metrics_are_told_in_prometheus_text() {
    super::super::metrics::install();
    let served = served(Limits::default()).await;
    ::metrics::counter!("tidegate_test_requests_total", "part" => "http").increment(3);
    served.say(vec![reason(Severity::Warning)]);
    let metrics = served.get("/metrics").await;
    assert_eq!(metrics.status, 200);
    assert!(metrics.head.contains("content-type: text/plain; version=0.0.4"), "{}", metrics.head);
    assert!(metrics.body.contains("tidegate_test_requests_total{part=\"http\"} 3"), "{}", metrics.body);
    assert!(metrics.body.contains("tidegate_gateway_ready "), "{}", metrics.body);
}

#[tokio::test]
async fn status_is_the_views() {
    let served = served(Limits::default()).await;
    let status = served.get("/api/v1/status").await;
    let shown = json!({ "gateway": "plant-7", "streams": 1, "pipelines": { "p": { "operators": [] } } });
    assert_eq!((status.status, status.json()), (200, shown));
}

#[tokio::test]
async fn nothing_else_is_there() {
    let served = served(Limits::default()).await;
    assert_eq!(served.get("/").await.status, 404);
    assert_eq!(served.get("/api/v1/stream").await.status, 404);
}

#[tokio::test]
async fn a_host_of_another_name_is_refused() {
    let served = served(Limits::default()).await;
    let paths = ["/livez", "/readyz", "/healthz", "/metrics", "/api/v1/status", "/api/v1/streams/readings/tap", "/x"];
    for path in paths {
        let answer = served.ask(path, "evil.example").await.answer().await;
        assert_eq!(answer.status, 403, "{path}");
    }
    for host in ["127.0.0.1:9780", "[::1]:1", "LOCALHOST"] {
        assert_eq!(served.ask("/livez", host).await.answer().await.status, 200, "{host}");
    }
}

#[tokio::test]
async fn answers_are_neither_sniffed_nor_shared() {
    let served = served(Limits::default()).await;
    for path in ["/livez", "/readyz", "/metrics", "/nowhere"] {
        let head = served.get(path).await.head;
        assert!(head.contains("x-content-type-options: nosniff"), "{path}: {head}");
        assert!(head.contains("cache-control: no-store"), "{path}: {head}");
        assert!(!head.contains("access-control-"), "{path}: {head}");
    }
}
