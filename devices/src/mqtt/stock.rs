//! What an MQTT source keeps under its lock: the hand, and the window of unacknowledged messages.

use super::window::{Arrival, Sent, Window};
use super::wire::Delivery;
use super::{Options, Qos};
use crate::hand::Hand;
use crate::{Ack, Handle, Parcel, commits};
use std::sync::atomic::Ordering;
use tidegate_record::Wall;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// The hand, and the window of unacknowledged messages.
#[derive(Debug)]
pub(super) struct Stock {
    pub hand: Hand,
    pub window: Window,
    retained: bool,
    /// QoS 1 and 2: the state travels with every parcel.
    acknowledges: bool,
    ack: Ack,
    /// No more frames are taken.
    pub draining: bool,
    /// A message could not be held: it and all behind it are left to the broker, which sends them again on the next
    /// connection.
    pub overflowed: bool,
    redelivered: u64,
}

impl Stock {
    pub fn new(options: &Options, hand: Hand, window: Window) -> Self {
        Stock {
            hand,
            window,
            retained: options.retained,
            acknowledges: options.qos != Qos::AtMostOnce,
            ack: options.ack,
            draining: false,
            overflowed: false,
            redelivered: 0,
        }
    }

    /// Takes a message.
    pub fn publish(&mut self, delivery: &Delivery, wall: Wall) {
        if self.draining {
            return;
        }
        let topic = delivery.topic.text();
        let payload = &delivery.payload;
        if delivery.qos == Qos::AtMostOnce {
            match (delivery.retain && !self.retained, self.hand.admits_newest(payload.len())) {
                (true, _) => {}
                (false, true) => _ = self.hand.take_once(Some(&topic), &topic, payload, wall),
                (false, false) => self.hand.drop_newest(),
            }
            return;
        }
        if self.overflowed {
            return;
        }
        let sent = Sent {
            packet_id: delivery.packet_id,
            qos_2: delivery.qos == Qos::ExactlyOnce,
            dup: delivery.dup,
            hash: xxh3_64_with_seed(payload, xxh3_64(delivery.topic.bytes())) as u32,
        };
        if delivery.retain && !self.retained {
            self.window.push_ignored(sent);
            return;
        }
        if self.window.arrive(sent) == Arrival::Redelivered {
            self.redelivered += 1;
            return;
        }
        if !self.hand.admits(payload.len()) {
            self.overflowed = true;
            return;
        }
        let number = self.hand.number();
        match self.hand.take(Some(&topic), &topic, payload, wall) {
            true => {
                self.window.push(sent, number);
                self.window.came(wall);
            }
            false => self.window.push_ignored(sent),
        }
    }

    /// Everything that was held is stored and acknowledged: the rest can be asked for again.
    pub fn wants_the_rest(&self) -> bool {
        self.overflowed && self.window.len() == 0 && self.hand.is_empty() && !self.hand.blocked
    }

    /// Reports what happened since the last call.
    pub fn report(&mut self, handle: &Handle) {
        let counts = handle.counts();
        counts.unacked.store(self.window.len() as u64, Ordering::Relaxed);
        if self.redelivered > 0 {
            counts.redelivered.fetch_add(std::mem::take(&mut self.redelivered), Ordering::Relaxed);
        }
        // Last: whoever sees a frame counted sees it unacknowledged too.
        self.hand.report(handle);
    }
}

impl commits::Stock for Stock {
    fn hand(&mut self) -> &mut Hand {
        &mut self.hand
    }

    fn draining(&self) -> bool {
        self.draining
    }

    fn hurry(&self) -> bool {
        self.window.is_full() || self.overflowed
    }

    fn is_sent_again(&self) -> bool {
        self.acknowledges && self.ack == Ack::OnStore
    }

    fn seal(&mut self, number: u64, parcel: &mut Parcel) {
        if self.acknowledges {
            parcel.state = Some(self.window.state(number));
        }
    }
}
