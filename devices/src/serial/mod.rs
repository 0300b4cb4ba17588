//! The serial source: reads a port and never stops reading.
//!
//! A serial line cannot wait: while the stream is full the newest whole frames are dropped, counted as lost.

mod options;
mod port;
pub mod pty;

pub use options::{FlowControl, FramingOptions, Options, Parity};

use crate::backoff::Backoff;
use crate::commits::{self, Shared};
use crate::framing::{Frame, Framer};
use crate::hand::Hand;
use crate::letters::Cause;
use crate::{Decoder, Handle, Intake, OptionsError, State};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tidegate_record::Schema;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Longest frame that may be configured.
pub const FRAME_BYTES_MAX: usize = 1 << 20;
/// Longest delimiter.
pub const DELIMITER_BYTES_MAX: usize = 16;
/// Most bytes read at once.
const READ_BYTES: usize = 4096;

/// A serial source that can be run.
#[derive(Debug)]
pub struct Source {
    options: Options,
    decoder: Decoder,
    handle: Handle,
}

impl Source {
    /// Checks the options against the stream's fields. The port is not opened yet: it may be plugged in later.
    pub fn build(name: &str, options: Options, schema: Arc<Schema>) -> Result<Self, OptionsError> {
        check(&options)?;
        let decoder = Decoder::new(options.decode.clone(), schema)?;
        Ok(Source { options, decoder, handle: Handle::new(name, "serial") })
    }

    /// A view of it that stays valid while it runs.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Runs until `drain` is cancelled and what was in hand is durable; see [`crate::Source::run`].
    pub async fn run(self, intake: Arc<dyn Intake>, drain: CancellationToken) {
        self.run_on(port::open, intake, drain).await;
    }

    /// The same on a port that `open` opens, each time it is to be opened: the device file, or a simulated one. Its error
    /// is a sentence.
    pub async fn run_on<P: AsyncRead + Unpin + Send + 'static>(
        self,
        open: impl Fn(&Options) -> Result<P, String> + Send + Sync + 'static,
        intake: Arc<dyn Intake>,
        drain: CancellationToken,
    ) {
        let Source { options, decoder, handle } = self;
        let shared = Shared::new(Stock { hand: Hand::new(handle.name(), decoder), draining: false });
        let linger = options.linger;
        let reader =
            Reader { options, open, shared: shared.clone(), intake: intake.clone(), handle: handle.clone(), drain };
        commits::run(shared, intake, handle, linger, reader.run()).await;
    }
}

#[derive(Debug)]
struct Stock {
    hand: Hand,
    draining: bool,
}

impl commits::Stock for Stock {
    fn hand(&mut self) -> &mut Hand {
        &mut self.hand
    }

    fn draining(&self) -> bool {
        self.draining
    }

    fn hurry(&self) -> bool {
        false
    }
}

/// A line that is silent for so long after the port was opened is between two frames: at 300 bit/s a character takes 33 ms.
const GAP: Duration = Duration::from_millis(100);

struct Reader<O> {
    options: Options,
    open: O,
    shared: Arc<Shared<Stock>>,
    intake: Arc<dyn Intake>,
    handle: Handle,
    drain: CancellationToken,
}

impl<O> Reader<O> {
    async fn run<P: AsyncRead + Unpin + Send>(self)
    where
        O: Fn(&Options) -> Result<P, String> + Send + Sync,
    {
        let mut backoff = Backoff::of(self.handle.name());
        let drain = self.drain.clone();
        tokio::select! {
            biased;
            () = drain.cancelled() => {}
            // After a failure of the store there is nothing to read for.
            () = self.shared.until_ended() => {}
            () = self.serve(&mut backoff) => {}
        }
        self.shared.stock().draining = true;
        self.shared.work.notify_one();
    }

    /// Opens, reads and opens again.
    async fn serve<P: AsyncRead + Unpin + Send>(&self, backoff: &mut Backoff)
    where
        O: Fn(&Options) -> Result<P, String> + Send + Sync,
    {
        loop {
            let reason = match (self.open)(&self.options) {
                Ok(port) => {
                    self.handle.stands(State::Connected, self.intake.wall());
                    tracing::info!(source = self.handle.name(), port = %self.options.port.display(), "port is open");
                    self.read(port, backoff).await
                }
                Err(reason) => reason,
            };
            let wait = backoff.wait();
            let failures = self.handle.fails(State::Retrying, reason.clone(), self.intake.wall());
            if failures.is_power_of_two() {
                let wait_ms = wait.as_millis() as u64;
                tracing::warn!(source = self.handle.name(), reason, failures, wait_ms, "no serial port");
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Reads until the port is gone, and says why.
    async fn read<P: AsyncRead + Unpin>(&self, mut port: P, backoff: &mut Backoff) -> String {
        let mut framer = match &self.options.framing {
            FramingOptions::Line => Framer::lines(self.options.frame_bytes_max),
            FramingOptions::Delimiter(delimiter) => Framer::delimited(delimiter, self.options.frame_bytes_max),
        };
        let origin = self.options.port.display().to_string();
        let mut bytes = vec![0; READ_BYTES];
        let opened = Instant::now();
        let mut silent = true;
        loop {
            let count = match port.read(&mut bytes).await {
                // A hang-up reads as the end, EIO or ENXIO, depending on the driver.
                Ok(0) => return format!("{origin} hung up: was the device unplugged?"),
                Ok(count) => count,
                Err(error) => return port::read_reason(&error, &origin),
            };
            if std::mem::take(&mut silent) && opened.elapsed() < GAP {
                framer.in_the_middle();
            }
            backoff.reset();
            self.handle.works();
            self.take(&mut framer, &bytes[..count], &origin);
        }
    }

    fn take(&self, framer: &mut Framer, bytes: &[u8], origin: &str) {
        let wall = self.intake.wall();
        let resyncs = framer.resyncs();
        let mut stock = self.shared.stock();
        let was_empty = stock.hand.is_empty();
        framer.push(bytes, |frame| match frame {
            Frame::Whole(frame) if stock.hand.admits_newest(frame.len()) => {
                stock.hand.take(None, origin, frame, wall);
            }
            Frame::Begun(frame) if stock.hand.admits_newest(frame.len()) => {
                let reason = "it may have begun before the port was open: its first bytes may be missing";
                stock.hand.set_aside(Cause { stage: "frame", reason, origin }, frame, frame.len() as u64, wall);
            }
            Frame::TooLong { first, bytes } if stock.hand.admits_newest(first.len()) => {
                let max = self.options.frame_bytes_max;
                let reason = format!("a frame of {bytes} bytes is longer than frame_bytes_max = {max}");
                stock.hand.set_aside(Cause { stage: "frame", reason: &reason, origin }, first, bytes, wall);
            }
            _ => stock.hand.drop_newest(),
        });
        let wake = was_empty && !stock.hand.is_empty() || stock.hand.is_full();
        stock.hand.report(&self.handle);
        drop(stock);
        self.handle.counts().resyncs.fetch_add(framer.resyncs() - resyncs, Ordering::Relaxed);
        if wake {
            self.shared.work.notify_one();
        }
    }
}

fn check(options: &Options) -> Result<(), OptionsError> {
    let error = |option: &str, problem: &str| Err(OptionsError::new(option, problem));
    if options.port.as_os_str().is_empty() {
        return error("port", "name the device file, such as /dev/serial/by-id/usb-…");
    }
    if options.baud == 0 {
        return error("baud", "bits a second, such as 9600");
    }
    if !(5..=8).contains(&options.data_bits) {
        return error("data_bits", "5, 6, 7 or 8");
    }
    if !(1..=2).contains(&options.stop_bits) {
        return error("stop_bits", "1 or 2");
    }
    if !(1..=FRAME_BYTES_MAX).contains(&options.frame_bytes_max) {
        return error("frame_bytes_max", "1 byte to 1MiB");
    }
    match &options.framing {
        FramingOptions::Delimiter(d) if !(1..=DELIMITER_BYTES_MAX).contains(&d.len()) => {
            error("delimiter", "1 to 16 characters")
        }
        _ => Ok(()),
    }
}
