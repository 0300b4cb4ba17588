//! One connection: moves its bytes, and waits for what its link waits for.

use super::Options;
use super::end::End;
use super::link::{Link, Now, Turn};
use super::sessions::Bell;
use super::stock::Stock;
use crate::commits::Shared;
use crate::{Handle, Intake};
use bytes::{Buf as _, BytesMut};
use rumqttc::tokio_rustls::TlsAcceptor;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

/// How much is read at once at least.
const READ_BYTES: usize = 4 * 1024;
/// How much may be read ahead while the store is waited for.
const WAITING_BYTES_MAX: usize = 16 * 1024;
/// A buffer that grew beyond this for a large packet is given back.
const KEPT_BYTES_MAX: usize = 64 * 1024;
/// Room for packets beyond that, of all connections together: a connection with a large packet waits for its share.
pub(super) const LARGE_BYTES_MAX: usize = 32 << 20;
/// How long the store is waited for with what a device sent before it was gone.
const GONE_MAX: Duration = Duration::from_secs(30);
/// How long a device may take to read its answers.
const WRITE_MAX: Duration = Duration::from_secs(30);
/// How long a device that takes of the room for large packets may send nothing.
const STALL_MAX: Duration = Duration::from_secs(30);
/// How long it may take to hear why its connection ends.
const FAREWELL_MAX: Duration = Duration::from_secs(2);

/// What all connections share.
pub(super) struct Context {
    pub options: Arc<Options>,
    pub shared: Arc<Shared<Stock>>,
    pub intake: Arc<dyn Intake>,
    pub handle: Handle,
    pub drain: CancellationToken,
    /// When the listener began.
    pub began: Instant,
    /// Connections that ended for something wrong with the device.
    pub faults: AtomicU64,
    /// A permit for each connection that may hold a large packet.
    pub large: Arc<Semaphore>,
}

impl Context {
    /// The time, and what is durable; asked under the lock, so that nothing that was durable before is missed.
    fn now(&self) -> Now {
        let durable = self.shared.durable.load(Ordering::Acquire);
        Now { wall: self.intake.wall(), since: self.began.elapsed(), durable }
    }
}

struct Connection<S> {
    stream: S,
    context: Arc<Context>,
    link: Link,
    bell: Bell,
    input: BytesMut,
    /// When the last whole packet came.
    heard: Instant,
    /// When the last bytes came of a packet that is not whole.
    came: Instant,
    /// It may hold a large packet.
    large: Option<OwnedSemaphorePermit>,
    /// The device is gone, and until when the rest of what it sent is waited with.
    gone: Option<(Instant, End)>,
    /// Nobody reads answers any more: none is written, and none counts as written.
    deaf: bool,
}

/// Serves a connection until its end.
pub(super) async fn serve(stream: TcpStream, peer: SocketAddr, tls: Option<TlsAcceptor>, context: Arc<Context>) {
    _ = stream.set_nodelay(true);
    let Some(tls) = tls else { return serve_over(stream, peer, context).await };
    let reason = tokio::select! {
        biased;
        () = context.drain.cancelled() => return,
        handshake = timeout(context.options.connect_timeout, tls.accept(stream)) => match handshake {
            Ok(Ok(stream)) => return Box::pin(serve_over(stream, peer, context)).await,
            Ok(Err(error)) => End::Gone(format!("TLS: {error}")),
            Err(_) => End::NoConnect,
        },
    };
    tracing::debug!(source = context.handle.name(), %peer, %reason, "no connection");
}

/// The same over any stream.
pub(super) async fn serve_over<S: AsyncRead + AsyncWrite + Unpin>(stream: S, peer: SocketAddr, context: Arc<Context>) {
    let bell = Bell::default();
    let link = Link::new(context.options.clone(), bell.clone());
    let (input, heard) = (BytesMut::new(), Instant::now());
    let mut connection =
        Connection { stream, context, link, bell, input, heard, came: heard, large: None, gone: None, deaf: false };
    let end = connection.run().await;
    connection.close(&end, peer).await;
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    async fn run(&mut self) -> End {
        loop {
            let turn = self.turn();
            if let Err(end) = self.write(WRITE_MAX).await
                && !self.goes_on_deaf(&end)
            {
                return if let Turn::Ends(end) = turn { end } else { end };
            }
            let waited = match turn {
                Turn::Ends(end) => return end,
                Turn::Unread => Ok(()),
                Turn::Reads => self.read().await,
                Turn::Waits => self.wait().await,
            };
            if let Err(end) = waited {
                return end;
            }
        }
    }

    /// Lets the link take what is here.
    fn turn(&mut self) -> Turn {
        let Context { shared, handle, .. } = &*self.context;
        let mut stock = shared.stock();
        let was_idle = !stock.wants_work();
        let now = self.context.now();
        let (done, turn) = self.link.turn(&mut stock, &self.input, now);
        stock.report(handle);
        let wake = stock.wants_work() && (was_idle || stock.is_urgent());
        drop(stock);
        if wake {
            shared.work.notify_one();
        }
        if done > 0 {
            self.input.advance(done);
            self.heard = Instant::now();
        }
        if self.input.len() <= KEPT_BYTES_MAX && self.large.take().is_some() {
            self.input = BytesMut::from(&*self.input);
        }
        if self.input.is_empty() && self.input.capacity() > KEPT_BYTES_MAX {
            self.input = BytesMut::new();
        }
        turn
    }

    /// An answer could not be written: whether what the device sent before it was gone is taken all the same.
    fn goes_on_deaf(&mut self, end: &End) -> bool {
        if self.gone.is_none() && matches!(end, End::Gone(_)) && !self.input.is_empty() {
            self.gone = Some((Instant::now() + GONE_MAX, end.clone()));
        }
        self.deaf = self.gone.is_some();
        self.deaf
    }

    async fn write(&mut self, within: Duration) -> Result<(), End> {
        if self.link.out.is_empty() || self.deaf {
            self.link.out.clear();
            return Ok(());
        }
        let mut out = std::mem::take(&mut self.link.out);
        let written = async {
            self.stream.write_all(&out).await?;
            self.stream.flush().await
        };
        match timeout(within, written).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(End::Gone(error.to_string())),
            Err(_) => return Err(End::Unread),
        }
        if out.capacity() <= 2 * KEPT_BYTES_MAX {
            out.clear();
            self.link.out = out;
        }
        self.link.written(&mut self.context.shared.stock());
        Ok(())
    }

    /// Waits for bytes, and for answers that may go meanwhile.
    async fn read(&mut self) -> Result<(), End> {
        if let Some((_, end)) = self.gone.take() {
            return Err(end);
        }
        let (mut deadline, mut late) = match self.link.silence_max {
            Some(max) => (self.heard + max, End::Silent),
            None => (self.heard + self.context.options.connect_timeout, End::NoConnect),
        };
        let stalls = self.heard.max(self.came) + STALL_MAX;
        if self.large.is_some() && stalls < deadline {
            (deadline, late) = (stalls, End::Stalled);
        }
        self.input.reserve(READ_BYTES);
        let waits = self.input.len() > KEPT_BYTES_MAX && self.large.is_none();
        let large = self.context.large.clone();
        tokio::select! {
            biased;
            // Whoever has a session is rung: a turn of before the drain must not be waited for.
            () = self.context.drain.cancelled(), if !self.link.is_open() => return Err(End::Draining),
            () = self.bell.notified() => {}
            // That it had to wait is not the device's fault.
            permit = large.acquire_owned(), if waits => (self.large, self.heard) = (permit.ok(), Instant::now()),
            read = self.stream.read_buf(&mut self.input), if !waits => {
                some(read)?;
                self.came = Instant::now();
            }
            () = sleep_until(deadline) => return Err(late),
        }
        Ok(())
    }

    /// Waits for the store. Little more is read meanwhile, mostly to notice a device that has gone: what it sent before
    /// is taken all the same.
    async fn wait(&mut self) -> Result<(), End> {
        let reads = self.gone.is_none() && self.input.len() < WAITING_BYTES_MAX;
        if reads {
            self.input.reserve(READ_BYTES);
        }
        let until = self.gone.as_ref().map_or_else(Instant::now, |(until, _)| *until);
        tokio::select! {
            biased;
            () = self.bell.notified() => {}
            read = self.stream.read_buf(&mut self.input), if reads => match some(read) {
                Err(end) if !self.input.is_empty() => self.gone = Some((Instant::now() + GONE_MAX, end)),
                read => read?,
            },
            () = sleep_until(until), if self.gone.is_some() => return self.gone.take().map_or(Ok(()), |(_, end)| Err(end)),
        }
        self.heard = Instant::now();
        Ok(())
    }

    async fn close(&mut self, end: &End, peer: SocketAddr) {
        let context = self.context.clone();
        let Context { shared, handle, faults, .. } = &*context;
        {
            let mut stock = shared.stock();
            let now = context.now();
            self.link.end(&mut stock, end, now);
            stock.report(handle);
        }
        shared.work.notify_one();
        let (source, client_id) = (handle.name(), &*self.link.client_id);
        if end.is_fault() {
            handle.counts().faults.fetch_add(1, Ordering::Relaxed);
            // A device that is set up wrongly comes again and again.
            if (faults.fetch_add(1, Ordering::Relaxed) + 1).is_power_of_two() {
                tracing::warn!(source, %peer, client_id, reason = %end, "a device's connection is ended");
            }
        }
        tracing::debug!(source, %peer, client_id, reason = %end, "connection ended");
        if self.write(FAREWELL_MAX).await.is_ok() {
            _ = timeout(FAREWELL_MAX, self.stream.shutdown()).await;
        }
    }
}

/// Whether bytes were read.
fn some(read: std::io::Result<usize>) -> Result<(), End> {
    match read {
        Ok(0) => Err(End::Gone("the device closed the connection without a goodbye".into())),
        Ok(_) => Ok(()),
        Err(error) => Err(End::Gone(error.to_string())),
    }
}

#[cfg(test)]
mod tests;
