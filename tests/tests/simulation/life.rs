//! A life: boots that end by a pulled plug, then one in a world that has healed.

use crate::broker::Broker;
use crate::card::Card;
use crate::field::Field;
use crate::gateway::{Around, Gateway, open, start};
use crate::planted::Planted;
use crate::port::Meter;
use crate::setup::setup;
use crate::upstream::Cloud;
use crate::world::{World, lock, pass};
use crate::{devices, oracle};
use futures::FutureExt as _;
use rand::Rng as _;
use rand::rngs::StdRng;
use std::collections::BTreeSet;
use std::fmt;
use tidegate_store::Store;
use tokio::runtime::{Builder, Runtime};

/// Longest a healed world may take to bring everything through, milliseconds.
const RECOVERY_MS: u64 = 120_000;
/// Between two looks whether something has come to pass.
const LOOK_MS: u64 = 100;

/// What a life, or many, came to.
#[derive(Debug, Default)]
pub struct Told {
    pub lives: u64,
    pub boots: u64,
    pub cards: u64,
    pub published: u64,
    pub acknowledged: u64,
    pub redelivered: u64,
    pub direct_acknowledged: u64,
    pub direct_again: u64,
    pub direct_known_again: u64,
    pub direct_cut: u64,
    pub direct_silent: u64,
    pub direct_taken_over: u64,
    pub duplicates: u64,
    pub failed_writes: u64,
    pub full_cards: u64,
    pub full_streams: u64,
    pub caps: u64,
    pub outages: u64,
    pub lost_replies: u64,
    pub swaps: u64,
    pub quarantines: u64,
    pub log: Vec<String>,
    pub card: Vec<u8>,
}

impl Told {
    pub fn add(&mut self, other: Told) {
        self.lives += other.lives;
        self.boots += other.boots;
        self.cards += other.cards;
        self.published += other.published;
        self.acknowledged += other.acknowledged;
        self.redelivered += other.redelivered;
        self.direct_acknowledged += other.direct_acknowledged;
        self.direct_again += other.direct_again;
        self.direct_known_again += other.direct_known_again;
        self.direct_cut += other.direct_cut;
        self.direct_silent += other.direct_silent;
        self.direct_taken_over += other.direct_taken_over;
        self.duplicates += other.duplicates;
        self.failed_writes += other.failed_writes;
        self.full_cards += other.full_cards;
        self.full_streams += other.full_streams;
        self.caps += other.caps;
        self.outages += other.outages;
        self.lost_replies += other.lost_replies;
        self.swaps += other.swaps;
        self.quarantines += other.quarantines;
    }

    /// A simulation whose faults do not happen holds nothing.
    pub fn assert_everything_happened(&self) {
        for (what, count) in [
            ("records came upstream again", self.duplicates),
            ("publishes came to the gateway again", self.redelivered),
            ("devices sent to the listener again", self.direct_again),
            ("a later boot was sent what an earlier one may have taken at QoS 2", self.direct_known_again),
            ("devices broke their connections", self.direct_cut),
            ("devices were silent", self.direct_silent),
            ("devices took over their own sessions", self.direct_taken_over),
            ("writes failed", self.failed_writes),
            ("cards were full", self.full_cards),
            ("the plug was pulled with a full stream", self.full_streams),
            ("a cap took records", self.caps),
            ("cards were replaced", self.cards),
            ("the upstream was away", self.outages),
            ("replies were lost", self.lost_replies),
            ("plugins were swapped", self.swaps),
            ("a plugin was in quarantine", self.quarantines),
        ] {
            assert!(count >= self.lives / 20, "{what} {count} times in {} lives", self.lives);
        }
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Told { lives, boots, cards, published, acknowledged, redelivered, duplicates, .. } = self;
        write!(f, "{lives} lives, {boots} boots, {cards} cards replaced: {published} readings published, ")?;
        write!(
            f,
            "{acknowledged} acknowledged, {redelivered} redelivered; {duplicates} records came upstream again, "
        )?;
        write!(f, "{} acknowledged by the listener, ", self.direct_acknowledged)?;
        write!(f, "{} redelivered, {} over a boot, ", self.direct_again, self.direct_known_again)?;
        write!(f, "{} cut, {} silent, {} taken over; ", self.direct_cut, self.direct_silent, self.direct_taken_over)?;
        write!(f, "{} replies lost, {} outages, ", self.lost_replies, self.outages)?;
        write!(f, "{} quarantines, ", self.quarantines)?;
        write!(f, "{} failed writes, {} full cards, ", self.failed_writes, self.full_cards)?;
        write!(f, "{} plugs pulled with a full stream, {} caps, ", self.full_streams, self.caps)?;
        write!(f, "{} plugins swapped", self.swaps)
    }
}

/// Prints the log of a life that ends badly, where one seed was asked for.
struct Shown(World);

impl Drop for Shown {
    fn drop(&mut self) {
        if std::thread::panicking() && crate::variable("SEED").is_some() {
            eprintln!("{}", self.0.take_log().join("\n"));
        }
    }
}

/// Lives the life of a seed.
pub fn live(seed: u64) -> Told {
    live_with(seed, None)
}

/// Lives it with a gateway that has a bug.
pub fn live_with(seed: u64, planted: Option<Planted>) -> Told {
    let world = World::new(seed);
    let _shown = Shown(world.clone());
    let mut chance = world.chance("life");
    let (meter, cloud) = (Meter::new(&world), Cloud::new(&world));
    let (world_of, broker, field, card) = (world.clone(), Broker::new(), Field::new(&world), Card::default());
    let mut around = Around { world: world_of, broker, field, meter, cloud, card, planted };
    let mut written_off = BTreeSet::new();
    let faulty_boots = chance.random_range(2..5);
    for boot in 0..faulty_boots {
        if boot > 0 && world.strikes(&mut chance, 0.1) {
            world.log("life: the card is replaced by an empty one");
            written_off = around.broker.acked();
            around.field.write_off();
            around.card = Card { number: around.card.number + 1, ..Card::default() };
        }
        let clock_set = !world.strikes(&mut chance, 0.2);
        on_a_runtime(async {
            world.boot(clock_set);
            world.log(format!("life: boot {boot}, clock set: {clock_set}"));
            let gateway = begin(&around, &mut chance, boot, &written_off);
            // What ends a boot: the plug, at some moment.
            pass(chance.random_range(200..6_000)).await;
            pull_the_plug(&around, &gateway, &mut chance);
            drop(gateway);
        });
        world.hold();
    }
    world.heal();
    on_a_runtime(async {
        world.boot(true);
        let gateway = begin(&around, &mut chance, faulty_boots, &written_off);
        recover(&around, gateway, &written_off, &mut chance).await;
    });
    tell(&around, faulty_boots + 1)
}

/// Runs a boot to its end; whatever is left of it goes with the runtime, as with a process that is killed.
fn on_a_runtime(boot: impl Future<Output = ()>) {
    let runtime: Runtime = Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(boot);
}

/// Power on: what was acknowledged is there, and everything starts.
fn begin(around: &Around, chance: &mut StdRng, boot: u64, written_off: &BTreeSet<u64>) -> Gateway {
    let world = &around.world;
    around.card.fill(world, chance, setup().config.store.reserve);
    let (store, steps) = open(around, boot);
    oracle::hold_custody(around, &*store, written_off);
    let draws = |part: &str| world.chance(&format!("{part}, boot {boot}"));
    tokio::spawn(around.card.clone().commit(world.clone(), steps, draws("card")));
    tokio::spawn(around.cloud.clone().weather(draws("weather")));
    if world.is_faulty() {
        tokio::spawn(devices::publish(world.clone(), around.broker.clone(), draws("devices")));
    }
    start(around, store, boot)
}

fn pull_the_plug(around: &Around, gateway: &Gateway, chance: &mut StdRng) {
    tell_quarantine(around, gateway);
    let full = gateway.store.room(Some("readings")).now_or_never().is_none();
    around.world.log(format!("life: the plug is pulled, readings are full: {full}"));
    around.card.disk.power_cut();
    around.broker.cut(&around.world, chance);
    around.world.off(chance.random_range(100_000..20_000_000));
}

/// Everything comes through, and so does a fresh reading; then the gateway is stopped in order.
async fn recover(around: &Around, gateway: Gateway, written_off: &BTreeSet<u64>, chance: &mut StdRng) {
    let store = gateway.store.clone();
    until(around, "all that was published is acknowledged", || around.broker.is_empty() && around.field.is_empty())
        .await;
    let fresh = (around.broker.next()..).find(|&seq| devices::is_warm(seq) && !devices::is_bad(seq)).expect("one");
    around.broker.publish(&around.world, fresh + 1 - around.broker.next());
    let direct = around.field.measure_fresh(&around.world, chance);
    let came = || {
        let expected = [("readings", fresh), ("warm", fresh), ("direct", direct)];
        expected.iter().all(|(stream, seq)| lock(&around.cloud.seen).has(stream, *seq))
    };
    until(around, "a fresh reading is upstream", came).await;
    until(around, "the windows are closed and all is delivered", || is_through(around, &*store)).await;
    oracle::hold_custody(around, &*store, written_off);
    oracle::hold_truth(around);
    oracle::hold_once(around);
    oracle::hold_accounts(around, &*store);
    tell_quarantine(around, &gateway);
    for (stream, reason, count) in store.health().losses {
        around.world.log(format!("ledger: {stream} {} {count}", reason.word()));
    }
    gateway.drain().await;
    around.world.log("life: stopped in order");
    around.world.hold();
}

/// What came of the plugin that faults; no replay may have differed.
fn tell_quarantine(around: &Around, gateway: &Gateway) {
    let status = gateway.brittle.status();
    for held in &status.quarantined {
        around.world.log(format!("brittle: in quarantine since {}, {} records passed by", held.at, held.records));
    }
    let diverged = status.notes.iter().find(|note| note.contains("may differ"));
    diverged.into_iter().for_each(|note| around.world.wrong(format!("brittle: {note}")));
}

/// Every reader of every stream has read everything, and every reading is in a window.
fn is_through(around: &Around, store: &dyn Store) -> bool {
    let health = store.health();
    let behind: u64 = health.partitions.iter().flat_map(|p| &p.readers).map(|reader| reader.behind).sum();
    behind == 0 && oracle::windows_are_closed(around, store)
}

async fn until(around: &Around, what: &str, holds: impl Fn() -> bool) {
    for _ in 0..RECOVERY_MS / LOOK_MS {
        around.world.hold();
        if holds() {
            return around.world.log(format!("life: {what}"));
        }
        pass(LOOK_MS).await;
    }
    around.world.wrong(format!("{what}: not within {RECOVERY_MS} ms of a healed world"));
    around.world.hold();
}

fn tell(around: &Around, boots: u64) -> Told {
    let log = around.world.take_log();
    let direct = around.field.counts();
    let count = |word: &str| log.iter().filter(|line| line.contains(word)).count() as u64;
    Told {
        lives: 1,
        boots,
        cards: around.card.number,
        published: around.broker.next(),
        acknowledged: around.broker.acked().len() as u64,
        redelivered: around.broker.redelivered(),
        direct_acknowledged: direct.acknowledged,
        direct_again: direct.again,
        direct_known_again: direct.known_again,
        direct_cut: count(": breaks off"),
        direct_silent: count("falls silent"),
        direct_taken_over: count("takes over its own session"),
        duplicates: lock(&around.cloud.seen).duplicates,
        failed_writes: count("a write failed"),
        full_cards: count("card: only"),
        full_streams: count("are full: true"),
        caps: count("lines cap"),
        outages: count("away for"),
        lost_replies: count("is lost"),
        swaps: count("plugin swapped with"),
        quarantines: count("brittle: in quarantine"),
        card: around.card.disk.image(),
        log,
    }
}
