//! A source of any kind, as the gateway runs it.

use crate::{Handle, Intake, listener, mqtt, serial};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// A source of any kind: built, then run.
#[derive(Debug)]
pub enum Source {
    /// Subscribes to a broker.
    Mqtt(Box<mqtt::Source>),
    /// Devices connect to it.
    Listener(Box<listener::Source>),
    /// Reads a serial port.
    Serial(Box<serial::Source>),
}

impl Source {
    /// A view of it that stays valid while it runs.
    pub fn handle(&self) -> Handle {
        match self {
            Source::Mqtt(source) => source.handle(),
            Source::Listener(source) => source.handle(),
            Source::Serial(source) => source.handle(),
        }
    }

    /// Runs until `drain` is cancelled and what was in hand is durable and acknowledged. The caller sets the deadline:
    /// dropping the future stops everything at once, and loses nothing that was acknowledged.
    pub async fn run(self, intake: Arc<dyn Intake>, drain: CancellationToken) {
        match self {
            Source::Mqtt(source) => source.run(intake, drain).await,
            Source::Listener(source) => source.run(intake, drain).await,
            Source::Serial(source) => source.run(intake, drain).await,
        }
    }
}
