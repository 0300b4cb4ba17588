//! Which messages are unacknowledged, which acks may go, and which redelivered message is one we have.
//!
//! Sans I/O. Acks leave in the order of arrival, each when its parcel is durable (MQTT-4.6.0-2). A message stays on the
//! list until its ack is known to be *written*: as long as it was not, the broker cannot have given its packet id to
//! another message, so that a redelivery (DUP, same packet id, same payload) can only be the message we hold. An ack that
//! was written but lost on the way brings the message back unrecognised: then it is taken twice, never lost. The list
//! travels with every parcel as the source's state, so that a restarted gateway recognises redeliveries too: there the
//! broker may have used a packet id again, so it is asked only of payloads that bring their own time.
//!
//! At QoS 2 the acknowledgement is a PUBREC, and the message stays known behind it: the broker may not use the id again
//! before it has sent PUBREL, however often the connection breaks.

use crate::learned::Learned;
use crate::leb128;
use std::collections::{BTreeMap, VecDeque};
use tidegate_record::Wall;

/// The first byte of the stored list.
const STATE_VERSION: u8 = 1;

/// The unacknowledged messages of a source.
#[derive(Debug)]
pub(super) struct Window {
    /// In the order of arrival on this connection.
    entries: VecDeque<Entry>,
    /// So many from the front have their ack handed to the client.
    handed: usize,
    /// From earlier connections: packet id to message.
    known: BTreeMap<u16, Known>,
    /// QoS 2: its PUBREC was written and its PUBREL has not come.
    unreleased: BTreeMap<u16, Known>,
    /// First deliveries on this connection while something is known.
    fresh: usize,
    size: Size,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    packet_id: u16,
    hash: u32,
    parcel: u64,
    qos_2: bool,
    /// False for what was never stored (retained messages nobody asked for).
    stored: bool,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    hash: u32,
    parcel: u64,
}

/// How many messages the broker has under way at most.
#[derive(Debug, Clone, Copy)]
pub(super) enum Size {
    /// We told it (MQTT 5).
    Told(usize),
    /// It is learned (MQTT 3.1.1 does not tell).
    Learned(Learned),
}

impl Size {
    pub fn unknown() -> Self {
        Size::Learned(Learned::default())
    }
}

/// A message as it came, as far as telling it from others goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sent {
    pub packet_id: u16,
    pub qos_2: bool,
    pub dup: bool,
    pub hash: u32,
}

/// What a message is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// Take it, then [`Window::push`] it.
    New,
    /// We have it. It is on the list, to be acknowledged in its turn.
    Redelivered,
}

impl Window {
    pub fn new(size: Size) -> Self {
        Window {
            entries: VecDeque::new(),
            handed: 0,
            known: BTreeMap::new(),
            unreleased: BTreeMap::new(),
            fresh: 0,
            size,
        }
    }

    /// A message arrived.
    pub fn arrive(&mut self, sent: Sent) -> Arrival {
        if self.known.is_empty() && self.unreleased.is_empty() {
            return Arrival::New;
        }
        // Whatever comes under this id now, the older message is settled by it.
        let known = self.known.remove(&sent.packet_id).or_else(|| self.unreleased.remove(&sent.packet_id));
        if !sent.dup {
            // A whole window of first deliveries later, everything unacknowledged has been sent again before.
            self.fresh += 1;
            if self.fresh >= self.forget_after() {
                self.known.clear();
            }
            return Arrival::New;
        }
        match known {
            Some(known) if known.hash == sent.hash => {
                self.entries.push_back(Entry::of(sent, known.parcel, true));
                Arrival::Redelivered
            }
            _ => Arrival::New,
        }
    }

    /// Puts a message that was taken into parcel `parcel` on the list.
    pub fn push(&mut self, sent: Sent, parcel: u64) {
        self.entries.push_back(Entry::of(sent, parcel, true));
    }

    /// Puts a message that leaves nothing to store on the list: it is acknowledged in its turn.
    pub fn push_ignored(&mut self, sent: Sent) {
        self.entries.push_back(Entry::of(sent, 0, false));
    }

    /// The next message whose ack may go, with everything up to parcel `durable` on disk: its packet id, and whether it is
    /// of QoS 2.
    pub fn next_ack(&self, durable: u64) -> Option<(u16, bool)> {
        let entry = self.entries.get(self.handed).filter(|entry| entry.parcel <= durable)?;
        Some((entry.packet_id, entry.qos_2))
    }

    /// The ack of [`Window::next_ack`] was handed to the client.
    pub fn handed(&mut self) {
        self.handed += 1;
    }

    /// An ack was written to the wire.
    pub fn written(&mut self, packet_id: u16) {
        if self.handed > 0
            && let Some(entry) = self.entries.pop_front_if(|entry| entry.packet_id == packet_id)
        {
            self.handed -= 1;
            if entry.qos_2 && entry.stored {
                self.unreleased.insert(packet_id, Known { hash: entry.hash, parcel: entry.parcel });
            }
        }
    }

    /// PUBREL came: the broker may use the id again.
    pub fn released(&mut self, packet_id: u16) {
        self.unreleased.remove(&packet_id);
        self.known.remove(&packet_id);
    }

    /// The connection is gone: what is unacknowledged comes again.
    pub fn cut(&mut self) {
        for entry in self.entries.drain(..).filter(|entry| entry.stored) {
            self.known.insert(entry.packet_id, Known { hash: entry.hash, parcel: entry.parcel });
        }
        (self.handed, self.fresh) = (0, 0);
    }

    /// The broker has forgotten the session: nothing comes again, and packet ids begin anew.
    pub fn forget(&mut self) {
        self.known.clear();
        self.unreleased.clear();
    }

    /// Unacknowledged messages of this connection.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether the broker waits for a commit: its whole window waits for one.
    pub fn is_full(&self) -> bool {
        match self.size {
            Size::Told(size) => self.waiting() >= size,
            Size::Learned(learned) => learned.size().is_some_and(|size| self.waiting() >= size),
        }
    }

    /// A message was put on the list.
    pub fn came(&mut self, wall: Wall) {
        let waiting = self.waiting();
        if let Size::Learned(learned) = &mut self.size {
            learned.came(waiting, wall);
        }
    }

    /// Acks may go with everything up to parcel `durable` on disk: what waits now may be the broker's whole window.
    pub fn learn(&mut self, durable: u64, wall: Wall) {
        let waiting = self.waiting();
        let goes = self.next_ack(durable).is_some();
        if let Size::Learned(learned) = &mut self.size
            && goes
        {
            learned.answers(waiting, wall);
        }
    }

    /// The stored list with parcel `parcel` durable: a version byte, then per message its packet id (zigzag varint of
    /// the distance to the one before, plus one) and its hash (4 bytes, little endian).
    pub fn state(&self, parcel: u64) -> Vec<u8> {
        let known = self.known.iter().chain(&self.unreleased).map(|(&id, known)| (id, known.hash, known.parcel));
        let entries = self.entries.iter().filter(|e| e.stored).map(|e| (e.packet_id, e.hash, e.parcel));
        let mut bytes = vec![STATE_VERSION];
        let mut before = 0u16;
        for (id, hash, _) in known.chain(entries).filter(|&(.., of)| of <= parcel) {
            let step = id.wrapping_sub(before.wrapping_add(1)) as i16;
            let zigzag = ((step << 1) ^ (step >> 15)) as u16;
            leb128::put(&mut bytes, zigzag.into());
            bytes.extend_from_slice(&hash.to_le_bytes());
            before = id;
        }
        bytes
    }

    /// Takes the list of an earlier run; all of it is durable. False where it is not such a list.
    pub fn restore(&mut self, state: &[u8]) -> bool {
        let Some((&STATE_VERSION, mut rest)) = state.split_first() else { return false };
        let mut known = BTreeMap::new();
        let mut before = 0u16;
        while !rest.is_empty() {
            let Some(Ok(zigzag)) = leb128::take(&mut rest).map(u16::try_from) else { return false };
            let Some((hash, after)) = rest.split_first_chunk::<4>() else { return false };
            let step = (zigzag >> 1) ^ (zigzag & 1).wrapping_neg();
            before = before.wrapping_add(1).wrapping_add(step);
            known.insert(before, Known { hash: u32::from_le_bytes(*hash), parcel: 0 });
            rest = after;
        }
        self.known = known;
        true
    }

    /// Messages whose ack was not handed over.
    fn waiting(&self) -> usize {
        self.entries.len() - self.handed
    }

    fn forget_after(&self) -> usize {
        match self.size {
            Size::Told(size) => size,
            // No broker has more under way.
            Size::Learned(_) => usize::from(u16::MAX),
        }
    }
}

impl Entry {
    fn of(sent: Sent, parcel: u64, stored: bool) -> Self {
        Entry { packet_id: sent.packet_id, hash: sent.hash, parcel, qos_2: sent.qos_2, stored }
    }
}

#[cfg(test)]
mod tests;
