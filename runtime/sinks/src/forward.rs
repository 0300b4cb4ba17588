//! The one forward loop of all sinks: cursor → request → deliver → backoff with jitter → dead letters.
//!
//! **Order.** One request is under way at a time, so records arrive in the order of their offsets in each partition.
//! Partitions take turns. A sink with a live share gives that order up after an outage: fresh records go beside the
//! backlog, each of the two in order (see [`track`]).
//!
//! **Cutting.** A request is one block, or several where a backlog waits, up to `request_bytes_max` (see [`cut`]); a
//! block beyond that is cut by rows. Where the upstream knows requests by a key, a request made again after a restart
//! must be the same one, although more blocks may have become durable since. So before blocks are joined, the end of
//! the backlog as it stands (the **fence**) is committed beside the cursor; up to the fence requests are cut greedily by
//! size from the cursor on, behind it a block is a request. Both give the same requests from the same cursor. A
//! fence costs one wait for a group commit for the whole of a backlog, and a sink that keeps up never needs one.
//! After a start no fence is set before as many requests are made as may have been delivered beyond the durable cursor.
//!
//! **Cursor.** It moves when every record of a request is delivered or dead-lettered, never in the middle of one. The
//! next request does not wait for that commit: one is outstanding at most, and the newest position goes with the next.
//! A crash repeats what was delivered since the last durable one, no more than [`cut::UNSETTLED_MAX`] requests.
//!
//! **Pieces.** What is too large for the upstream or the line goes in pieces, of a size that is remembered (see
//! [`portion`]); a piece is a request with a key of its own.
//!
//! **Refusals.** What the upstream refuses for good is found by bisection and goes to the dead letters, with the ledger
//! entry and the cursor in one commit. When [`REFUSED_IN_ROW_MAX`] records in a row are refused and none is taken, the
//! upstream is taken to be at fault (a wrong path, a changed contract), not the records: the sink waits, says so, and
//! dead-letters nothing more until one record of a request is taken.

mod backoff;
mod cursors;
mod cut;
mod dead_letters;
mod portion;
mod replay;
mod saved;
mod settle;
mod size;
mod status;
mod track;

pub use backoff::RETRY_AFTER_MAX;
pub use dead_letters::{FRAME_BYTES_MAX, REASON_BYTES_MAX};
pub use replay::{Replay, moved_back};
pub use settle::REFUSED_IN_ROW_MAX;
pub use status::{Handle, State, Status};
pub use track::Live;

use crate::uplink::{Member, Share};
use crate::{Uplink, Upstream};
use backoff::Backoff;
use cursors::Cursors;
use cut::Cut;
use futures::FutureExt;
use futures::future::select_all;
use portion::Portion;
use replay::{Ask, Asks};
use settle::Settled;
use status::Reporter;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tidegate_record::Clock;
use tidegate_store::{Error, Store, Visibility};
use tokio_util::sync::CancellationToken;
use track::Track;

/// How long a reader rests when the store woke it and had nothing, so that a fault there costs no processor.
const REST: Duration = Duration::from_millis(50);

/// What every sink has.
#[derive(Debug, Clone, PartialEq)]
pub struct ForwardOptions {
    /// The sink's name: it commits as `sink/NAME`.
    pub name: String,
    /// The stream it delivers.
    pub stream: String,
    /// The first wait after a failed delivery.
    pub backoff_min: Duration,
    /// The longest wait, but for what the upstream asks for.
    pub backoff_max: Duration,
    /// Most bytes of records (as JSON, uncompressed) in a request; a single larger record still goes.
    pub request_bytes_max: usize,
    /// Fresh records beside a backlog.
    pub live: Live,
}

impl Default for ForwardOptions {
    fn default() -> Self {
        ForwardOptions {
            name: String::new(),
            stream: String::new(),
            backoff_min: Duration::from_millis(500),
            backoff_max: Duration::from_secs(60),
            request_bytes_max: 1024 * 1024,
            live: Live::default(),
        }
    }
}

/// A sink ready to run.
pub struct Forward {
    options: ForwardOptions,
    store: Arc<dyn Store>,
    upstream: Box<dyn Upstream>,
    reporter: Reporter,
    asks: Asks,
    uplink: Option<Member>,
}

impl Forward {
    /// A sink that delivers a stream of `store` to `upstream`. The stream must be declared when [`Forward::run`]
    /// begins.
    pub fn new(
        options: ForwardOptions,
        store: Arc<dyn Store>,
        upstream: Box<dyn Upstream>,
        clock: Arc<dyn Clock>,
    ) -> (Self, Handle) {
        let (reporter, handle, asks) = Reporter::new(&options.name, &options.stream, upstream.place(), clock);
        (Forward { options, store, upstream, reporter, asks, uplink: None }, handle)
    }

    /// Shares an uplink with other sinks.
    pub fn sharing(mut self, uplink: Arc<Uplink>, share: Share) -> Self {
        self.options.request_bytes_max = self.options.request_bytes_max.min(uplink.request_bytes_max());
        let member = uplink.join(&self.options.name, share);
        Forward { uplink: Some(member), ..self }
    }

    /// Delivers until `drain` is cancelled or the store fails. After `drain` the request in hand is finished if its
    /// upstream answers (the caller sets the deadline and drops the future after it) and the cursor is made durable.
    pub async fn run(self, drain: CancellationToken) -> Result<(), Error> {
        let Forward { options, store, upstream, reporter, asks, uplink } = self;
        let cursors = Cursors::open(store.clone(), &options).inspect_err(|e| reporter.failed(e.to_string()))?;
        let tracks = cursors.tracks(upstream.keyed(), options.request_bytes_max, options.live);
        let cutting = (options.request_bytes_max, options.live);
        for track in &tracks {
            reporter.stands(track.partition().number, &track.standing());
        }
        tracing::info!(sink = options.name, stream = options.stream, upstream = upstream.place(), "sink begins");
        let ours = (store.identity().epoch, options.name.as_str());
        let backoff = Backoff::new(options.backoff_min, options.backoff_max, ours);
        let mut sink = Sink {
            store,
            upstream,
            reporter,
            uplink,
            drain,
            asks,
            cutting,
            tracks,
            cursors,
            backoff,
            refused_in_row: 0,
            portion: Portion::default(),
        };
        // Nothing of it is used after a panic but the reporter.
        let result = AssertUnwindSafe(sink.forward()).catch_unwind().await;
        match &result {
            Ok(Ok(())) => sink.reporter.idle(),
            Ok(Err(error)) => sink.reporter.failed(error.to_string()),
            Err(_) => sink
                .reporter
                .failed("a defect of the gateway (its log has the panic): restart it, and report the defect".into()),
        }
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// A sink at work.
struct Sink {
    store: Arc<dyn Store>,
    upstream: Box<dyn Upstream>,
    reporter: Reporter,
    uplink: Option<Member>,
    drain: CancellationToken,
    asks: Asks,
    /// Most bytes of a request, and how fresh records go.
    cutting: (usize, Live),
    tracks: Vec<Track>,
    cursors: Cursors,
    backoff: Backoff,
    /// Records refused since the upstream last took one.
    refused_in_row: usize,
    portion: Portion,
}

impl Sink {
    async fn forward(&mut self) -> Result<(), Error> {
        let mut woken = false;
        while !self.drain.is_cancelled() {
            if let Some(Ask { replays, done }) = self.asks.take() {
                // Who does not wait any more asked all the same.
                let _ = done.send(self.replay(&replays).await?);
            }
            let mut delivered = false;
            for track in 0..self.tracks.len() {
                match self.forward_one(track).await {
                    Ok(some) => delivered |= some,
                    // The medium may read again later; nothing else mends itself.
                    Err(Error::Read { what, reason }) => {
                        self.wait(format!("reading {what}: {reason}"), None).await?;
                    }
                    Err(error) => return Err(error),
                }
            }
            if !delivered {
                self.rest(woken).await?;
            }
            woken = !delivered;
        }
        self.cursors.finish().await
    }

    /// Takes the next request of a partition through to its end; false where there is none, or it was broken off.
    async fn forward_one(&mut self, track: usize) -> Result<bool, Error> {
        if self.drain.is_cancelled() || self.asks.waits() {
            return Ok(false);
        }
        if self.tracks[track].split(self.store.arrival_now()).await? {
            self.cursors.settle(track, self.tracks[track].standing()).await?;
        }
        let Some(lane) = self.tracks[track].choose().await? else { return Ok(false) };
        if self.tracks[track].raise_fence(lane).await? {
            self.cursors.settle(track, self.tracks[track].standing()).await?;
        }
        let cut = self.tracks[track].next(lane).await?;
        // Ticks may have been passed.
        self.stands(track);
        let Some(Cut { request, next, bytes }) = cut else { return Ok(false) };
        if !self.cursors.reaching(track, next).await? {
            self.tracks[track].read_again(lane);
            return Ok(false);
        }
        if self.upstream.keyed() {
            self.cursors.room().await?;
        }
        self.reporter.delivering();
        let Settled::Done { refused } = self.settle(&request).await? else {
            // What broke it off may come to nothing (a replay that is refused): the request is still to be made.
            self.tracks[track].read_again(lane);
            return Ok(false);
        };
        self.reporter.settled(request.len() - refused.len(), refused.len());
        self.tracks[track].done(lane, next, (bytes, request.len()));
        let standing = self.tracks[track].standing();
        self.cursors.settled(track, standing, &request, &refused, self.reporter.wall()).await?;
        self.stands(track);
        Ok(true)
    }

    /// Between two requests: what is asked for is taken back, durably, and what was in hand is read again. The inner error
    /// is a sentence for who asked.
    async fn replay(&mut self, replays: &[Replay]) -> Result<Result<(), String>, Error> {
        let mut standings = Vec::new();
        for asked in replays {
            let marks = self.cursors.marks();
            let Some(track) = marks.iter().position(|mark| mark.partition.number == asked.partition) else {
                return Ok(Err(format!("it reads no partition {}", asked.partition)));
            };
            let first = self.store.start(&marks[track].partition)?;
            if asked.from < first.0 {
                return Ok(Err(format!("offset {} is no longer stored: the oldest is {}", asked.from, first.0)));
            }
            match self.tracks[track].standing().replaying(asked) {
                Ok(standing) => standings.push((track, standing)),
                Err(reason) => return Ok(Err(reason)),
            }
        }
        tracing::info!(?replays, "a replay begins");
        self.cursors.stand(standings).await?;
        let (bytes_max, live) = self.cutting;
        self.tracks = self.cursors.tracks(self.upstream.keyed(), bytes_max, live);
        (0..self.tracks.len()).for_each(|track| self.stands(track));
        for asked in replays {
            // Until the cursor stood there, the store was free to let it go.
            let Some(track) = self.tracks.iter().find(|t| t.partition().number == asked.partition) else { continue };
            let first = self.store.start(track.partition())?;
            if asked.from < first.0 {
                return Ok(Err(format!(
                    "what was before offset {} went meanwhile; from there on it comes again",
                    first.0
                )));
            }
        }
        Ok(Ok(()))
    }

    fn stands(&mut self, track: usize) {
        let standing = self.tracks[track].standing();
        self.reporter.stands(self.tracks[track].partition().number, &standing);
        self.cursors.moved(track, standing);
    }

    /// Waits until there may be records again; `woken` when the last wait brought none.
    async fn rest(&mut self, woken: bool) -> Result<(), Error> {
        if woken && let Some(why) = self.store.health().poisoned {
            return Err(Error::Poisoned(why.into()));
        }
        self.reporter.idle();
        self.uplink.iter().for_each(Member::rest);
        let store = self.store.clone();
        let tracks = self.tracks.iter();
        let appended = tracks.map(|track| store.appended(track.partition(), track.at(), Visibility::Durable));
        let appended = select_all(appended);
        let due = self.tracks.iter().filter_map(Track::due).min();
        let paced = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        let asks = &mut self.asks;
        let drain = self.drain.clone();
        let quiet = async {
            if woken {
                tokio::time::sleep(REST).await;
            }
            tokio::select! {
                biased;
                _ = appended => {}
                () = drain.cancelled() => {}
                () = asks.asked() => {}
                () = paced => {}
            }
        };
        self.cursors.beside(quiet).await
    }
}
