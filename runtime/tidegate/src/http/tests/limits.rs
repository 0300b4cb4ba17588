use super::*;

#[tokio::test]
async fn a_head_that_does_not_come_ends_the_connection() {
    let served = served(Limits { head_read: Duration::from_millis(50), ..Limits::default() }).await;
    for sent in ["", "GET /livez HTTP/1.1\r\nHost: local"] {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        let mut received = Vec::new();
        let ended = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut received)).await;
        assert!(ended.is_ok(), "after {sent:?} the connection stays open");
        assert!(!String::from_utf8_lossy(&received).contains("200 OK"), "{received:?}");
    }
}

#[tokio::test]
async fn a_connection_that_idles_between_requests_is_ended() {
    let served = served(Limits { head_read: Duration::from_millis(50), ..Limits::default() }).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut received = Vec::new();
    let ended = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut received)).await;
    assert!(ended.is_ok(), "the connection stays open");
    assert!(String::from_utf8_lossy(&received).contains("200 OK"), "the request was answered");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let served = served(Limits::default()).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let head = format!("GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Fill: {}\r\n\r\n", "x".repeat(100_000));
    // It may well be closed before it has taken everything.
    let _ = stream.write_all(head.as_bytes()).await;
    let mut received = Vec::new();
    let ended = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut received)).await;
    assert!(ended.is_ok(), "the connection stays open");
    assert!(!String::from_utf8_lossy(&received).contains("200 OK"));
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_one_to_end() {
    let served = served(Limits { connections_max: 1, ..Limits::default() }).await;
    let mut first = served.ask("/api/v1/streams/readings/tap", "localhost").await;
    first.until("\r\n\r\n").await;
    let second = served.ask("/livez", "localhost").await;
    let mut answer = Box::pin(second.answer());
    let waits = tokio::time::timeout(Duration::from_millis(200), &mut answer).await;
    assert!(waits.is_err(), "it was answered beside the first: {waits:?}");
    drop(first);
    assert_eq!(answer.await.status, 200);
}
