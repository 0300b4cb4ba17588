//! Probes, metrics and status: answered from what is known, at once.

use super::{Shared, metrics as recorder};
use crate::readiness::{Ready, Severity};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};

/// The process answers.
pub(super) async fn live() -> &'static str {
    "live\n"
}

/// 200 while the gateway may take traffic: data flows or safely waits. The reasons are there either way.
pub(super) async fn ready(State(shared): State<Shared>) -> Response {
    let ready = shared.view.ready();
    answer(ready.ready, ready)
}

/// 200 while all parts work: there is nothing to say but what waits as it was told to.
pub(super) async fn healthy(State(shared): State<Shared>) -> Response {
    let ready = shared.view.ready();
    answer(ready.is_healthy(), ready)
}

fn answer(well: bool, ready: Ready) -> Response {
    let status = if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(ready)).into_response()
}

/// Everything counted, in Prometheus' text format.
pub(super) async fn metrics(State(shared): State<Shared>) -> Response {
    let ready = shared.view.ready();
    ::metrics::gauge!("tidegate_gateway_ready").set(if ready.ready { 1.0 } else { 0.0 });
    let severities =
        [(Severity::NotReady, "not_ready"), (Severity::Warning, "warning"), (Severity::Waiting, "waiting")];
    for (severity, word) in severities {
        let count = ready.reasons.iter().filter(|reason| reason.severity == severity).count();
        ::metrics::gauge!("tidegate_gateway_reasons", "severity" => word).set(count as f64);
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], recorder::handle().render()).into_response()
}

/// Everything there is to say.
pub(super) async fn status(State(shared): State<Shared>) -> Response {
    Json(shared.view.status()).into_response()
}
