//! What a listener keeps under its lock: the hand, and the sessions of its devices.

use super::filter::Filters;
use super::session::{Arrival, Sent};
use super::sessions::{Opened, Sessions, Ticket, Wanted};
use super::stored;
use super::wire::{Publish, Qos, Version};
use super::{Options, end::End};
use crate::hand::Hand;
use crate::letters::Cause;
use crate::{Ack, Handle, Parcel, commits};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tidegate_record::Wall;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Not authorized, the reason code of MQTT 5.
const NOT_AUTHORIZED: u8 = 0x87;
/// Most QoS 2 messages of a device of MQTT 3.1.1, which is told no limit, without their PUBREL.
const UNRELEASED_MAX: usize = 4_096;
/// Acknowledged QoS 1 messages that are remembered, in windows.
const RECENT_WINDOWS: usize = 2;

/// The hand, and the sessions of all devices.
#[derive(Debug)]
pub(super) struct Stock {
    pub hand: Hand,
    pub sessions: Sessions,
    topics: Filters,
    /// Readings bring their own time: equal frames are the same one.
    timed: bool,
    ack: Ack,
    pub receive_max: usize,
    /// No more frames are taken.
    pub draining: bool,
    /// The commits ended: nothing more becomes durable.
    pub closed: bool,
    /// The sessions that are stored are others than these.
    register: Register,
    /// QoS 2 messages were released: the stored list must forget them.
    forgets: bool,
    /// Connections wait for room in the hand.
    stuck: bool,
    /// A device waits with its whole window.
    hurry: bool,
    redelivered: u64,
    /// Messages that wait for their answers.
    pub waiting: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Register {
    Stored,
    /// It goes with the next parcel.
    Changed,
    /// A device waits for it.
    Awaited,
}

/// What became of a PUBLISH.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Yes,
    /// There is no room in hand: look again when the bell rings.
    NoRoom,
}

impl Stock {
    pub fn new(options: &Options, hand: Hand, sessions: Sessions, timed: bool) -> Self {
        Stock {
            hand,
            sessions,
            topics: Filters::new(options.topics.clone()),
            timed,
            ack: options.ack,
            receive_max: options.receive_max.into(),
            draining: false,
            closed: false,
            register: Register::Stored,
            forgets: false,
            stuck: false,
            hurry: false,
            redelivered: 0,
            waiting: 0,
        }
    }

    /// Opens the session of a device. Gives the parcel its CONNACK waits for.
    pub fn open(&mut self, wanted: Wanted<'_>, now: Duration) -> Result<(Opened, u64), End> {
        let opened = self.sessions.open(wanted, now)?;
        self.waiting -= opened.dropped;
        if !opened.register {
            return Ok((opened, 0));
        }
        self.register = Register::Awaited;
        // Without room in the store nothing more becomes durable for now, and nothing is acknowledged either.
        let parcel = if self.hand.blocked { 0 } else { self.hand.number() };
        self.sessions.opens_after(opened.ticket, parcel);
        Ok((opened, parcel))
    }

    /// A connection is gone.
    pub fn leave(&mut self, ticket: Ticket, now: Duration) {
        self.waiting -= self.sessions.leave(ticket, now);
    }

    /// Forgets sessions whose time is over.
    pub fn sweep(&mut self, now: Duration) {
        if self.sessions.sweep(now) {
            self.changed();
        }
    }

    /// The register is another now: it goes with the next parcel.
    pub fn changed(&mut self) {
        if self.register == Register::Stored {
            self.register = Register::Changed;
        }
    }

    /// Takes the will of a device that is gone.
    pub fn will(&mut self, topic: &str, payload: &[u8], wall: Wall) {
        if !self.draining {
            self.take_once(topic, payload, wall);
        }
    }

    /// Takes a message that nobody sends again.
    fn take_once(&mut self, topic: &str, payload: &[u8], wall: Wall) {
        match (self.hand.admits_newest(payload.len()), self.topics.take(topic)) {
            (false, _) => self.hand.drop_newest(),
            (true, true) => _ = self.hand.take_once(Some(topic), topic, payload, wall),
            (true, false) => self.hand.set_aside_once(elsewhere(topic), payload, payload.len() as u64, wall),
        }
    }

    /// Of how many acknowledged QoS 1 messages a device's session still knows: only payloads with a time of their own tell
    /// a message that comes again from its twin.
    pub fn recent_max(&self) -> usize {
        if self.timed { RECENT_WINDOWS * self.receive_max } else { 0 }
    }

    /// Takes a message of the device with this ticket.
    pub fn publish(
        &mut self,
        ticket: Ticket,
        version: Version,
        publish: &Publish<'_>,
        wall: Wall,
    ) -> Result<Taken, End> {
        let Publish { topic, payload, .. } = *publish;
        if publish.qos == Qos::AtMostOnce {
            self.take_once(topic, payload, wall);
            return Ok(Taken::Yes);
        }
        let Some(peer) = self.sessions.peer(ticket) else { return Err(End::TakenOver) };
        let session = &mut peer.session;
        let sent = Sent {
            id: publish.id,
            qos_2: publish.qos == Qos::ExactlyOnce,
            dup: publish.dup,
            hash: xxh3_64_with_seed(payload, xxh3_64(topic.as_bytes())) as u32,
            timed: self.timed,
        };
        if version == Version::V5 && session.is_over(self.receive_max) {
            return Err(End::Quota);
        }
        if !self.hand.admits(payload.len()) {
            return Ok(Taken::NoRoom);
        }
        if session.arrive(sent)? == Arrival::Again {
            self.redelivered += 1;
            return Ok(Taken::Yes);
        }
        // Not for what comes again: it comes before its PUBREL may.
        let unreleased = session.unreleased_with(sent);
        if unreleased > session.unreleased() && unreleased > UNRELEASED_MAX.max(self.receive_max) {
            return Err(End::Protocol("too many QoS 2 messages without their PUBREL"));
        }
        let expected = self.topics.take(topic);
        if !expected && version == Version::V5 {
            session.refuse(sent, NOT_AUTHORIZED);
            return Ok(Taken::Yes);
        }
        let number = self.hand.number();
        let stored = match expected {
            true => self.hand.take(Some(topic), topic, payload, wall),
            // MQTT 3.1.1 cannot refuse a message: it is kept where a person finds it.
            false => {
                self.hand.set_aside(elsewhere(topic), payload, payload.len() as u64, wall);
                true
            }
        };
        let parcel = if stored { number } else { 0 };
        session.push(sent, parcel, if self.ack == Ack::OnReceive { 0 } else { parcel }, self.receive_max);
        session.came(wall);
        self.hurry |= self.ack == Ack::OnStore && session.is_full(self.receive_max);
        Ok(Taken::Yes)
    }

    /// PUBREL of the device with this ticket.
    pub fn release(&mut self, ticket: Ticket, id: u16) -> Result<(), End> {
        let Some(peer) = self.sessions.peer(ticket) else { return Err(End::TakenOver) };
        let parcel = match (self.ack, peer.is_registered) {
            (Ack::OnStore, true) => self.hand.number(),
            _ => 0,
        };
        if peer.session.release(id, parcel) && parcel > 0 {
            self.forgets = true;
        }
        Ok(())
    }

    /// How many answers of a connection may wait: no more is read of a device that waits for so many.
    pub fn waiting_max(&self, version: Version) -> usize {
        match version {
            // It tells no window: it is kept by not reading on.
            Version::V311 => self.receive_max,
            // Beside what it may send, it may release what an earlier connection sent.
            Version::V5 => 2 * self.receive_max,
        }
    }

    /// Rings when there may be room in hand.
    pub fn when_room(&mut self) {
        self.stuck = true;
    }

    /// Whether there is something to hand over that was not when the connection began its turn, or in a hurry.
    pub fn wants_work(&self) -> bool {
        !self.hand.is_empty() || self.hurry || commits::Stock::has_news(self)
    }

    /// Whether it should be handed over now.
    pub fn is_urgent(&self) -> bool {
        self.hand.is_full() || self.draining || commits::Stock::hurry(self)
    }

    /// Reports what happened since the last call.
    pub fn report(&mut self, handle: &Handle) {
        let counts = handle.counts();
        counts.unacked.store(self.waiting as u64, Ordering::Relaxed);
        counts.connections.store(self.sessions.connected() as u64, Ordering::Relaxed);
        if self.redelivered > 0 {
            counts.redelivered.fetch_add(std::mem::take(&mut self.redelivered), Ordering::Relaxed);
        }
        // Last: whoever sees a frame counted sees it unacknowledged too.
        self.hand.report(handle);
    }
}

/// Why a message of a topic that no filter takes is set aside.
fn elsewhere(topic: &str) -> Cause<'_> {
    Cause { stage: "topic", reason: "no filter in topics takes this topic in", origin: topic }
}

impl commits::Stock for Stock {
    fn hand(&mut self) -> &mut Hand {
        &mut self.hand
    }

    fn draining(&self) -> bool {
        self.draining
    }

    fn hurry(&self) -> bool {
        self.hurry || self.register == Register::Awaited
    }

    fn has_news(&self) -> bool {
        self.forgets || self.register == Register::Awaited
    }

    fn is_sent_again(&self) -> bool {
        self.ack == Ack::OnStore
    }

    fn seal(&mut self, number: u64, parcel: &mut Parcel) {
        if self.register != Register::Stored {
            parcel.register = Some(stored::register(&self.sessions).into());
            self.register = Register::Stored;
        }
        parcel.state = Some(stored::list(&self.sessions, number));
        (self.forgets, self.hurry) = (false, false);
        if std::mem::take(&mut self.stuck) {
            self.sessions.ring_all();
        }
    }

    fn settled(&mut self, durable: u64) {
        self.sessions.ring(durable);
    }

    fn closed(&mut self) {
        self.closed = true;
        self.sessions.ring_all();
    }
}
