//! An HTTP upstream that does what it is told and remembers what it got.

use crate::process::free_port;
use crate::runtime;
use bytes::Bytes;
use flate2::read::GzDecoder;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::collections::VecDeque;
use std::io::Read;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// How the upstream answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// Takes everything: 200.
    Accept,
    /// Takes nothing and answers this status.
    Refuse(u16),
}

/// One request that came.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// When it was here whole.
    pub at: Instant,
    /// Its path.
    pub path: String,
    /// Its idempotency key, or empty.
    pub key: String,
    /// What it was answered, or would have been had the reply not been lost.
    pub status: u16,
    /// Bytes of its body as they came.
    pub bytes: usize,
    /// Its lines (NDJSON), decompressed.
    pub lines: Vec<String>,
}

/// A local HTTP server that stands for the cloud.
#[derive(Debug)]
pub struct Upstream {
    addr: SocketAddr,
    state: Arc<Mutex<State>>,
    serving: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct State {
    mood: Mood,
    /// Statuses for the next requests, before `mood` holds again.
    script: VecDeque<u16>,
    /// So many of the next requests are taken and answered 503.
    replies_to_lose: u32,
    arrivals: Vec<Arrival>,
}

impl Upstream {
    /// Listens on a free port and takes everything.
    pub fn start() -> Self {
        Self::listen_on(SocketAddr::from(([127, 0, 0, 1], free_port())))
    }

    /// Listens on this address and takes everything.
    pub fn listen_on(addr: SocketAddr) -> Self {
        let state = State { mood: Mood::Accept, script: VecDeque::new(), replies_to_lose: 0, arrivals: Vec::new() };
        let mut upstream = Upstream { addr, state: Arc::new(Mutex::new(state)), serving: None };
        upstream.connect();
        upstream
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Answers like this from now on.
    pub fn mood(&self, mood: Mood) {
        self.state().mood = mood;
    }

    /// Takes nothing (503), or everything again. So does `POST /pause` and `POST /resume` from outside.
    pub fn pause(&self, pause: bool) {
        self.mood(if pause { Mood::Refuse(503) } else { Mood::Accept });
    }

    /// Whether it takes nothing now.
    pub fn is_paused(&self) -> bool {
        self.state().mood != Mood::Accept
    }

    /// Answers the next requests with these statuses, one each.
    pub fn script(&self, statuses: &[u16]) {
        self.state().script.extend(statuses);
    }

    /// Takes the next `count` requests it would accept and answers them 503: the reply is lost, the records are not.
    pub fn lose_replies(&self, count: u32) {
        self.state().replies_to_lose = count;
    }

    /// Goes away: connections are cut and new ones refused.
    pub fn disconnect(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            let _ = runtime().block_on(serving);
        }
    }

    /// Comes back at the same address.
    pub fn connect(&mut self) {
        let listener = runtime().block_on(TcpListener::bind(self.addr)).expect("the port of the upstream");
        self.serving = Some(runtime().spawn(serve(listener, Arc::clone(&self.state))));
    }

    /// Lines of all requests that were answered 2xx, in order of arrival.
    pub fn accepted(&self) -> Vec<String> {
        let state = self.state();
        state.arrivals.iter().filter(|a| a.status < 300).flat_map(|a| a.lines.iter().cloned()).collect()
    }

    /// How many lines were accepted on `path`.
    pub fn accepted_count(&self, path: &str) -> usize {
        let state = self.state();
        state.arrivals.iter().filter(|a| a.status < 300 && a.path == path).map(|a| a.lines.len()).sum()
    }

    /// Every request since the last call, answered well or not.
    pub fn take_arrivals(&self) -> Vec<Arrival> {
        std::mem::take(&mut self.state().arrivals)
    }

    /// How many requests came, answered well or not.
    pub fn requests(&self) -> usize {
        self.state().arrivals.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while locked")
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.disconnect();
    }
}

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    // The connections end with this task: that is how the upstream goes away.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        let service = service_fn(move |request| answer(request, Arc::clone(&state)));
        connections.spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        while connections.try_join_next().is_some() {}
    }
}

#[allow(clippy::disallowed_methods, reason = "the outside world has a clock of its own")]
async fn answer(request: Request<Incoming>, state: Arc<Mutex<State>>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let at = Instant::now();
    let header = |name: &str| head.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let lines = decompress(&header("content-encoding"), &body).lines().map(str::to_owned).collect();
    let mut state = state.lock().expect("no panic while locked");
    if let Some(mood) = told(&head) {
        state.mood = mood;
        return Ok(Response::new(Full::from(format!("{mood:?}\n"))));
    }
    let status = match (state.script.pop_front(), state.mood) {
        (Some(status), _) | (None, Mood::Refuse(status)) => status,
        (None, Mood::Accept) => 200,
    };
    let key = header("idempotency-key");
    state.arrivals.push(Arrival { at, path: head.uri.path().into(), key, status, bytes: body.len(), lines });
    let lost = status == 200 && state.replies_to_lose > 0;
    state.replies_to_lose -= u32::from(lost);
    let answer = if lost { 503 } else { status };
    Ok(Response::builder().status(answer).body(Full::default()).expect("a valid status"))
}

/// What a request tells the upstream itself to do.
fn told(head: &hyper::http::request::Parts) -> Option<Mood> {
    match (head.method.as_str(), head.uri.path()) {
        ("POST", "/pause") => Some(Mood::Refuse(503)),
        ("POST", "/resume") => Some(Mood::Accept),
        _ => None,
    }
}

fn decompress(encoding: &str, body: &[u8]) -> String {
    let mut text = String::new();
    match encoding {
        "gzip" => GzDecoder::new(body).read_to_string(&mut text).map(|_| text).expect("gzip of UTF-8"),
        _ => String::from_utf8(body.to_vec()).expect("UTF-8"),
    }
}
