//! The local HTTP: probes, metrics, status, taps. The only home of axum.
//!
//! It listens on loopback and shows what there is to whoever asks; and it refuses a `Host` that is not this machine's, so
//! that no web page can have a browser read it by DNS rebinding. What changes the store wants the token, or where none is
//! configured comes from this machine and from no web page (see [`guard`]). Every wait and queue is bounded: see
//! [`Limits`].

mod edits;
mod guard;
pub mod metrics;
mod operators;
mod packs;
mod probes;
mod serve;
mod shown;
mod tap;
#[cfg(test)]
mod tests;
mod versions;

pub use guard::Access;
pub use serve::{Limits, serve, serve_within};
pub use versions::{Canary, Change, Shadow, Versions};

use crate::readiness::Ready;
use axum::Router;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use tidegate_store::Store;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// What is shown. The topology implements it.
pub trait View: Send + Sync + 'static {
    /// Whether the gateway may take traffic, and everything that is not well.
    fn ready(&self) -> Ready;
    /// Everything, for people and dashboards; without secrets.
    fn status(&self) -> serde_json::Value;
    /// The streams, for taps.
    fn store(&self) -> Arc<dyn Store>;
    /// The names that operators have their plugins under, each once.
    fn plugins(&self) -> Vec<String> {
        Vec::new()
    }
    /// What a form for one of them is drawn from: its parameters as JSON Schema, its fields, its operators.
    fn plugin(&self, _name: &str) -> Option<serde_json::Value> {
        None
    }
    /// A pipeline, by its name.
    fn pipeline(&self, name: &str) -> Option<tidegate_pipeline::Handle>;
    /// A sink, by its name.
    fn sink(&self, name: &str) -> Option<tidegate_sinks::Handle>;
    /// What changes the plugins of its operators.
    fn versions(&self) -> Option<Arc<dyn Versions>> {
        None
    }
}

/// What the handlers share.
#[derive(Clone)]
struct Shared {
    view: Arc<dyn View>,
    access: Arc<Access>,
    /// Where it listens.
    address: Option<SocketAddr>,
    taps: Arc<Semaphore>,
    limits: Limits,
    drain: CancellationToken,
}

fn router(shared: Shared) -> Router {
    let changes = Router::new()
        .route("/api/v1/streams/{name}/purge", post(edits::purge))
        .route("/api/v1/sinks/{name}/replay", post(edits::replay))
        .route("/api/v1/pipelines/{pipeline}/operators/{operator}/{verb}", post(operators::ask))
        .route("/api/v1/pipelines/{pipeline}/operators/{operator}/swap", post(versions::swap))
        .route("/api/v1/pipelines/{pipeline}/operators/{operator}/shadow", post(versions::shadow))
        .route("/api/v1/pipelines/{pipeline}/operators/{operator}/unshadow", post(versions::unshadow))
        .route("/api/v1/pipelines/{pipeline}/operators/{operator}/canary", post(versions::canary))
        .layer(from_fn_with_state(shared.clone(), guard::may_change));
    let copies = Router::new()
        .route("/api/v1/store/backup", get(packs::backup))
        .route("/api/v1/store/verify", get(packs::verify))
        .layer(from_fn(guard::no_page));
    Router::new()
        .route("/livez", get(probes::live))
        .route("/readyz", get(probes::ready))
        .route("/healthz", get(probes::healthy))
        .route("/metrics", get(probes::metrics))
        .route("/api/v1/status", get(probes::status))
        .route("/api/v1/ledger", get(shown::ledger))
        .route("/api/v1/pipelines", get(shown::pipelines))
        .route("/api/v1/plugins", get(shown::plugins))
        .route("/api/v1/plugins/{name}", get(shown::plugin))
        .route("/api/v1/streams", get(shown::all))
        .route("/api/v1/streams/{name}/blocks", get(packs::blocks))
        .route("/api/v1/streams/{name}/tap", get(tap::tap))
        .merge(changes)
        .merge(copies)
        .fallback(|| async { refusal(StatusCode::NOT_FOUND, "there is nothing here: see /api/v1/status") })
        .layer(from_fn_with_state(shared.clone(), guard::guard))
        .with_state(shared)
}

/// `{"error": reason}`.
fn refusal(status: StatusCode, reason: impl Into<String>) -> Response {
    (status, Json(json!({ "error": reason.into() }))).into_response()
}
