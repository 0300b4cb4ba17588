//! A serial port with a meter behind it: it writes lines, in pieces, and is unplugged now and then.

use crate::devices;
use crate::world::{World, lock};
use rand::Rng as _;
use rand::rngs::StdRng;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, Sleep};

/// The meter: it goes on counting, whether somebody listens or not.
#[derive(Clone)]
pub struct Meter {
    world: World,
    state: Arc<Mutex<State>>,
}

struct State {
    chance: StdRng,
    next: u64,
}

impl Meter {
    pub fn new(world: &World) -> Self {
        let state = State { chance: world.chance("meter"), next: 0 };
        Meter { world: world.clone(), state: Arc::new(Mutex::new(state)) }
    }

    /// How many lines were written, heard or not.
    pub fn written(&self) -> u64 {
        lock(&self.state).next
    }

    /// Opens the port.
    pub fn open(&self) -> Result<Port, String> {
        let mut state = lock(&self.state);
        if self.world.strikes(&mut state.chance, 0.3) {
            return Err("the port does not open: no such file or directory".into());
        }
        self.world.log("port: opened");
        let first = Duration::from_millis(state.chance.random_range(0..400));
        let pause = Box::pin(tokio::time::sleep(first));
        Ok(Port { meter: self.clone(), pause, bytes: Vec::new(), heard: 0 })
    }
}

/// The open port.
pub struct Port {
    meter: Meter,
    pause: Pin<Box<Sleep>>,
    bytes: Vec<u8>,
    /// So many of them were read.
    heard: usize,
}

impl AsyncRead for Port {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let port = &mut *self;
        std::task::ready!(port.pause.as_mut().poll(cx));
        let mut state = lock(&port.meter.state);
        if port.meter.world.strikes(&mut state.chance, 0.01) {
            port.meter.world.log("port: unplugged");
            return Poll::Ready(Ok(()));
        }
        if port.heard == port.bytes.len() {
            let seq = state.next;
            state.next += 1;
            (port.bytes, port.heard) = (devices::line(seq).into_bytes(), 0);
        }
        let left = &port.bytes[port.heard..];
        let piece = match state.chance.random_bool(0.8) {
            true => left.len(),
            false => state.chance.random_range(1..=left.len()),
        };
        out.put_slice(&left[..piece]);
        port.heard += piece;
        let pause = Duration::from_millis(state.chance.random_range(10..300));
        port.pause.as_mut().reset(Instant::now() + pause);
        Poll::Ready(Ok(()))
    }
}
