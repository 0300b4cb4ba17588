//! An HTTP upstream that misbehaves on command and remembers what it got.

use crate::common::Notes;
use flate2::read::GzDecoder;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::io::Read;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// What the upstream does with a request.
#[derive(Debug, Clone)]
pub enum Answer {
    /// This status, these headers, this body.
    Say(u16, Vec<(&'static str, String)>, &'static str),
    /// Takes the request in and cuts the connection.
    Cut,
    /// Never answers.
    Hang,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Arrival {
    pub method: String,
    pub path: String,
    pub headers: HeaderMap,
    /// The body, decompressed.
    pub body: String,
    /// The bytes on the wire.
    pub wire_bytes: usize,
}

/// A server on a port of its own.
pub struct Double {
    pub url: String,
    pub arrivals: Notes<Arrival>,
    serving: JoinHandle<()>,
}

type Rule = Arc<Mutex<dyn FnMut(&Arrival) -> Answer + Send>>;

impl Arrival {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The body's records.
    pub fn records(&self) -> Vec<serde_json::Value> {
        match self.header("content-type") {
            "application/json" => serde_json::from_str(&self.body).unwrap(),
            _ => self.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
        }
    }

    /// The field `n` of each record.
    pub fn values(&self) -> Vec<i64> {
        self.records().iter().map(|record| record["n"].as_i64().unwrap()).collect()
    }
}

impl Answer {
    pub fn status(status: u16) -> Self {
        Answer::Say(status, Vec::new(), "")
    }
}

impl Double {
    pub async fn start(rule: impl FnMut(&Arrival) -> Answer + Send + 'static) -> Self {
        Self::listen(rule, None).await
    }

    /// Answers these in turn, then 200.
    pub async fn script(answers: Vec<Answer>) -> Self {
        let mut answers = answers.into_iter();
        Self::start(move |_| answers.next().unwrap_or(Answer::status(200))).await
    }

    /// With TLS; the certificate is for `localhost`.
    pub async fn with_tls(acceptor: TlsAcceptor) -> Self {
        Self::listen(|_| Answer::status(200), Some(acceptor)).await
    }

    async fn listen(rule: impl FnMut(&Arrival) -> Answer + Send + 'static, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = match tls {
            None => format!("http://127.0.0.1:{port}/ingest"),
            Some(_) => format!("https://localhost:{port}/ingest"),
        };
        let arrivals = Notes::new();
        let (rule, notes): (Rule, _) = (Arc::new(Mutex::new(rule)), arrivals.clone());
        let serving = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (rule, notes, tls) = (rule.clone(), notes.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, rule, notes).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, rule, notes).await;
                            }
                        }
                    }
                });
            }
        });
        Double { url, arrivals, serving }
    }

    /// Every record that was in a request answered 200, in order of arrival.
    pub fn keys(&self) -> Vec<String> {
        self.arrivals.all().iter().map(|a| a.header("idempotency-key").to_owned()).collect()
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, rule: Rule, notes: Notes<Arrival>) {
    let service = service_fn(|request| answer(request, rule.clone(), notes.clone()));
    // Ends with an error where the connection is cut.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    request: Request<Incoming>,
    rule: Rule,
    notes: Notes<Arrival>,
) -> Result<Response<Full<Bytes>>, Box<dyn std::error::Error + Send + Sync>> {
    let (head, body) = request.into_parts();
    let wire = body.collect().await?.to_bytes();
    let mut text = String::new();
    match head.headers.get("content-encoding") {
        Some(_) => GzDecoder::new(&wire[..]).read_to_string(&mut text)?,
        None => (&wire[..]).read_to_string(&mut text)?,
    };
    let arrival = Arrival {
        method: head.method.to_string(),
        path: head.uri.to_string(),
        headers: head.headers,
        body: text,
        wire_bytes: wire.len(),
    };
    let answer = rule.lock().unwrap()(&arrival);
    notes.push(arrival);
    match answer {
        Answer::Say(status, headers, body) => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            Ok(response.body(Full::from(body))?)
        }
        Answer::Cut => Err("cut on command".into()),
        Answer::Hang => std::future::pending::<Result<_, Infallible>>().await.map_err(Into::into),
    }
}
