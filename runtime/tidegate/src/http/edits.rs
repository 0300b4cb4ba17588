//! What changes the store, because a person says so. Passed by [`super::guard::may_change`] before it comes here.

use super::{Shared, refusal};
use crate::when::When;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Json, Response};
use serde_json::json;
use tidegate_store::{Error, Store};

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
    blocking(shared, move |store| {
        let mut count = 0;
        for partition in store.assigned(&stream)? {
            let before = asked.before.in_store(store, &partition)?;
            count += store.purge(&partition, before, asked.held)?;
        }
        tracing::warn!(stream, count, "records were purged");
        Ok(json!({ "purged": count }))
    })
    .await
}

/// Does what blocks on a thread of its own.
async fn blocking(
    shared: Shared,
    work: impl FnOnce(&dyn Store) -> Result<serde_json::Value, Error> + Send + 'static,
) -> Response {
    let store = shared.view.store();
    match tokio::task::spawn_blocking(move || work(&*store)).await {
        Ok(Ok(done)) => Json(done).into_response(),
        Ok(Err(error)) => refusal(status(&error), error.to_string()),
        Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

fn status(error: &Error) -> StatusCode {
    match error {
        Error::NoStream(_) => StatusCode::NOT_FOUND,
        Error::Refused(_) => StatusCode::CONFLICT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
