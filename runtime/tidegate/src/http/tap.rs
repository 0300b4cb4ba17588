//! A tap: a reader without a cursor, written as a JSON object a line.
//!
//! It sees only what is durable and holds nothing back: blocks that go before it reads them are gone. A client that
//! leaves, or takes nothing for too long, ends it.

use super::{Shared, refusal};
use crate::ndjson;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures::future::select_all;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tidegate_record::Identity;
use tidegate_store::{Block, Dates, Error, Partition, Position, Store, Visibility};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::sync::CancellationToken;

/// Most records written at once.
const LINES_MAX: usize = 256;
/// Pieces that wait for the client.
const PIECES_MAX: usize = 2;
/// The wait when the store woke the tap and had nothing, so that a fault there costs no processor.
const REST: Duration = Duration::from_millis(50);

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// `start`, `end` or an offset.
    from: Option<String>,
    /// End after so many records.
    limit: Option<u64>,
    /// `end`: end with what is durable now, instead of waiting for more.
    until: Option<String>,
}

/// Where a tap begins in each partition.
enum From {
    Start,
    End,
    Offset(u64),
}

/// `GET /api/v1/streams/{name}/tap?from=start|end|OFFSET&limit=N&until=end`.
pub(super) async fn tap(
    State(shared): State<Shared>,
    Path(stream): Path<String>,
    asked: Result<Query<Asked>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let asked = match asked {
        Ok(Query(asked)) => asked,
        Err(error) => return refusal(StatusCode::BAD_REQUEST, error.body_text()),
    };
    let from = match asked.from.as_deref() {
        None | Some("end") => From::End,
        Some("start") => From::Start,
        Some(offset) => match offset.parse() {
            Ok(offset) => From::Offset(offset),
            Err(_) => {
                return refusal(StatusCode::BAD_REQUEST, format!("from={offset:?} is not start, end or an offset"));
            }
        },
    };
    let now = match asked.until.as_deref() {
        None => false,
        Some("end") => true,
        Some(other) => return refusal(StatusCode::BAD_REQUEST, format!("until={other:?} is not end")),
    };
    if asked.limit == Some(0) {
        return refusal(StatusCode::BAD_REQUEST, "limit is at least 1");
    }
    let Ok(permit) = shared.taps.clone().try_acquire_owned() else {
        let reason = format!("{} taps are open already: end one of them", shared.limits.taps_max);
        return refusal(StatusCode::TOO_MANY_REQUESTS, reason);
    };
    let store = shared.view.store();
    let lanes = match lanes(&*store, &stream, &from, now) {
        Ok(lanes) => lanes,
        Err(error @ Error::NoStream(_)) => return refusal(StatusCode::NOT_FOUND, error.to_string()),
        Err(error) => return refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    };
    let (pieces, receiver) = mpsc::channel(PIECES_MAX);
    let limit = asked.limit.unwrap_or(u64::MAX);
    let stall = shared.limits.tap_stall;
    let tap = Tap { identity: store.identity(), store, lanes, left: limit, pieces, stall, _permit: permit };
    tokio::spawn(tap.run(shared.drain.clone()));
    let body = futures::stream::unfold(receiver, |mut receiver| async {
        let piece: Bytes = receiver.recv().await?;
        Some((Ok::<_, Infallible>(piece), receiver))
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(body)).into_response()
}

/// The partitions of a stream and where to begin in each.
fn lanes(store: &dyn Store, stream: &str, from: &From, now: bool) -> Result<Vec<Lane>, Error> {
    let partitions = store.assigned(stream)?;
    let health = store.health();
    let durable = |partition: &Partition| {
        let known = health.partitions.iter().find(|known| known.partition == *partition);
        known.map_or(Position::default(), |known| known.durable)
    };
    let lane = |partition: Partition| {
        let at = match from {
            From::Start => store.start(&partition)?,
            From::Offset(offset) => Position(*offset),
            From::End => durable(&partition),
        };
        let until = now.then(|| durable(&partition));
        Ok(Lane { partition, at, until })
    };
    partitions.into_iter().map(lane).collect()
}

/// A partition, and where the tap is in it.
struct Lane {
    partition: Partition,
    at: Position,
    /// The tap ends here, where it does not wait for more.
    until: Option<Position>,
}

impl Lane {
    fn done(&self) -> bool {
        self.until.is_some_and(|until| self.at >= until)
    }
}

struct Tap {
    identity: Identity,
    store: Arc<dyn Store>,
    lanes: Vec<Lane>,
    /// Records still to be written.
    left: u64,
    pieces: mpsc::Sender<Bytes>,
    stall: Duration,
    _permit: OwnedSemaphorePermit,
}

impl Tap {
    /// Ends when the client is gone or stalls, the limit is reached, the store fails or the gateway drains.
    async fn run(mut self, drain: CancellationToken) {
        let pieces = self.pieces.clone();
        tokio::select! {
            biased;
            () = pieces.closed() => {}
            () = drain.cancelled() => {}
            ended = self.follow() => if let Err(error) = ended {
                tracing::warn!(%error, "a tap ended");
            },
        }
    }

    async fn follow(&mut self) -> Result<(), Error> {
        let mut woken = false;
        while self.left > 0 && !self.pieces.is_closed() && !self.lanes.iter().all(Lane::done) {
            let mut wrote = false;
            for lane in 0..self.lanes.len() {
                if self.lanes[lane].done() {
                    continue;
                }
                let Some(block) = self.read(lane).await? else {
                    // What was there has gone meanwhile.
                    self.lanes[lane].at = self.lanes[lane].until.unwrap_or(self.lanes[lane].at);
                    continue;
                };
                wrote = true;
                self.lanes[lane].at = block.next;
                if !self.write(lane, &block).await {
                    return Ok(());
                }
            }
            if !wrote && !self.lanes.iter().all(Lane::done) {
                if self.store.health().poisoned.is_some() {
                    return Ok(());
                }
                if woken {
                    tokio::time::sleep(REST).await;
                }
                let appended = |lane: &Lane| self.store.appended(&lane.partition, lane.at, Visibility::Durable);
                select_all(self.lanes.iter().map(appended)).await;
            }
            woken = !wrote;
        }
        Ok(())
    }

    async fn read(&self, lane: usize) -> Result<Option<Block>, Error> {
        let (partition, at) = (self.lanes[lane].partition.clone(), self.lanes[lane].at);
        let store = self.store.clone();
        let read = tokio::task::spawn_blocking(move || store.read(&partition, at, Visibility::Durable));
        let failed = |error: tokio::task::JoinError| Error::Read { what: "a block".into(), reason: error.to_string() };
        read.await.map_err(failed)?
    }

    /// Writes a block's records; false when there is nobody to write to, or enough.
    async fn write(&mut self, lane: usize, block: &Block) -> bool {
        let dates = Dates::of(&block.runs, |commit| self.store.dating(commit));
        let mut row = 0;
        while row < block.batch.rows() && self.left > 0 {
            let most = LINES_MAX.min(usize::try_from(self.left).unwrap_or(LINES_MAX));
            let rows = row..(row + most).min(block.batch.rows());
            row = rows.end;
            self.left -= rows.len() as u64;
            let lines = ndjson::lines(&self.identity, &self.lanes[lane].partition, (block, &dates), rows).into();
            if self.pieces.send_timeout(lines, self.stall).await.is_err() {
                return false;
            }
        }
        self.left > 0
    }
}
