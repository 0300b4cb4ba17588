//! Accepting connections, within limits.

use super::guard::Peer;
use super::{Access, Shared, View, metrics, router};
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What one listener bears.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at once; further ones wait to be accepted.
    pub connections_max: usize,
    /// Taps at once; further ones are refused.
    pub taps_max: usize,
    /// How long a request's head may take to come, and a connection may idle.
    pub head_read: Duration,
    /// How long a tap's client may take nothing before the tap ends.
    pub tap_stall: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections_max: 64,
            taps_max: 8,
            head_read: Duration::from_secs(10),
            tap_stall: Duration::from_secs(30),
        }
    }
}

/// Most bytes of a request's head.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Most headers of a request.
const HEADERS_MAX: usize = 64;
/// How long answers under way get when the gateway drains.
const DRAIN_MAX: Duration = Duration::from_secs(1);
/// The wait after a failed accept: most often too many open files.
const ACCEPT_REST: Duration = Duration::from_millis(100);
/// How often the recorder folds what histograms have gathered.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Answers on `listener` until `drain` is cancelled.
pub async fn serve(listener: TcpListener, view: Arc<dyn View>, access: Access, drain: CancellationToken) {
    serve_within(Limits::default(), listener, view, access, drain).await;
}

/// As [`serve`], with other limits.
pub async fn serve_within(
    limits: Limits,
    listener: TcpListener,
    view: Arc<dyn View>,
    access: Access,
    drain: CancellationToken,
) {
    let connections = Arc::new(Semaphore::new(limits.connections_max));
    let taps = Arc::new(Semaphore::new(limits.taps_max));
    let access = Arc::new(access);
    let address = listener.local_addr().ok();
    let shared = Shared { view, access, address, taps, limits: limits.clone(), drain: drain.clone() };
    let service = TowerToHyperService::new(router(shared));
    let tasks = TaskTracker::new();
    tasks.spawn(upkeep(drain.clone()));
    let accept = async {
        loop {
            let Ok(permit) = connections.clone().acquire_owned().await else { return };
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection to the local HTTP was not accepted");
                    tokio::time::sleep(ACCEPT_REST).await;
                    continue;
                }
            };
            let connection = connection((stream, Peer(peer)), service.clone(), limits.head_read, drain.clone());
            tasks.spawn(async move {
                connection.await;
                drop(permit);
            });
        }
    };
    tokio::select! {
        biased;
        () = drain.cancelled() => {}
        () = accept => {}
    }
    tasks.close();
    let _ = tokio::time::timeout(DRAIN_MAX, tasks.wait()).await;
}

async fn connection(
    (stream, peer): (TcpStream, Peer),
    service: TowerToHyperService<axum::Router>,
    head_read: Duration,
    drain: CancellationToken,
) {
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(peer);
        service.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_read)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    // How a client leaves is its own affair: an error here is no news.
    let _ = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = drain.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
}

async fn upkeep(drain: CancellationToken) {
    let mut ticks = tokio::time::interval(UPKEEP_INTERVAL);
    loop {
        tokio::select! {
            biased;
            () = drain.cancelled() => return,
            _ = ticks.tick() => metrics::handle().run_upkeep(),
        }
    }
}
