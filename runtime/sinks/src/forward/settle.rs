//! Taking a request to its end: retried, split and bisected until every record is delivered or refused for good.

use super::Sink;
use super::dead_letters::{REASON_BYTES_MAX, cut};
use super::replay::Asks;
use super::status::Reporter;
use crate::uplink::{Member, Pass};
use crate::upstream::Refused;
use crate::{Delivery, Request};
use std::ops::Range;
use std::time::Duration;
use tidegate_store::Error;
use tokio_util::sync::CancellationToken;

/// So many records refused in a row with none taken are the upstream's fault, not theirs: nothing more is given up.
pub const REFUSED_IN_ROW_MAX: usize = 64;

/// How a request ended.
pub(super) enum Settled {
    /// Every record is delivered, but for these, in order.
    Done { refused: Vec<Refused> },
    /// The drain came first, or a replay: it is made again.
    BrokenOff,
}

/// What is known of a request's records so far.
#[derive(Default)]
struct Verdict {
    taken: usize,
    refused: Vec<Refused>,
}

impl Sink {
    /// Delivers a request piece by piece where the upstream does not take it whole, in order.
    pub(super) async fn settle(&mut self, request: &Request) -> Result<Settled, Error> {
        loop {
            let Some(verdict) = self.judge(request).await? else { return Ok(Settled::BrokenOff) };
            let Verdict { taken, refused } = verdict;
            if taken == 0 && self.refused_in_row + refused.len() > REFUSED_IN_ROW_MAX {
                let said = refused.last().map_or("", |r| r.reason.as_str());
                let reason = format!(
                    "upstream refuses every record ({said}); none is given up while it does: check its address and what it expects"
                );
                if !self.wait(reason, None).await? {
                    return Ok(Settled::BrokenOff);
                }
                continue;
            }
            self.refused_in_row = if taken > 0 { 0 } else { self.refused_in_row + refused.len() };
            self.backoff.reset();
            self.reporter.recovered();
            return Ok(Settled::Done { refused });
        }
    }

    /// Delivers every piece once; gives up early where nothing is taken and too much refused. `None`: drained.
    async fn judge(&mut self, request: &Request) -> Result<Option<Verdict>, Error> {
        let mut verdict = Verdict::default();
        // The piece on top comes first; cutting leaves at most one piece a level, so it stays small.
        let mut pieces = Vec::from([Range { start: 0, end: request.len() }]);
        while let Some(mut piece) = pieces.pop() {
            let most = self.portion.most();
            if piece.len() > most {
                pieces.push(piece.start + most..piece.end);
                piece.end = piece.start + most;
            }
            let Some(answer) = self.deliver(&request.slice(piece.clone())).await? else { return Ok(None) };
            match answer {
                Delivery::Split { .. } => self.portion.was_too_large(piece.len()),
                _ => self.portion.was_taken(piece.len()),
            }
            verdict.note(piece, answer, &mut pieces);
            if verdict.taken == 0 && self.refused_in_row + verdict.refused.len() > REFUSED_IN_ROW_MAX {
                break;
            }
        }
        Ok(Some(verdict))
    }

    /// Delivers one piece, as often as it takes to get an answer about its records. `None`: drained.
    async fn deliver(&mut self, piece: &Request) -> Result<Option<Delivery>, Error> {
        let mut failing = false;
        loop {
            let pass = match &self.uplink {
                Some(member) => {
                    let bytes = self.cursors.beside(self.upstream.weigh(piece)).await?;
                    let pass = admit(member, (bytes, failing), &self.reporter, (&self.drain, &mut self.asks));
                    let Some(pass) = self.cursors.beside(pass).await? else { return Ok(None) };
                    Some(pass?)
                }
                None => None,
            };
            let began = self.reporter.boot();
            let drain = self.drain.clone();
            let answer = async {
                tokio::select! {
                    biased;
                    answer = self.upstream.deliver(piece) => Some(answer),
                    // An upstream that has failed this request is not given the time of the drain.
                    () = drain.cancelled(), if failing => None,
                }
            };
            let Some(answer) = self.cursors.beside(answer).await? else { return Ok(None) };
            if let (Some(pass), Some(bytes)) = (pass, self.upstream.sent()) {
                pass.sent(bytes);
            }
            self.reporter.answered(self.reporter.boot() - began);
            match answer {
                Delivery::Retry { reason, after } => {
                    failing = true;
                    if !self.wait(reason, after).await? {
                        return Ok(None);
                    }
                }
                answer => {
                    if answer == Delivery::Delivered {
                        self.backoff.reset();
                        self.reporter.recovered();
                        self.uplink.iter().filter(|_| failing).for_each(Member::found_the_line_back);
                    }
                    return Ok(Some(answer));
                }
            }
        }
    }

    /// Waits before another attempt; false when the drain came first, or a replay.
    pub(super) async fn wait(&mut self, reason: String, after: Option<Duration>) -> Result<bool, Error> {
        self.uplink.iter().for_each(Member::rest);
        self.reporter.waiting(cut(&reason, REASON_BYTES_MAX).to_owned());
        let wait = self.backoff.next(after);
        let drain = self.drain.clone();
        let back = async {
            match &self.uplink {
                // What the upstream itself asked for is kept to.
                Some(member) if after.is_none() => member.line_is_back().await,
                _ => std::future::pending().await,
            }
        };
        let asks = &mut self.asks;
        let waited = async {
            tokio::select! {
                biased;
                () = drain.cancelled() => false,
                () = asks.asked() => false,
                () = tokio::time::sleep(wait) => true,
                () = back => true,
            }
        };
        self.cursors.beside(waited).await
    }
}

/// Waits for the uplink; `None`: drained, or a replay is asked for.
async fn admit<'m>(
    member: &'m Member,
    (bytes, again): (u64, bool),
    reporter: &Reporter,
    (drain, asks): (&CancellationToken, &mut Asks),
) -> Option<Result<Pass<'m>, Error>> {
    let pass = tokio::select! {
        biased;
        pass = member.admit(bytes, again, |why| reporter.held(why)) => pass,
        () = drain.cancelled() => return None,
        () = asks.asked() => return None,
    };
    reporter.delivering();
    Some(pass)
}

impl Verdict {
    /// Notes the answer for a piece, or puts its halves on top of `pieces`.
    fn note(&mut self, piece: Range<usize>, answer: Delivery, pieces: &mut Vec<Range<usize>>) {
        match answer {
            Delivery::Delivered => self.taken += piece.len(),
            Delivery::Refused(refused) => {
                self.taken += piece.len().saturating_sub(refused.len());
                let here = refused.into_iter().map(|r| Refused { index: piece.start + r.index, ..r });
                self.refused.extend(here);
            }
            Delivery::Bisect { reason } | Delivery::Split { reason } if piece.len() == 1 => {
                self.refused.push(Refused { index: piece.start, reason });
            }
            Delivery::Bisect { .. } | Delivery::Split { .. } => {
                let middle = piece.start + piece.len() / 2;
                pieces.push(middle..piece.end);
                pieces.push(piece.start..middle);
            }
            Delivery::Retry { .. } => unreachable!("retries are repeated before they are noted"),
        }
    }
}
