//! A small HTTP client for the gateway's control API.

use crate::runtime;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longest an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Status and body of `GET path`; an error says what went wrong on the way.
pub fn get(addr: SocketAddr, path: &str) -> Result<(u16, String), String> {
    call(addr, Method::GET, path, String::new())
}

/// Status and body of the answer to a request.
pub fn call(addr: SocketAddr, method: Method, path: &str, body: String) -> Result<(u16, String), String> {
    let answer = async {
        let response = open(addr, method, path, body).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    };
    runtime().block_on(async { timeout(ANSWER_MAX, answer).await.map_err(|_| format!("no answer to {path}"))? })
}

/// An open answer whose lines are read as they come.
#[derive(Debug)]
pub struct Lines {
    body: Incoming,
    rest: Vec<u8>,
}

impl Lines {
    /// Begins `GET path`; panics unless the answer is 200.
    pub fn open(addr: SocketAddr, path: &str) -> Self {
        let response = runtime().block_on(open(addr, Method::GET, path, String::new())).expect("an answer");
        assert_eq!(response.status(), 200, "GET {path}");
        Lines { body: response.into_body(), rest: Vec::new() }
    }

    /// The next lines, at least one; `None` at the end of the answer or when nothing comes `within`.
    pub fn next(&mut self, within: Duration) -> Option<Vec<String>> {
        loop {
            let frame = runtime().block_on(async { timeout(within, self.body.frame()).await }).ok()??.ok()?;
            self.rest.extend_from_slice(frame.data_ref()?);
            let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else { continue };
            let rest = self.rest.split_off(end + 1);
            let whole = String::from_utf8(std::mem::replace(&mut self.rest, rest)).expect("UTF-8");
            return Some(whole.lines().map(str::to_owned).collect());
        }
    }
}

async fn open(addr: SocketAddr, method: Method, path: &str, body: String) -> Result<Response<Incoming>, String> {
    let stream = TcpStream::connect(addr).await.map_err(|error| format!("{addr}: {error}"))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake::<_, Full<Bytes>>(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    tokio::spawn(connection);
    let request = Request::builder().method(method).uri(path).header("host", addr.to_string());
    let request = request.body(Full::<Bytes>::from(body)).map_err(|error| error.to_string())?;
    sender.send_request(request).await.map_err(|error| error.to_string())
}
