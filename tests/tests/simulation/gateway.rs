//! A gateway of the real parts, on one thread.

use crate::broker::Broker;
use crate::card::Card;
use crate::field::Field;
use crate::planted::{Buggy, Planted};
use crate::port::Meter;
use crate::setup::setup;
use crate::swaps::swaps;
use crate::upstream::Cloud;
use crate::world::World;
use std::sync::Arc;
use tidegate::config::SourceKind;
use tidegate::topology::StoreIntake;
use tidegate_devices::{listener, mqtt, serial};
use tidegate_pipeline::Pipeline;
use tidegate_record::Clock;
use tidegate_sinks::Forward;
use tidegate_store::{MemoryStore, Options, Steps, Store};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What the gateway stands on.
pub struct Around {
    pub world: World,
    pub broker: Broker,
    pub field: Field,
    pub meter: Meter,
    pub cloud: Cloud,
    pub card: Card,
    /// A bug of the gateway.
    pub planted: Option<Planted>,
}

/// A running gateway.
pub struct Gateway {
    pub store: Arc<dyn Store>,
    /// Of the pipeline whose plugin faults.
    pub brittle: tidegate_pipeline::Handle,
    stages: [Stage; 3],
}

/// Sources, pipelines or sinks.
#[derive(Default)]
struct Stage {
    drain: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

/// Opens the store on the card.
pub fn open(around: &Around, boot: u64) -> (Arc<dyn Store>, Steps) {
    let config = &setup().config;
    let clock: Arc<dyn Clock> = Arc::new(around.world.clone());
    // Chance draws 8 bytes for each card: no two have one epoch.
    let epoch = rand::Rng::random(&mut around.world.chance(&format!("epoch {}", around.card.number)));
    let options = Options { clock, epoch_seed: Some(epoch), ..config.store.clone() };
    let store = Arc::new(MemoryStore::on(around.card.disk.clone(), options, boot));
    let steps = store.declare_by_hand(setup().plan.streams.clone()).expect("it opens");
    match around.planted {
        Some(bug) => (Arc::new(Buggy { store, bug }), steps),
        None => (store, steps),
    }
}

/// Starts every part, as the topology does.
pub fn start(around: &Around, store: Arc<dyn Store>, boot: u64) -> Gateway {
    let world = &around.world;
    let clock: Arc<dyn Clock> = Arc::new(world.clone());
    let chance = |part: &str| world.chance(&format!("{part}, boot {boot}"));
    let [mut sources, mut pipelines, mut sinks] = [Stage::default(), Stage::default(), Stage::default()];
    for sink in &setup().config.sinks {
        let upstream = around.cloud.client(&sink.forward.stream, chance(&sink.forward.name));
        let upstream = match around.planted {
            Some(bug) => bug.in_client(upstream),
            None => upstream,
        };
        let (forward, _) = Forward::new(sink.forward.clone(), store.clone(), upstream, clock.clone());
        let (drain, world, name) = (sinks.drain.clone(), world.clone(), sink.forward.name.clone());
        sinks.tasks.push(tokio::spawn(async move {
            if let Err(error) = forward.run(drain).await {
                world.log(format!("sink {name} ends: {error}"));
            }
        }));
    }
    let mut brittle = None;
    for (options, input) in &setup().plan.pipelines {
        let built = Pipeline::build(options.clone(), input, store.clone(), clock.clone());
        let (pipeline, handle) = built.expect("it was planned");
        let (recipes, asked, hands) =
            (pipeline.recipes(), handle.clone(), chance(&format!("swaps of {}", options.name)));
        let (swapped_in, of) = (world.clone(), options.name.clone());
        tokio::spawn(async move { swaps(swapped_in, &of, asked, recipes, hands).await });
        let (drain, world, name) = (pipelines.drain.clone(), world.clone(), options.name.clone());
        brittle = Some(handle.clone()).filter(|_| &*name == "brittle").or(brittle);
        pipelines.tasks.push(tokio::spawn(async move {
            pipeline.work(&drain).await;
            if let Some(reason) = handle.status().reason {
                world.log(format!("pipeline {name} ends: {reason}"));
            }
        }));
    }
    for source in &setup().config.sources {
        let intake = StoreIntake::new(store.clone(), clock.clone(), &source.name, &source.stream).expect("an intake");
        let intake = Arc::new(intake);
        let spec = setup().plan.streams.iter().find(|s| s.name == source.stream).expect("its stream");
        let (drain, schema) = (sources.drain.clone(), spec.schema.clone());
        sources.tasks.push(match source.kind.clone() {
            SourceKind::Mqtt(options) => {
                let (link, requests) = around.broker.link(world, chance("broker"));
                let source = mqtt::Source::build(&source.name, options, schema).expect("it was checked");
                tokio::spawn(source.run_over(link, requests, intake, drain))
            }
            SourceKind::Serial(options) => {
                let meter = around.meter.clone();
                let source = serial::Source::build(&source.name, options, schema).expect("it was checked");
                tokio::spawn(source.run_on(move |_| meter.open(), intake, drain))
            }
            SourceKind::Listener(options) => {
                let (day, wires) = around.field.door(world, boot);
                day.begin(world.is_faulty());
                let source = listener::Source::build(&source.name, options, schema).expect("it was checked");
                tokio::spawn(source.run_over(wires, intake, drain))
            }
        });
    }
    Gateway { store, brittle: brittle.expect("it is configured"), stages: [sources, pipelines, sinks] }
}

impl Gateway {
    /// Ends in the order of the data, and closes the store.
    pub async fn drain(self) {
        for Stage { drain, tasks } in self.stages {
            drain.cancel();
            for task in tasks {
                task.await.expect("no part panics");
            }
        }
        self.store.close().await.expect("a sound store closes");
    }
}
