//! Devices that go on sending whatever happens to the gateway.

use super::{DEVICES, Reading};
use crate::publisher::Publisher;
use crate::wait::Pace;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::SystemTime;

/// How long before now the event times begin: they must not run ahead of the clock.
const BEFORE_NOW_MS: i64 = 30 * 60_000;

/// A running load: [`DEVICES`] devices at QoS 1, their readings numbered.
#[derive(Debug)]
pub struct Load {
    /// Event time of each device's first reading.
    pub begin: i64,
    rounds: Arc<AtomicU32>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Load {
    /// Begins to send so many readings a second to a broker.
    #[allow(clippy::disallowed_methods, reason = "devices of tests have clocks too")]
    pub fn start(broker: SocketAddr, rate: u32) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
        let begin = now.as_secs() as i64 / 60 * 60_000 - BEFORE_NOW_MS;
        let (rounds, stop) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
        let thread = {
            let (rounds, stop) = (Arc::clone(&rounds), Arc::clone(&stop));
            std::thread::spawn(move || send(broker, rate, begin, &rounds, &stop))
        };
        Load { begin, rounds, stop, thread: Some(thread) }
    }

    /// Readings of each device so far: none has a number that is not below it.
    pub fn rounds(&self) -> u32 {
        self.rounds.load(Ordering::SeqCst)
    }

    /// Stops sending; the broker has everything then. Gives how many readings there were.
    pub fn stop(&mut self) -> u64 {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the load");
        }
        u64::from(self.rounds()) * u64::from(DEVICES)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

fn send(broker: SocketAddr, rate: u32, begin: i64, rounds: &AtomicU32, stop: &AtomicBool) {
    let mut publisher = Publisher::to(broker, "devices");
    let mut pace = Pace::per_second(rate);
    while !stop.load(Ordering::SeqCst) {
        let seq = rounds.fetch_add(1, Ordering::SeqCst);
        for device in 0..DEVICES {
            pace.next();
            let reading = Reading { device, seq };
            publisher.publish(&format!("sensors/{}", reading.name()), reading.json(begin));
        }
    }
    publisher.flush();
}
