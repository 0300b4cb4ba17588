//! The one module that sees everything: builds sources, streams, pipelines and sinks from a configuration, starts them
//! in the order of the data's way backwards, and drains them in the order of the data.

mod clock;
mod intake;
mod kept;
mod load;
mod plan;
mod versions;
mod view;

pub use intake::StoreIntake;
pub use plan::{Plan, plan};

use crate::config::{Config, SinkConfig, SinkKind, SourceConfig, SourceKind};
use crate::flash::{SetInterval, Watch};
use crate::http;
use clock::GatewayClock;
use kept::Kept;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tidegate_devices::{Source, listener, mqtt, serial};
use tidegate_pipeline::Pipeline;
use tidegate_record::{Clock, Schema};
use tidegate_sinks::http::Http;
#[cfg(feature = "kafka")]
use tidegate_sinks::kafka::Kafka;
use tidegate_sinks::{Forward, Uplink, UplinkOptions};
use tidegate_store::{MemoryStore, Options as StoreOptions, Store};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use versions::Versions;
use view::View;

/// Everything wrong that `tidegate check` can find beyond the file itself: plugins that do not load, parameters they
/// refuse, fields that do not fit; and what is unwise. Starts nothing.
pub fn check(config: &Config) -> (Vec<String>, Vec<String>) {
    // What a gateway has compiled is used; where none has run nothing is left behind.
    let temporary = match tempfile::tempdir() {
        Ok(folder) => folder,
        Err(error) => return (vec![format!("no temporary folder to compile plugins in: {error}")], Vec::new()),
    };
    let cache = Some(plan::cache_dir(config)).filter(|folder| folder.exists());
    let cache = cache.unwrap_or_else(|| temporary.path().into());
    let problems = plan::engine(config, cache).map_err(|error| vec![error]);
    let plan = problems.and_then(|engine| plan(config, &engine).map(|plan| plan.warnings));
    let (mut problems, warnings) = match plan {
        Ok(warnings) => (Vec::new(), warnings),
        Err(problems) => (problems, Vec::new()),
    };
    for sink in &config.sinks {
        problems.extend(upstream(sink).err());
    }
    (problems, warnings)
}

/// Why a gateway does not start: every problem found, a sentence each.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct StartError(pub Vec<String>);

impl StartError {
    fn one(problem: impl ToString) -> Self {
        StartError(vec![problem.to_string()])
    }
}

/// Where the store keeps what it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// In `store.path`: it is there again after a restart.
    Disk,
    /// In memory, within the same bounds: for trying things and for measuring what the disk costs.
    Memory,
}

/// A running gateway.
pub struct Gateway {
    store: Arc<dyn Store>,
    drain: Drain,
    sources: Vec<JoinHandle<()>>,
    pipelines: Vec<std::thread::JoinHandle<()>>,
    sinks: Vec<JoinHandle<()>>,
    control: JoinHandle<()>,
    flash: JoinHandle<()>,
    address: std::net::SocketAddr,
}

/// One token a stage, cancelled in the order of the data.
#[derive(Default)]
struct Drain {
    sources: CancellationToken,
    pipelines: CancellationToken,
    sinks: CancellationToken,
    control: CancellationToken,
}

impl Gateway {
    /// Builds everything, then starts it. What was acknowledged before is there again; what is wrong is said at once.
    pub async fn start(config: Config, medium: Medium, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let listen = config.control.listen;
        let listener = TcpListener::bind(listen).await;
        let listener =
            listener.map_err(|e| StartError::one(format!("control.listen: {listen} cannot be bound: {e}")))?;
        let address = listener.local_addr().map_err(StartError::one)?;
        let cache = plan::made_cache_dir(&config).map_err(StartError::one)?;
        let engine = plan::engine(&config, cache).map_err(StartError::one)?;
        let Plan { streams, pipelines, warnings, notes, versions } = plan(&config, &engine).map_err(StartError)?;
        let kept = Kept::of(&config);
        kept.keep_all(versions);
        warnings.iter().for_each(|warning| tracing::warn!(warning, "unwise configuration"));
        let schemas = streams.iter().map(|s| (s.name.clone(), s.schema.clone())).collect::<Vec<_>>();
        let wall = Arc::new(GatewayClock::new(clock));
        let clock: Arc<dyn Clock> = wall.clone();
        let (store, set_interval) = open_store(store_options(&config, &clock), medium)?;
        let left = store.last_wall();
        left.iter().for_each(|last| wall.go_on_from(*last));
        store.declare(streams).map_err(StartError::one)?;
        if left.is_none() {
            intake::last_wall(&*store).map_err(StartError::one)?.iter().for_each(|last| wall.go_on_from(*last));
        }

        let drain = Drain::default();
        let places = (config.flash, config.store.path.as_path());
        let kernel = (Path::new("/sys"), Path::new("/proc"));
        let flash = Arc::new(Watch::new(places, kernel, clock.clone(), store.clone(), set_interval));
        let mut view = View::new(&config, store.clone(), clock.clone(), flash.clone());
        view.warnings.extend(warnings);
        let (mut built, mut operators) = (Vec::new(), Vec::new());
        for (options, input) in pipelines {
            let name = options.name.to_string();
            let (pipeline, handle) =
                Pipeline::build(options, &input, store.clone(), clock.clone()).map_err(StartError::one)?;
            operators.push((name.clone(), handle.clone(), pipeline.recipes()));
            view.pipelines.push((name.clone(), handle));
            built.push((name, pipeline));
        }
        let versions = Versions::new(&config, engine, kept, (operators, notes));
        view.versions = Some(versions.clone());
        let forwards = build_sinks(&config, &store, &clock, &mut view)?;
        let mut sources = Vec::new();
        for source in &config.sources {
            let built = build_source(source, &schemas).map_err(StartError::one)?;
            let intake = StoreIntake::new(store.clone(), clock.clone(), &source.name, &source.stream);
            view.sources.push(built.handle());
            sources.push((built, Arc::new(intake.map_err(StartError::one)?)));
        }

        let view = Arc::new(view);
        let access = http::Access { token: config.control.token.clone() };
        let control = tokio::spawn(http::serve(listener, view, access, drain.control.clone()));
        let flash = tokio::spawn(flash.run(drain.control.clone()));
        let run = |forward: Forward| {
            let drain = drain.sinks.clone();
            // A sink that fails says so in its status and its log.
            tokio::spawn(async move { drop(forward.run(drain).await) })
        };
        let sinks = forwards.into_iter().map(run).collect();
        let pipelines = built.into_iter().map(|(name, p)| spawn_pipeline(&name, p, &drain.pipelines));
        let pipelines = pipelines.collect::<Result<_, _>>()?;
        let sources = sources.into_iter().map(|(s, intake)| tokio::spawn(s.run(intake, drain.sources.clone())));
        let sources = sources.collect();
        tokio::spawn(versions.look_after(drain.sources.clone()));
        Ok(Gateway { store, drain, sources, pipelines, sinks, control, flash, address })
    }

    /// Where the local HTTP listens.
    pub fn address(&self) -> std::net::SocketAddr {
        self.address
    }

    /// Sources stop and what they have in hand is committed, pipelines work up what there is and save their state,
    /// sinks finish the request in hand, the store is closed. Each stage has until the deadline; what is not done then
    /// is done after the next start, for nothing of it was acknowledged or lost.
    pub async fn drain(self, timeout: Duration) -> Result<(), Vec<String>> {
        let mut unfinished = Vec::new();
        let deadline = tokio::time::sleep(timeout);
        tokio::pin!(deadline);
        self.drain.sources.cancel();
        for source in self.sources {
            wait(source, &mut deadline, "a source", &mut unfinished).await;
        }
        self.drain.pipelines.cancel();
        for pipeline in self.pipelines {
            let joined = tokio::task::spawn_blocking(move || {
                pipeline.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            });
            wait(joined, &mut deadline, "a pipeline", &mut unfinished).await;
        }
        self.drain.sinks.cancel();
        for sink in self.sinks {
            wait(sink, &mut deadline, "a sink", &mut unfinished).await;
        }
        if let Err(error) = self.store.close().await {
            unfinished.push(error.to_string());
        }
        self.drain.control.cancel();
        self.control.abort();
        wait(self.flash, &mut deadline, "the count of what was written", &mut unfinished).await;
        if unfinished.is_empty() { Ok(()) } else { Err(unfinished) }
    }
}

async fn wait(
    mut task: JoinHandle<()>,
    deadline: &mut std::pin::Pin<&mut tokio::time::Sleep>,
    what: &str,
    unfinished: &mut Vec<String>,
) {
    tokio::select! {
        biased;
        ended = &mut task => if ended.is_err() {
            unfinished.push(format!("{what} had ended by a defect; the log has its panic"));
        },
        () = deadline.as_mut() => {
            task.abort();
            unfinished.push(format!("{what} was not done within control.drain_timeout"));
        }
    }
}

fn open_store(options: StoreOptions, medium: Medium) -> Result<(Arc<dyn Store>, SetInterval), StartError> {
    Ok(match medium {
        Medium::Disk => {
            let store = Arc::new(tidegate_store::sled::open(options).map_err(StartError::one)?);
            (store.clone(), Box::new(move |interval| store.set_commit_interval(interval)))
        }
        Medium::Memory => {
            tracing::warn!("the store is in memory: what is acknowledged is gone when this process ends");
            let store = Arc::new(MemoryStore::new(options, 0));
            (store.clone(), Box::new(move |interval| store.set_commit_interval(interval)))
        }
    })
}

fn store_options(config: &Config, clock: &Arc<dyn Clock>) -> StoreOptions {
    let store = &config.store;
    StoreOptions {
        path: store.path.clone(),
        gateway: config.gateway.clone(),
        commit_interval: store.commit_interval,
        commit_bytes: store.commit_bytes,
        max_bytes: store.max_bytes,
        reserve: store.reserve,
        staged_bytes: store.staged_bytes,
        tail_bytes: store.tail_bytes,
        renew_bytes: store.renew_bytes,
        clock: clock.clone(),
        epoch_seed: None,
    }
}

fn upstream(sink: &SinkConfig) -> Result<Box<dyn tidegate_sinks::Upstream>, String> {
    let name = &sink.forward.name;
    let error = |error: tidegate_sinks::OptionError| format!("sinks.{name}.{error}");
    Ok(match &sink.kind {
        SinkKind::Http(options) => Box::new(Http::build(options.clone()).map_err(error)?),
        #[cfg(feature = "kafka")]
        SinkKind::Kafka(options) => Box::new(Kafka::build(options.clone()).map_err(error)?),
    })
}

/// The sinks, and the uplink some of them share.
fn build_sinks(
    config: &Config,
    store: &Arc<dyn Store>,
    clock: &Arc<dyn Clock>,
    view: &mut View,
) -> Result<Vec<Forward>, StartError> {
    let open = |options: &UplinkOptions| Uplink::open(options.clone(), store.clone(), clock.clone());
    view.uplink = config.uplink.as_ref().map(open).transpose().map_err(StartError::one)?;
    let mut forwards = Vec::new();
    for sink in &config.sinks {
        let upstream = upstream(sink).map_err(StartError::one)?;
        let (forward, handle) = Forward::new(sink.forward.clone(), store.clone(), upstream, clock.clone());
        view.sinks.push(handle);
        forwards.push(match (&view.uplink, sink.share) {
            (Some(uplink), Some(share)) => forward.sharing(uplink.clone(), share),
            _ => forward,
        });
    }
    Ok(forwards)
}

fn build_source(source: &SourceConfig, schemas: &[(String, Arc<Schema>)]) -> Result<Source, String> {
    let schema = schemas.iter().find(|(name, _)| *name == source.stream).map(|(_, schema)| schema.clone());
    let schema = schema.ok_or_else(|| format!("sources.{}: there is no stream {:?}", source.name, source.stream))?;
    let error = |error: tidegate_devices::OptionsError| format!("sources.{}.{error}", source.name);
    Ok(match &source.kind {
        SourceKind::Mqtt(options) => {
            Source::Mqtt(Box::new(mqtt::Source::build(&source.name, options.clone(), schema).map_err(error)?))
        }
        SourceKind::Listener(options) => {
            Source::Listener(Box::new(listener::Source::build(&source.name, options.clone(), schema).map_err(error)?))
        }
        SourceKind::Serial(options) => {
            Source::Serial(Box::new(serial::Source::build(&source.name, options.clone(), schema).map_err(error)?))
        }
    })
}

/// Room for the stack of a guest's call beside the host's own.
const PIPELINE_STACK_BYTES: usize = 4 << 20;

fn spawn_pipeline(
    name: &str,
    pipeline: Pipeline,
    drain: &CancellationToken,
) -> Result<std::thread::JoinHandle<()>, StartError> {
    let (tokio, drain) = (tokio::runtime::Handle::current(), drain.clone());
    std::thread::Builder::new()
        .name(format!("pipe-{name}").chars().take(15).collect())
        .stack_size(PIPELINE_STACK_BYTES)
        .spawn(move || pipeline.run(&tokio, &drain))
        .map_err(|error| StartError::one(format!("pipelines.{name}: no thread for it: {error}")))
}
