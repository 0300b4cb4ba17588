//! A witness between broker and gateway: passes MQTT on and notes what the gateway acknowledged.
//!
//! It notes an acknowledgement when it leaves the gateway, before the broker has it: that is the moment of the promise.
//! And it can end the world: from [`Witness::freeze`] on nothing passes and nothing is noted, so that broker and disk
//! stay on one side of a power cut.

use super::Reading;
use crate::process::free_port;
use crate::runtime;
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

const CONNECT: u8 = 1;
const PUBLISH: u8 = 3;
const PUBACK: u8 = 4;
/// A larger packet is no reading of ours.
const PACKET_MAX: usize = 1 << 20;

/// A proxy in front of a broker.
#[derive(Debug)]
pub struct Witness {
    addr: SocketAddr,
    broker: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    serving: Option<JoinHandle<()>>,
}

/// What passed.
#[derive(Debug, Default)]
struct Seen {
    frozen: bool,
    /// Acknowledged by the gateway since the last [`Witness::take_acknowledged`].
    acknowledged: HashSet<Reading>,
    /// Publishes the broker marked as sent before.
    redelivered: u64,
}

/// One connection of the gateway: its MQTT version and the publishes it has not acknowledged.
#[derive(Debug, Default)]
struct Connection {
    level: u8,
    pending: HashMap<u16, Reading>,
}

impl Witness {
    /// Stands before `broker`.
    pub fn of(broker: SocketAddr) -> Self {
        let addr = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut witness = Witness { addr, broker, seen: Arc::default(), serving: None };
        witness.thaw();
        witness
    }

    /// Where the gateway connects.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// From now on nothing passes and nothing is noted.
    pub fn freeze(&self) {
        self.seen().frozen = true;
    }

    /// Cuts every connection; new ones pass.
    pub fn thaw(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            let _ = runtime().block_on(serving);
        }
        let listener = runtime().block_on(TcpListener::bind(self.addr)).expect("the port of the witness");
        self.seen().frozen = false;
        self.serving = Some(runtime().spawn(serve(listener, self.broker, Arc::clone(&self.seen))));
    }

    /// Readings whose acknowledgement passed since the last call.
    pub fn take_acknowledged(&self) -> HashSet<Reading> {
        std::mem::take(&mut self.seen().acknowledged)
    }

    /// Publishes the broker has sent again.
    pub fn redelivered(&self) -> u64 {
        self.seen().redelivered
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("no panic while locked")
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
        }
    }
}

async fn serve(listener: TcpListener, broker: SocketAddr, seen: Arc<Mutex<Seen>>) {
    // The connections end with this task.
    let mut connections = JoinSet::new();
    while let Ok((gateway, _)) = listener.accept().await {
        connections.spawn(pass(gateway, broker, Arc::clone(&seen)));
        while connections.try_join_next().is_some() {}
    }
}

async fn pass(gateway: TcpStream, broker: SocketAddr, seen: Arc<Mutex<Seen>>) {
    let Ok(broker) = TcpStream::connect(broker).await else { return };
    let _ = (gateway.set_nodelay(true), broker.set_nodelay(true));
    let (connection, ((from_gateway, to_gateway), (from_broker, to_broker))) =
        (Mutex::new(Connection::default()), (gateway.into_split(), broker.into_split()));
    tokio::select! {
        biased;
        _ = pump(from_gateway, to_broker, &seen, |packet, seen| connection.lock().expect("no panic").upward(packet, seen)) => {}
        _ = pump(from_broker, to_gateway, &seen, |packet, seen| connection.lock().expect("no panic").downward(packet, seen)) => {}
    }
}

/// Passes packets on, each noted before it goes on; ends with the connection or the world.
async fn pump(
    from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    seen: &Mutex<Seen>,
    note: impl Fn(&Packet, &mut Seen),
) -> Option<()> {
    let mut from = BufReader::new(from);
    loop {
        let packet = Packet::read(&mut from).await?;
        {
            let mut seen = seen.lock().expect("no panic while locked");
            if seen.frozen {
                return None;
            }
            note(&packet, &mut seen);
        }
        to.write_all(&packet.bytes).await.ok()?;
    }
}

impl Connection {
    /// From the gateway.
    fn upward(&mut self, packet: &Packet, seen: &mut Seen) {
        let body = packet.body();
        match packet.kind() {
            // Behind the name of the protocol stands its level.
            CONNECT => self.level = body.get(6).copied().unwrap_or_default(),
            PUBACK => {
                let refused = body.get(2).is_some_and(|code| *code >= 0x80);
                if let (Some(reading), false) = (take_u16(body).and_then(|id| self.pending.remove(&id)), refused) {
                    seen.acknowledged.insert(reading);
                }
            }
            _ => {}
        }
    }

    /// From the broker.
    fn downward(&mut self, packet: &Packet, seen: &mut Seen) {
        if packet.kind() == PUBLISH && packet.bytes[0] & 0b110 != 0 {
            let (id, body) = packet.publish(self.level).expect("a publish of the broker");
            seen.redelivered += u64::from(packet.bytes[0] & 0b1000 != 0);
            self.pending.insert(id, Reading::of_json(body).expect("a reading of ours"));
        }
    }
}

/// An MQTT control packet, whole.
struct Packet {
    bytes: Vec<u8>,
    body: usize,
}

impl Packet {
    async fn read(from: &mut BufReader<OwnedReadHalf>) -> Option<Self> {
        let mut bytes = vec![from.read_u8().await.ok()?];
        let (mut length, mut shift) = (0, 0);
        loop {
            let byte = from.read_u8().await.ok()?;
            bytes.push(byte);
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        assert!(length <= PACKET_MAX, "a packet of {length} bytes");
        let body = bytes.len();
        bytes.resize(body + length, 0);
        from.read_exact(&mut bytes[body..]).await.ok()?;
        Some(Packet { bytes, body })
    }

    fn kind(&self) -> u8 {
        self.bytes[0] >> 4
    }

    fn body(&self) -> &[u8] {
        &self.bytes[self.body..]
    }

    /// Packet id and application message of a publish with QoS 1.
    fn publish(&self, level: u8) -> Option<(u16, &[u8])> {
        let body = self.body();
        let rest = body.get(2 + usize::from(take_u16(body)?)..)?;
        let (id, rest) = (take_u16(rest)?, rest.get(2..)?);
        if level < 5 {
            return Some((id, rest));
        }
        let end = rest.iter().position(|byte| byte & 0x80 == 0)?;
        let length = rest[..=end].iter().rev().fold(0, |sum, byte| sum << 7 | usize::from(byte & 0x7f));
        Some((id, rest.get(end + 1 + length..)?))
    }
}

fn take_u16(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(..2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(bytes: &[u8]) -> Packet {
        Packet { bytes: bytes.to_vec(), body: 2 }
    }

    #[test]
    fn only_what_the_gateway_acknowledged_is_noted() {
        let (mut seen, mut connection) = (Seen::default(), Connection { level: 5, ..Connection::default() });
        let body = br#"{"device":"d03","seq":7}"#;
        let publish = |id: u8| [&[0x3a, 0, 0, 1, b't', 0, id, 2, 1, 0][..], body].concat();
        for id in [1, 2] {
            connection.downward(&packet(&publish(id)), &mut seen);
        }
        connection.upward(&packet(&[0x40, 2, 0, 9]), &mut seen);
        connection.upward(&packet(&[0x40, 3, 0, 2, 0x80]), &mut seen);
        assert!(seen.acknowledged.is_empty(), "an unknown id and a refusal");
        connection.upward(&packet(&[0x40, 2, 0, 1]), &mut seen);
        assert_eq!(seen.acknowledged, HashSet::from([Reading { device: 3, seq: 7 }]));
        assert_eq!(seen.redelivered, 2);
    }
}
