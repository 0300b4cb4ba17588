//! A listener: devices connect straight to the gateway, and are acknowledged when what they sent is durable.
//!
//! A small MQTT server (3.1.1 and 5) that takes messages and delivers none. [`wire`] reads packets and [`answer`] writes
//! them; [`link`] is the protocol of one connection, all three sans I/O. [`session`] is what a device has under way and
//! [`sessions`] all of them; [`stored`] is what of it survives a restart. [`door`] lets connections in, from [`outside`],
//! and [`connection`] moves the bytes of one.

mod answer;
mod connection;
mod door;
mod end;
mod filter;
mod link;
mod login;
mod options;
mod outside;
mod properties;
mod reader;
mod session;
mod sessions;
mod stock;
mod stored;
mod tls;
mod wire;

pub use options::Options;
pub use outside::{Wire, Wires};

use crate::commits::{self, Shared};
use crate::hand::Hand;
use crate::mqtt::Limited;
use crate::{Decoder, Handle, Intake, OptionsError};
use door::Door;
use outside::Outside;
use sessions::Sessions;
use std::sync::Arc;
use stock::Stock;
use tidegate_record::Schema;
use tokio_util::sync::CancellationToken;

/// A listener that can be run.
#[derive(Debug)]
pub struct Source {
    options: Options,
    decoder: Decoder,
    handle: Handle,
}

impl Source {
    /// Checks the options against the stream's fields. Nothing is opened yet.
    pub fn build(name: &str, options: Options, schema: Arc<Schema>) -> Result<Self, OptionsError> {
        check(&options)?;
        let decoder = Decoder::new(options.decode.clone(), schema)?;
        Ok(Source { options, decoder, handle: Handle::new(name, "mqtt_listener") })
    }

    /// A view of it that stays valid while it runs.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Runs until `drain` is cancelled and what was in hand is durable and acknowledged; see [`crate::Source::run`].
    pub async fn run(self, intake: Arc<dyn Intake>, drain: CancellationToken) {
        self.serve(Outside::Socket, intake, drain).await;
    }

    /// The same over connections of the caller's instead of a socket.
    pub async fn run_over(self, wires: Wires, intake: Arc<dyn Intake>, drain: CancellationToken) {
        self.serve(Outside::Wires(wires), intake, drain).await;
    }

    async fn serve(self, outside: Outside, intake: Arc<dyn Intake>, drain: CancellationToken) {
        let Source { options, decoder, handle } = self;
        let mut sessions = Sessions::new(options.connections_max, options.sessions_max);
        let (register, list) = (intake.register().unwrap_or_default(), intake.state().unwrap_or_default());
        let timed = decoder.reads_time();
        if !stored::restore(&mut sessions, &register, &list, timed) {
            let what = "stored sessions are unknown: devices begin anew, and what they send again may be stored twice";
            tracing::warn!(source = handle.name(), "{what}");
        }
        let shared = Shared::new(Stock::new(&options, Hand::new(handle.name(), decoder), sessions, timed));
        let linger = options.linger;
        let door = Door::new(options, outside, shared.clone(), intake.clone(), handle.clone(), drain);
        commits::run(shared, intake, handle, linger, door.run()).await;
    }
}

fn check(options: &Options) -> Result<(), OptionsError> {
    Limited {
        topics: &options.topics,
        username: options.username.as_deref(),
        password: options.password.as_ref(),
        receive_max: options.receive_max,
        packet_bytes_max: options.packet_bytes_max,
        keep_alive: ("keep_alive_max", options.keep_alive_max),
    }
    .check()?;
    let error = |option: &str, problem: String| Err(OptionsError::new(option, problem));
    if options.cert_file.is_some() != options.key_file.is_some() {
        let (missing, there) =
            if options.key_file.is_none() { ("key_file", "cert_file") } else { ("cert_file", "key_file") };
        return error(missing, format!("TLS needs it beside {there}"));
    }
    if options.client_ca_file.is_some() && options.cert_file.is_none() {
        return error("client_ca_file", "devices show certificates only over TLS: set cert_file and key_file".into());
    }
    if options.connections_max == 0 || options.sessions_max < options.connections_max {
        return error("sessions_max", "at least connections_max, and that at least 1".into());
    }
    Ok(())
}
