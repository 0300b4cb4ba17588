//! A listener: devices connect straight to the gateway, and are acknowledged when what they sent is durable.
//!
//! A small MQTT server (3.1.1 and 5) that takes messages and delivers none. [`wire`] reads packets and [`answer`] writes
//! them; [`link`] is the protocol of one connection, all three sans I/O. [`session`] is what a device has under way and
//! [`sessions`] all of them; [`stored`] is what of it survives a restart. [`door`] lets connections in and [`connection`]
//! moves the bytes of one.

mod answer;
mod connection;
mod door;
mod end;
mod filter;
mod link;
mod login;
mod options;
mod properties;
mod reader;
mod session;
mod sessions;
mod stock;
mod stored;
mod tls;
mod wire;

pub use options::Options;

use crate::commits::{Commits, Shared};
use crate::hand::Hand;
use crate::{Decoder, Handle, Intake, OptionsError, State};
use door::Door;
use sessions::Sessions;
use std::sync::Arc;
use std::time::Duration;
use stock::Stock;
use tidegate_record::Schema;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Most filters of a listener.
pub const TOPICS_MAX: usize = 256;
/// Shortest of the longest keep-alive.
const KEEP_ALIVE_MIN: Duration = Duration::from_secs(5);
/// Longest keep-alive: the wire has 16 bits of seconds.
const KEEP_ALIVE_MAX: Duration = Duration::from_secs(65_535);
/// Smallest packet limit.
const PACKET_BYTES_MIN: u32 = 1024;
/// Largest packet limit: a packet may become one record, and a store takes batches of twice this.
const PACKET_BYTES_MAX: u32 = 16 << 20;

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
        let Source { options, decoder, handle } = self;
        let mut sessions = Sessions::new(options.connections_max, options.sessions_max);
        let (register, list) = (intake.register().unwrap_or_default(), intake.state().unwrap_or_default());
        let timed = decoder.reads_time();
        if !stored::restore(&mut sessions, &register, &list, timed) {
            let what = "stored sessions are unknown: devices begin anew, and what they send again may be stored twice";
            tracing::warn!(source = handle.name(), "{what}");
        }
        let shared = Shared::new(Stock::new(&options, Hand::new(handle.name(), decoder), sessions, timed));
        let commits = Commits::new(shared.clone(), intake.clone(), handle.clone(), options.linger);
        let commits = AbortOnDropHandle::new(tokio::spawn(commits.run()));
        let door = Door::new(options, shared, intake.clone(), handle.clone(), drain);
        let door = AbortOnDropHandle::new(tokio::spawn(door.run()));
        if let Err(error) = tokio::try_join!(door, commits) {
            handle.fails(State::Failed, format!("a task of the listener ended: {error}"), intake.wall());
        } else if !handle.status_is(State::Failed) {
            handle.stands(State::Stopped, intake.wall());
        }
    }
}

fn check(options: &Options) -> Result<(), OptionsError> {
    let error = |option: &str, problem: String| Err(OptionsError::new(option, problem));
    if options.topics.is_empty() || options.topics.len() > TOPICS_MAX {
        return error("topics", format!("name 1 to {TOPICS_MAX} filters, such as \"sensors/+\""));
    }
    if let Some(bad) = options.topics.iter().find(|t| !rumqttc::valid_filter(t) || t.len() > 65_535) {
        return error("topics", format!("{bad:?} is no filter: + stands for a level, # for the rest at the end"));
    }
    if options.password.is_some() && options.username.is_none() {
        return error("username", "a password needs a username".into());
    }
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
    if options.receive_max == 0 {
        return error("receive_max", "1 to 65535".into());
    }
    if !(PACKET_BYTES_MIN..=PACKET_BYTES_MAX).contains(&options.packet_bytes_max) {
        return error("packet_bytes_max", format!("{PACKET_BYTES_MIN} to {PACKET_BYTES_MAX} bytes"));
    }
    if !(KEEP_ALIVE_MIN..=KEEP_ALIVE_MAX).contains(&options.keep_alive_max) {
        return error("keep_alive_max", "5s to 65535s".into());
    }
    Ok(())
}
