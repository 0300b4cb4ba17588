//! Streams and ledger as numbers.

use super::{Shared, refusal};
use crate::ndjson;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Json, Response};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use tidegate_record::streams;
use tidegate_store::{Dates, Error, Listing, Position, Store, Visibility};

/// Most entries of the ledger in one answer.
const RECENT_MAX: u64 = 1_000;
const RECENT_DEFAULT: u64 = 50;

/// `GET /api/v1/streams`: every partition with its bytes, records and offsets, and where each reader stands.
pub(super) async fn all(State(shared): State<Shared>) -> Response {
    Json(listing(&*shared.view.store())).into_response()
}

/// `GET /api/v1/pipelines`: every pipeline's status, and what each of its operators costs.
pub(super) async fn pipelines(State(shared): State<Shared>) -> Response {
    Json(shared.view.status()["pipelines"].take()).into_response()
}

/// `GET /api/v1/plugins`: the plugins of the operators by name, each with what a form for it is drawn from.
pub(super) async fn plugins(State(shared): State<Shared>) -> Response {
    let view = &shared.view;
    let plugins = view.plugins().into_iter().filter_map(|name| Some((name.clone(), view.plugin(&name)?)));
    Json(Value::from(plugins.collect::<Map<_, _>>())).into_response()
}

/// `GET /api/v1/plugins/NAME`: one of them.
pub(super) async fn plugin(State(shared): State<Shared>, Path(name): Path<String>) -> Response {
    match shared.view.plugin(&name) {
        Some(plugin) => Json(plugin).into_response(),
        None => {
            let reason = format!("no operator has a plugin {name:?}; there are {:?}", shared.view.plugins());
            refusal(StatusCode::NOT_FOUND, reason)
        }
    }
}

fn listing(store: &dyn Store) -> Listing {
    Listing::running(&store.identity(), &store.health(), store.arrival_now())
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// So many of the latest entries.
    recent: Option<u64>,
}

/// `GET /api/v1/ledger?recent=N`: everything ever given up by stream and reason, and the latest entries, newest first.
pub(super) async fn ledger(
    State(shared): State<Shared>,
    asked: Result<Query<Asked>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let recent = match asked {
        Ok(Query(asked)) => asked.recent.unwrap_or(RECENT_DEFAULT),
        Err(error) => return refusal(StatusCode::BAD_REQUEST, error.body_text()),
    };
    if recent > RECENT_MAX {
        return refusal(StatusCode::BAD_REQUEST, format!("recent is at most {RECENT_MAX}: tap the stream for more"));
    }
    let store = shared.view.store();
    let totals = listing(&*store).losses;
    let entries = tokio::task::spawn_blocking(move || latest(&store, recent)).await;
    match entries {
        Ok(Ok(entries)) => Json(json!({ "totals": totals, "recent": entries })).into_response(),
        Ok(Err(error)) => refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

/// The latest entries of the ledger, the newest first. Offsets may have gaps: then there are fewer.
fn latest(store: &Arc<dyn Store>, count: u64) -> Result<Vec<Value>, Error> {
    let identity = store.identity();
    let mut entries = Vec::new();
    let health = store.health();
    for known in health.partitions.iter().filter(|p| &*p.partition.stream == streams::LEDGER) {
        let mut at = Position(known.durable.0.saturating_sub(count).max(known.first.0));
        while at < known.durable {
            let Some(block) = store.read(&known.partition, at, Visibility::Durable)? else { break };
            at = block.next;
            let dates = Dates::of(&block.runs, |commit| store.dating(commit));
            let lines = ndjson::lines(&identity, &known.partition, (&block, &dates), 0..block.batch.rows());
            entries.extend(lines.split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice(line).ok()));
        }
    }
    entries.reverse();
    entries.truncate(usize::try_from(count).unwrap_or(usize::MAX));
    Ok(entries)
}
