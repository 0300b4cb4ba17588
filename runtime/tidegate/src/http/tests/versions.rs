use super::super::{Canary, Change, Versions};
use super::*;
use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};

/// Tells what it was asked; of another pipeline than `p` it knows nothing.
pub struct Told;

impl Versions for Told {
    fn change(&self, pipeline: &str, operator: usize, change: Change) -> BoxFuture<'static, Result<Value, String>> {
        let told = match pipeline {
            "p" => Ok(json!(format!("{operator} {change:?}"))),
            _ => Err(format!("there is no pipeline {pipeline:?}")),
        };
        ready(told).boxed()
    }
}

#[tokio::test]
async fn versions_are_asked_for_by_name_alone_and_web_pages_are_refused() {
    let served = served(Limits::default()).await;
    let post = async |path: &str, headers: &str| {
        let path = format!("/api/v1/pipelines/{path}");
        served.send("POST", &path, headers).await.answer().await
    };
    let canary = Change::Canary(Canary::default());
    let told = [
        ("p/operators/2/swap", "2 Swap".to_string()),
        ("p/operators/1/unshadow", "1 Unshadow".into()),
        ("p/operators/1/shadow?name=next", r#"1 Shadow(Shadow { name: "next", slower: 100.0 })"#.into()),
        ("p/operators/1/canary", format!("1 {canary:?}")),
    ];
    for (path, said) in told {
        let answer = post(path, "Host: localhost\r\n").await;
        assert_eq!((answer.status, answer.json()), (200, json!(said)), "{path}");
        let answer = post(path, "Host: localhost\r\nOrigin: http://evil.example\r\n").await;
        assert_eq!(answer.status, 403, "{path}: {answer:?}");
    }
    let refused = [
        ("q/operators/1/swap", 409, "there is no pipeline"),
        ("p/operators/one/swap", 400, "one"),
        ("p/operators/1/shadow", 400, "name"),
        ("p/operators/1/shadow?name=next&path=/etc/passwd", 400, "path"),
        ("p/operators/1/canary?records=few", 400, "records"),
    ];
    for (path, status, reason) in refused {
        let answer = post(path, "Host: localhost\r\n").await;
        assert!(answer.status == status && answer.body.contains(reason), "{path}: {answer:?}");
    }
}
