//! Devices that never lose a reading: a publisher that sends again until the broker has acknowledged.
//!
//! Written by hand, over a socket: client libraries drop what is in flight when the broker has lost the session, and
//! the books of a custody test must be complete. It sends QoS 1 with MQTT 3.1.1 and knows nothing else.

use crate::wait::poll;
use std::collections::VecDeque;
use std::io::{BufReader, BufWriter, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Most messages under way; with more the oldest acknowledgement is waited for.
const WINDOW: usize = 500;
/// Longest the broker may be away.
const AWAY_MAX: Duration = Duration::from_secs(60);
/// Longest an acknowledgement may take.
const ANSWER_MAX: Duration = Duration::from_secs(30);

const CONNACK: u8 = 0x20;
const PUBACK: u8 = 0x40;

/// A publisher with a window of messages that are not acknowledged yet.
#[derive(Debug)]
pub struct Publisher {
    broker: SocketAddr,
    client_id: String,
    connection: Option<Connection>,
    window: VecDeque<Message>,
    last_id: u16,
    /// Messages sent again: so many the broker may have twice.
    pub sent_again: u64,
}

#[derive(Debug)]
struct Connection {
    reader: BufReader<TcpStream>,
    writer: BufWriter<TcpStream>,
}

#[derive(Debug)]
struct Message {
    id: u16,
    topic: String,
    body: Vec<u8>,
}

impl Publisher {
    /// A publisher of `broker`; connects when it sends.
    pub fn to(broker: SocketAddr, client_id: &str) -> Self {
        let client_id = client_id.to_owned();
        Publisher { broker, client_id, connection: None, window: VecDeque::new(), last_id: 0, sent_again: 0 }
    }

    /// Sends a message; blocks while the window is full.
    pub fn publish(&mut self, topic: &str, body: impl Into<Vec<u8>>) {
        self.last_id = if self.last_id == u16::MAX { 1 } else { self.last_id + 1 };
        let message = Message { id: self.last_id, topic: topic.to_owned(), body: body.into() };
        let sent = self.connection.as_mut().map(|connection| connection.send(&message));
        self.window.push_back(message);
        if !matches!(sent, Some(Ok(()))) {
            self.send_all_again();
        }
        if self.window.len() >= WINDOW {
            self.settle(WINDOW / 2);
        }
    }

    /// Blocks until the broker has acknowledged everything.
    pub fn flush(&mut self) {
        self.settle(0);
    }

    /// Takes acknowledgements until at most `left` messages are without.
    fn settle(&mut self, left: usize) {
        while self.window.len() > left {
            match self.connection.as_mut().map(Connection::acknowledged) {
                Some(Ok(id)) => self.window.retain(|message| message.id != id),
                Some(Err(_)) | None => self.send_all_again(),
            }
        }
    }

    fn send_all_again(&mut self) {
        let first_time = self.connection.is_none() && self.window.len() == 1;
        let sent = poll(AWAY_MAX, || {
            let mut connection = Connection::open(self.broker, &self.client_id).map_err(|error| error.to_string())?;
            self.window.iter().try_for_each(|message| connection.send(message)).map_err(|error| error.to_string())?;
            self.connection = Some(connection);
            Ok(())
        });
        if let Err(error) = sent {
            panic!("the broker at {} is away: {error}", self.broker);
        }
        if !first_time {
            self.sent_again += self.window.len() as u64;
        }
    }
}

impl Connection {
    fn open(broker: SocketAddr, client_id: &str) -> std::io::Result<Self> {
        let stream = TcpStream::connect(broker)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        stream.set_nodelay(true)?;
        let mut connection = Connection { reader: BufReader::new(stream.try_clone()?), writer: BufWriter::new(stream) };
        // Protocol level 4, clean session, no keep-alive.
        let mut body = b"\0\x04MQTT\x04\x02\0\0".to_vec();
        push_text(&mut body, client_id);
        packet(&mut connection.writer, 0x10, &body)?;
        connection.writer.flush()?;
        match answer(&mut connection.reader)? {
            (CONNACK, [_, 0]) => Ok(connection),
            (CONNACK, [_, code]) => Err(std::io::Error::other(format!("the broker refused with {code}"))),
            (other, _) => Err(unexpected(other)),
        }
    }

    fn send(&mut self, message: &Message) -> std::io::Result<()> {
        publish(&mut self.writer, 0x32, &message.topic, message.id, &message.body)
    }

    /// The id of the next message the broker acknowledges.
    fn acknowledged(&mut self) -> std::io::Result<u16> {
        self.writer.flush()?;
        match answer(&mut self.reader)? {
            (PUBACK, id) => Ok(u16::from_be_bytes(id)),
            (other, _) => Err(unexpected(other)),
        }
    }
}

/// Writes a PUBLISH that has a packet id; `first` has its flags.
pub(crate) fn publish(writer: &mut impl Write, first: u8, topic: &str, id: u16, body: &[u8]) -> std::io::Result<()> {
    let mut all = Vec::with_capacity(topic.len() + body.len() + 4);
    push_text(&mut all, topic);
    all.extend_from_slice(&id.to_be_bytes());
    all.extend_from_slice(body);
    packet(writer, first, &all)
}

/// Writes a packet.
pub(crate) fn packet(writer: &mut impl Write, first: u8, body: &[u8]) -> std::io::Result<()> {
    writer.write_all(&[first])?;
    let mut length = body.len();
    loop {
        let more = if length > 127 { 0x80 } else { 0 };
        writer.write_all(&[(length % 128) as u8 | more])?;
        length /= 128;
        if length == 0 {
            return writer.write_all(body);
        }
    }
}

/// Reads an answer: each kind has two bytes of body.
pub(crate) fn answer(reader: &mut impl Read) -> std::io::Result<(u8, [u8; 2])> {
    let mut packet = [0; 4];
    reader.read_exact(&mut packet)?;
    match packet {
        [kind, 2, a, b] => Ok((kind, [a, b])),
        [kind, ..] => Err(unexpected(kind)),
    }
}

pub(crate) fn unexpected(kind: u8) -> std::io::Error {
    std::io::Error::other(format!("unexpected packet {kind:x}"))
}

fn push_text(body: &mut Vec<u8>, text: &str) {
    body.extend_from_slice(&(text.len() as u16).to_be_bytes());
    body.extend_from_slice(text.as_bytes());
}
