//! The door: listens, and lets connections in.

use super::Options;
use super::connection::{self, Context, LARGE_BYTES_MAX};
use super::stock::Stock;
use super::tls;
use crate::backoff::Backoff;
use crate::commits::Shared;
use crate::{Handle, Intake, State};
use rumqttc::tokio_rustls::TlsAcceptor;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Connections beside `connections_max`, for who has not introduced itself: more wait in the system's queue. Strangers may
/// take the places of devices too, each for `connect_timeout`.
const STRANGERS_MAX: usize = 64;
/// How often sessions are looked through for those whose time is over.
const SWEEP: Duration = Duration::from_secs(60);
/// The wait after the system refused a connection (too many open files).
const REFUSED: Duration = Duration::from_millis(100);

pub(super) struct Door {
    context: Arc<Context>,
}

impl Door {
    pub fn new(
        options: Options,
        shared: Arc<Shared<Stock>>,
        intake: Arc<dyn Intake>,
        handle: Handle,
        drain: CancellationToken,
    ) -> Self {
        let (began, faults) = (Instant::now(), Default::default());
        let large = LARGE_BYTES_MAX / options.packet_bytes_max as usize;
        let (options, large) = (Arc::new(options), Arc::new(Semaphore::new(large)));
        Door { context: Arc::new(Context { options, shared, intake, handle, drain, began, faults, large }) }
    }

    /// Runs until drained, or until the store fails; then until every connection has ended.
    pub async fn run(self) {
        let mut connections = JoinSet::new();
        let drain = self.context.drain.clone();
        tokio::select! {
            biased;
            () = drain.cancelled() => {}
            // After a failure of the store nothing is acknowledged any more.
            () = self.context.shared.until_ended() => {}
            () = self.serve(&mut connections) => {}
        }
        if drain.is_cancelled() {
            let mut stock = self.context.shared.stock();
            stock.draining = true;
            stock.sessions.ring_all();
        }
        self.context.shared.work.notify_one();
        while connections.join_next().await.is_some() {}
    }

    /// Opens the door and lets everyone in.
    async fn serve(&self, connections: &mut JoinSet<()>) {
        let Context { options, shared, handle, began, .. } = &*self.context;
        let (listener, tls) = self.opened().await;
        tracing::info!(source = handle.name(), listen = %options.listen, tls = tls.is_some(), "listening");
        handle.stands(State::Connected, self.context.intake.wall());
        handle.works();
        let room = Arc::new(Semaphore::new(options.connections_max + STRANGERS_MAX));
        let mut sweep = tokio::time::interval(SWEEP);
        let mut refused = 0u64;
        loop {
            tokio::select! {
                biased;
                _ = sweep.tick() => shared.stock().sweep(began.elapsed()),
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                accepted = accept(&listener, &room) => match accepted {
                    Ok((stream, peer, permit)) => {
                        let (context, tls) = (self.context.clone(), tls.clone());
                        connections.spawn(async move {
                            connection::serve(stream, peer, tls, context).await;
                            drop(permit);
                        });
                    }
                    Err(error) => {
                        refused += 1;
                        if refused.is_power_of_two() {
                            tracing::warn!(source = handle.name(), %error, refused, "a connection could not be accepted");
                        }
                        tokio::time::sleep(REFUSED).await;
                    }
                },
            }
        }
    }

    /// The socket and what TLS needs, tried again while they are not to be had.
    async fn opened(&self) -> (TcpListener, Option<TlsAcceptor>) {
        let Context { options, handle, intake, .. } = &*self.context;
        let mut backoff = Backoff::of(handle.name());
        loop {
            let reason = match (TcpListener::bind(options.listen).await, tls::acceptor(options)) {
                (Ok(listener), Ok(tls)) => return (listener, tls),
                (Err(error), _) => {
                    let listen = options.listen;
                    format!("{listen} cannot be listened on: {error}; is a broker or another gateway running there?")
                }
                (_, Err(reason)) => reason,
            };
            if handle.fails(State::Retrying, reason.clone(), intake.wall()).is_power_of_two() {
                tracing::warn!(source = handle.name(), reason, "devices cannot connect");
            }
            tokio::time::sleep(backoff.wait()).await;
        }
    }
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = room.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, permit))
}
