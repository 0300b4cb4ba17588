//! One connection of a device to the gateway, with what goes wrong on it.

use crate::devices;
use crate::field::{Day, Message, State};
use crate::packets::{self, Answer, Publish, Version};
use crate::world::pass;
use futures::FutureExt as _;
use rand::Rng as _;
use rand::rngs::StdRng;
use std::collections::VecDeque;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

/// Seconds: the gateway waits for one and a half of it.
const KEEP_ALIVE: u16 = 2;
/// A device that has said nothing for so long asks whether somebody is there, milliseconds.
const PING_AFTER_MS: i64 = 1_000;
/// How long it waits for an answer to that.
const PONG_WITHIN_MS: i64 = 4_000;
/// Seconds a session is kept.
const KEPT: u32 = 3_600;
/// What the gateway is configured with.
const RECEIVE_MAX: u16 = 8;
/// A device that has so many bytes to write makes no more.
const OUTPUT_BYTES: usize = 200;

/// Why a visit is over.
type End = String;

/// A connection.
pub struct Visit<'a> {
    day: &'a Day,
    number: usize,
    chance: &'a mut StdRng,
    wire: DuplexStream,
    version: Version,
    input: Vec<u8>,
    output: VecDeque<u8>,
    welcomed: bool,
    /// So many more messages the gateway takes.
    quota: usize,
    /// So many of the messages under way, from the end, were sent on earlier connections and come again first.
    again: usize,
    /// Packet ids that answers are due for, by kind: they come in the order asked for.
    acks: VecDeque<u16>,
    receipts: VecDeque<u16>,
    completions: VecDeque<u16>,
    /// PUBREC came, PUBREL is to go.
    releases: VecDeque<u16>,
    wrote: i64,
    pinged: Option<i64>,
}

impl<'a> Visit<'a> {
    pub fn new(day: &'a Day, number: usize, wire: DuplexStream, chance: &'a mut StdRng) -> Self {
        let state = day.field.state();
        let device = &state.devices[number];
        let connect =
            device.version.connect(&device.client_id, !device.kept, KEEP_ALIVE, KEPT * u32::from(device.kept));
        Visit {
            day,
            number,
            chance,
            wire,
            version: device.version,
            input: Vec::new(),
            output: connect.into(),
            welcomed: false,
            quota: 0,
            again: 0,
            acks: VecDeque::new(),
            receipts: VecDeque::new(),
            completions: VecDeque::new(),
            releases: VecDeque::new(),
            wrote: day.world.now(),
            pinged: None,
        }
    }

    pub async fn run(mut self) -> End {
        loop {
            let pause = if self.is_idle() { self.chance.random_range(10..80) } else { self.chance.random_range(1..15) };
            pass(pause).await;
            if self.strikes(0.004) {
                return "breaks off".into();
            }
            if self.strikes(0.002) {
                self.day.world.log(format!("direct-{}: falls silent", self.number));
                pass(self.chance.random_range(500..6_000)).await;
                return "gives up a silent connection".into();
            }
            if self.strikes(0.003) {
                return self.leave_behind();
            }
            if !self.strikes(0.3)
                && let Err(end) = self.read()
            {
                return end;
            }
            self.fill();
            if self.strikes(0.001) && self.welcomed {
                self.output.extend(packets::goodbye());
                self.write();
                return "says goodbye".into();
            }
            self.write();
            if self.pinged.is_some_and(|at| self.day.world.now() - at > PONG_WITHIN_MS * 1_000) {
                return "hears no pong".into();
            }
        }
    }

    fn strikes(&mut self, probability: f64) -> bool {
        self.day.world.strikes(self.chance, probability)
    }

    fn is_idle(&self) -> bool {
        let state = self.day.field.state();
        let device = &state.devices[self.number];
        self.welcomed && self.output.is_empty() && device.queue.is_empty() && device.under_way.is_empty()
    }

    /// The device comes anew while the gateway thinks it has it still: the connection hangs on for a while.
    fn leave_behind(self) -> End {
        let (wire, time) = (self.wire, self.chance.random_range(100..5_000));
        tokio::spawn(async move {
            pass(time).await;
            drop(wire);
        });
        "takes over its own session".into()
    }

    /// Reads what is there, or some of it.
    fn read(&mut self) -> Result<(), End> {
        let mut buffer = [0; 512];
        let most = if self.strikes(0.1) { self.chance.random_range(1..8) } else { buffer.len() };
        let ended = match self.wire.read(&mut buffer[..most]).now_or_never() {
            None => false,
            Some(Ok(0)) => true,
            Some(Ok(count)) => {
                self.input.extend(&buffer[..count]);
                false
            }
            Some(Err(error)) => return Err(error.to_string()),
        };
        loop {
            match self.version.answer(&self.input) {
                Ok(None) => break,
                Ok(Some((answer, length))) => {
                    self.input.drain(..length);
                    self.take(answer)?;
                }
                Err(wrong) => return self.wrong(wrong),
            }
        }
        if ended { Err("finds the connection closed".into()) } else { Ok(()) }
    }

    fn wrong(&self, what: String) -> Result<(), End> {
        self.day.world.wrong(format!("direct-{}: {what}", self.number));
        Err("does not understand".into())
    }

    fn take(&mut self, answer: Answer) -> Result<(), End> {
        match answer {
            Answer::Welcome { session_present, receive_max } if !self.welcomed => {
                self.welcomed(session_present, receive_max)
            }
            Answer::Refused(code) if !self.welcomed => Err(format!("is refused with {code}")),
            _ if !self.welcomed => self.wrong(format!("{answer:?} before CONNACK")),
            Answer::Ack { id, code: 0 } => self.acknowledged(id),
            Answer::Received { id, code: 0 } => self.received(id),
            Answer::Complete { id, code: 0 | 0x92 } => self.completed(id),
            Answer::Pong if self.pinged.take().is_some() => Ok(()),
            // The gateway stops, its store refuses, the device was silent, or has come anew.
            Answer::Goodbye(code @ (0x88 | 0x8b | 0x8d | 0x8e)) => Err(format!("is told goodbye with {code:#x}")),
            other => self.wrong(format!("{other:?} was not asked for")),
        }
    }

    fn welcomed(&mut self, session_present: bool, receive_max: Option<u16>) -> Result<(), End> {
        if receive_max.is_some_and(|max| max != RECEIVE_MAX) {
            return self.wrong(format!("a receive maximum of {receive_max:?}"));
        }
        let mut state = self.day.field.state();
        let device = &mut state.devices[self.number];
        if session_present && !device.kept || !session_present && device.trusts {
            let (kept, trusts) = (device.kept, device.trusts);
            drop(state);
            return self
                .wrong(format!("session {session_present}, kept: {kept}, something was acknowledged: {trusts}"));
        }
        (self.welcomed, self.quota) = (true, receive_max.map_or(usize::MAX, usize::from));
        if !session_present {
            device.begin_anew();
        }
        self.again = device.under_way.len();
        self.day.world.log(format!("direct-{}: is let in, {} come again", self.number, self.again));
        Ok(())
    }

    /// The message an answer is for, if that is the answer that is due.
    fn due(&self, due: Option<u16>, id: u16) -> Option<usize> {
        let state = self.day.field.state();
        let at = state.devices[self.number].under_way.iter().position(|message| message.id == id);
        at.filter(|_| due == Some(id))
    }

    fn acknowledged(&mut self, id: u16) -> Result<(), End> {
        let due = self.acks.pop_front();
        let Some(at) = self.due(due, id) else { return self.wrong(format!("PUBACK of {id} where {due:?} is due")) };
        let seq = self.settle(at);
        self.day.field.state().acknowledge(self.number, seq);
        self.day.world.log(format!("direct-{}: {seq} is acknowledged", self.number));
        Ok(())
    }

    fn received(&mut self, id: u16) -> Result<(), End> {
        let due = self.receipts.pop_front();
        let Some(at) = self.due(due, id) else { return self.wrong(format!("PUBREC of {id} where {due:?} is due")) };
        let mut state = self.day.field.state();
        let message = &mut state.devices[self.number].under_way[at];
        message.received = true;
        let seq = message.seq;
        let sent = &state.sent[&seq];
        state.counts.known_again += u64::from(sent.kept && sent.boots.1 > 1);
        state.acknowledge(self.number, seq);
        self.releases.push_back(id);
        self.day.world.log(format!("direct-{}: {seq} is received", self.number));
        Ok(())
    }

    fn completed(&mut self, id: u16) -> Result<(), End> {
        let due = self.completions.pop_front();
        let Some(at) = self.due(due, id) else { return self.wrong(format!("PUBCOMP of {id} where {due:?} is due")) };
        // What the gateway has, it said with PUBREC, and the card may be another one since.
        let seq = self.settle(at);
        self.day.world.log(format!("direct-{}: {seq} is complete", self.number));
        Ok(())
    }

    /// The device is done with a message.
    fn settle(&mut self, at: usize) -> u64 {
        let mut state = self.day.field.state();
        let message = state.devices[self.number].under_way.remove(at).expect("it is there");
        if self.version == Version::V5 {
            self.quota = usize::from(RECEIVE_MAX).min(self.quota + 1);
        }
        message.seq
    }

    /// Makes what is to be written: first again what was under way, in its order.
    fn fill(&mut self) {
        while self.welcomed && self.output.len() < OUTPUT_BYTES {
            if let Some(id) = self.releases.pop_front() {
                self.release(id);
            } else if !(self.send_again() || self.send_next()) {
                break;
            }
        }
        let now = self.day.world.now();
        if self.welcomed && self.pinged.is_none() && now - self.wrote > PING_AFTER_MS * 1_000 {
            self.output.extend(packets::ping());
            self.pinged = Some(now);
        }
    }

    fn release(&mut self, id: u16) {
        self.output.extend(self.version.release(id));
        self.completions.push_back(id);
    }

    fn send_again(&mut self) -> bool {
        let state = self.day.field.state();
        let under_way = &state.devices[self.number].under_way;
        // Answers of this connection take from what was sent again: what comes again is told from the end.
        let Some(at) = under_way.len().checked_sub(self.again).filter(|&at| at < under_way.len()) else { return false };
        let Message { id, seq, received } = under_way[at];
        drop(state);
        if received {
            self.release(id);
        } else if self.quota > 0 {
            self.send(seq, id, true);
        } else {
            return false;
        }
        self.again -= 1;
        true
    }

    fn send_next(&mut self) -> bool {
        let mut state = self.day.field.state();
        let state = &mut *state;
        let device = &mut state.devices[self.number];
        let Some(&seq) = device.queue.front() else { return false };
        let mut id = 0;
        if state.sent[&seq].qos > 0 {
            if self.again > 0 || self.quota == 0 || device.under_way.len() >= device.window {
                return false;
            }
            id = device.free_id();
            device.under_way.push_back(Message { id, seq, received: false });
        }
        device.queue.pop_front();
        self.send_with(state, seq, id, false);
        true
    }

    fn send(&mut self, seq: u64, id: u16, dup: bool) {
        let day = self.day;
        self.send_with(&mut day.field.state(), seq, id, dup);
    }

    fn send_with(&mut self, state: &mut State, seq: u64, id: u16, dup: bool) {
        let sent = state.sent.get_mut(&seq).expect("it was measured");
        if sent.boots.0 != Some(self.day.boot) {
            sent.boots = (Some(self.day.boot), sent.boots.1 + 1);
        }
        let (topic, payload) = (devices::topic("direct", seq), &*sent.payload);
        self.output.extend(self.version.publish(&Publish { qos: sent.qos, dup, id, topic: &topic, payload }));
        match sent.qos {
            0 => return,
            1 => self.acks.push_back(id),
            _ => self.receipts.push_back(id),
        }
        if self.version == Version::V5 {
            self.quota -= 1;
        }
        state.counts.again += u64::from(dup);
    }

    /// Writes as much as the connection takes, or some of it.
    fn write(&mut self) {
        while !self.output.is_empty() {
            let dribbles = self.strikes(0.1);
            let bytes = self.output.make_contiguous();
            let most = if dribbles { self.chance.random_range(1..=bytes.len().min(9)) } else { bytes.len() };
            // What is closed is found by reading.
            let Some(Ok(written)) = self.wire.write(&bytes[..most]).now_or_never() else { return };
            self.output.drain(..written);
            self.wrote = self.day.world.now();
            if dribbles {
                return;
            }
        }
    }
}
