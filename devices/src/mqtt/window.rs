//! Which messages are unacknowledged, which acks may go, and which redelivered message is one we have.
//!
//! Sans I/O. Acks leave in the order of arrival, each when its parcel is durable (MQTT-4.6.0-2). A message stays on the
//! list until its ack is known to be *written*: as long as it was not, the broker cannot have given its packet id to
//! another message, so that a redelivery (DUP, same packet id, same payload) can only be the message we hold. An ack that
//! was written but lost on the way brings the message back unrecognised: then it is taken twice, never lost. The list
//! travels with every parcel as the source's state, so that a restarted gateway recognises redeliveries too: there the
//! broker may have used a packet id again, so it is asked only of payloads that bring their own time.

use std::collections::{BTreeMap, VecDeque};

/// The first byte of the stored list.
const STATE_VERSION: u8 = 1;

/// The same count of waiting messages at so many parcels in a row is the broker's window (MQTT 3.1.1 does not tell).
const LEARNED_AFTER: u32 = 3;

/// The unacknowledged messages of a source.
#[derive(Debug)]
pub(super) struct Window {
    /// In the order of arrival on this connection.
    entries: VecDeque<Entry>,
    /// So many from the front have their ack handed to the client.
    handed: usize,
    /// From earlier connections: packet id to message.
    known: BTreeMap<u16, Known>,
    /// First deliveries on this connection while something is known.
    fresh: usize,
    size: Size,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    packet_id: u16,
    hash: u32,
    parcel: u64,
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
    /// It is learned.
    Learned { size: Option<usize>, last: usize, times: u32 },
}

impl Size {
    pub fn unknown() -> Self {
        Size::Learned { size: None, last: 0, times: 0 }
    }
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
        Window { entries: VecDeque::new(), handed: 0, known: BTreeMap::new(), fresh: 0, size }
    }

    /// A message arrived.
    pub fn arrive(&mut self, packet_id: u16, dup: bool, hash: u32) -> Arrival {
        if self.known.is_empty() {
            return Arrival::New;
        }
        // Whatever comes under this id now, the older message is settled by it.
        let known = self.known.remove(&packet_id);
        if !dup {
            // A whole window of first deliveries later, everything unacknowledged has been sent again before.
            self.fresh += 1;
            if self.fresh >= self.forget_after() {
                self.known.clear();
            }
            return Arrival::New;
        }
        match known {
            Some(known) if known.hash == hash => {
                self.entries.push_back(Entry { packet_id, hash, parcel: known.parcel, stored: true });
                Arrival::Redelivered
            }
            _ => Arrival::New,
        }
    }

    /// Puts a message that was taken into parcel `parcel` on the list.
    pub fn push(&mut self, packet_id: u16, hash: u32, parcel: u64) {
        self.entries.push_back(Entry { packet_id, hash, parcel, stored: true });
        if let Size::Learned { size, times, .. } = &mut self.size
            && size.is_some_and(|size| self.entries.len() - self.handed > size)
        {
            (*size, *times) = (None, 0);
        }
    }

    /// Puts a message that leaves nothing to store on the list: it is acknowledged in its turn.
    pub fn push_ignored(&mut self, packet_id: u16) {
        self.entries.push_back(Entry { packet_id, hash: 0, parcel: 0, stored: false });
    }

    /// The next message whose ack may go, with everything up to parcel `durable` on disk.
    pub fn next_ack(&self, durable: u64) -> Option<u16> {
        self.entries.get(self.handed).filter(|entry| entry.parcel <= durable).map(|entry| entry.packet_id)
    }

    /// The ack of [`Window::next_ack`] was handed to the client.
    pub fn handed(&mut self) {
        self.handed += 1;
    }

    /// An ack was written to the wire.
    pub fn written(&mut self, packet_id: u16) {
        if self.handed > 0 && self.entries.front().is_some_and(|entry| entry.packet_id == packet_id) {
            self.entries.pop_front();
            self.handed -= 1;
        }
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
    }

    /// Unacknowledged messages of this connection.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether the broker waits for a commit: its whole window waits for one.
    pub fn is_full(&self) -> bool {
        let waiting = self.entries.len() - self.handed;
        match self.size {
            Size::Told(size) => waiting >= size,
            Size::Learned { size, .. } => size.is_some_and(|size| waiting >= size),
        }
    }

    /// A parcel is made: what waits now may be the broker's whole window.
    pub fn learn(&mut self) {
        let waiting = self.entries.len() - self.handed;
        if let Size::Learned { size, last, times } = &mut self.size {
            *times = if waiting == *last { *times + 1 } else { 1 };
            *last = waiting;
            if *times >= LEARNED_AFTER && waiting > 0 {
                *size = Some(waiting);
            }
        }
    }

    /// The stored list with parcel `parcel` durable: a version byte, then per message its packet id (zigzag varint of
    /// the distance to the one before, plus one) and its hash (4 bytes, little endian).
    pub fn state(&self, parcel: u64) -> Vec<u8> {
        let known = self.known.iter().map(|(&id, known)| (id, known.hash, known.parcel));
        let entries = self.entries.iter().filter(|e| e.stored).map(|e| (e.packet_id, e.hash, e.parcel));
        let mut bytes = vec![STATE_VERSION];
        let mut before = 0u16;
        for (id, hash, _) in known.chain(entries).filter(|&(.., of)| of <= parcel) {
            let step = id.wrapping_sub(before.wrapping_add(1)) as i16;
            let mut zigzag = ((step << 1) ^ (step >> 15)) as u16;
            while zigzag >= 0x80 {
                bytes.push(zigzag as u8 | 0x80);
                zigzag >>= 7;
            }
            bytes.push(zigzag as u8);
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
            let Some((zigzag, after)) = varint(rest) else { return false };
            let Some((hash, after)) = after.split_first_chunk::<4>() else { return false };
            let step = (zigzag >> 1) ^ (zigzag & 1).wrapping_neg();
            before = before.wrapping_add(1).wrapping_add(step);
            known.insert(before, Known { hash: u32::from_le_bytes(*hash), parcel: 0 });
            rest = after;
        }
        self.known = known;
        true
    }

    fn forget_after(&self) -> usize {
        match self.size {
            Size::Told(size) => size,
            // No broker has more under way.
            Size::Learned { .. } => usize::from(u16::MAX),
        }
    }
}

fn varint(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let mut value = 0u32;
    for (at, &byte) in bytes.iter().enumerate().take(3) {
        value |= u32::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            return Some((u16::try_from(value).ok()?, &bytes[at + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn told(size: usize) -> Window {
        Window::new(Size::Told(size))
    }

    fn acks(window: &mut Window, durable: u64) -> Vec<u16> {
        std::iter::from_fn(|| {
            let id = window.next_ack(durable)?;
            window.handed();
            Some(id)
        })
        .collect()
    }

    #[test]
    fn acks_go_in_the_order_of_arrival_when_durable() {
        let mut window = told(8);
        window.push(3, 0, 1);
        window.push_ignored(9);
        window.push(1, 0, 2);
        assert!(acks(&mut window, 0).is_empty());
        assert_eq!(acks(&mut window, 1), [3, 9]);
        assert_eq!(acks(&mut window, 2), [1]);
        assert_eq!(window.len(), 3);
        for id in [3, 9, 1] {
            window.written(id);
        }
        assert_eq!(window.len(), 0);
    }

    #[test]
    fn a_redelivery_of_what_we_hold_is_recognised_once() {
        let mut window = told(8);
        window.push(1, 11, 1);
        window.push(2, 22, 2);
        window.cut();
        assert_eq!(window.arrive(1, true, 11), Arrival::Redelivered);
        assert_eq!(window.arrive(2, true, 99), Arrival::New, "another payload is another message");
        window.push(2, 99, 3);
        assert_eq!(acks(&mut window, 1), [1]);
        assert_eq!(window.arrive(1, true, 11), Arrival::New, "the first was settled");
    }

    #[test]
    fn a_redelivery_waits_for_the_parcel_of_its_first_copy() {
        let mut window = told(8);
        window.push(1, 11, 5);
        window.cut();
        assert_eq!(window.arrive(1, true, 11), Arrival::Redelivered);
        assert!(acks(&mut window, 4).is_empty());
        assert_eq!(acks(&mut window, 5), [1]);
    }

    #[test]
    fn a_reused_packet_id_is_a_new_message() {
        let mut window = told(8);
        window.push(1, 11, 1);
        window.cut();
        assert_eq!(window.arrive(1, false, 11), Arrival::New);
        window.cut();
        window.push(2, 22, 1);
        assert_eq!(acks(&mut window, 1), [2]);
        window.written(2);
        window.cut();
        assert_eq!(window.arrive(2, true, 22), Arrival::New, "its ack was written: the id may be another message's");
    }

    #[test]
    fn what_is_known_is_forgotten_a_window_later_or_with_the_session() {
        let mut window = told(2);
        window.push(7, 70, 1);
        window.cut();
        for id in 100..102 {
            assert_eq!(window.arrive(id, false, 0), Arrival::New);
        }
        assert_eq!(window.arrive(7, true, 70), Arrival::New);
        window.push(7, 70, 1);
        window.cut();
        window.forget();
        assert_eq!(window.arrive(7, true, 70), Arrival::New);
    }

    #[test]
    fn the_state_holds_what_is_durable_and_not_acknowledged() {
        let mut window = told(8);
        for (id, parcel) in [(65_535, 1), (1, 1), (2, 2), (3, 3)] {
            window.push(id, u32::from(id) * 7, parcel);
        }
        window.push_ignored(4);
        assert_eq!(acks(&mut window, 1), [65_535, 1]);
        window.written(65_535);
        let mut restored = told(8);
        assert!(restored.restore(&window.state(2)));
        let mut arrive = |id: u16| restored.arrive(id, true, u32::from(id) * 7);
        assert_eq!([1, 2].map(&mut arrive), [Arrival::Redelivered; 2]);
        assert_eq!([65_535, 3, 4].map(&mut arrive), [Arrival::New; 3]);
        assert_eq!(acks(&mut restored, 0), [1, 2], "an earlier run's messages are durable");
    }

    #[test]
    fn the_window_of_an_older_broker_is_learned_and_unlearned() {
        let mut window = Window::new(Size::unknown());
        (1..=20).for_each(|id| window.push(id, 0, 1));
        for _ in 0..2 {
            window.learn();
            assert!(!window.is_full());
        }
        window.learn();
        assert!(window.is_full());
        assert_eq!(acks(&mut window, 1).len(), 20);
        assert!(!window.is_full(), "acks are under way: more will come");
        (21..=41).for_each(|id| window.push(id, 0, 2));
        assert!(!window.is_full(), "there were more than learned");
    }

    proptest! {
        #[test]
        fn any_list_is_read_back(messages in proptest::collection::hash_map(1u16.., any::<u32>(), 0..50)) {
            let mut window = told(100);
            messages.iter().for_each(|(&id, &hash)| window.push(id, hash, 1));
            let mut restored = told(100);
            prop_assert!(restored.restore(&window.state(1)));
            for (&id, &hash) in &messages {
                prop_assert_eq!(restored.arrive(id, true, hash), Arrival::Redelivered);
            }
        }

        #[test]
        fn any_bytes_are_a_list_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let mut window = told(8);
            if !window.restore(&bytes) {
                prop_assert!(window.known.is_empty());
            }
        }
    }
}
