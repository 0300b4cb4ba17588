//! MQTT 3.1.1 and 5 behind one face: rumqttc's two clients differ in every type.

use super::address::Address;
use super::link::{Link, Requests};
use super::reason;
use super::{Options, Qos, Version};
use crate::words::words;
use bytes::Bytes;
use rumqttc::{Outgoing, Transport, v5};
use std::borrow::Cow;

/// Requests the client holds beside a full window of acks: subscribing, pings, disconnecting.
const SPARE_REQUESTS: usize = 64;
/// Publishes we may have under way: none are made here. rumqttc allocates a slot each.
const OUTGOING_MAX: u16 = 8;

/// A message as it came.
#[derive(Debug)]
pub struct Delivery {
    /// What is promised for it.
    pub qos: Qos,
    /// The broker says that it sent it before.
    pub dup: bool,
    /// It is a retained message.
    pub retain: bool,
    /// Its packet id (QoS 1 and 2).
    pub packet_id: u16,
    /// Its topic.
    pub topic: Topic,
    /// Its payload.
    pub payload: Bytes,
}

/// A topic as the protocol brings it.
#[derive(Debug)]
pub enum Topic {
    /// MQTT 3.1.1.
    V4(String),
    /// MQTT 5.
    V5(Bytes),
}

impl Topic {
    /// As text.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Topic::V4(text) => Cow::Borrowed(text),
            Topic::V5(bytes) => String::from_utf8_lossy(bytes),
        }
    }

    /// As bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Topic::V4(text) => text.as_bytes(),
            Topic::V5(bytes) => bytes,
        }
    }
}

/// What the wire says.
#[derive(Debug)]
pub enum Signal {
    /// A message.
    Publish(Delivery),
    /// The broker took us.
    Connected {
        /// It has our session still.
        session_present: bool,
    },
    /// One answer for each filter: refused with a word, or granted.
    Subscribed(Vec<Result<Qos, String>>),
    /// The PUBACK or PUBREC of this packet id was written.
    AckWritten(u16),
    /// PUBREL, which the client has answered with PUBCOMP.
    Released(u16),
    /// The broker answers pings.
    Alive,
    /// What means nothing to us.
    Other,
}

/// The network half: polled by one task, never cancelled but to end.
pub(super) enum Wire {
    V4(Box<rumqttc::EventLoop>, Address),
    V5(Box<v5::EventLoop>, Address),
    Link(Box<dyn Link>),
}

/// The other half: requests that never wait.
#[derive(Debug)]
pub(super) enum Client {
    V4(rumqttc::AsyncClient),
    V5(v5::AsyncClient),
    Link(Box<dyn Requests>),
}

impl Wire {
    pub fn new(options: &Options, address: &Address, transport: Option<Transport>) -> (Client, Self) {
        match options.version {
            Version::V311 => v4(options, address, transport),
            Version::V5 => v5(options, address, transport),
        }
    }

    /// The next signal; connects where there is no connection. The error is a sentence.
    pub async fn poll(&mut self) -> Result<Signal, String> {
        match self {
            Wire::V4(events, address) => match events.poll().await {
                Ok(event) => Ok(signal_v4(event)),
                Err(error) => Err(reason::of_v4(&error, address)),
            },
            Wire::V5(events, address) => match events.poll().await {
                Ok(event) => Ok(signal_v5(event)),
                Err(error) => Err(reason::of_v5(&error, address)),
            },
            Wire::Link(link) => link.poll().await,
        }
    }

    /// Has every PUBREL answered. rumqttc takes one of a message it has not seen on this connection for a mistake and ends
    /// the connection, and so the next one: but a broker that has our PUBREC sends just that on each new connection.
    pub fn answer_every_release(&mut self) {
        for id in 1..=u16::MAX {
            match self {
                Wire::V4(events, _) => {
                    let mut publish = rumqttc::Publish::new("", rumqttc::QoS::ExactlyOnce, Vec::new());
                    publish.pkid = id;
                    drop(events.state.handle_incoming_packet(rumqttc::Packet::Publish(publish)));
                    events.state.events.pop_back();
                }
                Wire::V5(events, _) => {
                    // With a topic: an empty one would be looked for under its alias.
                    let (qos, topic) = (v5::mqttbytes::QoS::ExactlyOnce, Bytes::from_static(b"-"));
                    let publish = v5::mqttbytes::v5::Publish { pkid: id, qos, topic, ..Default::default() };
                    drop(events.state.handle_incoming_packet(v5::mqttbytes::v5::Packet::Publish(publish)));
                    events.state.events.pop_back();
                }
                // A caller's link answers what it likes.
                Wire::Link(_) => {}
            }
        }
    }

    /// A signal that is here already: rumqttc reads up to nine packets at once.
    pub fn buffered(&mut self) -> Option<Signal> {
        match self {
            Wire::V4(events, _) => events.state.events.pop_front().map(signal_v4),
            Wire::V5(events, _) => events.state.events.pop_front().map(signal_v5),
            Wire::Link(link) => link.buffered(),
        }
    }

    /// Drops the connection; the next poll connects again.
    pub fn reset(&mut self) {
        match self {
            Wire::V4(events, _) => {
                events.clean();
                // rumqttc keeps these for the next connection, where the id may be another message's.
                events.pending.retain(|request| !matches!(request, rumqttc::Request::PubRec(_)));
            }
            Wire::V5(events, _) => {
                events.clean();
                events.pending.retain(|request| !matches!(request, v5::Request::PubRec(_)));
            }
            Wire::Link(link) => link.reset(),
        }
    }
}

impl Client {
    /// Hands an ack over. False where there is no room: try again later.
    pub fn ack(&self, packet_id: u16, qos: Qos) -> bool {
        match self {
            Client::V4(client) => {
                let mut publish = rumqttc::Publish::new("", qos_v4(qos), Vec::new());
                publish.pkid = packet_id;
                client.try_ack(&publish).is_ok()
            }
            Client::V5(client) => {
                let qos = qos_v5(qos);
                let publish = v5::mqttbytes::v5::Publish { pkid: packet_id, qos, ..Default::default() };
                client.try_ack(&publish).is_ok()
            }
            Client::Link(requests) => requests.ack(packet_id),
        }
    }

    /// Subscribes to the configured filters. False where there is no room.
    pub fn subscribe(&self, options: &Options) -> bool {
        match self {
            Client::V4(client) => {
                let qos = qos_v4(options.qos);
                let filters = options.topics.iter().map(|t| rumqttc::SubscribeFilter::new(t.clone(), qos));
                client.try_subscribe_many(filters).is_ok()
            }
            Client::V5(client) => {
                use v5::mqttbytes::v5::{Filter, RetainForwardRule};
                let filters = options.topics.iter().map(|topic| {
                    let mut filter = Filter::new(topic.clone(), qos_v5(options.qos));
                    if !options.retained {
                        filter.retain_forward_rule = RetainForwardRule::Never;
                    }
                    filter
                });
                client.try_subscribe_many(filters).is_ok()
            }
            Client::Link(requests) => requests.subscribe(&options.topics),
        }
    }

    /// Says goodbye; the broker keeps the session. False where there is no room.
    pub fn disconnect(&self) -> bool {
        match self {
            Client::V4(client) => client.try_disconnect().is_ok(),
            Client::V5(client) => client.try_disconnect().is_ok(),
            Client::Link(requests) => requests.disconnect(),
        }
    }
}

fn qos_v4(qos: Qos) -> rumqttc::QoS {
    match qos {
        Qos::AtMostOnce => rumqttc::QoS::AtMostOnce,
        Qos::AtLeastOnce => rumqttc::QoS::AtLeastOnce,
        Qos::ExactlyOnce => rumqttc::QoS::ExactlyOnce,
    }
}

fn of_qos_v4(qos: rumqttc::QoS) -> Qos {
    match qos {
        rumqttc::QoS::AtMostOnce => Qos::AtMostOnce,
        rumqttc::QoS::AtLeastOnce => Qos::AtLeastOnce,
        rumqttc::QoS::ExactlyOnce => Qos::ExactlyOnce,
    }
}

fn qos_v5(qos: Qos) -> v5::mqttbytes::QoS {
    match qos {
        Qos::AtMostOnce => v5::mqttbytes::QoS::AtMostOnce,
        Qos::AtLeastOnce => v5::mqttbytes::QoS::AtLeastOnce,
        Qos::ExactlyOnce => v5::mqttbytes::QoS::ExactlyOnce,
    }
}

fn of_qos_v5(qos: v5::mqttbytes::QoS) -> Qos {
    match qos {
        v5::mqttbytes::QoS::AtMostOnce => Qos::AtMostOnce,
        v5::mqttbytes::QoS::AtLeastOnce => Qos::AtLeastOnce,
        v5::mqttbytes::QoS::ExactlyOnce => Qos::ExactlyOnce,
    }
}

fn requests_max(options: &Options) -> usize {
    usize::from(options.receive_max) + SPARE_REQUESTS
}

fn v4(options: &Options, address: &Address, transport: Option<Transport>) -> (Client, Wire) {
    let mut mqtt = rumqttc::MqttOptions::new(&options.client_id, &address.host, address.port);
    // A limit of 10 KiB is rumqttc's default, and one larger message in a session would end every connection.
    mqtt.set_keep_alive(options.keep_alive)
        .set_clean_session(false)
        .set_manual_acks(true)
        .set_inflight(OUTGOING_MAX)
        .set_max_packet_size(options.packet_bytes_max as usize, options.packet_bytes_max as usize);
    if let Some(username) = &options.username {
        let password = options.password.as_ref().map_or("", |p| p.reveal());
        mqtt.set_credentials(username, password);
    }
    if let Some(transport) = transport {
        mqtt.set_transport(transport);
    }
    let (client, events) = rumqttc::AsyncClient::new(mqtt, requests_max(options));
    (Client::V4(client), Wire::V4(Box::new(events), address.clone()))
}

fn v5(options: &Options, address: &Address, transport: Option<Transport>) -> (Client, Wire) {
    let mut mqtt = v5::MqttOptions::new(&options.client_id, &address.host, address.port);
    let expiry = u32::try_from(options.session_expiry.as_secs()).unwrap_or(u32::MAX);
    mqtt.set_keep_alive(options.keep_alive)
        .set_clean_start(false)
        .set_manual_acks(true)
        .set_outgoing_inflight_upper_limit(OUTGOING_MAX)
        .set_session_expiry_interval(Some(expiry))
        .set_receive_maximum(Some(options.receive_max))
        .set_max_packet_size(Some(options.packet_bytes_max));
    if let Some(username) = &options.username {
        let password = options.password.as_ref().map_or("", |p| p.reveal());
        mqtt.set_credentials(username, password);
    }
    if let Some(transport) = transport {
        mqtt.set_transport(transport);
    }
    let (client, events) = v5::AsyncClient::new(mqtt, requests_max(options));
    (Client::V5(client), Wire::V5(Box::new(events), address.clone()))
}

fn signal_v4(event: rumqttc::Event) -> Signal {
    use rumqttc::{Packet, SubscribeReasonCode};
    match event {
        rumqttc::Event::Incoming(Packet::Publish(publish)) => Signal::Publish(Delivery {
            qos: of_qos_v4(publish.qos),
            dup: publish.dup,
            retain: publish.retain,
            packet_id: publish.pkid,
            topic: Topic::V4(publish.topic),
            payload: publish.payload,
        }),
        rumqttc::Event::Incoming(Packet::ConnAck(ack)) => Signal::Connected { session_present: ack.session_present },
        rumqttc::Event::Incoming(Packet::SubAck(ack)) => Signal::Subscribed(
            ack.return_codes
                .iter()
                .map(|code| match code {
                    SubscribeReasonCode::Success(qos) => Ok(of_qos_v4(*qos)),
                    SubscribeReasonCode::Failure => Err("not authorized, or not a filter it accepts".into()),
                })
                .collect(),
        ),
        rumqttc::Event::Incoming(Packet::PubRel(release)) => Signal::Released(release.pkid),
        rumqttc::Event::Incoming(Packet::PingResp) => Signal::Alive,
        rumqttc::Event::Outgoing(outgoing) => signal_outgoing(&outgoing),
        rumqttc::Event::Incoming(_) => Signal::Other,
    }
}

fn signal_v5(event: v5::Event) -> Signal {
    use v5::mqttbytes::v5::{Packet, SubscribeReasonCode};
    match event {
        v5::Event::Incoming(Packet::Publish(publish)) => Signal::Publish(Delivery {
            qos: of_qos_v5(publish.qos),
            dup: publish.dup,
            retain: publish.retain,
            packet_id: publish.pkid,
            topic: Topic::V5(publish.topic),
            payload: publish.payload,
        }),
        v5::Event::Incoming(Packet::ConnAck(ack)) => Signal::Connected { session_present: ack.session_present },
        v5::Event::Incoming(Packet::SubAck(ack)) => Signal::Subscribed(
            ack.return_codes
                .iter()
                .map(|code| match code {
                    SubscribeReasonCode::Success(qos) => Ok(of_qos_v5(*qos)),
                    code => Err(words(&format!("{code:?}"))),
                })
                .collect(),
        ),
        v5::Event::Incoming(Packet::PubRel(release)) => Signal::Released(release.pkid),
        v5::Event::Incoming(Packet::PingResp(_)) => Signal::Alive,
        v5::Event::Outgoing(outgoing) => signal_outgoing(&outgoing),
        v5::Event::Incoming(_) => Signal::Other,
    }
}

fn signal_outgoing(outgoing: &Outgoing) -> Signal {
    match outgoing {
        Outgoing::PubAck(packet_id) | Outgoing::PubRec(packet_id) => Signal::AckWritten(*packet_id),
        _ => Signal::Other,
    }
}
