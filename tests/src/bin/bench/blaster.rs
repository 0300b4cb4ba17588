//! A broker that only sends: one subscriber, publishes as fast as the socket takes them, in the subscriber's version.

use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Event time of the first reading, milliseconds since the epoch.
pub const FIRST_MS: u64 = 1_700_000_000_000;
/// Readings a millisecond of event time: 100,000 a second, 100 for each device in a window of a second.
pub const READINGS_PER_MS: u64 = 100;
/// Devices taking turns.
pub const DEVICES: u64 = 1_000;
/// How often a sender with a rate sends.
const TICK: Duration = Duration::from_millis(5);
/// How many packets are made ahead of a write.
const PACKETS_PER_WRITE: u64 = 500;

/// The calling thread and its children run on core 1 from now on.
pub fn pin_to_core_1() {
    // SAFETY: both calls write only to the set given to them, which is zeroed plain data of the right size.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(1, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set);
    }
}

/// A sender waiting for its subscriber.
pub struct Blaster {
    pub addr: SocketAddr,
    thread: JoinHandle<std::io::Result<()>>,
}

impl Blaster {
    /// Sends `readings` at `qos` (0 or 1) to the first subscriber; at QoS 1 keeps to its receive maximum.
    pub fn start(readings: u64, qos: u8) -> Self {
        Blaster::at_rate(readings, qos, None)
    }

    /// The same, so many a second.
    pub fn at_rate(readings: u64, qos: u8, a_second: Option<u64>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let addr = listener.local_addr().expect("an address");
        let thread = std::thread::spawn(move || {
            let (stream, _) = listener.accept()?;
            serve(stream, readings, qos, a_second)
        });
        Blaster { addr, thread }
    }

    /// Waits until everything was sent (and, at QoS 1, acknowledged) and the subscriber has gone.
    pub fn finish(self) {
        self.thread.join().expect("no panic").expect("a subscriber that stays to the end");
    }
}

/// Without it the subscriber takes the connection for dead.
const PINGRESP: [u8; 2] = [0xd0, 0];

fn serve(stream: TcpStream, readings: u64, qos: u8, a_second: Option<u64>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::with_capacity(64 * 1024, stream.try_clone()?);
    let mut writer = stream;
    let connect = packet(&mut reader)?.1;
    let sending = Sending { qos, v5: connect[6] == 5, window: u64::from(receive_max(&connect)), a_second };
    // CONNACK: no session, success; in MQTT 5 no properties.
    writer.write_all(if sending.v5 { &[0x20, 3, 0, 0, 0] } else { &[0x20, 2, 0, 0] })?;
    let subscribe = loop {
        let (kind, body) = packet(&mut reader)?;
        if kind >> 4 == 8 {
            break body;
        }
    };
    // SUBACK: the packet id, no properties, QoS granted.
    match sending.v5 {
        true => writer.write_all(&[0x90, 4, subscribe[0], subscribe[1], 0, qos])?,
        false => writer.write_all(&[0x90, 3, subscribe[0], subscribe[1], qos])?,
    }
    sending.send(&mut reader, &mut writer, readings)?;
    // Until the subscriber leaves: answers to pings keep it.
    while let Ok((kind, _)) = packet(&mut reader) {
        if kind >> 4 == 12 {
            writer.write_all(&PINGRESP)?;
        }
    }
    Ok(())
}

/// How publishes are sent.
struct Sending {
    qos: u8,
    v5: bool,
    /// Most that are unacknowledged.
    window: u64,
    /// As fast as the socket takes them, or so many a second.
    a_second: Option<u64>,
}

impl Sending {
    #[allow(clippy::disallowed_methods, reason = "a sender with a rate reads the machine's clock")]
    fn send(&self, reader: &mut impl Read, writer: &mut impl Write, readings: u64) -> std::io::Result<()> {
        let (mut sent, mut acked) = (0, 0);
        let mut buffer = Vec::new();
        let begin = Instant::now();
        while acked < readings {
            let open = if self.qos == 0 { u64::MAX } else { acked + self.window - sent };
            let mut end = readings.min(sent.saturating_add(open.min(PACKETS_PER_WRITE)));
            if let Some(rate) = self.a_second {
                end = end.min((begin.elapsed().as_secs_f64() * rate as f64) as u64);
                if end == sent && sent < readings && open > 0 {
                    std::thread::sleep(TICK);
                    continue;
                }
            }
            buffer.clear();
            (sent..end).for_each(|number| self.publish(&mut buffer, number));
            writer.write_all(&buffer)?;
            sent = end;
            if self.qos == 0 {
                acked = sent;
            } else if sent == readings || sent == acked + self.window {
                let (kind, _) = packet(reader)?;
                acked += u64::from(kind >> 4 == 4);
                if kind >> 4 == 12 {
                    writer.write_all(&PINGRESP)?;
                }
            }
        }
        Ok(())
    }

    /// One PUBLISH.
    fn publish(&self, out: &mut Vec<u8>, number: u64) {
        let device = number % DEVICES;
        let ms = FIRST_MS + number / READINGS_PER_MS;
        // Noise, so that the store has something to compress that does not repeat.
        let noise = mix(number);
        let (temp, hum) = (1500 + noise % 1000, 300 + (noise >> 32) % 600);
        let mut payload = [0u8; 80];
        let mut cursor = &mut payload[..];
        let _ = write!(
            cursor,
            "{{\"device\":\"d{device:04}\",\"ts\":{ms},\"temp\":{}.{:02},\"hum\":{}.{}}}",
            temp / 100,
            temp % 100,
            hum / 10,
            hum % 10
        );
        let payload_len = 80 - cursor.len();
        let mut topic = *b"sensors/d0000";
        let _ = write!(&mut topic[9..], "{device:04}");
        let (id_len, properties_len) = (if self.qos == 0 { 0 } else { 2 }, usize::from(self.v5));
        let len = 2 + topic.len() + id_len + properties_len + payload_len;
        debug_assert!(len < 128);
        out.extend_from_slice(&[0x30 | self.qos << 1, len as u8, 0, topic.len() as u8]);
        out.extend_from_slice(&topic);
        if self.qos > 0 {
            let id = (number % 65_535 + 1) as u16;
            out.extend_from_slice(&id.to_be_bytes());
        }
        if self.v5 {
            out.push(0);
        }
        out.extend_from_slice(&payload[..payload_len]);
    }
}

/// Steele, Lea and Flood's SplitMix64, <https://doi.org/10.1145/2714064.2660195>.
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// First byte and body of the next packet.
fn packet(reader: &mut impl Read) -> std::io::Result<(u8, Vec<u8>)> {
    let mut byte = [0];
    reader.read_exact(&mut byte)?;
    let kind = byte[0];
    let (mut len, mut shift) = (0usize, 0);
    loop {
        reader.read_exact(&mut byte)?;
        len |= usize::from(byte[0] & 0x7f) << shift;
        shift += 7;
        if byte[0] & 0x80 == 0 {
            break;
        }
    }
    let mut body = vec![0; len];
    reader.read_exact(&mut body)?;
    Ok((kind, body))
}

/// The receive maximum (property 0x21) of a CONNECT, 65,535 where it has none; mosquitto's 20 in MQTT 3.1.1.
fn receive_max(connect: &[u8]) -> u16 {
    if connect[6] != 5 {
        return 20;
    }
    let properties = &connect[11..11 + connect[10] as usize];
    let mut at = 0;
    while at < properties.len() {
        let len = match properties[at] {
            0x21 => return u16::from_be_bytes([properties[at + 1], properties[at + 2]]),
            0x11 | 0x27 => 4,
            0x22 => 2,
            0x17 | 0x19 => 1,
            _ => break,
        };
        at += 1 + len;
    }
    u16::MAX
}
