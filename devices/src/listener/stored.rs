//! What a listener keeps in the store: the register of sessions, and the messages under way.
//!
//! The register changes when a device comes for the first time; the list of messages goes with every parcel. Both begin
//! with a version byte. Numbers are LEB128; a hash is 4 bytes, little endian.
//!
//! register: per session: number, expiry, bytes of the client id, client id. How long a device has been away is not in it:
//! after a restart the time begins anew, for a gateway that was off for a week is no reason to forget its devices.
//! list: per session with messages: number, count, then per message: packet id * 2 + (1 at QoS 2), hash.

use super::session::Known;
use super::sessions::Sessions;
use crate::leb128::{put, take};

/// The first byte of both; an MQTT client source's list begins with 1.
const VERSION: u8 = 0x10;

/// The register as bytes.
pub(super) fn register(sessions: &Sessions) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    for (number, peer) in sessions.iter().filter(|(_, peer)| peer.is_registered) {
        put(&mut bytes, number.into());
        put(&mut bytes, peer.expiry.into());
        put(&mut bytes, peer.client_id.len() as u64);
        bytes.extend_from_slice(peer.client_id.as_bytes());
    }
    bytes
}

/// The list of messages under way with parcel `parcel` durable.
pub(super) fn list(sessions: &Sessions, parcel: u64) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    for (number, peer) in sessions.iter().filter(|(_, peer)| peer.is_registered) {
        let known: Vec<Known> = peer.session.known(parcel).collect();
        if known.is_empty() {
            continue;
        }
        put(&mut bytes, number.into());
        put(&mut bytes, known.len() as u64);
        for Known { id, hash, qos_2 } in known {
            put(&mut bytes, u64::from(id) * 2 + u64::from(qos_2));
            bytes.extend_from_slice(&hash.to_le_bytes());
        }
    }
    bytes
}

/// Takes register and list of an earlier run. False where they are no such bytes: then nothing is taken.
///
/// At QoS 1 a message is known again only by a time of its own: without `timed` none is taken, for it would stay.
pub(super) fn restore(sessions: &mut Sessions, register: &[u8], list: &[u8], timed: bool) -> bool {
    let (Some(register), Some(list)) = (read_register(register), read_list(list)) else { return false };
    for (number, expiry, client_id) in register {
        sessions.restore(number, client_id, expiry);
    }
    for (number, known) in list.into_iter().filter(|(_, known)| known.qos_2 || timed) {
        // The session of a message may have gone meanwhile.
        if let Some(session) = sessions.numbered(number) {
            session.restore(known);
        }
    }
    true
}

type Entry = (u32, u32, String);

fn read_register(bytes: &[u8]) -> Option<Vec<Entry>> {
    let mut out = Vec::new();
    let Some((&VERSION, mut rest)) = bytes.split_first() else { return bytes.is_empty().then_some(out) };
    while !rest.is_empty() {
        let number = take(&mut rest)?.try_into().ok()?;
        let expiry = take(&mut rest)?.try_into().ok()?;
        let length = take(&mut rest)?.try_into().ok()?;
        let (client_id, behind) = rest.split_at_checked(length)?;
        out.push((number, expiry, String::from_utf8(client_id.to_vec()).ok()?));
        rest = behind;
    }
    Some(out)
}

fn read_list(bytes: &[u8]) -> Option<Vec<(u32, Known)>> {
    let mut out = Vec::new();
    let Some((&VERSION, mut rest)) = bytes.split_first() else { return bytes.is_empty().then_some(out) };
    while !rest.is_empty() {
        let number = take(&mut rest)?.try_into().ok()?;
        for _ in 0..take(&mut rest)? {
            let id = take(&mut rest)?;
            let (hash, behind) = rest.split_first_chunk::<4>()?;
            let known = Known { id: (id >> 1).try_into().ok()?, hash: u32::from_le_bytes(*hash), qos_2: id & 1 == 1 };
            out.push((number, known));
            rest = behind;
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listener::session::Sent;
    use crate::listener::sessions::Wanted;
    use proptest::prelude::*;

    fn sessions() -> Sessions {
        Sessions::new(100, 100)
    }

    #[test]
    fn register_and_list_are_read_back() {
        let mut before = sessions();
        for (client_id, expiry) in [("a", 60), ("b", 0), ("ä", u32::MAX)] {
            let wanted = Wanted { client_id, clean: false, expiry, bell: Default::default() };
            let ticket = before.open(wanted, std::time::Duration::ZERO).unwrap().ticket;
            let peer = before.peer(ticket).unwrap();
            for (id, qos_2, parcel) in [(7, false, 1), (65_535, true, 2), (9, true, 3)] {
                let sent = Sent { id, qos_2, dup: false, hash: u32::from(id) * 7_777, timed: true };
                peer.session.push(sent, parcel, parcel, 100);
            }
        }
        let (register, list) = (register(&before), list(&before, 2));
        let mut after = sessions();
        assert!(restore(&mut after, &register, &list, true));
        let mut seen: Vec<_> = after.iter().map(|(_, peer)| (&*peer.client_id, peer.expiry)).collect();
        seen.sort_unstable();
        assert_eq!(seen, [("a", 60), ("ä", u32::MAX)], "the other ends with its connection");
        for (_, peer) in after.iter() {
            let mut known: Vec<_> = peer.session.known(0).collect();
            known.sort_unstable_by_key(|known| known.id);
            let expected = [(7, false), (65_535, true)];
            assert_eq!(known.iter().map(|k| (k.id, k.qos_2)).collect::<Vec<_>>(), expected);
            assert!(known.iter().all(|k| k.hash == u32::from(k.id) * 7_777));
        }
        let mut untimed = sessions();
        assert!(restore(&mut untimed, &register, &list, false));
        assert!(untimed.iter().all(|(_, peer)| peer.session.known(0).map(|known| known.id).eq([65_535])));
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_or_refused_whole(
            register in proptest::collection::vec(any::<u8>(), 0..60),
            list in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            let with = |mut bytes: Vec<u8>| { bytes.insert(0, VERSION); bytes };
            let mut after = sessions();
            if !restore(&mut after, &with(register), &with(list), true) {
                prop_assert_eq!(after.iter().count(), 0);
            }
        }
    }
}
