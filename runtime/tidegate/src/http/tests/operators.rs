use super::*;

#[tokio::test]
async fn what_is_no_operator_or_no_verb_is_told_and_web_pages_are_refused() {
    let served = served(Limits::default()).await;
    let post = async |path: &str, headers: &str| served.send("POST", path, headers).await.answer().await;
    let told = [
        ("/api/v1/pipelines/climate/operators/1/release", 404, "there is no pipeline \\\"climate\\\""),
        ("/api/v1/pipelines/climate/operators/1/destroy", 404, "release is"),
        ("/api/v1/pipelines/climate/operators/one/release", 400, "one"),
    ];
    for (path, status, reason) in told {
        let answer = post(path, "Host: localhost\r\n").await;
        assert!(answer.status == status && answer.body.contains(reason), "{path}: {answer:?}");
        let answer = post(path, "Host: localhost\r\nOrigin: http://evil.example\r\n").await;
        assert_eq!(answer.status, 403, "{path}: {answer:?}");
    }
}
