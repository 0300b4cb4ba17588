use super::*;
use tidegate_sinks::Secret;

const PURGE: &str = "/api/v1/streams/readings/purge?before=";

impl Served {
    async fn post(&self, path: &str, headers: &str) -> Answer {
        self.send("POST", path, headers).await.answer().await
    }

    fn stored(&self) -> u64 {
        let health = self.store.health();
        health.partitions.iter().filter(|p| &*p.partition.stream == "readings").map(|p| p.stored).sum()
    }
}

#[tokio::test]
async fn a_purge_gives_up_what_it_is_told_to() {
    let served = served(Limits::default()).await;
    for begin in [0, 10] {
        served.append(begin..begin + 10).await;
    }
    let local = "Host: localhost\r\n";
    let answer = served.post("/api/v1/streams/readings/purge", local).await;
    assert_eq!((answer.status, served.stored()), (400, 20), "{answer:?}");
    let answer = served.post("/api/v1/streams/readings/purge?before=yesterday", local).await;
    assert!(answer.status == 400 && answer.body.contains("neither an offset nor a time"), "{answer:?}");
    assert_eq!(served.post("/api/v1/streams/other/purge?before=1", local).await.status, 404);
    assert_eq!(served.get(&format!("{PURGE}1")).await.status, 405, "looking changes nothing");
    let answer = served.post(&format!("{PURGE}2000-01-01T00:00:00Z"), local).await;
    assert_eq!((answer.status, answer.json()), (200, json!({ "purged": 0 })));
    let answer = served.post(&format!("{PURGE}9223372036854775807"), local).await;
    assert_eq!((answer.status, answer.json(), served.stored()), (200, json!({ "purged": 20 }), 0));
}

#[tokio::test]
async fn without_a_token_web_pages_and_other_names_are_refused() {
    let served = served(Limits::default()).await;
    served.append(0..10).await;
    let port = served.address.port();
    let refused = [
        "Host: localhost\r\nOrigin: http://evil.example\r\n".to_string(),
        "Host: localhost\r\nOrigin: null\r\n".to_string(),
        format!("Host: localhost:{port}\r\nOrigin: http://localhost:3000\r\n"),
        format!("Host: evil.example:{port}\r\nOrigin: http://evil.example:{port}\r\n"),
        "Host: evil.example\r\n".to_string(),
    ];
    for headers in refused {
        let answer = served.post(&format!("{PURGE}9223372036854775807"), &headers).await;
        assert_eq!((answer.status, served.stored()), (403, 10), "{headers}: {answer:?}");
    }
    let own = format!("Host: localhost:{port}\r\nOrigin: http://localhost:{port}\r\n");
    assert_eq!(served.post(&format!("{PURGE}9223372036854775807"), &own).await.status, 200);
}

#[tokio::test]
async fn with_a_token_only_who_brings_it_may_change_the_store_and_everybody_may_look() {
    let access = Access { token: Some(Secret::from("0123456789abcdef".to_string())) };
    let served = served_to(access, Limits::default()).await;
    served.append(0..10).await;
    let path = format!("{PURGE}9223372036854775807");
    let answer = served.post(&path, "Host: localhost\r\n").await;
    assert!(answer.status == 401 && answer.body.contains("control.token_file"), "{answer:?}");
    assert!(answer.head.contains("www-authenticate: Bearer"), "{answer:?}");
    let answer = served.post(&path, "Host: localhost\r\nAuthorization: Bearer 0123456789abcdee\r\n").await;
    assert!(answer.status == 401 && answer.body.contains("not the token"), "{answer:?}");
    let right = "Host: localhost\r\nAuthorization: Bearer 0123456789abcdef\r\n";
    let page = format!("{right}Origin: http://evil.example\r\n");
    assert_eq!((served.post(&path, &page).await.status, served.stored()), (403, 10));
    assert_eq!(served.get("/api/v1/streams").await.status, 200);
    assert_eq!((served.post(&path, right).await.status, served.stored()), (200, 0));
}

#[tokio::test]
async fn a_check_beside_work_tells_what_it_found() {
    let served = served(Limits::default()).await;
    served.append(0..100).await;
    let answer = served.get("/api/v1/store/verify").await;
    let told = answer.json();
    assert_eq!((answer.status, &told["sound"]), (200, &json!(true)), "{answer:?}");
    let partitions = told["report"]["partitions"].as_array().unwrap();
    let readings = partitions.iter().find(|p| p["stream"] == "readings").unwrap();
    assert_eq!((&readings["records"], &readings["appended"]), (&json!(100), &json!(100)));
}

#[tokio::test]
async fn a_web_page_of_another_place_cannot_keep_the_store_from_deleting() {
    let served = served(Limits::default()).await;
    served.append(0..10).await;
    for path in ["/api/v1/store/verify", "/api/v1/store/backup"] {
        for page in
            ["Sec-Fetch-Site: cross-site\r\n", "Sec-Fetch-Site: same-site\r\n", "Origin: http://evil.example\r\n"]
        {
            let answer = served.send("GET", path, &format!("Host: localhost\r\n{page}")).await.answer().await;
            assert_eq!(answer.status, 403, "{path} {page}: {answer:?}");
        }
    }
    let own = "Host: localhost\r\nSec-Fetch-Site: same-origin\r\n";
    assert_eq!(served.send("GET", "/api/v1/store/verify", own).await.answer().await.status, 200);
}
