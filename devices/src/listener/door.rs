//! The door: listens, and lets connections in.

use super::Options;
use super::connection::{Context, LARGE_BYTES_MAX};
use super::outside::{Arrival, Entrance, Outside};
use super::stock::Stock;
use crate::backoff::Backoff;
use crate::commits::Shared;
use crate::{Handle, Intake, State};
use std::io;
use std::sync::Arc;
use std::time::Duration;
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
    outside: Outside,
}

impl Door {
    pub fn new(
        options: Options,
        outside: Outside,
        shared: Arc<Shared<Stock>>,
        intake: Arc<dyn Intake>,
        handle: Handle,
        drain: CancellationToken,
    ) -> Self {
        let (began, faults) = (Instant::now(), Default::default());
        let large = LARGE_BYTES_MAX / options.packet_bytes_max as usize;
        let (options, large) = (Arc::new(options), Arc::new(Semaphore::new(large)));
        let context = Context { options, shared, intake, handle, drain, began, faults, large };
        Door { context: Arc::new(context), outside }
    }

    /// Runs until drained, or until the store fails; then until every connection has ended.
    pub async fn run(mut self) {
        let mut connections = JoinSet::new();
        let context = self.context.clone();
        let (drain, shared) = (&context.drain, &context.shared);
        tokio::select! {
            biased;
            () = drain.cancelled() => {}
            // After a failure of the store nothing is acknowledged any more.
            () = shared.until_ended() => {}
            () = self.serve(&mut connections) => {}
        }
        if drain.is_cancelled() {
            let mut stock = shared.stock();
            stock.draining = true;
            stock.sessions.ring_all();
        }
        shared.work.notify_one();
        while connections.join_next().await.is_some() {}
    }

    /// Opens the door and lets everyone in.
    async fn serve(&mut self, connections: &mut JoinSet<()>) {
        let mut entrance = self.opened().await;
        let Context { options, shared, handle, began, .. } = &*self.context;
        tracing::info!(source = handle.name(), listen = %options.listen, tls = entrance.speaks_tls(), "listening");
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
                accepted = accept(&mut entrance, &room) => match accepted {
                    Ok((arrival, permit)) => {
                        let context = self.context.clone();
                        connections.spawn(async move {
                            arrival.serve(context).await;
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

    /// The entrance, tried again while it cannot be opened.
    async fn opened(&mut self) -> Entrance {
        let Context { options, handle, intake, .. } = &*self.context;
        let mut backoff = Backoff::of(handle.name());
        loop {
            let reason = match self.outside.open(options).await {
                Ok(entrance) => return entrance,
                Err(reason) => reason,
            };
            if handle.fails(State::Retrying, reason.clone(), intake.wall()).is_power_of_two() {
                tracing::warn!(source = handle.name(), reason, "devices cannot connect");
            }
            tokio::time::sleep(backoff.wait()).await;
        }
    }
}

async fn accept(entrance: &mut Entrance, room: &Arc<Semaphore>) -> io::Result<(Arrival, OwnedSemaphorePermit)> {
    let permit = room.clone().acquire_owned().await.map_err(io::Error::other)?;
    Ok((entrance.accept().await?, permit))
}
