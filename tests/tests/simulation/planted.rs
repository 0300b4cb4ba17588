//! Bugs of the gateway, planted between its parts: the simulation must find each.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use std::ops::Range;
use std::sync::Arc;
use tidegate_record::Identity;
use tidegate_sinks::{Delivery, Request, Upstream};
use tidegate_store::{
    Block, Commit, Committed, Dating, Error, Health, MemoryStore, Partition, Position, Reach, Receipt, Refusal,
    Session, Snapshot, Store, StreamSpec, Visibility,
};

/// A bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    /// A source is told that its records are durable when they are staged.
    EarlyReceipt,
    /// The same for the listener alone.
    EarlyAnswer,
    /// After a restart the listener does not know the messages it had not answered in full.
    ForgottenMessages,
    /// After a restart it does not know its devices.
    ForgottenDevices,
    /// Where the pipeline `warm` has read to is not committed with what it made of it.
    LostRead,
    /// What is given up is not ledgered.
    LostLoss,
    /// A sink takes a lost reply for a delivery.
    DeliveredUnheard,
    /// A sink goes on behind a block that it has not delivered.
    SkippedBlock,
}

impl Planted {
    /// All there are, and what the simulation says of each.
    pub const ALL: [(Planted, &str); 8] = [
        (Planted::EarlyReceipt, "readings: acknowledged and lost"),
        (Planted::EarlyAnswer, "direct: acknowledged and lost"),
        (Planted::ForgottenMessages, "times at QoS 2"),
        (Planted::ForgottenDevices, "session false, kept: true, something was acknowledged: true"),
        (Planted::LostRead, "made each warm reading once"),
        (Planted::LostLoss, "in the ledger"),
        (Planted::DeliveredUnheard, "acknowledged and lost"),
        (Planted::SkippedBlock, "acknowledged and lost"),
    ];

    /// A client of the upstream with this bug.
    pub fn in_client(self, client: Box<dyn Upstream>) -> Box<dyn Upstream> {
        Box::new(Client { client, bug: self, requests: 0 })
    }
}

struct Client {
    client: Box<dyn Upstream>,
    bug: Planted,
    requests: u64,
}

impl Upstream for Client {
    fn deliver<'a>(&'a mut self, request: &'a Request) -> BoxFuture<'a, Delivery> {
        self.requests += 1;
        if self.bug == Planted::SkippedBlock && self.requests.is_multiple_of(16) {
            return futures::future::ready(Delivery::Delivered).boxed();
        }
        let unheard = self.bug == Planted::DeliveredUnheard;
        let answer = self.client.deliver(request);
        answer.map(move |told| if unheard && is_retry(&told) { Delivery::Delivered } else { told }).boxed()
    }

    fn keyed(&self) -> bool {
        self.client.keyed()
    }

    fn place(&self) -> &str {
        self.client.place()
    }
}

fn is_retry(told: &Delivery) -> bool {
    matches!(told, Delivery::Retry { .. })
}

/// A store with a bug.
pub struct Buggy {
    pub store: Arc<MemoryStore>,
    pub bug: Planted,
}

impl Store for Buggy {
    fn commit(&self, mut commit: Commit) -> Result<Receipt, Refusal> {
        let producer = commit.session.producer.clone();
        match self.bug {
            Planted::LostRead if &*producer == "pipeline/warm" && !commit.appends.is_empty() => {
                commit.reads.clear();
            }
            Planted::LostLoss => commit.losses.clear(),
            _ => {}
        }
        let receipt = self.store.commit(commit)?;
        let early = match self.bug {
            Planted::EarlyReceipt => "source/field",
            Planted::EarlyAnswer => "source/direct",
            _ => "",
        };
        if *producer == *early {
            return Ok(futures::future::ready(Ok(Committed { number: 0, positions: Vec::new() })).boxed());
        }
        Ok(receipt)
    }
    fn identity(&self) -> Identity {
        self.store.identity()
    }
    fn declare(&self, streams: Vec<StreamSpec>) -> Result<(), Error> {
        self.store.declare(streams)
    }
    fn attach(&self, producer: &str) -> Result<Session, Error> {
        self.store.attach(producer)
    }
    fn assigned(&self, stream: &str) -> Result<Vec<Partition>, Error> {
        self.store.assigned(stream)
    }
    fn room(&self, stream: Option<&str>) -> BoxFuture<'static, ()> {
        self.store.room(stream)
    }
    fn read(&self, partition: &Partition, at: Position, visibility: Visibility) -> Result<Option<Block>, Error> {
        self.store.read(partition, at, visibility)
    }
    fn appended(&self, partition: &Partition, at: Position, visibility: Visibility) -> BoxFuture<'static, ()> {
        self.store.appended(partition, at, visibility)
    }
    fn frontier(&self) -> u64 {
        self.store.frontier()
    }
    fn reaching(&self, reader: &Session, partition: &Partition, range: Range<Position>) -> Reach {
        self.store.reaching(reader, partition, range)
    }
    fn cursor(&self, producer: &str, partition: &Partition) -> Result<Option<Position>, Error> {
        self.store.cursor(producer, partition)
    }
    fn start(&self, partition: &Partition) -> Result<Position, Error> {
        self.store.start(partition)
    }
    fn state(&self, producer: &str) -> Result<Option<Vec<u8>>, Error> {
        match self.bug {
            Planted::ForgottenMessages if producer == "source/direct" => Ok(None),
            Planted::ForgottenDevices if producer == "source/direct/devices" => Ok(None),
            _ => self.store.state(producer),
        }
    }
    fn snapshot(&self, producer: &str) -> Result<Option<Snapshot>, Error> {
        self.store.snapshot(producer)
    }
    fn tick_at(&self, partition: &Partition, arrival: i64) {
        self.store.tick_at(partition, arrival);
    }
    fn arrival_now(&self) -> i64 {
        self.store.arrival_now()
    }
    fn dating(&self, commit: u64) -> Option<Dating> {
        self.store.dating(commit)
    }
    fn last_wall(&self) -> Option<i64> {
        self.store.last_wall()
    }
    fn health(&self) -> Health {
        self.store.health()
    }
    fn backup(&self, out: &mut dyn std::io::Write) -> Result<(), Error> {
        self.store.backup(out)
    }
    fn close(&self) -> BoxFuture<'static, Result<(), Error>> {
        self.store.close()
    }
}
