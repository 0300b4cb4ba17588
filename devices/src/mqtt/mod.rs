//! The MQTT source: subscribes to a broker and acknowledges what is durable.

mod address;
mod limits;
pub mod link;
mod options;
mod reader;
mod reason;
mod stock;
mod tls;
mod window;
mod wire;

pub use limits::{KEEP_ALIVE, PACKET_BYTES, TEXT_BYTES_MAX, TOPICS_MAX};
pub use options::{Options, Qos, Version};

use crate::backoff::Backoff;
use crate::commits::{self, Shared};
use crate::hand::Hand;
use crate::{Decoder, Handle, Intake, OptionsError, State};
pub(crate) use address::Address;
pub(crate) use limits::Limited;
use reader::Reader;
use std::sync::Arc;
use stock::Stock;
use tidegate_record::Schema;
use tokio_util::sync::CancellationToken;
use window::{Size, Window};
use wire::{Client, Wire};

/// An MQTT source that can be run.
#[derive(Debug)]
pub struct Source {
    options: Options,
    address: Address,
    decoder: Decoder,
    handle: Handle,
}

impl Source {
    /// Checks the options against the stream's fields. Nothing is opened yet.
    pub fn build(name: &str, options: Options, schema: Arc<Schema>) -> Result<Self, OptionsError> {
        let address = Address::parse(&options.url)?;
        check(&options)?;
        let decoder = Decoder::new(options.decode.clone(), schema)?;
        Ok(Source { options, address, decoder, handle: Handle::new(name, "mqtt") })
    }

    /// A view of it that stays valid while it runs.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Runs until `drain` is cancelled and what was in hand is durable and acknowledged; see [`crate::Source::run`].
    pub async fn run(self, intake: Arc<dyn Intake>, drain: CancellationToken) {
        let Some(transport) = transport(&self.options, &self.address, &self.handle, &*intake, &drain).await else {
            self.handle.stands(State::Stopped, intake.wall());
            return;
        };
        let (client, wire) = Wire::new(&self.options, &self.address, transport);
        self.serve(client, wire, intake, drain).await;
    }

    /// The same over a link of the caller's instead of a socket.
    pub async fn run_over(
        self,
        link: Box<dyn link::Link>,
        requests: Box<dyn link::Requests>,
        intake: Arc<dyn Intake>,
        drain: CancellationToken,
    ) {
        self.serve(Client::Link(requests), Wire::Link(link), intake, drain).await;
    }

    async fn serve(self, client: Client, wire: Wire, intake: Arc<dyn Intake>, drain: CancellationToken) {
        let Source { options, decoder, handle, .. } = self;
        let mut window = Window::new(match options.version {
            Version::V5 => Size::Told(options.receive_max.into()),
            Version::V311 => Size::unknown(),
        });
        // Since the list was stored its acks were sent, and the broker may have given their packet ids to other messages:
        // only a payload with a time of its own is surely the same reading.
        if decoder.reads_time()
            && let Some(state) = intake.state()
            && !window.restore(&state)
        {
            tracing::warn!(source = handle.name(), "stored state is unknown: redelivered messages may be stored twice");
        }
        let shared = Shared::new(Stock::new(&options, Hand::new(handle.name(), decoder), window));
        let linger = options.linger;
        let reader = Reader::new(options, shared.clone(), intake.clone(), handle.clone(), client, drain);
        commits::run(shared, intake, handle, linger, reader.run(wire)).await;
    }
}

/// The TLS transport, tried again while its files are not there; `None` when drained meanwhile.
async fn transport(
    options: &Options,
    address: &Address,
    handle: &Handle,
    intake: &dyn Intake,
    drain: &CancellationToken,
) -> Option<Option<rumqttc::Transport>> {
    if !address.tls {
        return Some(None);
    }
    let mut backoff = Backoff::of(&options.client_id);
    loop {
        match tls::transport(options) {
            Ok(transport) => return Some(Some(transport)),
            Err(reason) => {
                tracing::warn!(source = handle.name(), reason, "no TLS");
                handle.fails(State::Retrying, reason, intake.wall());
            }
        }
        tokio::select! {
            biased;
            () = drain.cancelled() => return None,
            () = tokio::time::sleep(backoff.wait()) => {}
        }
    }
}

fn check(options: &Options) -> Result<(), OptionsError> {
    Limited {
        topics: &options.topics,
        username: options.username.as_deref(),
        password: options.password.as_ref(),
        receive_max: options.receive_max,
        packet_bytes_max: options.packet_bytes_max,
        keep_alive: ("keep_alive", options.keep_alive),
    }
    .check()?;
    let error = |option: &str, problem: String| Err(OptionsError::new(option, problem));
    if options.client_id.is_empty() {
        let problem = "a fixed name is needed: the broker keeps the session under it while the gateway is away";
        return error("client_id", problem.into());
    }
    if options.qos != Qos::AtMostOnce && options.version == Version::V5 && options.session_expiry.as_secs() == 0 {
        let problem = "at least 1s with qos = 1 or 2: the broker would forget what is not acknowledged yet";
        return error("session_expiry", problem.into());
    }
    Ok(())
}
