//! What a source needs of its connection to a broker, for a broker that is no socket: a simulated one.
//!
//! It behaves as rumqttc does: the wire connects by itself and is polled by one task; requests never wait, and wake
//! whoever polls.

pub use super::wire::{Delivery, Signal, Topic};

use futures::future::BoxFuture;
use std::fmt;

/// The network half.
pub trait Link: Send + 'static {
    /// The next signal; connects where there is no connection. The error is a sentence: the connection is gone.
    fn poll(&mut self) -> BoxFuture<'_, Result<Signal, String>>;
    /// A signal that is here already.
    fn buffered(&mut self) -> Option<Signal>;
    /// Drops the connection; the next poll connects again.
    fn reset(&mut self);
}

/// The other half.
pub trait Requests: fmt::Debug + Send + Sync + 'static {
    /// Hands an ack over. False where there is no room: try again later.
    fn ack(&self, packet_id: u16) -> bool;
    /// Subscribes to filters. False where there is no room.
    fn subscribe(&self, topics: &[String]) -> bool;
    /// Says goodbye; the broker keeps the session. False where there is no room.
    fn disconnect(&self) -> bool;
}
