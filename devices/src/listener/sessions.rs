//! The sessions of all devices: bounded, taken over, expiring by the time since the listener began.

use super::end::End;
use super::session::Session;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Wakes a connection.
pub(super) type Bell = Arc<Notify>;

/// All sessions, each under a number.
#[derive(Debug)]
pub(super) struct Sessions {
    numbers: HashMap<String, u32>,
    /// In an order: whoever goes through them does so as before, in a simulation too.
    all: BTreeMap<u32, Peer>,
    /// The number of the newest.
    last: u32,
    /// The newest connection.
    serial: u64,
    connected: usize,
    connections_max: usize,
    sessions_max: usize,
}

/// A device, connected or not.
#[derive(Debug)]
pub(super) struct Peer {
    pub client_id: String,
    pub session: Session,
    connection: Option<Connection>,
    /// Seconds the session outlives its connection.
    pub expiry: u32,
    /// When its connection went.
    left: Duration,
    /// Whether the register has it.
    pub is_registered: bool,
}

#[derive(Debug)]
struct Connection {
    serial: u64,
    bell: Bell,
    /// CONNACK waits for this parcel.
    opens_after: Option<u64>,
}

/// Which session a connection has, as long as no other takes it over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket {
    pub number: u32,
    serial: u64,
}

/// What a device asks for.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub client_id: &'a str,
    pub clean: bool,
    pub expiry: u32,
    pub bell: Bell,
}

/// What it is given.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Opened {
    pub ticket: Ticket,
    pub session_present: bool,
    /// The register is another now: it must be stored before CONNACK.
    pub register: bool,
    /// Messages of a connection that was taken over and waited for their answers.
    pub dropped: usize,
}

impl Sessions {
    pub fn new(connections_max: usize, sessions_max: usize) -> Self {
        Sessions {
            numbers: HashMap::new(),
            all: BTreeMap::new(),
            last: 0,
            serial: 0,
            connected: 0,
            connections_max,
            sessions_max,
        }
    }

    /// Opens or takes over the session of a device.
    pub fn open(&mut self, wanted: Wanted<'_>, now: Duration) -> Result<Opened, End> {
        let known = self.numbers.get(wanted.client_id).copied();
        let takes_over = known.is_some_and(|number| self.all.get(&number).is_some_and(|p| p.connection.is_some()));
        if !takes_over && self.connected >= self.connections_max {
            return Err(End::ConnectionsMax(self.connections_max));
        }
        let taken_over = known.and_then(|number| self.all.get(&number)).filter(|peer| peer.connection.is_some());
        let dropped = taken_over.map_or(0, |peer| peer.session.waiting());
        let mut register = false;
        let mut kept = known;
        if let Some(number) = known
            && (wanted.clean || self.is_over(number, now))
        {
            register |= self.remove(number).is_some_and(|peer| peer.is_registered);
            kept = None;
        }
        let number = match kept {
            Some(number) => number,
            None => {
                register |= self.make_room(now)?;
                self.add(wanted.client_id)
            }
        };
        self.serial += 1;
        let ticket = Ticket { number, serial: self.serial };
        let Some(peer) = self.all.get_mut(&number) else { return Err(End::Gone("its session is gone".into())) };
        let persists = wanted.expiry > 0;
        register |= persists != peer.is_registered || (persists && peer.expiry != wanted.expiry);
        (peer.expiry, peer.is_registered) = (wanted.expiry, persists);
        peer.session.begin();
        let connection = Connection { serial: ticket.serial, bell: wanted.bell, opens_after: None };
        match peer.connection.replace(connection) {
            Some(other) => other.bell.notify_one(),
            None => self.connected += 1,
        }
        Ok(Opened { ticket, session_present: kept.is_some(), register, dropped })
    }

    /// CONNACK of this connection waits for a parcel.
    pub fn opens_after(&mut self, ticket: Ticket, parcel: u64) {
        if let Some(connection) = self.peer(ticket).and_then(|peer| peer.connection.as_mut()) {
            connection.opens_after = Some(parcel);
        }
    }

    /// The session of a connection; none where another has taken it over.
    pub fn peer(&mut self, ticket: Ticket) -> Option<&mut Peer> {
        let peer = self.all.get_mut(&ticket.number)?;
        peer.connection.as_ref().is_some_and(|connection| connection.serial == ticket.serial).then_some(peer)
    }

    /// A connection is gone. Gives the messages that waited for their answers.
    pub fn leave(&mut self, ticket: Ticket, now: Duration) -> usize {
        let Some(peer) = self.peer(ticket) else { return 0 };
        let waiting = peer.session.waiting();
        (peer.connection, peer.left) = (None, now);
        peer.session.begin();
        self.connected -= 1;
        if self.all.get(&ticket.number).is_some_and(|peer| peer.expiry == 0) {
            self.remove(ticket.number);
        }
        waiting
    }

    /// Forgets sessions whose time is over. Gives whether the register is another now.
    pub fn sweep(&mut self, now: Duration) -> bool {
        let expired: Vec<u32> = self.all.keys().copied().filter(|&number| self.has_expired(number, now)).collect();
        expired.iter().filter_map(|&number| self.remove(number)).any(|peer| peer.is_registered)
    }

    /// Rings every connection for which something may go with parcel `durable` on disk.
    pub fn ring(&mut self, durable: u64) {
        for peer in self.all.values_mut() {
            let Some(connection) = &mut peer.connection else { continue };
            let opens = connection.opens_after.take_if(|parcel| *parcel <= durable).is_some();
            if opens || peer.session.next(durable).is_some() {
                connection.bell.notify_one();
            }
        }
    }

    /// Rings every connection.
    pub fn ring_all(&self) {
        self.all.values().filter_map(|peer| peer.connection.as_ref()).for_each(|c| c.bell.notify_one());
    }

    pub fn connected(&self) -> usize {
        self.connected
    }

    /// All sessions with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Peer)> {
        self.all.iter().map(|(&number, peer)| (number, peer))
    }

    /// Takes a session of the register.
    pub fn restore(&mut self, number: u32, client_id: String, expiry: u32) {
        self.last = self.last.max(number);
        self.numbers.insert(client_id.clone(), number);
        let session = Session::default();
        let left = Duration::ZERO;
        self.all.insert(number, Peer { client_id, session, connection: None, expiry, left, is_registered: true });
    }

    /// A restored session by its number.
    pub fn numbered(&mut self, number: u32) -> Option<&mut Session> {
        self.all.get_mut(&number).map(|peer| &mut peer.session)
    }

    fn add(&mut self, client_id: &str) -> u32 {
        // Numbers of sessions that live long are in the way after four billion others.
        loop {
            self.last = self.last.wrapping_add(1);
            if !self.all.contains_key(&self.last) {
                break;
            }
        }
        self.numbers.insert(client_id.to_owned(), self.last);
        let (client_id, session) = (client_id.to_owned(), Session::default());
        let peer = Peer { client_id, session, connection: None, expiry: 0, left: Duration::ZERO, is_registered: false };
        self.all.insert(self.last, peer);
        self.last
    }

    fn remove(&mut self, number: u32) -> Option<Peer> {
        let peer = self.all.remove(&number)?;
        self.numbers.remove(&peer.client_id);
        if let Some(connection) = &peer.connection {
            connection.bell.notify_one();
            self.connected -= 1;
        }
        Some(peer)
    }

    fn has_expired(&self, number: u32, now: Duration) -> bool {
        self.all.get(&number).is_some_and(|peer| {
            peer.connection.is_none() && now.saturating_sub(peer.left) >= Duration::from_secs(peer.expiry.into())
        })
    }

    /// Whether its next connection begins anew: it was to last as long as its connection, or its time is over.
    fn is_over(&self, number: u32, now: Duration) -> bool {
        self.all.get(&number).is_some_and(|peer| peer.expiry == 0) || self.has_expired(number, now)
    }

    /// Room for one more: the session that was left longest goes. Gives whether the register is another now.
    fn make_room(&mut self, now: Duration) -> Result<bool, End> {
        if self.all.len() < self.sessions_max {
            return Ok(false);
        }
        let mut register = self.sweep(now);
        // More than one goes where an earlier run had a larger sessions_max.
        while self.all.len() >= self.sessions_max {
            let idle = self.all.iter().filter(|(_, peer)| peer.connection.is_none());
            let Some((&number, _)) = idle.min_by_key(|(_, peer)| peer.left) else {
                return Err(End::SessionsMax(self.sessions_max));
            };
            register |= self.remove(number).is_some_and(|peer| peer.is_registered);
        }
        Ok(register)
    }
}

#[cfg(test)]
mod tests;
