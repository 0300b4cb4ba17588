//! A device that sends at QoS 2, with a session that outlives its connections: what it sends is to arrive once.
//!
//! By hand over a socket, with the packets of [`crate::publisher`]: client libraries forget what is in flight when they are
//! asked to.

use crate::publisher::{answer, packet, publish, unexpected};
use crate::wait::poll;
use std::collections::VecDeque;
use std::io::{BufReader, BufWriter, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Most messages under way.
const WINDOW: usize = 200;
/// Longest the listener may be away.
const AWAY_MAX: Duration = Duration::from_secs(60);
/// Longest an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(30);

const CONNACK: u8 = 0x20;
const PUBLISH: u8 = 0x34;
const DUP: u8 = 0x08;
const PUBREC: u8 = 0x50;
const PUBREL: u8 = 0x62;
const PUBCOMP: u8 = 0x70;

/// A device of MQTT 3.1.1 with a window of messages that have not arrived for sure.
#[derive(Debug)]
pub struct Exact {
    listener: SocketAddr,
    connection: Option<(BufReader<TcpStream>, BufWriter<TcpStream>)>,
    window: VecDeque<Message>,
    last_id: u16,
    /// Connections that found no session.
    pub new_sessions: u64,
    /// Messages and releases sent again.
    pub sent_again: u64,
}

#[derive(Debug)]
struct Message {
    id: u16,
    topic: String,
    body: Vec<u8>,
    /// It went out, or part of it.
    sent: bool,
    /// Its PUBREC came.
    received: bool,
}

impl Message {
    fn send(&self, writer: &mut impl Write, first: u8) -> std::io::Result<()> {
        publish(writer, first, &self.topic, self.id, &self.body)
    }
}

impl Exact {
    /// A device of `listener`; connects when it sends.
    pub fn to(listener: SocketAddr) -> Self {
        Exact { listener, connection: None, window: VecDeque::new(), last_id: 0, new_sessions: 0, sent_again: 0 }
    }

    /// Sends a message; blocks while the window is full.
    pub fn publish(&mut self, topic: &str, body: impl Into<Vec<u8>>) {
        self.last_id = if self.last_id == u16::MAX { 1 } else { self.last_id + 1 };
        let (id, sent) = (self.last_id, self.connection.is_some());
        let message = Message { id, topic: topic.to_owned(), body: body.into(), sent, received: false };
        let sent = self.connection.as_mut().map(|(_, writer)| message.send(writer, PUBLISH));
        self.window.push_back(message);
        if !matches!(sent, Some(Ok(()))) {
            self.connect();
        }
        if self.window.len() >= WINDOW {
            self.settle(WINDOW / 2);
        }
    }

    /// Blocks until everything has arrived for sure.
    pub fn flush(&mut self) {
        self.settle(0);
    }

    /// Takes answers until at most `left` messages are under way.
    fn settle(&mut self, left: usize) {
        while self.window.len() > left {
            if self.answer().is_err() {
                self.connect();
            }
        }
    }

    fn answer(&mut self) -> std::io::Result<()> {
        let Some((reader, writer)) = &mut self.connection else { return Err(std::io::ErrorKind::NotConnected.into()) };
        writer.flush()?;
        let (kind, id) = answer(reader)?;
        let id = u16::from_be_bytes(id);
        match kind {
            PUBREC => {
                self.window.iter_mut().filter(|message| message.id == id).for_each(|message| message.received = true);
                release(writer, id)
            }
            PUBCOMP => {
                self.window.retain(|message| message.id != id);
                Ok(())
            }
            other => Err(unexpected(other)),
        }
    }

    /// Connects, and goes on with everything that is under way.
    fn connect(&mut self) {
        let first = self.connection.is_none();
        let again = poll(AWAY_MAX, || self.try_connect().map_err(|error| error.to_string()));
        match again {
            Ok(sent) if !first => self.sent_again += sent,
            Ok(_) => {}
            Err(error) => panic!("the listener at {} is away: {error}", self.listener),
        }
    }

    fn try_connect(&mut self) -> std::io::Result<u64> {
        let stream = TcpStream::connect(self.listener)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        stream.set_nodelay(true)?;
        let (mut reader, mut writer) = (BufReader::new(stream.try_clone()?), BufWriter::new(stream));
        // Protocol level 4, a session that is kept, no keep-alive.
        writer.write_all(b"\x10\x11\0\x04MQTT\x04\0\0\0\0\x05exact")?;
        writer.flush()?;
        match answer(&mut reader)? {
            (CONNACK, [0, 0]) => self.new_sessions += 1,
            (CONNACK, [1, 0]) => {}
            other => return Err(std::io::Error::other(format!("no welcome: {other:x?}"))),
        }
        for message in &mut self.window {
            match message.received {
                true => release(&mut writer, message.id)?,
                false => message.send(&mut writer, if message.sent { PUBLISH | DUP } else { PUBLISH })?,
            }
            message.sent = true;
        }
        self.connection = Some((reader, writer));
        Ok(self.window.len() as u64)
    }
}

fn release(writer: &mut impl Write, id: u16) -> std::io::Result<()> {
    packet(writer, PUBREL, &id.to_be_bytes())
}
