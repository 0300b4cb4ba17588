//! What changes the store, because a person says so. Passed by [`super::guard::may_change`] before it comes here.

use super::{Shared, refusal};
use crate::when::When;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Json, Response};
use serde_json::json;
use std::num::NonZeroU32;
use tidegate_sinks::forward::Replay;
use tidegate_store::{Error, Partition, Store};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Purge {
    /// An offset, or when a record arrived.
    before: When,
    /// Also what a reader still needs.
    #[serde(default)]
    held: bool,
}

/// `POST /api/v1/streams/{name}/purge?before=OFFSET|TIME&held=true`: gives up the oldest records of a stream.
pub(super) async fn purge(
    State(shared): State<Shared>,
    Path(stream): Path<String>,
    asked: Result<Query<Purge>, QueryRejection>,
) -> Response {
    let asked = match asked {
        Ok(Query(asked)) => asked,
        Err(error) => return refusal(StatusCode::BAD_REQUEST, error.body_text()),
    };
    let purged = blocking(shared, move |store| {
        let mut count = 0;
        for partition in store.assigned(&stream)? {
            let before = asked.before.in_store(store, &partition)?;
            count += store.purge(&partition, before, asked.held)?;
        }
        tracing::warn!(stream, count, "records were purged");
        Ok(json!({ "purged": count }))
    });
    purged.await.map_or_else(|refused| refused, |done| Json(done).into_response())
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Again {
    /// An offset, or when a record arrived.
    from: When,
    /// Where to end, likewise.
    to: Option<When>,
    /// Most records a second.
    rate: Option<NonZeroU32>,
}

/// `POST /api/v1/sinks/{name}/replay?from=OFFSET|TIME&to=OFFSET|TIME&rate=N`: has a sink deliver again what it delivered.
/// Answers when that is durable, and the sink goes on from there.
pub(super) async fn replay(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    asked: Result<Query<Again>, QueryRejection>,
) -> Response {
    let asked = match asked {
        Ok(Query(asked)) => asked,
        Err(error) => return refusal(StatusCode::BAD_REQUEST, error.body_text()),
    };
    let Some(sink) = shared.view.sink(&name) else {
        return refusal(StatusCode::NOT_FOUND, format!("there is no sink {name:?}"));
    };
    let stood = sink.status();
    let stream = stood.stream.clone();
    let replays = match blocking(shared, move |store| ranges(store, &stream, &asked)).await {
        Ok(replays) => replays,
        Err(refused) => return refused,
    };
    if let Err(reason) = sink.replay(replays.clone()).await {
        return refusal(StatusCode::CONFLICT, format!("sink {name:?}: {reason}"));
    }
    let told = replays.iter().map(|Replay { partition, from, to, .. }| {
        json!({ "stream": stood.stream, "partition": partition, "from": from, "to": to, "stood": stood.cursor.get(partition) })
    });
    Json(json!({ "replays": told.collect::<Vec<_>>() })).into_response()
}

fn ranges(store: &dyn Store, stream: &str, asked: &Again) -> Result<Vec<Replay>, Error> {
    let partitions = store.assigned(stream)?;
    if partitions.len() > 1 && matches!(asked.from, When::Offset(_)) {
        let count = partitions.len();
        return Err(Error::Refused(format!("stream {stream:?} has {count} partitions: say from as a time")));
    }
    let range = |partition: &Partition| {
        let offset = |when: When| when.in_store(store, partition).map(|at| at.0);
        let to = asked.to.map(offset).transpose()?;
        Ok(Replay { partition: partition.number, from: offset(asked.from)?, to, rate: asked.rate })
    };
    partitions.iter().map(range).collect()
}

/// Does what blocks on a thread of its own.
async fn blocking<T: Send + 'static>(
    shared: Shared,
    work: impl FnOnce(&dyn Store) -> Result<T, Error> + Send + 'static,
) -> Result<T, Response> {
    let store = shared.view.store();
    match tokio::task::spawn_blocking(move || work(&*store)).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(refusal(status(&error), error.to_string())),
        Err(error) => Err(refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
    }
}

fn status(error: &Error) -> StatusCode {
    match error {
        Error::NoStream(_) => StatusCode::NOT_FOUND,
        Error::Refused(_) => StatusCode::CONFLICT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
