//! What the operators of running pipelines are asked to do. Passed by [`super::guard::may_change`] before it comes here.

use super::{Shared, refusal};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Json, Response};
use tidegate_pipeline::Ask;

/// `POST /api/v1/pipelines/{pipeline}/operators/{operator}/{verb}`: operators count from 1. Answers when the pipeline has
/// done it, between two turns.
pub(super) async fn ask(
    State(shared): State<Shared>,
    asked: Result<Path<(String, usize, String)>, PathRejection>,
) -> Response {
    let (pipeline, operator, verb) = match asked {
        Ok(Path(asked)) => asked,
        Err(error) => return refusal(StatusCode::BAD_REQUEST, error.body_text()),
    };
    let ask = match &*verb {
        "release" => Ask::Release { operator },
        _ => return refusal(StatusCode::NOT_FOUND, format!("{verb:?} is nothing an operator does: release is")),
    };
    let Some(running) = shared.view.pipeline(&pipeline) else {
        return refusal(StatusCode::NOT_FOUND, format!("there is no pipeline {pipeline:?}"));
    };
    match running.ask(ask).await {
        Ok(answer) => {
            tracing::warn!(pipeline, operator, verb, "an operator was changed by hand");
            Json(answer).into_response()
        }
        Err(reason) => refusal(StatusCode::CONFLICT, reason),
    }
}
