//! Devices that connect straight to the gateway: each with its session, what it sends and has not been told of yet.

use crate::devices;
use crate::packets::Version;
use crate::visit::Visit;
use crate::world::{World, lock, pass};
use futures::StreamExt as _;
use rand::Rng as _;
use rand::rngs::StdRng;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use tidegate_devices::listener::{Wire, Wires};
use tokio::io::DuplexStream;
use tokio::sync::mpsc;

/// How many there are.
const DEVICES: usize = 4;
/// Packet ids a device uses: so few that they are soon another message's.
const IDS: u16 = 24;
/// Connections that wait to be let in.
const WAITING_MAX: usize = 4;

/// The devices, as everybody holds them.
#[derive(Clone)]
pub struct Field {
    state: Arc<Mutex<State>>,
}

/// What they do on one boot of the gateway.
pub struct Day {
    pub field: Field,
    pub world: World,
    pub boot: u64,
    door: mpsc::Sender<Box<dyn Wire>>,
}

pub struct State {
    pub devices: Vec<Device>,
    /// Every reading.
    pub sent: BTreeMap<u64, Sent>,
    /// Those the gateway has said it has, since the card is the one it is.
    acked: BTreeSet<u64>,
    pub counts: Counts,
}

/// What happened.
#[derive(Debug, Default, Clone, Copy)]
pub struct Counts {
    pub acknowledged: u64,
    /// PUBLISH that came again.
    pub again: u64,
    /// Messages of QoS 2 that an earlier boot may have taken, acknowledged by a later one.
    pub known_again: u64,
}

/// A reading.
pub struct Sent {
    pub payload: String,
    pub qos: u8,
    /// Its device has a session that outlives its connections.
    pub kept: bool,
    /// Boots it was sent in: number of the last, and how many.
    pub boots: (Option<u64>, u64),
}

/// A device while it is not connected.
pub struct Device {
    pub client_id: String,
    pub version: Version,
    pub kept: bool,
    /// Most messages it has under way, when the gateway tells it no less.
    pub window: usize,
    pub queue: VecDeque<u64>,
    /// In the order sent.
    pub under_way: VecDeque<Message>,
    last_id: u16,
    /// The gateway has said that it has something of this session.
    pub trusts: bool,
}

/// A message whose last answer has not come.
pub struct Message {
    pub id: u16,
    pub seq: u64,
    /// PUBREC came.
    pub received: bool,
}

impl Field {
    pub fn new(world: &World) -> Self {
        let mut chance = world.chance("field");
        let devices = (0..DEVICES).map(|number| Device::new(number, &mut chance)).collect();
        let (sent, acked, counts) = Default::default();
        Field { state: Arc::new(Mutex::new(State { devices, sent, acked, counts })) }
    }

    pub fn state(&self) -> std::sync::MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// The gateway's door for a boot: what goes in on one side comes in on the other.
    pub fn door(&self, world: &World, boot: u64) -> (Day, Wires) {
        let (door, mut opened) = mpsc::channel(WAITING_MAX);
        let wires = futures::stream::poll_fn(move |cx| opened.poll_recv(cx)).boxed();
        (Day { field: self.clone(), world: world.clone(), boot, door }, wires)
    }

    /// One device measures so many readings.
    pub fn measure(&self, world: &World, count: u64, chance: &mut StdRng) {
        let mut state = self.state();
        let State { devices, sent, .. } = &mut *state;
        let at = chance.random_range(0..devices.len());
        let device = &mut devices[at];
        for _ in 0..count {
            let seq = sent.len() as u64;
            let qos = [0, 1, 1, 2, 2][chance.random_range(0..5)];
            let payload = devices::payload(seq, world.wall());
            sent.insert(seq, Sent { payload, qos, kept: device.kept, boots: (None, 0) });
            device.queue.push_back(seq);
        }
    }

    /// A reading that must come through, from a device that keeps at it.
    pub fn measure_fresh(&self, world: &World, chance: &mut StdRng) -> u64 {
        loop {
            self.measure(world, 1, chance);
            let state = self.state();
            let (&seq, sent) = state.sent.last_key_value().expect("it was just measured");
            if sent.qos > 0 && !devices::is_bad(seq) {
                return seq;
            }
        }
    }

    /// The gateway's card is another: what it had said it has went with the old one, and sessions too.
    pub fn write_off(&self) {
        let mut state = self.state();
        state.acked.clear();
        state.devices.iter_mut().for_each(|device| device.trusts = false);
    }

    pub fn acked(&self) -> BTreeSet<u64> {
        self.state().acked.clone()
    }

    pub fn counts(&self) -> Counts {
        self.state().counts
    }

    /// Every reading is acknowledged that will ever be.
    pub fn is_empty(&self) -> bool {
        self.state().devices.iter().all(|device| device.queue.is_empty() && device.under_way.is_empty())
    }
}

impl State {
    /// The gateway tells a device that it has this reading.
    pub fn acknowledge(&mut self, device: usize, seq: u64) {
        let device = &mut self.devices[device];
        device.trusts = device.kept;
        self.counts.acknowledged += u64::from(self.acked.insert(seq));
    }
}

impl Device {
    fn new(number: usize, chance: &mut StdRng) -> Self {
        Device {
            client_id: format!("direct-{number}"),
            version: if chance.random_bool(0.5) { Version::V5 } else { Version::V311 },
            kept: chance.random_bool(0.7),
            window: chance.random_range(1..=12),
            queue: VecDeque::new(),
            under_way: VecDeque::new(),
            last_id: 0,
            trusts: false,
        }
    }

    pub fn free_id(&mut self) -> u16 {
        loop {
            self.last_id = self.last_id % IDS + 1;
            if !self.under_way.iter().any(|message| message.id == self.last_id) {
                return self.last_id;
            }
        }
    }

    /// Its session is new: what was under way is sent as if it never had been, but for what the gateway said it has.
    pub fn begin_anew(&mut self) {
        let back: Vec<u64> = self.under_way.drain(..).filter(|message| !message.received).map(|m| m.seq).collect();
        back.into_iter().rev().for_each(|seq| self.queue.push_front(seq));
    }
}

impl Day {
    /// Everybody lives until the boot ends.
    pub fn begin(self, measures: bool) {
        let day = Arc::new(self);
        for number in 0..DEVICES {
            let chance = day.world.chance(&format!("direct device {number}, boot {}", day.boot));
            tokio::spawn(live(day.clone(), number, chance));
        }
        if measures {
            let chance = day.world.chance(&format!("direct readings, boot {}", day.boot));
            tokio::spawn(measure(day, chance));
        }
    }

    /// A connection; none while the gateway lets nobody in.
    fn knock(&self, chance: &mut StdRng) -> Option<DuplexStream> {
        let (ours, its) = tokio::io::duplex([16, 64, 1_024][chance.random_range(0..3)]);
        self.door.try_send(Box::new(its)).ok()?;
        Some(ours)
    }
}

/// A device connects again and again.
async fn live(day: Arc<Day>, number: usize, mut chance: StdRng) {
    loop {
        pass(chance.random_range(1..150)).await;
        if let Some(wire) = day.knock(&mut chance) {
            let end = Visit::new(&day, number, wire, &mut chance).run().await;
            day.world.log(format!("direct-{number}: {end}"));
        }
    }
}

/// Now singly, now in bursts.
async fn measure(day: Arc<Day>, mut chance: StdRng) {
    loop {
        let burst = if chance.random_bool(0.05) { chance.random_range(10..60) } else { chance.random_range(1..3) };
        day.field.measure(&day.world, burst, &mut chance);
        pass(chance.random_range(20..300)).await;
    }
}
