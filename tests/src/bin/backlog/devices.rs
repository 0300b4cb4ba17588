//! Readings with a text that compresses badly, so that a backlog is large before it is many.

use rand::distr::Alphanumeric;
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::fmt::Write;
use std::net::SocketAddr;
use tidegate_tests::publisher::Publisher;

/// Messages sent before the gateway is looked at.
const MESSAGES: usize = 200;
/// Readings of a message, an array.
const READINGS: usize = 50;
/// Characters of the text of a reading, which compress to about three quarters.
const TEXT_CHARS: usize = 256;
/// Devices taking turns.
const DEVICES: u64 = 500;
/// Event time of the first reading, milliseconds since the epoch.
const FIRST_MS: u64 = 1_767_225_600_000;

pub struct Devices {
    publisher: Publisher,
    noise: StdRng,
    /// Readings so far.
    pub sent: u64,
}

impl Devices {
    pub fn of(broker: SocketAddr) -> Self {
        Devices { publisher: Publisher::to(broker, "devices"), noise: StdRng::seed_from_u64(1), sent: 0 }
    }

    /// Sends some; the broker has acknowledged them.
    pub fn send(&mut self) {
        for _ in 0..MESSAGES {
            let readings: Vec<String> = (0..READINGS).map(|_| self.reading()).collect();
            self.publisher.publish("sensors/all", format!("[{}]", readings.join(",")));
        }
        self.publisher.flush();
    }

    fn reading(&mut self) -> String {
        let number = self.sent;
        self.sent += 1;
        let mut reading = String::with_capacity(TEXT_CHARS + 80);
        let (device, ts) = (number % DEVICES, FIRST_MS + number);
        let _ = write!(reading, r#"{{"device":"d{device:03}","ts":{ts},"temp":{}.5,"text":""#, number % 90);
        reading.extend((&mut self.noise).sample_iter(Alphanumeric).take(TEXT_CHARS).map(char::from));
        reading.push_str("\"}");
        reading
    }
}
