//! MQTT as a device speaks it: what it sends as bytes, and what it is answered. Not the listener's own code: each is the
//! other's witness.

/// The protocol of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    V311,
    V5,
}

/// A PUBLISH.
pub struct Publish<'a> {
    pub qos: u8,
    pub dup: bool,
    pub id: u16,
    pub topic: &'a str,
    pub payload: &'a str,
}

/// What a device is answered.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    Welcome { session_present: bool, receive_max: Option<u16> },
    Refused(u8),
    Ack { id: u16, code: u8 },
    Received { id: u16, code: u8 },
    Complete { id: u16, code: u8 },
    Pong,
    Goodbye(u8),
}

impl Version {
    /// CONNECT. `kept`: seconds the session is to outlive the connection.
    pub fn connect(self, client_id: &str, clean: bool, keep_alive: u16, kept: u32) -> Vec<u8> {
        let mut body = vec![];
        text(&mut body, "MQTT");
        body.push(if self == Version::V5 { 5 } else { 4 });
        body.push(u8::from(clean) << 1);
        body.extend(keep_alive.to_be_bytes());
        if self == Version::V5 {
            body.extend([5, 17]);
            body.extend(kept.to_be_bytes());
        }
        text(&mut body, client_id);
        packet(0x10, &body)
    }

    pub fn publish(self, publish: &Publish<'_>) -> Vec<u8> {
        let mut body = vec![];
        text(&mut body, publish.topic);
        if publish.qos > 0 {
            body.extend(publish.id.to_be_bytes());
        }
        if self == Version::V5 {
            body.push(0);
        }
        body.extend(publish.payload.as_bytes());
        packet(0x30 | u8::from(publish.dup) << 3 | publish.qos << 1, &body)
    }

    /// PUBREL.
    pub fn release(self, id: u16) -> Vec<u8> {
        packet(0x62, &id.to_be_bytes())
    }

    /// The first answer in `bytes` and how long it is, once it is whole.
    pub fn answer(self, bytes: &[u8]) -> Result<Option<(Answer, usize)>, String> {
        let &[first, length, ..] = bytes else { return Ok(None) };
        if length >= 0x80 {
            return Err(format!("an answer of more than 127 bytes: {bytes:02x?}"));
        }
        let end = 2 + usize::from(length);
        let Some(body) = bytes.get(2..end) else { return Ok(None) };
        let answer = match self {
            Version::V311 => v311(first, body),
            Version::V5 => v5(first, body),
        };
        let answer = answer.ok_or_else(|| format!("no answer of {self:?}: {:02x?}", &bytes[..end]))?;
        Ok(Some((answer, end)))
    }
}

/// PINGREQ.
pub fn ping() -> Vec<u8> {
    packet(0xc0, &[])
}

/// DISCONNECT, in both versions with nothing wrong.
pub fn goodbye() -> Vec<u8> {
    packet(0xe0, &[])
}

fn v311(first: u8, body: &[u8]) -> Option<Answer> {
    Some(match (first, body) {
        (0x20, &[present @ 0..=1, 0]) => Answer::Welcome { session_present: present == 1, receive_max: None },
        (0x20, &[0, code]) => Answer::Refused(code),
        (0x40, &[high, low]) => Answer::Ack { id: id(high, low)?, code: 0 },
        (0x50, &[high, low]) => Answer::Received { id: id(high, low)?, code: 0 },
        (0x70, &[high, low]) => Answer::Complete { id: id(high, low)?, code: 0 },
        (0xd0, &[]) => Answer::Pong,
        _ => return None,
    })
}

fn v5(first: u8, body: &[u8]) -> Option<Answer> {
    let coded = |high, low, rest: &[u8]| match rest {
        [] => Some((id(high, low)?, 0)),
        &[code] => Some((id(high, low)?, code)),
        _ => None,
    };
    Some(match (first, body) {
        (0x20, &[present @ 0..=1, 0, ref properties @ ..]) => {
            let receive_max = receive_max(properties)?;
            Answer::Welcome { session_present: present == 1, receive_max: Some(receive_max) }
        }
        (0x20, &[0, code, ..]) => Answer::Refused(code),
        (0x40, &[high, low, ref rest @ ..]) => coded(high, low, rest).map(|(id, code)| Answer::Ack { id, code })?,
        (0x50, &[high, low, ref rest @ ..]) => {
            coded(high, low, rest).map(|(id, code)| Answer::Received { id, code })?
        }
        (0x70, &[high, low, ref rest @ ..]) => {
            coded(high, low, rest).map(|(id, code)| Answer::Complete { id, code })?
        }
        (0xd0, &[]) => Answer::Pong,
        (0xe0, &[code, ..]) => Answer::Goodbye(code),
        _ => return None,
    })
}

/// The receive maximum among the properties of CONNACK, the others being those a server may send.
fn receive_max(properties: &[u8]) -> Option<u16> {
    let (&length, mut rest) = properties.split_first()?;
    if usize::from(length) != rest.len() {
        return None;
    }
    let mut found = 65_535;
    while let Some((&property, value)) = rest.split_first() {
        let bytes = match property {
            33 => {
                found = u16::from_be_bytes(*value.first_chunk()?);
                2
            }
            19 => 2,
            17 | 39 => 4,
            18 | 31 => 2 + usize::from(u16::from_be_bytes(*value.first_chunk()?)),
            36 | 37 | 40 | 41 | 42 => 1,
            _ => return None,
        };
        rest = value.get(bytes..)?;
    }
    Some(found)
}

fn id(high: u8, low: u8) -> Option<u16> {
    Some(u16::from_be_bytes([high, low])).filter(|&id| id > 0)
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u16).to_be_bytes());
    out.extend(text.as_bytes());
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    let mut length = body.len();
    while length >= 0x80 {
        out.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend(body);
    out
}
