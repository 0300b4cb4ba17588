//! What a device has under way: which answers may go, and which message is one we have.
//!
//! Sans I/O. Answers leave in the order of arrival, each when the parcel it waits for is durable. A message stays known
//! by its packet id: at QoS 2 until its PUBCOMP is written, at QoS 1 for a while behind its PUBACK, for whether the device
//! has read that nobody can tell. A message that comes again (DUP, same id, same bytes) on a later connection is the one
//! we have where the device cannot have used the id for another: before its PUBACK was sent, until its PUBREL came, or
//! where the bytes hold a time of their own, so that another message would have others.

use super::end::End;
use crate::learned::Learned;
use std::collections::{BTreeMap, VecDeque};
use tidegate_record::Wall;

/// A device's messages under way.
#[derive(Debug, Default)]
pub(super) struct Session {
    /// In the order of arrival on this connection.
    answers: VecDeque<Answer>,
    /// So many from the front are handed to the connection.
    handed: usize,
    held: BTreeMap<u16, Held>,
    /// Ids and hashes of QoS 1 messages whose PUBACK was written, oldest first.
    acked: VecDeque<(u16, u32)>,
    /// Messages taken or recognised.
    stamp: u64,
    /// Stamps of earlier connections are lower.
    connection: u64,
    /// First deliveries on this connection.
    fresh: usize,
    /// PUBLISH at QoS 1 or 2 on this connection, less the answers that end one: below 0 where those were for messages of
    /// earlier connections.
    under_way: isize,
    unreleased: usize,
    learned: Learned,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    pub kind: Kind,
    pub id: u16,
    /// Reason code of MQTT 5.
    pub code: u8,
    parcel: u64,
    stamp: u64,
}

/// An answer by the first byte of its packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// PUBACK.
    Ack = 0x40,
    /// PUBREC.
    Rec = 0x50,
    /// PUBCOMP.
    Comp = 0x70,
}

/// A message that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    hash: u32,
    parcel: u64,
    stamp: u64,
    qos_2: bool,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Not answered in full.
    Taken,
    /// Taken by an earlier run.
    Restored,
    /// Its PUBREL came; the parcel that forgets it.
    Released(u64),
}

/// A message of the stored list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    pub id: u16,
    pub hash: u32,
    pub qos_2: bool,
}

/// What a message is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// Take it, then [`Session::push`] it.
    New,
    /// We have it; its answer goes in its turn.
    Again,
}

/// What came, as far as telling it from others goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub id: u16,
    pub qos_2: bool,
    pub dup: bool,
    pub hash: u32,
    /// Equal bytes are the same message: they hold a time of their own.
    pub timed: bool,
}

impl Sent {
    /// The answer to its PUBLISH.
    fn kind(&self) -> Kind {
        if self.qos_2 { Kind::Rec } else { Kind::Ack }
    }

    fn is(&self, held: &Held) -> bool {
        let same = self.dup && held.hash == self.hash && held.qos_2 == self.qos_2;
        same && match held.stage {
            Stage::Taken => true,
            Stage::Restored => self.qos_2 || self.timed,
            Stage::Released(_) => false,
        }
    }
}

impl Session {
    /// The device is connected anew: what was not answered comes again.
    pub fn begin(&mut self) {
        self.answers.clear();
        (self.handed, self.under_way, self.fresh, self.connection) = (0, 0, 0, self.stamp);
    }

    /// A message arrived.
    pub fn arrive(&mut self, sent: Sent) -> Result<Arrival, End> {
        let Some(held) = self.held.get_mut(&sent.id) else {
            if !(sent.dup && sent.timed && !sent.qos_2 && self.acked.contains(&(sent.id, sent.hash))) {
                return Ok(Arrival::New);
            }
            self.under_way += 1;
            self.answers.push_back(Answer { kind: Kind::Ack, id: sent.id, code: 0, parcel: 0, stamp: 0 });
            return Ok(Arrival::Again);
        };
        let here = held.stamp > self.connection;
        if sent.is(held) {
            self.stamp += 1;
            held.stamp = self.stamp;
            if !(here && sent.qos_2) {
                self.under_way += 1;
            }
            let (parcel, stamp) = (held.parcel, held.stamp);
            self.answers.push_back(Answer { kind: sent.kind(), id: sent.id, code: 0, parcel, stamp });
            return Ok(Arrival::Again);
        }
        if held.qos_2 && here && matches!(held.stage, Stage::Taken) {
            return Err(End::Protocol("a packet id that is in use at QoS 2"));
        }
        Ok(Arrival::New)
    }

    /// Puts a message on the list that was taken into parcel `parcel`; 0: it is answered at once. The device has at most
    /// `told` under way.
    pub fn push(&mut self, sent: Sent, parcel: u64, answer_after: u64, told: usize) {
        if !sent.dup {
            self.fresh += 1;
            // A whole window of first deliveries later, everything unacknowledged has been sent again before.
            if self.fresh == told {
                self.held.retain(|_, held| held.qos_2 || held.stamp > self.connection);
            }
        }
        self.unreleased = self.unreleased_with(sent);
        self.stamp += 1;
        let stamp = self.stamp;
        let held = Held { hash: sent.hash, parcel, stamp, qos_2: sent.qos_2, stage: Stage::Taken };
        self.held.insert(sent.id, held);
        self.under_way += 1;
        self.answers.push_back(Answer { kind: sent.kind(), id: sent.id, code: 0, parcel: answer_after, stamp });
    }

    /// Puts a message on the list that is refused with `code`.
    pub fn refuse(&mut self, sent: Sent, code: u8) {
        self.under_way += 1;
        self.answers.push_back(Answer { kind: sent.kind(), id: sent.id, code, parcel: 0, stamp: 0 });
    }

    /// PUBREL came. True where it must be forgotten durably, with parcel `parcel`, before PUBCOMP may go: else a restart
    /// could take the id's next message for this one.
    pub fn release(&mut self, id: u16, parcel: u64) -> bool {
        let mut answer = Answer { kind: Kind::Comp, id, code: 0, parcel: 0, stamp: 0 };
        let mut forget = false;
        match self.held.get_mut(&id) {
            Some(held) if held.is_unreleased() => {
                held.stage = Stage::Released(parcel);
                self.unreleased -= 1;
                self.stamp += 1;
                held.stamp = self.stamp;
                (answer.parcel, answer.stamp, forget) = (parcel, held.stamp, true);
            }
            // It was sent again, on another connection.
            Some(Held { stage: Stage::Released(parcel), stamp, .. }) => {
                (answer.parcel, answer.stamp) = (*parcel, *stamp);
            }
            // Packet identifier not found.
            _ => answer.code = 0x92,
        }
        self.answers.push_back(answer);
        forget
    }

    /// The next answer that may go, with everything up to parcel `durable` on disk.
    pub fn next(&self, durable: u64) -> Option<Answer> {
        self.answers.get(self.handed).filter(|answer| answer.parcel <= durable).copied()
    }

    /// The answer of [`Session::next`] was handed to the connection.
    pub fn handed(&mut self) {
        if let Some(answer) = self.answers.get(self.handed) {
            self.handed += 1;
            if answer.kind != Kind::Rec || answer.code >= 0x80 {
                self.under_way -= 1;
            }
        }
    }

    /// Everything that was handed over is written. Of QoS 1 at most `recent_max` are still known from now on.
    pub fn written(&mut self, recent_max: usize) {
        for answer in self.answers.drain(..std::mem::take(&mut self.handed)) {
            // What was taken has a stamp, and a message of an earlier run none.
            let is_of = |held: &Held| answer.stamp > 0 && held.stamp == answer.stamp;
            if answer.kind == Kind::Rec || !self.held.get(&answer.id).is_some_and(is_of) {
                continue;
            }
            if let Some(held) = self.held.remove(&answer.id)
                && answer.kind == Kind::Ack
            {
                self.acked.push_back((answer.id, held.hash));
            }
        }
        let over = self.acked.len().saturating_sub(recent_max);
        self.acked.drain(..over);
    }

    /// Messages that wait for their answer.
    pub fn waiting(&self) -> usize {
        self.answers.len() - self.handed
    }

    /// Whether the device has more under way than the receive maximum it was told, as it counts itself (MQTT 5, 4.9): every
    /// answer that ends a message gives it one more, of an earlier connection's message too, and it may have read that
    /// answer when messages were on their way that we have not seen.
    pub fn is_over(&self, told: usize) -> bool {
        self.under_way >= told.cast_signed()
    }

    /// QoS 2 messages whose PUBREL has not come.
    pub fn unreleased(&self) -> usize {
        self.unreleased
    }

    /// The same, once `sent` is on the list: it may stand in the place of another.
    pub fn unreleased_with(&self, sent: Sent) -> usize {
        let replaced = self.held.get(&sent.id).is_some_and(Held::is_unreleased);
        self.unreleased + usize::from(sent.qos_2) - usize::from(replaced)
    }

    /// Whether the device waits for a commit: its whole window, of at most `told` messages, waits for one.
    pub fn is_full(&self, told: usize) -> bool {
        self.waiting() >= self.learned.size().unwrap_or(told).min(told)
    }

    /// A message was put on the list.
    pub fn came(&mut self, wall: Wall) {
        self.learned.came(self.waiting(), wall);
    }

    /// Answers may go with everything up to parcel `durable` on disk: what waits now may be the device's whole window.
    pub fn learn(&mut self, durable: u64, wall: Wall) {
        if self.next(durable).is_some() {
            self.learned.answers(self.waiting(), wall);
        }
    }

    /// What a restart must know with everything up to parcel `parcel` durable.
    pub fn known(&self, parcel: u64) -> impl Iterator<Item = Known> {
        let known = move |(&id, held): (&u16, &Held)| {
            let open = matches!(held.stage, Stage::Taken | Stage::Restored) && held.parcel <= parcel;
            open.then_some(Known { id, hash: held.hash, qos_2: held.qos_2 })
        };
        self.held.iter().filter_map(known)
    }

    /// Takes a message of the stored list.
    pub fn restore(&mut self, Known { id, hash, qos_2 }: Known) {
        self.held.insert(id, Held { hash, parcel: 0, stamp: 0, qos_2, stage: Stage::Restored });
        self.unreleased += usize::from(qos_2);
    }
}

impl Held {
    fn is_unreleased(&self) -> bool {
        self.qos_2 && matches!(self.stage, Stage::Taken | Stage::Restored)
    }
}

#[cfg(test)]
mod tests;
