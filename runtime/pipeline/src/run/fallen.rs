//! What a pipeline does when a plugin is quarantined, and when it is released.

use super::{Running, Sent, Since};
use crate::ask::{Answer, Ask, Asked, Reply};
use crate::chain::BuildError;
use crate::handle::State;
use crate::merge::Merge;
use crate::quarantine::{At, Fallen, Held, OnQuarantine, Quarantined};
use crate::recover::{Recovered, recover};
use crate::start::{StartError, Stop};
use std::time::Duration;
use tidegate_sandbox::{ConfigureError, FaultKind, Halted};
use tidegate_store::Commit;
use tokio_util::sync::CancellationToken;

/// Longest until a plugin is tried again by itself, unless `release_after` is longer: a day.
const WAIT_MAX: i64 = 86_400_000_000;

/// How often a plugin that was configured before, and now runs out of time at it, is configured anew.
const TRIES_MAX: u32 = 3;

/// A try that a plugin was given by itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tried {
    /// The arrival clock then.
    at: i64,
    /// How long it had waited.
    wait: i64,
}

/// What ended a stand.
enum Risen {
    /// A person.
    Asked(Reply),
    /// It is out of quarantine, by another version in its place or by a commit.
    Released,
    /// Its time has come.
    Itself,
    Drain,
}

/// Where a pipeline stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    /// Between two turns.
    BetweenTurns,
    /// In the middle of a replay.
    InReplay,
    /// Before it recovered what there was.
    BeforeStart,
}

impl Stand {
    /// Why nothing but a release can be done to operators there.
    fn hinders(self) -> Option<&'static str> {
        match self {
            Stand::BetweenTurns => None,
            Stand::InReplay => Some("it replays its input"),
            Stand::BeforeStart => Some("it has not begun"),
        }
    }
}

impl Running {
    /// Brings operators that have no state yet to the committed read position, as it was committed.
    pub(crate) fn recover(&mut self) -> Result<(), Stop> {
        let (store, chain) = (&self.pipeline.store, &mut self.pipeline.chain);
        let Recovered { positions, mark, snapshot_due, diverged } =
            recover(&self.session, store, &self.inputs, chain, &self.pipeline.options, &self.pipeline.handle)?;
        let from = self.inputs.iter().cloned().zip(positions.iter().copied()).collect();
        self.merge = Merge::new(store.clone(), &self.session, from);
        (self.positions, self.mark) = (positions, mark);
        self.since = Since { arrival: None, bytes: 0, force: snapshot_due };
        self.first = None;
        self.labels.diverged(diverged);
        self.show_held();
        let pipeline = &*self.pipeline.options.name;
        tracing::info!(pipeline, replayed = self.pipeline.handle.status().replayed, "pipeline begins");
        Ok(())
    }

    /// Stands before anything is done where all there is of a plugin is a version that is not to begin by itself. What comes in
    /// is kept meanwhile, and not worked on by what was sent away: results can be made later, and not be taken back. Only a person
    /// releases it, whatever `release_after` says: the doubt is of the version, and time does not make it better.
    pub(super) async fn doubted(&mut self, drain: &CancellationToken) -> Result<Sent, Stop> {
        for operator in 0..self.pipeline.options.operators.len() {
            let Some(reason) = self.pipeline.options.operators[operator].doubt.take() else { continue };
            let shown = Quarantined {
                operator: operator + 1,
                plugin: self.pipeline.chain.plugin(operator),
                policy: OnQuarantine::Halt,
                at: String::new(),
                device: String::new(),
                reason,
                release_at: None,
                records: 0,
            };
            tracing::error!(pipeline = &*self.pipeline.options.name, stands = true, "{}", shown.sentence());
            let plugin = shown.plugin.clone();
            match self.stand(shown, 0, Stand::BeforeStart, drain).await? {
                Risen::Drain => return Ok(Sent::Abandoned),
                Risen::Released | Risen::Itself => {}
                Risen::Asked(reply) => reply.say(Ok(Answer::Released { operator: operator + 1, plugin })),
            }
            self.show_held();
        }
        Ok(Sent::Taken)
    }

    /// An operator halted in the middle of a turn, of which nothing was committed. The operators are brought back to the
    /// committed read position; by the policy the pipeline then goes on without that one, or stands until it is released.
    /// Gives what recovery came to; `None` at a drain.
    pub(super) async fn fell(
        &mut self,
        fallen: &Fallen,
        replaying: bool,
        drain: &CancellationToken,
    ) -> Result<Option<Result<(), Stop>>, StartError> {
        let operator = fallen.operator;
        let policy = self.pipeline.options.operators[operator].on_quarantine;
        let wait = self.wait(operator);
        let mut shown = self.shown(fallen, policy, wait);
        // Where its state cannot be saved, that is so from the turn on.
        let entry = fallen.entry.as_ref().or(self.first.as_ref());
        // What was committed came from its answers; and what cannot be saved where it was left is none to go on from.
        let goes_on = !replaying && policy != OnQuarantine::Halt && self.pipeline.chain.held(operator).is_none();
        let mut since = entry.filter(|_| goes_on).map(At::of);
        let (name, backtrace) = (self.pipeline.options.name.clone(), &fallen.halted.last.backtrace);
        let sentence = shown.sentence();
        tracing::error!(pipeline = &*name, stands = since.is_none(), backtrace, "{sentence}");
        if !replaying {
            // They have worked on what is worked on again.
            let why = format!("operator {} halted, and its pipeline went back to its last commit", operator + 1);
            self.pipeline.chain.unshadow_all(&why);
            if let Err(stop) = self.rebuild()? {
                return Ok(Some(Err(stop)));
            }
            if let Some(before) = self.pipeline.chain.held(operator).filter(|_| goes_on) {
                // It was let out, which was not committed: it is where it was put in quarantine.
                since = Some(before.since);
                shown.at.clone_from(&before.shown.at);
                shown.device.clone_from(&before.shown.device);
            }
            if let Some(since) = since {
                let plugin = self.pipeline.chain.plugin_hash(operator);
                self.pipeline.chain.hold(Held { operator: operator as u32, since, plugin, wait, shown });
                self.mark.held = self.pipeline.chain.all_held();
                self.show_held();
                return Ok(Some(Ok(())));
            }
        }
        shown.policy = OnQuarantine::Halt;
        let stand = if replaying { Stand::InReplay } else { Stand::BetweenTurns };
        let risen = match self.stand(shown, wait, stand, drain).await {
            Ok(risen) => risen,
            Err(stop) => return Ok(Some(Err(stop))),
        };
        let recovered = if replaying && !matches!(risen, Risen::Drain) { self.rebuild()? } else { Ok(()) };
        match risen {
            Risen::Drain => return Ok(None),
            Risen::Released => {}
            Risen::Itself => self.note_try(operator, wait),
            Risen::Asked(reply) => {
                let plugin = self.pipeline.chain.plugin(operator);
                reply.say(match &recovered {
                    Ok(()) if self.is_held(operator) => {
                        let what = "its input is replayed, and it is in quarantine by its policy: release it once more";
                        Err(format!("operator {} ({plugin}): {what}", operator + 1))
                    }
                    Ok(()) => Ok(Answer::Released { operator: operator + 1, plugin }),
                    Err(_) => Err(format!("operator {} ({plugin}) halted again: the status says why", operator + 1)),
                });
            }
        }
        self.show_held();
        Ok(Some(recovered))
    }

    /// New operators in place of those that are in the middle of something. The inner error is what recovery came to.
    pub(super) fn rebuild(&mut self) -> Result<Result<(), Stop>, StartError> {
        let mut calls = 1;
        self.pipeline.chain = loop {
            match self.pipeline.chain.afresh(&self.pipeline.options) {
                Ok(chain) => break chain,
                Err(BuildError::Configure { operator, source: ConfigureError::Fault(last), .. }) => {
                    if last.kind != FaultKind::Deadline || calls >= TRIES_MAX {
                        let halted = Halted { calls, storm: false, row: None, slot: None, last };
                        let fallen = Fallen { operator: operator - 1, halted, entry: None };
                        return Ok(Err(Stop::Fell(Box::new(fallen))));
                    }
                    calls += 1;
                }
                Err(error) => return Err(error.into()),
            }
        };
        self.pipeline.handle.meter(self.pipeline.chain.meters());
        Ok(self.recover())
    }

    /// Stands until the plugin is released, or another version is in its place; by itself after a `wait` that is not 0.
    async fn stand(
        &mut self,
        shown: Quarantined,
        wait: i64,
        place: Stand,
        drain: &CancellationToken,
    ) -> Result<Risen, Stop> {
        let (operator, sentence) = (shown.operator, shown.sentence());
        let alarm = tokio::time::sleep(Duration::from_micros(wait.unsigned_abs()));
        tokio::pin!(alarm);
        loop {
            self.show_standing(&shown, &sentence);
            let Asked { ask, reply } = tokio::select! {
                biased;
                () = drain.cancelled() => return Ok(Risen::Drain),
                asked = self.pipeline.asks.next() => asked,
                () = &mut alarm, if wait > 0 => return Ok(Risen::Itself),
            };
            match (ask, place.hinders()) {
                (Ask::Release { operator: asked }, hindered)
                    if asked == operator && (hindered.is_some() || !self.is_held(operator - 1)) =>
                {
                    return Ok(Risen::Asked(reply));
                }
                (_, Some(why)) => reply.say(Err(format!(
                    "{why}, and {sentence}; release that, or put a good file in its place and restart"
                ))),
                (Ask::Shadow { operator: asked, shadow: Some(_) }, None) if asked == operator => {
                    reply.say(Err(self.pipeline.chain.not_called(operator - 1)));
                }
                (ask, None) => {
                    let (plugin, held) = (self.pipeline.chain.plugin_hash(operator - 1), self.is_held(operator - 1));
                    if self.asked(Asked { ask, reply }, drain).await? == Sent::Abandoned {
                        return Ok(Risen::Drain);
                    }
                    let released = held && !self.is_held(operator - 1);
                    if released || self.pipeline.chain.plugin_hash(operator - 1) != plugin {
                        return Ok(Risen::Released);
                    }
                }
            }
        }
    }

    /// Whether the pipeline goes on without an operator, or would.
    fn is_held(&self, operator: usize) -> bool {
        self.pipeline.chain.held(operator).is_some()
    }

    fn show_standing(&mut self, shown: &Quarantined, sentence: &str) {
        let count = self.pipeline.handle.update(|s| {
            s.state = State::Quarantined;
            s.reason = Some(sentence.to_owned());
            s.quarantined.retain(|other| other.operator != shown.operator);
            s.quarantined.push(shown.clone());
            s.quarantined.len()
        });
        self.labels.quarantined(count);
    }

    /// Takes an operator that the pipeline goes on without out of quarantine: it is where it was when it was put there.
    /// The commit gets a snapshot, so that no replay crosses this.
    pub(super) fn release(&mut self, operator: usize, commit: &mut Commit) -> Result<Result<Answer, String>, Stop> {
        let (name, number) = (&self.pipeline.options.name, operator + 1);
        if self.pipeline.chain.release(operator).is_none() {
            return Ok(Err(format!("operator {number} of pipeline {name} is not in quarantine")));
        }
        let plugin = self.pipeline.chain.plugin(operator);
        tracing::warn!(pipeline = &**name, operator = number, plugin, "out of quarantine");
        self.mark.held = self.pipeline.chain.all_held();
        let unfinished = std::mem::replace(commit, Commit::by(&self.session));
        *commit = self.checkpoint(unfinished)?;
        self.show_held();
        Ok(Ok(Answer::Released { operator: number, plugin }))
    }

    /// Releases the plugins whose time has come.
    pub(super) async fn try_again(&mut self, drain: &CancellationToken) -> Result<Sent, Stop> {
        if self.mark.held.is_empty() {
            return Ok(Sent::Taken);
        }
        let now = self.pipeline.store.arrival_now();
        let due = |held: &&Held| held.shown.release_at.is_some_and(|at| at <= now);
        let due: Vec<_> = self.mark.held.iter().filter(due).map(|held| (held.operator as usize, held.wait)).collect();
        for (operator, wait) in due {
            let mut commit = Commit::by(&self.session);
            // Noted first: it may halt at its checkpoint.
            self.note_try(operator, wait);
            if self.release(operator, &mut commit)?.is_err() {
                continue;
            }
            if self.send(commit, None, drain).await? == Sent::Abandoned {
                return Ok(Sent::Abandoned);
            }
        }
        Ok(Sent::Taken)
    }

    fn note_try(&mut self, operator: usize, wait: i64) {
        self.tried[operator] = Some(Tried { at: self.pipeline.store.arrival_now(), wait });
    }

    /// How long until an operator is tried again by itself, 0: for ever. Twice as long where the last try did not last
    /// longer than the wait for it.
    fn wait(&self, operator: usize) -> i64 {
        let Some(first) = self.pipeline.options.operators[operator].release_after else { return 0 };
        let first = i64::try_from(first.as_micros()).unwrap_or(i64::MAX);
        let now = self.pipeline.store.arrival_now();
        match self.tried[operator] {
            Some(Tried { at, wait }) if now.saturating_sub(at) <= wait => {
                wait.saturating_mul(2).min(WAIT_MAX).max(first)
            }
            _ => first,
        }
    }

    /// What people are told of an operator that halted.
    fn shown(&self, fallen: &Fallen, policy: OnQuarantine, wait: i64) -> Quarantined {
        let record = fallen.record();
        let place = |entry: &crate::entry::Entry, offset| format!("{}@{offset}", self.inputs[entry.input]);
        let at = fallen.entry.as_ref().zip(record).map(|(entry, (offset, _))| place(entry, offset));
        Quarantined {
            operator: fallen.operator + 1,
            plugin: self.pipeline.chain.plugin(fallen.operator),
            policy,
            at: at.unwrap_or_default(),
            device: record.map(|(_, device)| device.to_owned()).unwrap_or_default(),
            reason: format!("{}, last: {}", fallen.halted.after(), fallen.halted.last),
            release_at: (wait > 0).then(|| self.pipeline.store.arrival_now().saturating_add(wait)),
            records: 0,
        }
    }

    /// Shows what the pipeline goes on without.
    pub(super) fn show_held(&mut self) {
        let held: Vec<Quarantined> = self.mark.held.iter().map(|held| held.shown.clone()).collect();
        self.labels.quarantined(held.len());
        self.pipeline.handle.update(|s| {
            let before = std::mem::replace(&mut s.quarantined, held);
            for shown in &mut s.quarantined {
                let known = before.iter().find(|b| (b.operator, &b.at) == (shown.operator, &shown.at));
                shown.records = known.map_or(0, |b| b.records);
            }
        });
    }
}
