//! Connections to the listener, of any bytes: each ends, what it is answered is MQTT, and what is acknowledged is in
//! custody.

use crate::Verdict;
use crate::allocation::within;
use crate::bytes::Bytes;
use crate::custody::Custody;
use crate::talk::{Acknowledged, Answers, Connection, Said};
use futures::StreamExt as _;
use memchr::memmem;
use std::sync::Arc;
use std::time::Duration;
use tidegate_devices::decode::Format;
use tidegate_devices::listener::{Options, Source, Wire};
use tidegate_devices::{Ack, DecodeOptions};
use tidegate_record::{Field, Scalar, Schema};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Between the bytes of two connections.
const NEXT: &[u8] = &[0xff, 0xff];
/// Most bytes of a connection.
const CONNECTION_BYTES_MAX: usize = 256 << 10;
/// Memory of a listener with one connection, whatever is said on it, its answers unread: the bounds of `devices` (64 KiB of
/// answers, 16 KiB and a packet read ahead) and what the runtime takes, twice while it grows.
const MEMORY: usize = 512 << 10;
/// Memory for each message in hand, since nothing is written while the store has no room: its records are columns, and we
/// keep them too. Bytes, for each byte that was sent.
const MEMORY_A_BYTE: usize = 64;
/// Longest anything may take; nothing waits longer than the longest keep-alive.
const END_MAX: Duration = Duration::from_secs(24 * 3600);

/// How an input is tried.
struct Way {
    ack: Ack,
    /// Answers are not read until everything is sent and this has passed.
    unread: Option<Duration>,
    /// The device ends the connection with its last byte.
    hangs_up: bool,
    /// Bytes the connection holds.
    wire_bytes: usize,
    full: Option<Duration>,
    fails_after: Option<u64>,
    /// The gateway begins anew between two connections.
    restarts: bool,
    piece: usize,
}

pub fn run(input: &[u8]) -> Verdict {
    let mut input = Bytes(input);
    let (choice, piece, times) = (input.byte(), input.byte(), input.byte());
    let bit = |at: u8| choice >> at & 1 == 1;
    let way = Way {
        ack: if bit(0) { Ack::OnReceive } else { Ack::OnStore },
        unread: bit(1).then(|| Duration::from_secs(if bit(2) { 60 } else { 1 })),
        hangs_up: bit(3),
        wire_bytes: if bit(4) { 16 } else { 4096 },
        full: bit(5).then(|| Duration::from_secs(2)),
        fails_after: bit(6).then_some(u64::from(piece % 4)),
        restarts: bit(7),
        piece: usize::from(piece) + 1,
    };
    let connections = connections(input.0, times);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime");
    let sent: usize = connections.iter().map(Vec::len).sum();
    let welcomed = within(MEMORY + MEMORY_A_BYTE * sent, || runtime.block_on(way.lives(&connections)));
    if welcomed { Verdict::Accepted } else { Verdict::Refused }
}

/// The bytes of each connection; what follows the first packet of the last one is said many times.
fn connections(input: &[u8], times: u8) -> Vec<Vec<u8>> {
    let mut rest = input;
    let mut connections = Vec::new();
    while let Some(at) = memmem::find(rest, NEXT) {
        connections.push(rest[..at].to_vec());
        rest = &rest[at + NEXT.len()..];
    }
    let first = 2 + usize::from(rest.get(1).copied().unwrap_or(0));
    let (mut last, again) = (rest.to_vec(), rest.get(first..).unwrap_or_default());
    for _ in 0..times {
        if last.len() + again.len() > CONNECTION_BYTES_MAX {
            break;
        }
        last.extend_from_slice(again);
    }
    connections.push(last);
    connections
}

impl Way {
    /// Whether a connection was let in.
    async fn lives(&self, connections: &[Vec<u8>]) -> bool {
        let full_until = self.full.map(|full| Instant::now() + full);
        let custody = Arc::new(Custody::new(full_until, self.fails_after));
        let (mut said, mut welcomed) = (Said::default(), false);
        let boots = if self.restarts { connections.chunks(1) } else { connections.chunks(connections.len()) };
        for boot in boots {
            let (door, mut opened) = mpsc::channel::<Box<dyn Wire>>(1);
            let source = Source::build("listener", self.options(), schema()).expect("options that go together");
            let (handle, drain) = (source.handle(), CancellationToken::new());
            let wires = futures::stream::poll_fn(move |cx| opened.poll_recv(cx)).boxed();
            let before = custody.rows();
            let running = tokio::spawn(source.run_over(wires, custody.clone(), drain.clone()));
            for bytes in boot {
                let (ours, its) = tokio::io::duplex(self.wire_bytes);
                if door.send(Box::new(its)).await.is_err() {
                    break;
                }
                let asked = said.take(bytes);
                let talk = self.talk(ours, bytes, &asked, &said, &custody);
                welcomed |= timeout(END_MAX, talk).await.expect("a connection ends");
            }
            drain.cancel();
            timeout(END_MAX, running).await.expect("a drain ends").expect("nothing panics");
            let status = handle.status();
            assert_eq!((status.unacked, status.connections), (0, 0), "{status:?}");
            let taken = status.records + status.dead_letters;
            assert_eq!(status.frames, taken + status.dropped, "{status:?}");
            assert!(custody.rows() - before <= taken, "{status:?}");
        }
        welcomed
    }

    /// Says `bytes` and reads what is answered, until the connection ends.
    async fn talk(&self, wire: DuplexStream, bytes: &[u8], asked: &Connection, said: &Said, custody: &Custody) -> bool {
        let (mut reader, mut writer) = tokio::io::split(wire);
        let mut answers = Answers::default();
        let writes = async {
            for piece in bytes.chunks(self.piece) {
                if writer.write_all(piece).await.is_err() {
                    return;
                }
            }
            if self.hangs_up {
                _ = writer.shutdown().await;
            }
        };
        let reads = async {
            if let Some(wait) = self.unread {
                sleep(wait).await;
            }
            let mut unparsed = Vec::new();
            while reader.read_buf(&mut unparsed).await.is_ok_and(|count| count > 0) {
                for acknowledged in answers.take(&mut unparsed, asked) {
                    self.hold_custody(acknowledged, said, custody);
                }
            }
            // One that does not read is cut off in the middle.
            assert!(unparsed.is_empty() || self.unread.is_some(), "half an answer: {unparsed:02x?}");
        };
        tokio::join!(writes, reads);
        answers.welcomed
    }

    fn hold_custody(&self, acknowledged: Acknowledged, said: &Said, custody: &Custody) {
        let Acknowledged { qos, id } = acknowledged;
        let messages = said.published.get(&(qos, id)).unwrap_or_else(|| panic!("{acknowledged:?} was never sent"));
        let held = messages.iter().any(|(topic, payload)| custody.has(topic, payload));
        assert!(held || self.ack == Ack::OnReceive, "{acknowledged:?} and not durable: {messages:02x?}");
    }

    fn options(&self) -> Options {
        Options {
            topics: vec!["t/+".into(), "u".into()],
            ack: self.ack,
            connections_max: 4,
            sessions_max: 4,
            receive_max: 4,
            packet_bytes_max: 2048,
            decode: DecodeOptions { format: Format::Raw, device_name: Some("d".into()), ..DecodeOptions::default() },
            ..Options::default()
        }
    }
}

fn schema() -> Arc<Schema> {
    let fields = vec![Field::new("frame", Scalar::Bytes), Field::new("topic", Scalar::Text)];
    Arc::new(Schema::new(fields).expect("a schema"))
}
