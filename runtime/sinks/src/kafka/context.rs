//! What librdkafka says on the side: errors for the reason of a wait, log lines.

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Keeps the last error. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Context {
    place: Arc<str>,
    last: Arc<Mutex<Option<String>>>,
}

impl Context {
    pub(super) fn new(place: &str) -> Self {
        Context { place: place.into(), last: Arc::default() }
    }

    /// The last error, of whatever kind, since something was delivered.
    pub(super) fn last_error(&self) -> Option<String> {
        self.last().clone()
    }

    pub(super) fn clear_error(&self) {
        *self.last() = None;
    }

    fn last(&self) -> MutexGuard<'_, Option<String>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Context {
    /// An error of a connection says more than the one that follows, that all brokers are down. Alone that one stands for
    /// connections that were ended because they were silent; it says "0/1 brokers are down" then.
    fn error(&self, error: KafkaError, reason: &str) {
        let mut last = self.last();
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AllBrokersDown) => _ = last.get_or_insert_with(|| "no broker answers".into()),
            _ => *last = Some(reason.to_owned()),
        }
    }

    /// librdkafka calls every lost connection an error and says so at every attempt; the sink's own wait says it once.
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::warn!(upstream = &*self.place, facility, line, "librdkafka");
            }
            _ => tracing::debug!(upstream = &*self.place, facility, line, "librdkafka"),
        }
    }
}
