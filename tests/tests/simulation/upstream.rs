//! The upstream of every sink: it takes requests, refuses, stalls, loses its reply, hears a request twice.

use crate::devices;
use crate::oracle::Seen;
use crate::world::{World, lock, pass};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use rand::Rng as _;
use rand::rngs::StdRng;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tidegate_sinks::upstream::Refused;
use tidegate_sinks::{Delivery, Request, Upstream};

/// How long the client waits for an answer.
const TIMEOUT_MS: u64 = 5_000;

/// What all sinks deliver to.
#[derive(Clone)]
pub struct Cloud {
    pub world: World,
    pub seen: Arc<Mutex<Seen>>,
    /// No answer but 503 until then, microseconds of the world.
    away_until: Arc<Mutex<i64>>,
}

impl Cloud {
    pub fn new(world: &World) -> Self {
        Cloud { world: world.clone(), seen: Arc::default(), away_until: Arc::default() }
    }

    /// A client of it for one sink and one boot.
    pub fn client(&self, stream: &str, chance: StdRng) -> Box<dyn Upstream> {
        Box::new(Client { cloud: self.clone(), stream: stream.into(), chance })
    }

    /// Goes away and comes back until the boot ends.
    pub async fn weather(self, mut chance: StdRng) {
        loop {
            pass(chance.random_range(500..7_000)).await;
            if self.world.strikes(&mut chance, 0.6) {
                let away = chance.random_range(300..8_000);
                *lock(&self.away_until) = self.world.now() + away * 1_000;
                self.world.log(format!("upstream: away for {away} ms"));
            }
        }
    }
}

struct Client {
    cloud: Cloud,
    stream: String,
    chance: StdRng,
}

impl Upstream for Client {
    fn deliver<'a>(&'a mut self, request: &'a Request) -> BoxFuture<'a, Delivery> {
        self.answer(request).boxed()
    }

    fn keyed(&self) -> bool {
        true
    }

    fn place(&self) -> &str {
        "a simulated upstream"
    }
}

impl Client {
    async fn answer(&mut self, request: &Request) -> Delivery {
        let world = self.cloud.world.clone();
        pass(self.chance.random_range(1..60)).await;
        let now = world.now();
        if world.is_faulty() && now < *lock(&self.cloud.away_until) {
            let after = self.chance.random_bool(0.2).then(|| Duration::from_millis(700));
            return Delivery::Retry { reason: "503 Service Unavailable".into(), after };
        }
        if world.strikes(&mut self.chance, 0.02) {
            world.log(format!("upstream: stalls on {}", request.key()));
            pass(TIMEOUT_MS).await;
            return retry("no answer in time");
        }
        self.take(request);
        if world.strikes(&mut self.chance, 0.08) {
            world.log(format!("upstream: the reply to {} is lost", request.key()));
            return retry("connection closed before the answer");
        }
        if world.strikes(&mut self.chance, 0.02) {
            world.log(format!("upstream: {} is heard twice", request.key()));
            self.take(request);
        }
        pass(self.chance.random_range(1..20)).await;
        self.verdict(request)
    }

    fn take(&self, request: &Request) {
        self.cloud.world.log(format!("upstream: {}, {} records", request.key(), request.len()));
        if let Err(wrong) = lock(&self.cloud.seen).take(request) {
            self.cloud.world.wrong(wrong);
        }
    }

    /// Some readings are refused for good.
    fn verdict(&self, request: &Request) -> Delivery {
        if self.stream != "readings" {
            return Delivery::Delivered;
        }
        let seqs = request.records().map(|record| crate::oracle::seq(&record));
        let bad = seqs.enumerate().filter(|(_, seq)| devices::is_refused(*seq));
        let refused: Vec<_> = bad.map(|(index, _)| Refused { index, reason: "422: not wanted".into() }).collect();
        if refused.is_empty() { Delivery::Delivered } else { Delivery::Refused(refused) }
    }
}

fn retry(reason: &str) -> Delivery {
    Delivery::Retry { reason: reason.into(), after: None }
}
