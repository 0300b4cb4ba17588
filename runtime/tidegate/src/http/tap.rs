//! A tap: a reader without a cursor, written as a JSON object a line.
//!
//! It sees only what is durable and holds nothing back: blocks that go before it reads them are gone. A client that
//! leaves, or takes nothing for too long, ends it.

use super::{Shared, refusal};
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures::future::select_all;
use serde::ser::{SerializeMap as _, Serializer as _};
use std::convert::Infallible;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tidegate_record::{Identity, RecordId};
use tidegate_store::{Block, Error, Partition, Position, Store, Visibility};
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
}

/// Where a tap begins in each partition.
enum From {
    Start,
    End,
    Offset(u64),
}

/// `GET /api/v1/streams/{name}/tap?from=start|end|OFFSET&limit=N`.
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
    if asked.limit == Some(0) {
        return refusal(StatusCode::BAD_REQUEST, "limit is at least 1");
    }
    let Ok(permit) = shared.taps.clone().try_acquire_owned() else {
        let reason = format!("{} taps are open already: end one of them", shared.limits.taps_max);
        return refusal(StatusCode::TOO_MANY_REQUESTS, reason);
    };
    let store = shared.view.store();
    let lanes = match lanes(&*store, &stream, &from) {
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
fn lanes(store: &dyn Store, stream: &str, from: &From) -> Result<Vec<(Partition, Position)>, Error> {
    let partitions = store.assigned(stream)?;
    let health = store.health();
    let begin = |partition: &Partition| match from {
        From::Start => store.start(partition),
        From::Offset(offset) => Ok(Position(*offset)),
        From::End => {
            let known = health.partitions.iter().find(|known| known.partition == *partition);
            Ok(known.map_or(Position::default(), |known| known.durable))
        }
    };
    partitions.into_iter().map(|partition| begin(&partition).map(|at| (partition, at))).collect()
}

struct Tap {
    identity: Identity,
    store: Arc<dyn Store>,
    lanes: Vec<(Partition, Position)>,
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
            () = pieces.closed() => {}
            () = drain.cancelled() => {}
            ended = self.follow() => if let Err(error) = ended {
                tracing::warn!(%error, "a tap ended");
            },
        }
    }

    async fn follow(&mut self) -> Result<(), Error> {
        let mut woken = false;
        while self.left > 0 && !self.pieces.is_closed() {
            let mut wrote = false;
            for lane in 0..self.lanes.len() {
                let Some(block) = self.read(lane).await? else { continue };
                wrote = true;
                self.lanes[lane].1 = block.next;
                if !self.write(lane, &block).await {
                    return Ok(());
                }
            }
            if !wrote {
                if self.store.health().poisoned.is_some() {
                    return Ok(());
                }
                if woken {
                    tokio::time::sleep(REST).await;
                }
                select_all(
                    self.lanes.iter().map(|(partition, at)| self.store.appended(partition, *at, Visibility::Durable)),
                )
                .await;
            }
            woken = !wrote;
        }
        Ok(())
    }

    async fn read(&self, lane: usize) -> Result<Option<Block>, Error> {
        let (partition, at) = self.lanes[lane].clone();
        let store = self.store.clone();
        let read = tokio::task::spawn_blocking(move || store.read(&partition, at, Visibility::Durable));
        let failed = |error: tokio::task::JoinError| Error::Read { what: "a block".into(), reason: error.to_string() };
        read.await.map_err(failed)?
    }

    /// Writes a block's records; false when there is nobody to write to, or enough.
    async fn write(&mut self, lane: usize, block: &Block) -> bool {
        let mut row = 0;
        while row < block.batch.rows() && self.left > 0 {
            let most = LINES_MAX.min(usize::try_from(self.left).unwrap_or(LINES_MAX));
            let rows = row..(row + most).min(block.batch.rows());
            row = rows.end;
            self.left -= rows.len() as u64;
            let lines = lines(&self.identity, &self.lanes[lane].0, block, rows);
            if self.pieces.send_timeout(lines, self.stall).await.is_err() {
                return false;
            }
        }
        self.left > 0
    }
}

/// A JSON object a record: its identity as `_id`, then what the record holds.
fn lines(identity: &Identity, partition: &Partition, block: &Block, rows: Range<usize>) -> Bytes {
    let mut out = Vec::with_capacity(rows.len() * 128);
    for row in rows {
        let offset = block.first.0 + row as u64;
        let Partition { stream, number } = partition;
        let id = RecordId { identity, stream, partition: *number, offset, pass: block.pass };
        let mut line = serde_json::Serializer::new(&mut out);
        let written = line.serialize_map(None).and_then(|mut map| {
            map.serialize_entry("_id", &id.to_string())?;
            block.batch.row(row).serialize_entries(&mut map)?;
            map.end()
        });
        debug_assert!(written.is_ok(), "records are JSON: {written:?}");
        out.push(b'\n');
    }
    out.into()
}
