//! Other versions of the operators' plugins. Passed by [`super::guard::may_change`] before it comes here.

use super::{Shared, refusal};
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Json, Response};
use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::Value;

/// What is to become of the plugin of an operator. Files are found by name in `plugins.dir`: none comes with a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// The operator's file, read anew, takes the place of what runs.
    Swap,
    /// A plugin runs beside it.
    Shadow(Shadow),
    /// Nothing runs beside it any more.
    Unshadow,
    /// A plugin runs beside it, and takes its place if it keeps to its bounds.
    Canary(Canary),
}

impl Change {
    /// What of it is no number to compare with.
    fn problem(&self) -> Option<String> {
        let bounds: &[(&str, f64)] = match self {
            Change::Shadow(asked) => &[("slower", asked.slower)],
            Change::Canary(asked) => &[("slower", asked.slower), ("differ", asked.differ)],
            Change::Swap | Change::Unshadow => &[],
        };
        let wrong = bounds.iter().find(|(_, bound)| !bound.is_finite() || *bound < 0.0);
        wrong.map(|(name, bound)| format!("{name}: {bound} is no bound: it is a number of 0 or more"))
    }
}

/// What runs beside an operator.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shadow {
    /// Its name in `plugins.dir`.
    pub name: String,
    /// How many times the live one's nanoseconds a record it may take before it is stopped.
    #[serde(default = "stop_at")]
    pub slower: f64,
}

/// What is to show that it may take an operator's place.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Canary {
    /// Its name in `plugins.dir`; none: the operator's own file, as it is now.
    pub name: Option<String>,
    /// How many records it is tried on.
    #[serde(default = "records")]
    pub records: u64,
    /// The greatest share of results that may differ.
    #[serde(default = "differ")]
    pub differ: f64,
    /// How many times the live one's nanoseconds a record it may take.
    #[serde(default = "slower")]
    pub slower: f64,
    /// How many more records than the live one it may fault on.
    #[serde(default)]
    pub faults: u64,
}

impl Default for Canary {
    fn default() -> Self {
        Canary { name: None, records: records(), differ: differ(), slower: slower(), faults: 0 }
    }
}

fn stop_at() -> f64 {
    100.0
}

fn records() -> u64 {
    10_000
}

fn differ() -> f64 {
    0.01
}

fn slower() -> f64 {
    2.0
}

/// What changes the plugins of running operators. The topology implements it.
pub trait Versions: Send + Sync + 'static {
    /// Changes an operator (from 1) of a pipeline; what is to be told of it. The error is a sentence, and all is as it was.
    fn change(&self, pipeline: &str, operator: usize, change: Change) -> BoxFuture<'static, Result<Value, String>>;
}

type Place = Result<Path<(String, usize)>, PathRejection>;

/// `POST …/operators/{operator}/swap`: the operator's plugin, read anew from its file, goes on where the running one stands.
pub(super) async fn swap(State(shared): State<Shared>, place: Place) -> Response {
    change(shared, place, Ok(Change::Swap)).await
}

/// `POST …/operators/{operator}/shadow?name=NAME&slower=N`: a plugin runs beside it; what it makes is compared.
pub(super) async fn shadow(
    State(shared): State<Shared>,
    place: Place,
    asked: Result<Query<Shadow>, QueryRejection>,
) -> Response {
    change(shared, place, asked.map(|Query(asked)| Change::Shadow(asked))).await
}

/// `POST …/operators/{operator}/unshadow`: nothing runs beside it any more.
pub(super) async fn unshadow(State(shared): State<Shared>, place: Place) -> Response {
    change(shared, place, Ok(Change::Unshadow)).await
}

/// `POST …/operators/{operator}/canary?name=NAME&records=N&differ=SHARE&slower=N&faults=N`: a shadow that takes its place
/// if it keeps to these bounds.
pub(super) async fn canary(
    State(shared): State<Shared>,
    place: Place,
    asked: Result<Query<Canary>, QueryRejection>,
) -> Response {
    change(shared, place, asked.map(|Query(asked)| Change::Canary(asked))).await
}

async fn change(shared: Shared, place: Place, asked: Result<Change, QueryRejection>) -> Response {
    let (pipeline, operator) = match place {
        Ok(Path(place)) => place,
        Err(error) => return refusal(StatusCode::BAD_REQUEST, error.body_text()),
    };
    let asked = match asked {
        Ok(asked) => asked,
        Err(error) => return refusal(StatusCode::BAD_REQUEST, error.body_text()),
    };
    if let Some(problem) = asked.problem() {
        return refusal(StatusCode::BAD_REQUEST, problem);
    }
    let Some(versions) = shared.view.versions() else {
        return refusal(StatusCode::NOT_FOUND, "there are no operators here");
    };
    match versions.change(&pipeline, operator, asked).await {
        Ok(told) => Json(told).into_response(),
        Err(reason) => refusal(StatusCode::CONFLICT, reason),
    }
}
