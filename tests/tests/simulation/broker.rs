//! A broker of one session: it keeps what is not acknowledged, sends it again on the next connection, and breaks
//! connections with acks unread.

use crate::devices;
use crate::world::{World, lock, pass};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use rand::Rng as _;
use rand::rngs::StdRng;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex};
use tidegate_devices::mqtt::Qos;
use tidegate_devices::mqtt::link::{Delivery, Link, Requests, Signal, Topic};
use tokio::sync::Notify;

/// Most unacknowledged messages under way: what the source tells the broker, by its configuration.
const RECEIVE_MAX: usize = 24;
/// Most requests the client holds.
const REQUESTS_MAX: usize = 48;

/// The broker, as everybody holds it.
#[derive(Clone)]
pub struct Broker {
    state: Arc<Mutex<State>>,
    /// Something is to be done on the connection.
    work: Arc<Notify>,
}

#[derive(Default)]
struct State {
    next: u64,
    /// Every publish: its payload.
    sent: BTreeMap<u64, String>,
    queue: VecDeque<u64>,
    /// Sent and not acknowledged, in order: packet id, reading.
    under_way: VecDeque<(u16, u64)>,
    last_id: u16,
    session: bool,
    /// Acks that were written and that the broker has not read yet.
    unread: VecDeque<u16>,
    /// Readings the gateway has said it has.
    acked: BTreeSet<u64>,
    redelivered: u64,
}

impl Broker {
    pub fn new() -> Self {
        Broker { state: Arc::default(), work: Arc::default() }
    }

    /// Devices publish so many readings.
    pub fn publish(&self, world: &World, count: u64) {
        let mut state = lock(&self.state);
        for _ in 0..count {
            let seq = state.next;
            state.next += 1;
            state.sent.insert(seq, devices::payload(seq, world.wall()));
            state.queue.push_back(seq);
        }
        self.work.notify_one();
    }

    /// The number the next reading will have.
    pub fn next(&self) -> u64 {
        lock(&self.state).next
    }

    pub fn acked(&self) -> BTreeSet<u64> {
        lock(&self.state).acked.clone()
    }

    /// The payload of a reading, if it was published.
    pub fn sent(&self, seq: u64) -> Option<String> {
        lock(&self.state).sent.get(&seq).cloned()
    }

    pub fn redelivered(&self) -> u64 {
        lock(&self.state).redelivered
    }

    /// Everything published is acknowledged.
    pub fn is_empty(&self) -> bool {
        let state = lock(&self.state);
        state.queue.is_empty() && state.under_way.is_empty()
    }

    /// The connection breaks; of the acks on the wire some are read still.
    pub fn cut(&self, world: &World, chance: &mut StdRng) {
        let mut state = lock(&self.state);
        let read = chance.random_range(0..=state.unread.len());
        let lost = state.unread.len() - read;
        state.read_acks(world, read);
        state.unread.clear();
        if lost > 0 {
            world.log(format!("broker: {lost} acks are lost with the connection"));
        }
    }

    /// The client's two halves for a boot.
    pub fn link(&self, world: &World, chance: StdRng) -> (Box<dyn Link>, Box<dyn Requests>) {
        let requests = Arc::new(Outgoing { queue: Mutex::default(), work: self.work.clone() });
        let line = Line {
            world: world.clone(),
            broker: self.clone(),
            chance,
            requests: requests.clone(),
            connected: false,
            subscribed: false,
            again: 0,
            arrived: VecDeque::new(),
        };
        (Box::new(line), Box::new(Client(requests)))
    }
}

impl State {
    fn read_acks(&mut self, world: &World, count: usize) {
        for packet_id in self.unread.drain(..count).collect::<Vec<_>>() {
            // MQTT-4.6.0-2: acks come in the order of the messages.
            let Some((_, seq)) = self.under_way.pop_front_if(|(id, _)| *id == packet_id) else {
                world.wrong(format!("ack of {packet_id} where {:?} is due", self.under_way.front()));
                return;
            };
            self.acked.insert(seq);
            world.log(format!("broker: {seq} is acknowledged"));
        }
    }

    fn message(&self, packet_id: u16, seq: u64, dup: bool) -> Signal {
        Signal::Publish(Delivery {
            qos: Qos::AtLeastOnce,
            dup,
            retain: false,
            packet_id,
            topic: Topic::V5(devices::topic("sensors", seq).into()),
            payload: self.sent[&seq].clone().into(),
        })
    }

    fn packet_id(&mut self) -> u16 {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            if !self.under_way.iter().any(|(id, _)| *id == self.last_id) {
                return self.last_id;
            }
        }
    }
}

/// What the client wants to send.
enum Request {
    Ack(u16),
    Subscribe(usize),
    Goodbye,
}

struct Outgoing {
    queue: Mutex<VecDeque<Request>>,
    work: Arc<Notify>,
}

struct Client(Arc<Outgoing>);

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a simulated client")
    }
}

impl Client {
    fn push(&self, request: Request) -> bool {
        let mut queue = lock(&self.0.queue);
        if queue.len() >= REQUESTS_MAX {
            return false;
        }
        queue.push_back(request);
        self.0.work.notify_one();
        true
    }
}

impl Requests for Client {
    fn ack(&self, packet_id: u16) -> bool {
        self.push(Request::Ack(packet_id))
    }

    fn subscribe(&self, topics: &[String]) -> bool {
        self.push(Request::Subscribe(topics.len()))
    }

    fn disconnect(&self) -> bool {
        self.push(Request::Goodbye)
    }
}

/// The connection.
struct Line {
    world: World,
    broker: Broker,
    chance: StdRng,
    requests: Arc<Outgoing>,
    connected: bool,
    subscribed: bool,
    /// So many of the messages under way were sent on an earlier connection and come again first.
    again: usize,
    arrived: VecDeque<Signal>,
}

impl Link for Line {
    fn poll(&mut self) -> BoxFuture<'_, Result<Signal, String>> {
        self.next().boxed()
    }

    fn buffered(&mut self) -> Option<Signal> {
        self.arrived.pop_front()
    }

    fn reset(&mut self) {
        self.broker.cut(&self.world, &mut self.chance);
        lock(&self.requests.queue).clear();
        self.connected = false;
        self.arrived.clear();
    }
}

impl Line {
    async fn next(&mut self) -> Result<Signal, String> {
        if let Some(signal) = self.arrived.pop_front() {
            return Ok(signal);
        }
        if !self.connected {
            return self.connect().await;
        }
        loop {
            // What takes time comes first, so that a poll that is dropped in it has changed nothing.
            let pause = self.chance.random_range(1..15);
            pass(pause).await;
            if self.world.strikes(&mut self.chance, 0.004) {
                self.world.log("broker: breaks the connection");
                return Err("connection reset by peer".into());
            }
            self.read();
            let request = lock(&self.requests.queue).pop_front();
            if let Some(request) = request {
                return self.request(request);
            }
            if self.subscribed {
                self.deliver();
            }
            if let Some(signal) = self.arrived.pop_front() {
                return Ok(signal);
            }
            self.broker.work.notified().await;
        }
    }

    async fn connect(&mut self) -> Result<Signal, String> {
        pass(self.chance.random_range(1..30)).await;
        if self.world.strikes(&mut self.chance, 0.3) {
            return Err("connection refused".into());
        }
        let forgets = self.world.strikes(&mut self.chance, 0.05);
        let mut state = lock(&self.broker.state);
        if forgets && state.session {
            // It keeps the messages, as one with persistence would, and numbers them anew.
            let back: Vec<u64> = state.under_way.drain(..).map(|(_, seq)| seq).collect();
            back.into_iter().rev().for_each(|seq| state.queue.push_front(seq));
            state.last_id = 0;
            state.session = false;
        }
        let session_present = std::mem::replace(&mut state.session, true);
        self.again = state.under_way.len();
        (self.connected, self.subscribed) = (true, session_present);
        drop(state);
        self.world.log(format!("broker: takes a connection, {} come again, session {session_present}", self.again));
        Ok(Signal::Connected { session_present })
    }

    /// The broker reads acks: most of the time all of them.
    fn read(&mut self) {
        let mut state = lock(&self.broker.state);
        let count = match self.chance.random_bool(0.7) {
            true => state.unread.len(),
            false => self.chance.random_range(0..=state.unread.len()),
        };
        state.read_acks(&self.world, count);
        if !state.unread.is_empty() || self.again == 0 && state.under_way.len() < RECEIVE_MAX && !state.queue.is_empty()
        {
            self.broker.work.notify_one();
        }
    }

    fn request(&mut self, request: Request) -> Result<Signal, String> {
        self.broker.work.notify_one();
        match request {
            Request::Ack(packet_id) => {
                lock(&self.broker.state).unread.push_back(packet_id);
                Ok(Signal::AckWritten(packet_id))
            }
            Request::Subscribe(filters) => {
                self.subscribed = true;
                Ok(Signal::Subscribed(vec![Ok(Qos::AtLeastOnce); filters]))
            }
            Request::Goodbye => {
                let mut state = lock(&self.broker.state);
                let all = state.unread.len();
                state.read_acks(&self.world, all);
                self.world.log("broker: the client says goodbye");
                Err("closed by the broker after the goodbye".into())
            }
        }
    }

    /// Sends some messages: first again what was not acknowledged, in its order.
    fn deliver(&mut self) {
        let mut state = lock(&self.broker.state);
        for _ in 0..self.chance.random_range(1..10) {
            if self.again > 0 {
                // Acks of this connection may have taken some from the front: what comes again is told from the end.
                let at = state.under_way.len() - self.again;
                let (packet_id, seq) = state.under_way[at];
                self.again -= 1;
                state.redelivered += 1;
                self.arrived.push_back(state.message(packet_id, seq, true));
            } else if state.under_way.len() < RECEIVE_MAX
                && let Some(seq) = state.queue.pop_front()
            {
                let packet_id = state.packet_id();
                state.under_way.push_back((packet_id, seq));
                self.arrived.push_back(state.message(packet_id, seq, false));
            }
        }
        if self.again > 0 || state.under_way.len() < RECEIVE_MAX && !state.queue.is_empty() {
            self.broker.work.notify_one();
        }
    }
}
