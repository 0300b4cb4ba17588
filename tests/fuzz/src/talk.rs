//! MQTT read plainly from both sides: what a device said, as far as it can be read, and what it was answered, which must be
//! right to the last byte.

use std::collections::BTreeMap;

/// A topic and a payload.
pub type Message = (Vec<u8>, Vec<u8>);

/// What a device said on its connections so far.
#[derive(Debug, Default)]
pub struct Said {
    /// By QoS and packet id.
    pub published: BTreeMap<(u8, u16), Vec<Message>>,
}

/// What a device said on one connection.
#[derive(Debug, Default)]
pub struct Connection {
    pub v5: bool,
    /// Packets by type.
    counts: [usize; 16],
    /// PUBLISH at QoS 1 and 2.
    by_qos: [usize; 4],
    /// Filters by packet type and id, of SUBSCRIBE and UNSUBSCRIBE.
    filters: BTreeMap<(u8, u16), Vec<usize>>,
}

/// What a device was answered on one connection.
#[derive(Debug, Default)]
pub struct Answers {
    counts: [usize; 16],
    pub welcomed: bool,
    over: bool,
}

/// An answer that says that a message is the listener's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Acknowledged {
    pub qos: u8,
    pub id: u16,
}

impl Said {
    /// Takes what is said on a connection.
    pub fn take(&mut self, mut bytes: &[u8]) -> Connection {
        let mut connection = Connection::default();
        while let Some((first, body)) = packet(&mut bytes) {
            self.packet(&mut connection, first, body);
        }
        connection
    }

    fn packet(&mut self, connection: &mut Connection, first: u8, body: &[u8]) -> Option<()> {
        let kind = first >> 4;
        connection.counts[usize::from(kind)] += 1;
        let mut body = body;
        match kind {
            1 if connection.counts.iter().sum::<usize>() == 1 => connection.v5 = body.get(6) == Some(&5),
            3 => {
                let qos = first >> 1 & 3;
                connection.by_qos[usize::from(qos)] += 1;
                let topic = text(&mut body)?;
                let id = if qos > 0 { word(&mut body)? } else { 0 };
                if connection.v5 {
                    let length = varint(&mut body)?;
                    body = body.get(length..)?;
                }
                self.published.entry((qos, id)).or_default().push((topic.to_vec(), body.to_vec()));
            }
            8 | 10 => {
                let id = word(&mut body)?;
                if connection.v5 {
                    let length = varint(&mut body)?;
                    body = body.get(length..)?;
                }
                let mut filters = 0;
                while text(&mut body).is_some() {
                    filters += 1;
                    body = if kind == 8 { body.get(1..)? } else { body };
                }
                connection.filters.entry((kind, id)).or_default().push(filters);
            }
            _ => {}
        }
        Some(())
    }
}

impl Answers {
    /// Takes whole packets off the front of `bytes`, each of which must be right, and gives what they acknowledge.
    pub fn take(&mut self, bytes: &mut Vec<u8>, asked: &Connection) -> Vec<Acknowledged> {
        let mut acknowledged = Vec::new();
        let mut rest = &bytes[..];
        while let Some((first, body)) = packet(&mut rest) {
            acknowledged.extend(self.packet(asked, first, body));
        }
        let left = rest.len();
        bytes.drain(..bytes.len() - left);
        acknowledged
    }

    fn packet(&mut self, asked: &Connection, first: u8, body: &[u8]) -> Option<Acknowledged> {
        let wrong = || panic!("{first:02x} {body:02x?} is no answer to {asked:?}");
        let kind = first >> 4;
        assert!(!self.over, "{first:02x} {body:02x?} behind the last word");
        assert!(self.welcomed || kind == 2, "{first:02x} {body:02x?} before CONNACK");
        assert_eq!(first & 15, if kind == 6 { 2 } else { 0 }, "reserved bits");
        let number = usize::from(kind);
        self.counts[number] += 1;
        let requests = match kind {
            2 => 1,
            4 => asked.by_qos[1],
            5 => asked.by_qos[2],
            7 => asked.counts[6],
            9 => asked.counts[8],
            11 => asked.counts[10],
            13 => asked.counts[12],
            14 => usize::from(asked.v5),
            _ => 0,
        };
        assert!(self.counts[number] <= requests, "{} answers of type {kind} to {requests}", self.counts[number]);
        match (kind, body) {
            (2, &[0 | 1, 0, ref rest @ ..]) => {
                self.welcomed = true;
                if !(if asked.v5 { is_properties(rest) } else { rest.is_empty() }) {
                    wrong();
                }
            }
            (2, &[0, _, ref rest @ ..]) => {
                self.over = true;
                assert!(rest.is_empty() || is_properties(rest), "{body:02x?}");
            }
            (4 | 5 | 7, &[high, low, ref rest @ ..]) => {
                let (id, code) = (u16::from_be_bytes([high, low]), rest.first().copied().unwrap_or(0));
                let expected = if kind == 7 { 0x92 } else { 0x87 };
                assert!(id > 0 && rest.len() <= usize::from(asked.v5) && [0, expected].contains(&code), "{body:02x?}");
                return (kind < 7 && code == 0).then_some(Acknowledged { qos: kind - 3, id });
            }
            (9 | 11, &[high, low, ref rest @ ..]) => {
                let (id, v5) = (u16::from_be_bytes([high, low]), usize::from(asked.v5));
                let codes = if kind == 11 && !asked.v5 { 0 } else { rest.len().saturating_sub(v5) };
                let filters = asked.filters.get(&(kind - 1, id));
                let fits = filters.is_some_and(|all| all.contains(&codes) || (kind == 11 && !asked.v5));
                assert!(fits, "{codes} codes to {filters:?} filters");
                if asked.v5 {
                    assert_eq!(rest.first(), Some(&0), "no properties");
                }
                let code = if asked.v5 { [0x87, 0x11][usize::from(kind == 11)] } else { 0x80 };
                assert!(rest[v5.min(rest.len())..].iter().all(|&given| given == code), "{body:02x?}");
            }
            (13, []) => {}
            (14, &[code, ref rest @ ..]) => {
                self.over = true;
                assert!(code >= 0x80 && is_properties(rest), "{body:02x?}");
            }
            _ => wrong(),
        }
        None
    }
}

/// Whether these are properties, whole and well-formed, and nothing behind them.
fn is_properties(mut bytes: &[u8]) -> bool {
    let Some(length) = varint(&mut bytes) else { return false };
    if length != bytes.len() {
        return false;
    }
    while let Some((&property, rest)) = bytes.split_first() {
        bytes = rest;
        let taken = match property {
            19 | 33 => word(&mut bytes).map(drop),
            17 | 39 => word(&mut bytes).and_then(|_| word(&mut bytes)).map(drop),
            18 | 31 => text(&mut bytes).filter(|text| std::str::from_utf8(text).is_ok()).map(drop),
            41 | 42 => bytes.split_off(..1).map(drop),
            _ => None,
        };
        if taken.is_none() {
            return false;
        }
    }
    true
}

/// The first packet, once it is whole: its first byte and its body.
fn packet<'a>(bytes: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (&first, mut rest) = bytes.split_first()?;
    let length = varint(&mut rest)?;
    let body = rest.split_off(..length)?;
    *bytes = rest;
    Some((first, body))
}

fn varint(bytes: &mut &[u8]) -> Option<usize> {
    let mut value = 0;
    for at in 0..4 {
        let byte = *bytes.split_off_first()?;
        value |= usize::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn word(bytes: &mut &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.split_off(..2)?.first_chunk()?))
}

fn text<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = word(bytes)?;
    bytes.split_off(..usize::from(length))
}
