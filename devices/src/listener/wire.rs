//! MQTT 3.1.1 and 5 as they come from devices, behind one face.
//!
//! Sans I/O: bytes in, packets out, nothing copied, every length checked. rumqttc's codecs are a client's: the one of MQTT 5
//! refuses a DISCONNECT without a reason, and takes a packet with a truncated property for one that is still on its
//! way. They are the other side in the tests.

use super::end::End;
use super::properties::{self, Properties};
use super::reader::{Reader, varint};
pub(super) use crate::mqtt::Qos;

/// Most filters of a SUBSCRIBE or UNSUBSCRIBE: its answer has a byte for each.
const FILTERS_MAX: usize = 1024;

/// The protocol a device speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    V311,
    V5,
}

/// A whole packet: its first byte and its body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whole<'a> {
    first: u8,
    body: &'a [u8],
    /// Bytes of it, the header included.
    pub bytes: usize,
}

/// What a device sends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Packet<'a> {
    Connect(Connect<'a>),
    Publish(Publish<'a>),
    /// PUBREL.
    Release(u16),
    Subscribe {
        id: u16,
        filters: usize,
    },
    Unsubscribe {
        id: u16,
        filters: usize,
    },
    Ping,
    Disconnect {
        session_expiry: Option<u32>,
        /// The device wants its will to be said all the same.
        with_will: bool,
    },
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Connect<'a> {
    pub version: Version,
    pub clean: bool,
    /// Seconds.
    pub keep_alive: u16,
    pub client_id: &'a str,
    pub will: Option<Will<'a>>,
    pub username: Option<&'a str>,
    pub password: Option<&'a [u8]>,
    pub properties: Properties,
}

/// What is to be said when the connection breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Will<'a> {
    pub topic: &'a str,
    pub payload: &'a [u8],
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Publish<'a> {
    pub qos: Qos,
    pub dup: bool,
    /// 0 at QoS 0.
    pub id: u16,
    pub topic: &'a str,
    pub payload: &'a [u8],
}

/// The first packet in `bytes`, once it is whole.
pub(super) fn whole(bytes: &[u8], max: usize) -> Result<Option<Whole<'_>>, End> {
    let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
    let Some((length, header)) = varint(rest)? else { return Ok(None) };
    let bytes = 1 + header + length;
    if bytes > max {
        return Err(End::TooLarge { bytes, max });
    }
    Ok(rest.get(header..header + length).map(|body| Whole { first, body, bytes }))
}

impl<'a> Whole<'a> {
    /// The packet, of a connection that speaks `version`.
    pub fn packet(self, version: Version) -> Result<Packet<'a>, End> {
        let flags = self.first & 0x0f;
        let mut body = Reader::new(self.body);
        let expected = match self.first >> 4 {
            3 => flags,
            6 | 8 | 10 => 0b0010,
            _ => 0,
        };
        if flags != expected {
            return Err(End::Malformed("reserved bits of the header are set"));
        }
        let v5 = version == Version::V5;
        match self.first >> 4 {
            1 => connect(body).map(Packet::Connect),
            3 => publish(flags, body, v5).map(Packet::Publish),
            6 => release(body, v5),
            8 => subscribe(body, v5),
            10 => unsubscribe(body, v5),
            12 if body.is_empty() => Ok(Packet::Ping),
            14 if !v5 || body.is_empty() => Ok(Packet::Disconnect { session_expiry: None, with_will: false }),
            14 => {
                // All reasons but the normal one.
                let with_will = body.u8()? != 0;
                let session_expiry = ending(body, properties::IN_DISCONNECT)?.session_expiry;
                Ok(Packet::Disconnect { session_expiry, with_will })
            }
            4 | 5 | 7 => Err(End::Protocol("an acknowledgement of a message that was never sent")),
            15 if v5 => Err(End::Protocol("AUTH without enhanced authentication")),
            _ => Err(End::Malformed("a packet that no device sends")),
        }
    }
}

fn connect(mut body: Reader<'_>) -> Result<Connect<'_>, End> {
    let name = body.text()?;
    let level = body.u8()?;
    let version = match (name, level) {
        // mosquitto's bridges mark themselves with the highest bit.
        ("MQTT", 4 | 0x84) => Version::V311,
        ("MQTT", 5) => Version::V5,
        ("MQTT" | "MQIsdp", level) => return Err(End::Version(level)),
        _ => return Err(End::Malformed("a CONNECT that does not say MQTT")),
    };
    let flags = body.u8()?;
    let (will, will_qos) = (flags & 0x04 != 0, flags >> 3 & 3);
    if flags & 1 != 0 || will_qos == 3 || (!will && flags & 0x38 != 0) {
        return Err(End::Malformed("flags of CONNECT that contradict each other"));
    }
    let keep_alive = body.u16()?;
    let v5 = version == Version::V5;
    let properties = if v5 { Properties::read(&mut body, properties::IN_CONNECT)? } else { Properties::default() };
    let client_id = body.text()?;
    let will = if will { Some(will_of(&mut body, v5)?) } else { None };
    let username = if flags & 0x80 != 0 { Some(body.text()?) } else { None };
    let password = if flags & 0x40 != 0 { Some(body.binary()?) } else { None };
    if !body.is_empty() {
        return Err(End::Malformed("bytes behind the end of CONNECT"));
    }
    Ok(Connect { version, clean: flags & 0x02 != 0, keep_alive, client_id, will, username, password, properties })
}

fn will_of<'a>(body: &mut Reader<'a>, v5: bool) -> Result<Will<'a>, End> {
    if v5 {
        Properties::read(body, properties::IN_WILL)?;
    }
    let (topic, payload) = (body.text()?, body.binary()?);
    check_topic(topic)?;
    Ok(Will { topic, payload })
}

fn check_topic(topic: &str) -> Result<(), End> {
    if topic.is_empty() || topic.contains(['+', '#']) {
        return Err(End::Malformed("a topic that is empty, or has a wildcard in it"));
    }
    Ok(())
}

fn publish(flags: u8, mut body: Reader<'_>, v5: bool) -> Result<Publish<'_>, End> {
    let qos = match flags >> 1 & 3 {
        0 => Qos::AtMostOnce,
        1 => Qos::AtLeastOnce,
        2 => Qos::ExactlyOnce,
        _ => return Err(End::Malformed("QoS 3")),
    };
    let dup = flags & 0x08 != 0;
    if dup && qos == Qos::AtMostOnce {
        return Err(End::Malformed("a redelivery at QoS 0"));
    }
    let topic = body.text()?;
    let id = if qos == Qos::AtMostOnce { 0 } else { body.id()? };
    if v5 && Properties::read(&mut body, properties::IN_PUBLISH)?.topic_alias {
        return Err(End::Protocol("a topic alias, and none were allowed"));
    }
    check_topic(topic)?;
    Ok(Publish { qos, dup, id, topic, payload: body.rest() })
}

fn release<'a>(mut body: Reader<'a>, v5: bool) -> Result<Packet<'a>, End> {
    let id = body.id()?;
    if v5 && !body.is_empty() {
        body.u8()?;
        ending(body, properties::IN_ACK)?;
    } else if !body.is_empty() {
        return Err(End::Malformed("bytes behind the end of PUBREL"));
    }
    Ok(Packet::Release(id))
}

/// Properties at the end of a packet, which may be left out.
fn ending(mut body: Reader<'_>, allowed: &[u8]) -> Result<Properties, End> {
    if body.is_empty() { Ok(Properties::default()) } else { Properties::read(&mut body, allowed) }
}

fn subscribe<'a>(mut body: Reader<'a>, v5: bool) -> Result<Packet<'a>, End> {
    let id = body.id()?;
    if v5 {
        Properties::read(&mut body, properties::IN_SUBSCRIBE)?;
    }
    let mut filters = 0;
    while !body.is_empty() {
        filters = filter(&mut body, filters)?;
        body.u8()?;
    }
    if filters == 0 { Err(End::Protocol("SUBSCRIBE to nothing")) } else { Ok(Packet::Subscribe { id, filters }) }
}

fn unsubscribe<'a>(mut body: Reader<'a>, v5: bool) -> Result<Packet<'a>, End> {
    let id = body.id()?;
    if v5 {
        Properties::read(&mut body, properties::IN_UNSUBSCRIBE)?;
    }
    let mut filters = 0;
    while !body.is_empty() {
        filters = filter(&mut body, filters)?;
    }
    if filters == 0 { Err(End::Protocol("UNSUBSCRIBE from nothing")) } else { Ok(Packet::Unsubscribe { id, filters }) }
}

/// Reads one filter more than `before`, and gives how many that makes.
fn filter(body: &mut Reader<'_>, before: usize) -> Result<usize, End> {
    if body.text()?.is_empty() {
        return Err(End::Protocol("a topic filter that is empty"));
    }
    if before == FILTERS_MAX {
        return Err(End::Protocol("more than 1024 topic filters in one packet"));
    }
    Ok(before + 1)
}
