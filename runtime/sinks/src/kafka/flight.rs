//! One request under way in librdkafka: handed over as fast as its queue takes it, answered record by record.

use super::RECORD_BYTES;
use super::context::Context;
use crate::Request;
use crate::upstream::{Record, Refused};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::future_producer::DeliveryFuture;
use rdkafka::producer::{FutureProducer, FutureRecord};
use std::collections::VecDeque;

/// A request under way. Waiting for it can be broken off and taken up again.
pub(super) struct Flight {
    request: Request,
    topic: String,
    /// How many records have been handed over.
    sent: usize,
    /// The bytes of those since last asked. librdkafka sends them when it can.
    bytes: u64,
    /// Their answers, oldest first.
    answers: VecDeque<DeliveryFuture>,
    /// Records that librdkafka did not take because they are too large.
    refused: Vec<Refused>,
    failed: Option<KafkaError>,
}

/// What became of a request's records.
pub(super) enum Landing {
    /// All are acknowledged but these, which were never sent.
    Acknowledged { refused: Vec<Refused> },
    /// A broker refused at least one for good.
    Refused { reason: String },
    /// Something else kept at least one from being delivered.
    Failed { reason: String, topic_gone: bool },
}

impl Flight {
    pub(super) fn of(request: Request, topic: &str) -> Self {
        Flight {
            answers: VecDeque::with_capacity(request.len()),
            request,
            topic: topic.to_owned(),
            sent: 0,
            bytes: 0,
            refused: Vec::new(),
            failed: None,
        }
    }

    /// Whether it is this request that is under way.
    pub(super) fn is_of(&self, request: &Request) -> bool {
        self.request.key() == request.key()
    }

    /// Bytes handed over since this was last asked.
    pub(super) fn handed(&mut self) -> u64 {
        std::mem::take(&mut self.bytes)
    }

    /// Waits until every record is answered. May be dropped at any await and called again.
    pub(super) async fn land(&mut self, producer: &FutureProducer<Context>) -> Landing {
        self.send(producer).await;
        while !self.answers.is_empty() {
            self.answer().await;
        }
        match &self.failed {
            None => Landing::Acknowledged { refused: std::mem::take(&mut self.refused) },
            Some(error) => concluded(error),
        }
    }

    /// Hands over what has not been; where the queue is full, as answers make room.
    async fn send(&mut self, producer: &FutureProducer<Context>) {
        while self.sent < self.request.len() && self.failed.is_none() {
            match self.hand_over(producer) {
                Ok(()) => {}
                Err(KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)) if !self.answers.is_empty() => {
                    self.answer().await;
                }
                Err(error) => self.failed = Some(error),
            }
        }
    }

    /// Hands records over until there are no more or one is not taken.
    fn hand_over(&mut self, producer: &FutureProducer<Context>) -> Result<(), KafkaError> {
        let mut value = Vec::with_capacity(256);
        for record in self.request.records().skip(self.sent) {
            value.clear();
            if let Err(error) = serde_json::to_writer(&mut value, &record.row) {
                unreachable!("writing JSON to memory: {error}");
            }
            let message = FutureRecord::to(&self.topic)
                .key(record.device)
                .payload(&value)
                // 0 asks librdkafka for its own clock: Kafka knows no time before 1970.
                .timestamp((record.time / 1000).max(0))
                .headers(headers(&record));
            match producer.send_result(message) {
                Ok(answer) => {
                    self.answers.push_back(answer);
                    self.bytes += value.len() as u64 + RECORD_BYTES;
                }
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge), _)) => {
                    let reason =
                        format!("the record has {} bytes as JSON, more than message.max.bytes allows", value.len());
                    self.refused.push(Refused { index: self.sent, reason });
                }
                Err((error, _)) => return Err(error),
            }
            self.sent += 1;
        }
        Ok(())
    }

    /// Takes the oldest answer.
    async fn answer(&mut self) {
        let Some(answer) = self.answers.front_mut() else { return };
        let answer = answer.await;
        self.answers.pop_front();
        let error = match answer {
            Ok(Ok(_)) => return,
            Ok(Err((error, _))) => error,
            Err(_) => KafkaError::Canceled,
        };
        // A refusal says why the records behind it failed too.
        if self.failed.is_none() || is_refusal(&error) {
            self.failed = Some(error);
        }
    }
}

/// The identity of a record, whole and in parts.
fn headers(record: &Record<'_>) -> OwnedHeaders {
    let id = record.id;
    let mut headers = OwnedHeaders::new_with_capacity(7);
    for (key, value) in [
        ("tidegate-id", id.to_string().as_str()),
        ("tidegate-gateway", &id.identity.gateway),
        ("tidegate-stream", id.stream),
        ("tidegate-partition", &id.partition.to_string()),
        ("tidegate-epoch", &format!("{:016x}", id.identity.epoch)),
        ("tidegate-offset", &id.offset.to_string()),
    ] {
        headers = headers.insert(Header { key, value: Some(value) });
    }
    if let Some(mark) = record.clock {
        headers = headers.insert(Header { key: "tidegate-clock", value: Some(mark.word()) });
    }
    headers
}

fn is_refusal(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{InvalidMessage, InvalidMessageSize, InvalidRecord, InvalidTimestamp, MessageSizeTooLarge};
    let code = error.rdkafka_error_code();
    [InvalidMessage, InvalidMessageSize, InvalidRecord, InvalidTimestamp, MessageSizeTooLarge]
        .iter()
        .any(|refusal| code == Some(*refusal))
}

fn concluded(error: &KafkaError) -> Landing {
    let said = error.rdkafka_error_code().map_or_else(|| error.to_string(), |code| code.to_string());
    if is_refusal(error) {
        return Landing::Refused { reason: format!("Kafka refused it: {said}") };
    }
    use RDKafkaErrorCode::{QueueFull, UnknownTopic, UnknownTopicOrPartition};
    let reason = match error.rdkafka_error_code() {
        Some(QueueFull) => format!("{said}: buffer_bytes_max is smaller than one record"),
        _ => said,
    };
    let topic_gone = matches!(error.rdkafka_error_code(), Some(UnknownTopic | UnknownTopicOrPartition));
    Landing::Failed { reason, topic_gone }
}
