//! Packs of a running store for tools: a backup of all of it, the blocks of a stream.
//!
//! Each is made by a thread of its own as fast as the client takes it. One that breaks off lacks its end, and so the client
//! knows. They count as taps: only so many at once.

use super::{Shared, refusal};
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use std::convert::Infallible;
use std::io::{self, Write};
use std::time::Duration;
use tidegate_store::{BlockWriter, Error, Partition, Position, Store, Visibility};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Bytes of a piece.
const PIECE_BYTES: usize = 64 << 10;
/// Pieces that wait for the client.
const PIECES_MAX: usize = 2;

/// `GET /api/v1/store/backup`: everything that is durable now. While it is being taken nothing is deleted.
pub(super) async fn backup(State(shared): State<Shared>) -> Response {
    pack(shared, |store, mut out| {
        store.backup(&mut out).map_err(|error| error.to_string())?;
        out.flush().map_err(|error| error.to_string())
    })
}

/// `GET /api/v1/store/verify`: looks over everything that is durable now; meanwhile nothing is deleted. The answer is JSON,
/// with line breaks before it for as long as it takes: the report, or the `error` that ended it.
pub(super) async fn verify(State(shared): State<Shared>) -> Response {
    pack(shared, |store, mut out| {
        // Who went away wants no report.
        let mut going_on = || out.write_all(b"\n").and_then(|()| out.flush()).is_ok();
        let told = match store.verify(&mut going_on) {
            Ok(report) => serde_json::json!({ "sound": report.is_sound(), "report": report }),
            Err(error) => serde_json::json!({ "error": error.to_string() }),
        };
        out.write_all(told.to_string().as_bytes()).and_then(|()| out.flush()).map_err(|error| error.to_string())
    })
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// The offset to begin at.
    from: Option<u64>,
    /// The offset to end before.
    to: Option<u64>,
}

/// `GET /api/v1/streams/{name}/blocks?from=OFFSET&to=OFFSET`: the blocks of a stream as they are durable now.
pub(super) async fn blocks(
    State(shared): State<Shared>,
    Path(stream): Path<String>,
    asked: Result<Query<Asked>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let asked = match asked {
        Ok(Query(asked)) => asked,
        Err(error) => return refusal(StatusCode::BAD_REQUEST, error.body_text()),
    };
    if let Err(error) = shared.view.store().assigned(&stream) {
        return refusal(StatusCode::NOT_FOUND, error.to_string());
    }
    pack(shared, move |store, out| {
        let mut pack = BlockWriter::begin(out, &store.identity()).map_err(|error| error.to_string())?;
        for known in store.health().partitions.iter().filter(|p| *p.partition.stream == *stream) {
            let to = asked.to.map_or(known.durable, |to| known.durable.min(Position(to)));
            write(store, &mut pack, &known.partition, Position(asked.from.unwrap_or(0)), to)?;
        }
        pack.finish().map(drop).map_err(|error| error.to_string())
    })
}

fn write<W: Write>(
    store: &dyn Store,
    pack: &mut BlockWriter<W>,
    partition: &Partition,
    mut at: Position,
    to: Position,
) -> Result<(), String> {
    while at < to {
        let read = store.read(partition, at, Visibility::Durable).map_err(|error: Error| error.to_string())?;
        let Some(block) = read.filter(|block| block.first < to) else { break };
        pack.block(partition.number, &block).map_err(|error| error.to_string())?;
        at = block.next;
    }
    Ok(())
}

/// Answers with what `make` writes.
fn pack(shared: Shared, make: impl FnOnce(&dyn Store, Pieces) -> Result<(), String> + Send + 'static) -> Response {
    let Ok(permit) = shared.taps.clone().try_acquire_owned() else {
        let reason = format!("{} taps are open already: end one of them", shared.limits.taps_max);
        return refusal(StatusCode::TOO_MANY_REQUESTS, reason);
    };
    let (sender, receiver) = mpsc::channel(PIECES_MAX);
    let pieces = Pieces {
        sender,
        piece: Vec::with_capacity(PIECE_BYTES),
        stall: shared.limits.tap_stall,
        drain: shared.drain.clone(),
        runtime: Handle::current(),
    };
    let store = shared.view.store();
    tokio::task::spawn_blocking(move || {
        // Until the permit is given back the pack has no end: who has it whole may ask for the next.
        let open = pieces.sender.clone();
        if let Err(reason) = make(&*store, pieces) {
            tracing::warn!(reason, "a pack of the store broke off");
        }
        drop(permit);
        drop(open);
    });
    let body = futures::stream::unfold(receiver, |mut receiver| async {
        let piece: Bytes = receiver.recv().await?;
        Some((Ok::<_, Infallible>(piece), receiver))
    });
    ([(header::CONTENT_TYPE, "application/octet-stream")], Body::from_stream(body)).into_response()
}

/// Where a pack is written to: the client, a piece at a time. A client that takes nothing for too long ends it.
struct Pieces {
    sender: mpsc::Sender<Bytes>,
    piece: Vec<u8>,
    stall: Duration,
    drain: CancellationToken,
    runtime: Handle,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = Bytes::from(std::mem::take(&mut self.piece));
        let sent = self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.drain.cancelled() => false,
                sent = self.sender.send_timeout(piece, self.stall) => sent.is_ok(),
            }
        });
        if sent { Ok(()) } else { Err(io::Error::other("nobody takes it any more")) }
    }
}
