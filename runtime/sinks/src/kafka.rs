//! The Kafka sink: an idempotent producer (`acks=all`), one Kafka record for each record, in order for each device.
//!
//! The key is the device, placed by Kafka's own murmur2; the value is the record as JSON; the timestamp is its event
//! time. Headers carry the identity: `tidegate-id` whole, and its parts as `tidegate-gateway`, `tidegate-stream`,
//! `tidegate-partition`, `tidegate-epoch`, `tidegate-offset`.
//!
//! **Order.** librdkafka's own expiry of records is off, because one that expires while the next is delivered would
//! change the order. It keeps trying; a delivery that takes longer than `timeout` is shown as waiting and its next
//! attempt goes on waiting for the very same one. A failure that would leave a gap is fatal to the producer
//! (`enable.gapless.guarantee`); a new one then begins at the request in hand.
//!
//! **Bounds.** One request is under way at a time, and librdkafka's queue takes `buffer_bytes_max` at most.

mod config;
mod context;
mod flight;
mod options;
mod topic;

pub use options::{Cleanup, Compression, KafkaOptions, TopicOptions};

use crate::{Delivery, OptionError, Request, Upstream};
use context::Context;
use flight::{Flight, Landing};
use futures::future::BoxFuture;
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, Producer};
use std::fmt;

/// Delivers to a Kafka topic.
pub struct Kafka {
    options: KafkaOptions,
    config: ClientConfig,
    context: Context,
    place: String,
    producer: Option<FutureProducer<Context>>,
    /// The topic was there when last looked for.
    topic_known: bool,
    /// The request under way.
    flight: Option<Flight>,
    /// Bytes handed to librdkafka since last asked.
    sent: u64,
}

/// What a record has on the wire beside its value, at most as a rule: the key, six headers with its identity.
const RECORD_BYTES: u64 = 300;

impl Kafka {
    /// Checks the options and reads the files they name; connects in the background only.
    pub fn build(options: KafkaOptions) -> Result<Self, OptionError> {
        let config = config::of(&options)?;
        let place = format!("kafka://{}/{}", options.brokers.join(","), options.topic);
        let context = Context::new(&place);
        let producer = Some(config::producer(&config, &context)?);
        Ok(Kafka { options, config, context, place, producer, topic_known: false, flight: None, sent: 0 })
    }

    async fn attempt(&mut self, request: &Request) -> Delivery {
        let producer = match self.producer() {
            Ok(producer) => producer,
            Err(reason) => return retry(reason),
        };
        if !self.topic_known {
            let found = topic::ensure(&producer, &self.config, &self.context, &self.options).await;
            if let Err(reason) = found {
                return retry(reason);
            }
            self.topic_known = true;
        }
        let ours = self.flight.take().filter(|flight| flight.is_of(request));
        let mut flight = match ours {
            Some(flight) => flight,
            None => Flight::of(request.clone(), &self.options.topic),
        };
        let landed = tokio::time::timeout(self.options.timeout, flight.land(&producer)).await;
        self.sent += flight.handed();
        match landed {
            Err(_) => {
                self.flight = Some(flight);
                let said = self.context.last_error().unwrap_or_else(|| "the brokers say nothing".into());
                retry(format!("no acknowledgement within {:?}: {said}", self.options.timeout))
            }
            Ok(landing) => self.conclude(landing, request.len(), producer).await,
        }
    }

    /// What became of a request whose every record was answered.
    async fn conclude(&mut self, landing: Landing, records: usize, producer: FutureProducer<Context>) -> Delivery {
        if let Some((_, why)) = producer.client().fatal_error() {
            tracing::info!(upstream = self.place, why, "the producer ended and begins anew");
            self.producer = None;
            bury(producer).await;
        }
        match landing {
            Landing::Acknowledged { refused } if refused.is_empty() => {
                self.context.clear_error();
                Delivery::Delivered
            }
            Landing::Acknowledged { refused } => Delivery::Refused(refused),
            // Brokers refuse whole batches for one record of them; alone it will be known.
            Landing::Refused { reason } if records > 1 => Delivery::Bisect { reason },
            Landing::Refused { reason } => Delivery::Refused(vec![crate::upstream::Refused { index: 0, reason }]),
            Landing::Failed { reason, topic_gone } => {
                self.topic_known &= !topic_gone;
                retry(reason)
            }
        }
    }

    /// The producer, made anew after a fatal error.
    fn producer(&mut self) -> Result<FutureProducer<Context>, String> {
        if let Some(producer) = &self.producer {
            return Ok(producer.clone());
        }
        let producer = config::producer(&self.config, &self.context).map_err(|e| e.to_string())?;
        self.producer = Some(producer.clone());
        Ok(producer)
    }
}

fn retry(reason: String) -> Delivery {
    Delivery::Retry { reason, after: None }
}

/// Before compression: how much that saves is known to librdkafka alone.
fn weight(request: &Request) -> u64 {
    request.json_bytes() + request.len() as u64 * RECORD_BYTES
}

/// Ending a client waits for its threads: not on a thread that others wait for.
async fn bury<T: Send + 'static>(client: T) {
    // It fails only when the client's threads panicked; it is gone then as well.
    let _ = tokio::task::spawn_blocking(move || drop(client)).await;
}

impl Upstream for Kafka {
    fn deliver<'a>(&'a mut self, request: &'a Request) -> BoxFuture<'a, Delivery> {
        Box::pin(self.attempt(request))
    }

    fn keyed(&self) -> bool {
        false
    }

    fn place(&self) -> &str {
        &self.place
    }

    fn weigh<'a>(&'a mut self, request: &'a Request) -> BoxFuture<'a, u64> {
        Box::pin(std::future::ready(weight(request)))
    }

    fn sent(&mut self) -> Option<u64> {
        Some(std::mem::take(&mut self.sent))
    }
}

impl fmt::Debug for Kafka {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // librdkafka's configuration holds secrets.
        f.debug_struct("Kafka").field("place", &self.place).field("options", &self.options).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use std::sync::Arc;
    use tidegate_record::{BatchBuilder, Field, Identity, Scalar, Schema};
    use tidegate_store::Partition;

    #[test]
    fn what_is_handed_to_librdkafka_is_counted_once_and_is_what_was_weighed() {
        let mut builder = BatchBuilder::new(Arc::new(Schema::new(vec![Field::new("n", Scalar::Integer)]).unwrap()));
        for n in 0..100 {
            builder.integer(0, n);
            builder.end_row("d1", n).unwrap();
        }
        let identity = Identity { gateway: "g".into(), epoch: 1 };
        let mut request = Request::new(identity, Partition::new("s", 0));
        request.push(0, 0, Arc::new(builder.finish()), 0..100);
        // Nobody listens there.
        let options =
            KafkaOptions { brokers: vec!["127.0.0.1:9".into()], topic: "t".into(), ..KafkaOptions::default() };
        let producer = Kafka::build(options).unwrap().producer().unwrap();
        let mut flight = Flight::of(request.clone(), "t");
        assert!(flight.land(&producer).now_or_never().is_none(), "no broker answers");
        assert_eq!(flight.handed(), weight(&request));
        assert!(flight.land(&producer).now_or_never().is_none());
        assert_eq!(flight.handed(), 0);
    }
}
