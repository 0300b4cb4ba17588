//! A pipeline before it runs: built, recovered, begun on its thread.

use crate::PipelineOptions;
use crate::ask::Asks;
use crate::chain::{BuildError, Chain};
use crate::handle::{Handle, State};
use crate::handover::Recipe;
use crate::quarantine::Fallen;
use crate::run::Running;
use futures::FutureExt as _;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tidegate_record::{Clock, Schema};
use tidegate_store::{Error, Store};
use tokio::runtime::Handle as Tokio;
use tokio_util::sync::CancellationToken;

/// A pipeline that was built and has not begun.
pub struct Pipeline {
    pub(crate) options: PipelineOptions,
    pub(crate) producer: Arc<str>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) chain: Chain,
    pub(crate) handle: Handle,
    pub(crate) asks: Asks,
}

/// Why a pipeline cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store does not give what it needs.
    #[error(transparent)]
    Store(#[from] Error),
    /// Its operators cannot be put together.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// What it saved cannot be gone on from.
    #[error("{0}")]
    Saved(String),
}

impl StartError {
    pub(crate) fn mark(why: String) -> Self {
        StartError::Saved(format!("its saved mark cannot be read: {why}"))
    }
    pub(crate) fn snapshot(why: String) -> Self {
        StartError::Saved(format!("its snapshot cannot be read: {why}"))
    }
    pub(crate) fn restore(plugin: String, operator: usize, why: String) -> Self {
        let operator = operator + 1;
        StartError::Saved(format!("operator {operator} ({plugin}) does not go on from its saved state: {why}"))
    }
}

/// What ends the work of a pipeline, for now or for good.
#[derive(Debug)]
pub(crate) enum Stop {
    /// For good.
    Failed(StartError),
    /// An operator halted: its plugin is in quarantine.
    Fell(Box<Fallen>),
}

impl From<Box<Fallen>> for Stop {
    fn from(fallen: Box<Fallen>) -> Self {
        Stop::Fell(fallen)
    }
}

impl<E: Into<StartError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Stop::Failed(error.into())
    }
}

impl Pipeline {
    /// Configures the operators; `input` are the fields of the streams it reads.
    pub fn build(
        options: PipelineOptions,
        input: &Arc<Schema>,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, Handle), BuildError> {
        let mut chain = Chain::build(&options, input)?;
        let (handle, asks) = Handle::new();
        handle.meter(chain.meters());
        let producer = format!("pipeline/{}", options.name).into();
        Ok((Pipeline { options, producer, store, clock, chain, handle: handle.clone(), asks }, handle))
    }

    /// The fields of what it appends.
    pub fn schema(&self) -> &Arc<Schema> {
        self.chain.schema()
    }

    /// What it takes to configure other versions of its operators' plugins.
    pub fn recipes(&self) -> Vec<Recipe> {
        self.chain.recipes(&self.options)
    }

    /// Recovers, then reads until `drain` is cancelled and everything there is has been processed, or until it fails.
    /// Blocks: give it a thread of its own. `tokio` is where it waits.
    pub fn run(self, tokio: &Tokio, drain: &CancellationToken) {
        tokio.block_on(self.work(drain));
    }

    /// The same as a future, for a simulation that has one thread for everything. It computes at length between two
    /// awaits.
    pub async fn work(self, drain: &CancellationToken) {
        let handle = self.handle.clone();
        let producer = self.producer.clone();
        // Nothing of it is used after a panic but the handle.
        let work = AssertUnwindSafe(async move { self.attach()?.run(drain).await });
        let reason = match work.catch_unwind().await {
            Ok(Ok(())) => return handle.update(|s| s.state = State::Stopped),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "a defect of the gateway (its log has the panic): restart it, and report the defect".into(),
        };
        tracing::error!(producer = &*producer, reason, "the pipeline stopped");
        handle.update(|s| {
            s.state = State::Failed;
            s.reason = Some(reason);
        });
    }

    /// Begins a session. What is read is found out by [`Running::recover`].
    pub(crate) fn attach(self) -> Result<Running, StartError> {
        let session = self.store.attach(&self.producer)?;
        let mut inputs = Vec::new();
        for stream in &self.options.from {
            inputs.extend(self.store.assigned(stream)?);
        }
        Ok(Running::new(self, session, inputs))
    }
}
