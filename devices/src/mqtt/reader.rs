//! The reading half of an MQTT source: polls the client, decodes into the hand, sends the acks that may go.
//!
//! It never waits for the store. Acks are handed to the client by the very task that polls it, and only while the
//! connection their messages came on stands: so no ack of an old connection reaches a new session.

use super::stock::Stock;
use super::wire::{Client, Signal, Wire};
use super::{Options, Qos};
use crate::backoff::Backoff;
use crate::commits::Shared;
use crate::{Ack, Handle, Intake, State};
use futures::future::BoxFuture;
use std::future::{Future as _, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;

/// How long the broker may take to close the connection after our goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

pub(super) struct Reader {
    options: Options,
    shared: Arc<Shared<Stock>>,
    intake: Arc<dyn Intake>,
    handle: Handle,
    client: Client,
    backoff: Backoff,
    drain: BoxFuture<'static, ()>,
    draining: bool,
    connected: bool,
    subscribed: bool,
    /// This connection has got somewhere.
    works: bool,
    /// Everything that may be acknowledged with parcels up to this one durable was handed over.
    released: u64,
    /// Acks may be left for another reason.
    acks_left: bool,
    /// We said that we go.
    goodbye: Option<Pin<Box<Sleep>>>,
    /// A connection that is of no use.
    fault: Option<String>,
}

enum Step {
    Signal(Signal),
    Failed(String),
    /// The broker shall send again what could not be held.
    Refetch,
    Quit,
}

impl Reader {
    pub fn new(
        options: Options,
        shared: Arc<Shared<Stock>>,
        intake: Arc<dyn Intake>,
        handle: Handle,
        client: Client,
        drain: CancellationToken,
    ) -> Self {
        Reader {
            backoff: Backoff::of(&options.client_id),
            options,
            shared,
            intake,
            handle,
            client,
            drain: Box::pin(drain.cancelled_owned()),
            draining: false,
            connected: false,
            subscribed: false,
            works: false,
            released: 0,
            acks_left: false,
            goodbye: None,
            fault: None,
        }
    }

    /// Runs until drained, or until the store fails.
    pub async fn run(mut self, mut wire: Wire) {
        loop {
            let failure = match self.step(&mut wire).await {
                Step::Signal(signal) => {
                    self.take(&mut wire, signal);
                    self.fault.take()
                }
                Step::Failed(reason) => Some(reason),
                Step::Refetch => {
                    tracing::info!(source = self.handle.name(), "store has room again, asking the broker for the rest");
                    self.cut(&mut wire);
                    None
                }
                Step::Quit => return,
            };
            if let Some(reason) = failure {
                self.cut(&mut wire);
                if self.goodbye.is_some() {
                    return;
                }
                if self.draining {
                    // Without a connection there are no acks to send: the broker keeps what we could not tell it.
                    return self.shared.until_ended().await;
                }
                self.retry(reason).await;
            }
        }
    }

    /// Polls the client to its next signal, and meanwhile sends the acks that may go.
    async fn step(&mut self, wire: &mut Wire) -> Step {
        let mut poll = pin!(wire.poll());
        poll_fn(|cx| {
            self.release();
            if let Poll::Ready(result) = poll.as_mut().poll(cx) {
                return Poll::Ready(result.map_or_else(Step::Failed, Step::Signal));
            }
            self.shared.reader.register(cx.waker());
            // What became durable before the waker was there; handing an ack over wakes this task again.
            self.release();
            self.idle(cx)
        })
        .await
    }

    /// What there is to do while the wire is silent.
    fn idle(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        if !self.draining && self.drain.as_mut().poll(cx).is_ready() {
            self.begin_drain();
        }
        let stock = self.shared.stock();
        if self.connected && stock.wants_the_rest() {
            return Poll::Ready(Step::Refetch);
        }
        let acknowledged = stock.window.len() == 0 || !self.connected;
        drop(stock);
        // After a failure of the store nothing more is acknowledged.
        let failed = self.handle.status_is(State::Failed) || self.shared.gave_up.load(Ordering::Acquire);
        if self.goodbye.is_none() && self.ended() && (acknowledged || failed) {
            if !self.connected {
                return Poll::Ready(Step::Quit);
            }
            if self.client.disconnect() {
                self.goodbye = Some(Box::pin(tokio::time::sleep(GOODBYE)));
            }
            cx.waker().wake_by_ref();
        }
        // The broker closes the connection when it has read everything before our goodbye, the last acks included.
        if let Some(goodbye) = &mut self.goodbye
            && goodbye.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Step::Quit);
        }
        Poll::Pending
    }

    fn ended(&self) -> bool {
        self.shared.ended.load(Ordering::Acquire)
    }

    /// Hands over the acks of everything that is durable, in the order of arrival.
    fn release(&mut self) {
        let durable = match self.options.ack {
            Ack::OnStore => self.shared.durable.load(Ordering::Acquire),
            Ack::OnReceive => u64::MAX,
        };
        if !self.connected || (durable == self.released && !self.acks_left) {
            return;
        }
        let mut stock = self.shared.stock();
        self.acks_left = false;
        if self.options.ack == Ack::OnStore && durable > self.released {
            stock.window.learn(durable, self.intake.wall());
        }
        while let Some((packet_id, qos_2)) = stock.window.next_ack(durable) {
            let qos = if qos_2 { Qos::ExactlyOnce } else { Qos::AtLeastOnce };
            if !self.client.ack(packet_id, qos) {
                self.acks_left = true;
                break;
            }
            stock.window.handed();
        }
        self.released = durable;
    }

    /// Takes a signal and everything that is here with it.
    fn take(&mut self, wire: &mut Wire, first: Signal) {
        let wall = self.intake.wall();
        let shared = self.shared.clone();
        let mut stock = shared.stock();
        let was_empty = stock.hand.is_empty();
        let mut next = Some(first);
        while let Some(signal) = next {
            match signal {
                Signal::Publish(delivery) => {
                    stock.publish(&delivery, wall);
                    self.acks_left |= stock.window.next_ack(self.released).is_some();
                    if delivery.qos == Qos::AtMostOnce {
                        self.works();
                    }
                }
                Signal::AckWritten(packet_id) => {
                    stock.window.written(packet_id);
                    self.works();
                }
                Signal::Connected { session_present } => {
                    if !session_present {
                        stock.window.forget();
                    }
                    if self.options.qos == Qos::ExactlyOnce {
                        wire.answer_every_release();
                    }
                    self.connected(session_present);
                }
                Signal::Released(packet_id) => stock.window.released(packet_id),
                Signal::Subscribed(answers) => self.subscribed(&answers),
                Signal::Alive => self.works(),
                Signal::Other => {}
            }
            next = wire.buffered();
        }
        let wake = was_empty && !stock.hand.is_empty() || stock.hand.is_full() || stock.window.is_full();
        stock.report(&self.handle);
        drop(stock);
        if wake {
            self.shared.work.notify_one();
        }
    }

    /// The connection is gone. Messages that were read before it went are taken; acks in the client's queue are not sent
    /// any more, whatever its events say.
    fn cut(&mut self, wire: &mut Wire) {
        let wall = self.intake.wall();
        let mut stock = self.shared.stock();
        while let Some(signal) = wire.buffered() {
            if let Signal::Publish(delivery) = signal {
                stock.publish(&delivery, wall);
            }
        }
        stock.window.cut();
        stock.overflowed = false;
        stock.report(&self.handle);
        drop(stock);
        self.shared.work.notify_one();
        wire.reset();
        (self.connected, self.works) = (false, false);
    }

    async fn retry(&mut self, reason: String) {
        let wait = self.backoff.wait();
        let failures = self.handle.fails(State::Retrying, reason.clone(), self.intake.wall());
        if failures.is_power_of_two() {
            let source = self.handle.name();
            tracing::warn!(source, reason, failures, wait_ms = wait.as_millis() as u64, "no connection to the broker");
        }
        tokio::select! {
            biased;
            () = tokio::time::sleep(wait) => {}
            () = &mut self.drain => self.begin_drain(),
        }
    }

    fn begin_drain(&mut self) {
        self.draining = true;
        self.shared.stock().draining = true;
        self.shared.work.notify_one();
    }

    fn connected(&mut self, session_present: bool) {
        self.connected = true;
        self.acks_left = true;
        tracing::info!(source = self.handle.name(), session_present, "connected to the broker");
        if session_present && self.subscribed {
            self.handle.stands(State::Connected, self.intake.wall());
        } else if !self.client.subscribe(&self.options) {
            // The first time in this run too: the filters may be others than those of the session.
            self.fault = Some("the client has no room to subscribe".into());
        }
    }

    fn subscribed(&mut self, answers: &[Result<Qos, String>]) {
        self.subscribed = answers.iter().all(Result::is_ok);
        self.handle.stands(State::Connected, self.intake.wall());
        for (filter, answer) in self.options.topics.iter().zip(answers) {
            let remark = match answer {
                Err(why) => format!("the broker refuses the filter {filter:?}: {why}"),
                Ok(Qos::AtMostOnce) if self.options.qos > Qos::AtMostOnce => {
                    format!("the broker grants only QoS 0 for {filter:?}: messages may be lost before they arrive")
                }
                Ok(Qos::AtLeastOnce) if self.options.qos == Qos::ExactlyOnce => {
                    format!("the broker grants only QoS 1 for {filter:?}: messages may come twice")
                }
                Ok(_) => continue,
            };
            if answers.iter().all(Result::is_err) {
                self.fault = Some(remark);
                return;
            }
            tracing::warn!(source = self.handle.name(), remark, "subscription");
            self.handle.remarks(remark);
        }
    }

    fn works(&mut self) {
        if !std::mem::replace(&mut self.works, true) {
            self.backoff.reset();
            self.handle.works();
        }
    }
}
