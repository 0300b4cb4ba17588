//! The protocol of one connection, sans I/O: bytes in, bytes out, and what it waits for.

use super::answer::{self, Terms};
use super::end::{End, farewell};
use super::sessions::{Bell, Opened, Ticket, Wanted};
use super::stock::{Stock, Taken};
use super::wire::{self, Connect, Packet, Version};
use super::{Options, end, login};
use std::sync::Arc;
use std::time::Duration;
use tidegate_record::Wall;

/// A device that does not read its answers is not read either, from so many bytes on.
const UNREAD_BYTES_MAX: usize = 64 * 1024;

/// What the first byte of a CONNECT begins with.
const CONNECT: u8 = 1;
/// Largest CONNECT.
const CONNECT_BYTES_MAX: usize = 64 * 1024;

/// One connection.
#[derive(Debug)]
pub(super) struct Link {
    options: Arc<Options>,
    bell: Bell,
    version: Option<Version>,
    phase: Phase,
    /// Bytes for the device.
    pub out: Vec<u8>,
    /// Longest silence of the device.
    pub silence_max: Option<Duration>,
    /// Most bytes of a packet the device takes.
    room: usize,
    will: Option<(String, Vec<u8>)>,
    /// For logs.
    pub client_id: String,
}

#[derive(Debug)]
enum Phase {
    /// Before CONNECT.
    New,
    /// CONNACK waits for a parcel.
    Opening(Ticket, u64, Box<Welcome>),
    Open(Ticket),
    Over,
}

#[derive(Debug)]
struct Welcome {
    session_present: bool,
    terms: Terms,
}

/// What there is around it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    pub wall: Wall,
    /// Since the listener began.
    pub since: Duration,
    /// Every parcel up to this one is on disk.
    pub durable: u64,
}

/// What a connection waits for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// More bytes.
    Reads,
    /// The bell: the store, room in hand, or another connection's commit.
    Waits,
    /// The device reads too little.
    Unread,
    Ends(End),
}

impl Link {
    pub fn new(options: Arc<Options>, bell: Bell) -> Self {
        Link {
            options,
            bell,
            version: None,
            phase: Phase::New,
            out: Vec::new(),
            silence_max: None,
            room: usize::MAX,
            will: None,
            client_id: String::new(),
        }
    }

    /// Takes what is in `input`, answers what may be answered. Gives how many bytes are done with.
    pub fn turn(&mut self, stock: &mut Stock, input: &[u8], now: Now) -> (usize, Turn) {
        let before = self.waiting(stock);
        let mut done = 0;
        let mut turn = loop {
            if let Some(turn) = self.holds(stock, now) {
                break turn;
            }
            match self.step(stock, &input[done..], now) {
                Ok(Some(Step::Took(bytes))) => done += bytes,
                Ok(Some(Step::NoRoom)) => {
                    stock.when_room();
                    break Turn::Waits;
                }
                Ok(None) => break Turn::Reads,
                Err(end) => break Turn::Ends(end),
            }
        };
        if let Err(end) = self.answer(stock, now)
            && !matches!(turn, Turn::Ends(_))
        {
            turn = Turn::Ends(end);
        }
        // Nothing would ring for answers that may go and had no place.
        if matches!(turn, Turn::Reads | Turn::Waits) && self.out.len() >= UNREAD_BYTES_MAX {
            turn = Turn::Unread;
        }
        if turn == Turn::Waits && stock.draining && (stock.closed || self.waiting(stock) == 0) {
            turn = Turn::Ends(End::Draining);
        }
        stock.waiting = stock.waiting + self.waiting(stock) - before;
        (done, turn)
    }

    /// Everything in `out` was written.
    pub fn written(&mut self, stock: &mut Stock) {
        if let Phase::Open(ticket) = self.phase {
            let recent_max = stock.recent_max();
            if let Some(peer) = stock.sessions.peer(ticket) {
                peer.session.written(recent_max);
            }
        }
    }

    /// The connection ends: what the device is told goes to `out`, its session is left.
    pub fn end(&mut self, stock: &mut Stock, end: &End, now: Now) {
        let phase = std::mem::replace(&mut self.phase, Phase::Over);
        let connected = matches!(phase, Phase::Open(_));
        self.out.extend(farewell(end, self.version, connected, self.room));
        if let Phase::Open(ticket) | Phase::Opening(ticket, ..) = phase {
            stock.leave(ticket, now.since);
        }
        if connected
            && end.says_will()
            && let Some((topic, payload)) = self.will.take()
        {
            stock.will(&topic, &payload, now.wall);
        }
    }

    /// Whether CONNACK was sent.
    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open(_))
    }

    /// Why nothing more is read now.
    fn holds(&mut self, stock: &mut Stock, now: Now) -> Option<Turn> {
        if self.out.len() >= UNREAD_BYTES_MAX {
            return Some(Turn::Unread);
        }
        if stock.closed && !stock.draining {
            return Some(Turn::Ends(End::Store));
        }
        if stock.draining {
            return Some(Turn::Waits);
        }
        match &self.phase {
            Phase::Opening(ticket, parcel, _) => {
                if stock.sessions.peer(*ticket).is_none() {
                    return Some(Turn::Ends(End::TakenOver));
                }
                if *parcel > now.durable {
                    return Some(Turn::Waits);
                }
                self.welcome();
                None
            }
            Phase::Open(ticket) => {
                let ticket = *ticket;
                let max = stock.waiting_max(self.version.unwrap_or(Version::V311));
                let Some(peer) = stock.sessions.peer(ticket) else { return Some(Turn::Ends(End::TakenOver)) };
                if peer.session.waiting() < max {
                    return None;
                }
                self.hand_over(stock, ticket, now);
                (self.waiting(stock) >= max).then_some(Turn::Waits)
            }
            Phase::New | Phase::Over => None,
        }
    }

    fn step(&mut self, stock: &mut Stock, input: &[u8], now: Now) -> Result<Option<Step>, End> {
        let first = || End::Protocol("the first packet is no CONNECT");
        if !self.is_open() && input.first().is_some_and(|&byte| byte >> 4 != CONNECT) {
            return Err(first());
        }
        let max = self.options.packet_bytes_max as usize;
        // Who has not introduced itself is not trusted with a large buffer.
        let max = if self.is_open() { max } else { max.min(CONNECT_BYTES_MAX) };
        let Some(whole) = wire::whole(input, max)? else { return Ok(None) };
        let Phase::Open(ticket) = self.phase else {
            match whole.packet(Version::V5)? {
                Packet::Connect(connect) => self.connect(stock, &connect, now)?,
                _ => return Err(first()),
            }
            return Ok(Some(Step::Took(whole.bytes)));
        };
        let version = self.version.unwrap_or(Version::V311);
        match whole.packet(version)? {
            Packet::Publish(publish) => {
                if stock.publish(ticket, version, &publish, now.wall)? == Taken::NoRoom {
                    return Ok(Some(Step::NoRoom));
                }
            }
            Packet::Release(id) => stock.release(ticket, id)?,
            Packet::Subscribe { id, filters } => answer::no_subscription(&mut self.out, version, id, filters),
            Packet::Unsubscribe { id, filters } => answer::unsubscribed(&mut self.out, version, id, filters),
            Packet::Ping => answer::pong(&mut self.out),
            Packet::Disconnect { session_expiry, with_will } => {
                if let Some(wanted) = session_expiry {
                    self.expire(stock, ticket, wanted)?;
                }
                return Err(if with_will { End::GoodbyeWithWill } else { End::Goodbye });
            }
            Packet::Connect(_) => return Err(End::Protocol("a second CONNECT")),
        }
        Ok(Some(Step::Took(whole.bytes)))
    }

    fn connect(&mut self, stock: &mut Stock, connect: &Connect<'_>, now: Now) -> Result<(), End> {
        self.version = Some(connect.version);
        self.room = connect.properties.packet_bytes_max.map_or(usize::MAX, |max| max as usize);
        if connect.client_id.len() > end::CLIENT_ID_BYTES_MAX {
            return Err(End::ClientId("over 256 bytes: give a shorter one"));
        }
        self.client_id = connect.client_id.to_owned();
        if connect.properties.auth_method {
            return Err(End::AuthMethod);
        }
        login::check(&self.options, connect)?;
        if let Some(will) = &connect.will {
            let bytes = will.topic.len() + will.payload.len();
            if bytes > end::WILL_BYTES_MAX {
                return Err(End::Will(bytes));
            }
            self.will = Some((will.topic.to_owned(), will.payload.to_vec()));
        }
        let options = self.options.clone();
        let max = u32::try_from(options.session_expiry_max.as_secs()).unwrap_or(u32::MAX);
        let asked = match (connect.version, connect.clean) {
            (Version::V5, _) => connect.properties.session_expiry.unwrap_or(0),
            (Version::V311, true) => 0,
            (Version::V311, false) => max,
        };
        let named = !connect.client_id.is_empty();
        if !named {
            if connect.version == Version::V311 && !connect.clean {
                return Err(End::ClientId("without one there is no session to keep: clean_session must be set"));
            }
            self.client_id = format!("tidegate-{:016x}", rand::random::<u64>());
        }
        let expiry = asked.min(max);
        let keep_alive_max = u16::try_from(options.keep_alive_max.as_secs()).unwrap_or(u16::MAX);
        let keep_alive = match connect.keep_alive {
            0 => keep_alive_max,
            seconds => seconds.min(keep_alive_max),
        };
        self.silence_max = Some(Duration::from_millis(u64::from(keep_alive) * 1500));
        let wanted = Wanted { client_id: &self.client_id, clean: connect.clean, expiry, bell: self.bell.clone() };
        let (Opened { ticket, session_present, .. }, parcel) = stock.open(wanted, now.since)?;
        let terms = Terms {
            receive_max: options.receive_max,
            packet_bytes_max: options.packet_bytes_max,
            session_expiry: (expiry != asked).then_some(expiry),
            keep_alive: (keep_alive != connect.keep_alive).then_some(keep_alive),
            client_id: (!named).then(|| self.client_id.clone()),
        };
        self.phase = Phase::Opening(ticket, parcel, Box::new(Welcome { session_present, terms }));
        Ok(())
    }

    fn welcome(&mut self) {
        if let Phase::Opening(ticket, _, welcome) = &self.phase {
            match self.version {
                Some(Version::V5) => answer::welcome_v5(&mut self.out, welcome.session_present, &welcome.terms),
                _ => answer::welcome_v311(&mut self.out, welcome.session_present),
            }
            self.phase = Phase::Open(*ticket);
        }
    }

    /// A goodbye may say how long the session is to be kept.
    fn expire(&self, stock: &mut Stock, ticket: Ticket, wanted: u32) -> Result<(), End> {
        let Some(peer) = stock.sessions.peer(ticket) else { return Err(End::TakenOver) };
        if peer.expiry == 0 && wanted != 0 {
            return Err(End::Protocol("a session expiry in DISCONNECT and none in CONNECT"));
        }
        let max = u32::try_from(self.options.session_expiry_max.as_secs()).unwrap_or(u32::MAX);
        let expiry = wanted.min(max);
        if peer.expiry != expiry {
            peer.expiry = expiry;
            stock.changed();
        }
        Ok(())
    }

    /// Hands over the answers that may go.
    fn answer(&mut self, stock: &mut Stock, now: Now) -> Result<(), End> {
        let Phase::Open(ticket) = self.phase else { return Ok(()) };
        if self.hand_over(stock, ticket, now) { Ok(()) } else { Err(End::TakenOver) }
    }

    /// False where the session is another connection's.
    fn hand_over(&mut self, stock: &mut Stock, ticket: Ticket, now: Now) -> bool {
        let Some(peer) = stock.sessions.peer(ticket) else { return false };
        let version = self.version.unwrap_or(Version::V311);
        peer.session.learn(now.durable, now.wall);
        while self.out.len() < UNREAD_BYTES_MAX
            && let Some(next) = peer.session.next(now.durable)
        {
            answer::acknowledge(&mut self.out, next.kind as u8, version, next.id, next.code);
            peer.session.handed();
        }
        true
    }

    fn waiting(&self, stock: &mut Stock) -> usize {
        match self.phase {
            Phase::Open(ticket) => stock.sessions.peer(ticket).map_or(0, |peer| peer.session.waiting()),
            _ => 0,
        }
    }
}

enum Step {
    /// So many bytes.
    Took(usize),
    NoRoom,
}

#[cfg(test)]
mod tests;
