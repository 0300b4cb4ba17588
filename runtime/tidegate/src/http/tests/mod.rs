//! The local HTTP on real sockets, over a store in memory.

mod edits;
mod limits;
mod operators;
mod packs;
mod probes;
mod shown;
mod tap;
mod versions;

use super::{Access, Limits, View, serve_within};
use crate::readiness::{Ready, Reason, Severity};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tidegate_record::{BatchBuilder, Field, Scalar, Schema};
use tidegate_store::{Append, Commit, Keep, MemoryStore, Options, Retention, Session, Store, StreamSpec, WhenFull};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(30);

/// A local HTTP that runs, and what it shows.
struct Served {
    address: SocketAddr,
    store: Arc<MemoryStore>,
    session: Session,
    schema: Arc<Schema>,
    reasons: Arc<Mutex<Vec<Reason>>>,
    drain: CancellationToken,
    task: JoinHandle<()>,
}

struct Shown {
    store: Arc<MemoryStore>,
    reasons: Arc<Mutex<Vec<Reason>>>,
}

impl View for Shown {
    fn pipeline(&self, _name: &str) -> Option<tidegate_pipeline::Handle> {
        None
    }

    fn sink(&self, _name: &str) -> Option<tidegate_sinks::Handle> {
        None
    }

    fn ready(&self) -> Ready {
        let reasons = self.reasons.lock().unwrap().clone();
        Ready { ready: reasons.iter().all(|reason| reason.severity != Severity::NotReady), reasons }
    }

    fn status(&self) -> Value {
        json!({ "gateway": "plant-7", "streams": 1, "pipelines": { "p": { "operators": [] } } })
    }

    fn plugins(&self) -> Vec<String> {
        vec!["warm".into()]
    }

    fn plugin(&self, name: &str) -> Option<Value> {
        (name == "warm").then(|| json!({ "kind": "filter", "params": { "type": "object" } }))
    }

    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn versions(&self) -> Option<Arc<dyn super::Versions>> {
        Some(Arc::new(versions::Told))
    }
}

async fn served(limits: Limits) -> Served {
    served_to(Access::default(), limits).await
}

async fn served_to(access: Access, limits: Limits) -> Served {
    let options = Options { commit_interval: Duration::from_millis(1), ..Options::new("", "plant-7") };
    let store = Arc::new(MemoryStore::new(options, 7));
    let schema = Arc::new(Schema::new(vec![Field::new("n", Scalar::Integer)]).unwrap());
    let retention = Retention { max_bytes: 1 << 24, max_age: None, keep: Keep::UntilRead, when_full: WhenFull::Block };
    let spec = |name: &str, schema: Arc<Schema>| StreamSpec {
        name: name.into(),
        schema,
        partitions: 1,
        retention: retention.clone(),
        readers: Vec::new(),
    };
    let dead_letters = spec("dead_letters", Arc::new(tidegate_record::streams::dead_letters()));
    let ledger = spec("ledger", Arc::new(tidegate_record::streams::ledger()));
    store.declare(vec![spec("readings", schema.clone()), dead_letters, ledger]).unwrap();
    let session = store.attach("source/test").unwrap();
    let reasons = Arc::new(Mutex::new(Vec::new()));
    let view = Arc::new(Shown { store: store.clone(), reasons: reasons.clone() });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let drain = CancellationToken::new();
    let task = tokio::spawn(serve_within(limits, listener, view, access, drain.clone()));
    Served { address, store, session, schema, reasons, drain, task }
}

impl Served {
    /// Appends a record for each number and waits until they are durable.
    async fn append(&self, numbers: std::ops::Range<i64>) {
        let mut builder = BatchBuilder::new(self.schema.clone());
        for number in numbers {
            assert!(builder.integer(0, number));
            builder.end_row("d1", number * 1_000_000).unwrap();
        }
        let mut commit = Commit::by(&self.session);
        commit.appends.push(Append { stream: "readings".into(), batch: Arc::new(builder.finish()) });
        commit.hurry = true;
        let receipt = self.store.commit(commit).expect("there is room");
        receipt.await.expect("it becomes durable");
    }

    fn say(&self, reasons: Vec<Reason>) {
        *self.reasons.lock().unwrap() = reasons;
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(path, "localhost").await.answer().await
    }

    /// Sends a request on a connection of its own.
    async fn ask(&self, path: &str, host: &str) -> Asked {
        self.send("GET", path, &format!("Host: {host}\r\n")).await
    }

    async fn send(&self, method: &str, path: &str, headers: &str) -> Asked {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("{method} {path} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        Asked { stream, received: Vec::new() }
    }
}

/// A request on its way.
struct Asked {
    stream: TcpStream,
    received: Vec<u8>,
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

impl Asked {
    /// The whole answer, when the other side has closed.
    async fn answer(mut self) -> Answer {
        while self.more().await {}
        let text = self.text();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no HTTP: {text:?}"));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let chunked = head.contains("transfer-encoding: chunked");
        let body = if chunked { unchunked(body) } else { body.to_string() };
        Answer { status, head: head.to_string(), body }
    }

    /// Waits until `text` has come, wherever.
    async fn until(&mut self, text: &str) {
        while !self.text().contains(text) {
            assert!(self.more().await, "the answer ended without {text:?}: {:?}", self.text());
        }
    }

    /// Reads on; false at the end.
    async fn more(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let read = tokio::time::timeout(DEADLINE, self.stream.read(&mut buffer)).await.expect("an answer in time");
        let read = read.unwrap_or(0);
        self.received.extend_from_slice(&buffer[..read]);
        read > 0
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.received).into_owned()
    }
}

fn unchunked(mut body: &str) -> String {
    let mut out = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).expect("the size of a chunk");
        out.push_str(&rest[..size]);
        body = rest[size..].trim_start_matches("\r\n");
    }
    out
}
