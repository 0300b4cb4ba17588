//! An upstream that does what it is told and remembers what it got.

use crate::common::{Notes, PATIENCE};
use futures::future::BoxFuture;
use std::sync::Arc;
use tidegate_sinks::{Delivery, Request, Upstream};
use tidegate_store::ClockMark;
use tokio::sync::Semaphore;

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub key: String,
    /// The field `n` of each record; of other streams' records their offsets.
    pub values: Vec<i64>,
    /// What is said of each record's time.
    pub clocks: Vec<Option<&'static str>>,
    /// The JSON of all records.
    pub bytes: usize,
    pub delivered: bool,
}

/// Answers by a rule.
pub struct Script {
    calls: Notes<Call>,
    rule: Box<dyn FnMut(&Call) -> Delivery + Send>,
    gate: Option<Arc<Semaphore>>,
}

impl Script {
    pub fn new(calls: &Notes<Call>, rule: impl FnMut(&Call) -> Delivery + Send + 'static) -> Self {
        Script { calls: calls.clone(), rule: Box::new(rule), gate: None }
    }

    /// Answers each request once the gate has a permit for it.
    pub fn behind(self, gate: Arc<Semaphore>) -> Self {
        Script { gate: Some(gate), ..self }
    }
}

impl Upstream for Script {
    fn deliver<'a>(&'a mut self, request: &'a Request) -> BoxFuture<'a, Delivery> {
        Box::pin(async move {
            let rows: Vec<serde_json::Value> =
                request.records().map(|r| serde_json::to_value(r.row).unwrap()).collect();
            let bytes = rows.iter().map(|row| row.to_string().len()).sum();
            let offsets = request.records().map(|r| r.id.offset as i64);
            let values = rows.iter().zip(offsets).map(|(row, offset)| row["n"].as_i64().unwrap_or(offset)).collect();
            let clocks = request.records().map(|r| r.clock.map(ClockMark::word)).collect();
            let mut call = Call { key: request.key(), values, clocks, bytes, delivered: false };
            let answer = (self.rule)(&call);
            call.delivered = answer == Delivery::Delivered;
            self.calls.push(call);
            if let Some(gate) = &self.gate {
                gate.acquire().await.unwrap().forget();
            }
            answer
        })
    }

    fn keyed(&self) -> bool {
        true
    }

    fn place(&self) -> &str {
        "script"
    }
}

pub fn retry(reason: &str) -> Delivery {
    Delivery::Retry { reason: reason.into(), after: None }
}

/// Waits for what another task does.
pub async fn until(mut done: impl FnMut() -> bool) {
    let waiting = async {
        while !done() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("not in time");
}
