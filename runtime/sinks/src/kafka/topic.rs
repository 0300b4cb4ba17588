//! Finding the topic, and making it when asked to.

use super::context::Context;
use super::{Cleanup, KafkaOptions, TopicOptions, bury};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{FutureProducer, Producer};
use std::time::Duration;

/// Longest wait for one answer about topics.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Whether a topic is there.
enum Found {
    There,
    Missing,
}

/// Makes sure the topic is there; the error says why it is not known to be.
pub(super) async fn ensure(
    producer: &FutureProducer<Context>,
    config: &ClientConfig,
    context: &Context,
    options: &KafkaOptions,
) -> Result<(), String> {
    let topic = &options.topic;
    if matches!(look(producer, context, options).await?, Found::There) {
        return Ok(());
    }
    let Some(wanted) = &options.create_topic else {
        return Err(format!("there is no topic {topic:?}: make it, or add create_topic to the sink"));
    };
    create(config, context, options, wanted).await?;
    match look(producer, context, options).await? {
        Found::There => Ok(()),
        Found::Missing => Err(format!("topic {topic:?} was made and is not known to the brokers yet")),
    }
}

async fn look(producer: &FutureProducer<Context>, context: &Context, options: &KafkaOptions) -> Result<Found, String> {
    let (producer, topic) = (producer.clone(), options.topic.clone());
    let wait = options.timeout.min(ANSWER_TIMEOUT);
    let answer = tokio::task::spawn_blocking(move || {
        let metadata = producer.client().fetch_metadata(Some(&topic), wait)?;
        let error = metadata.topics().iter().find(|t| t.name() == topic).and_then(|t| t.error());
        Ok::<_, KafkaError>(error.map(RDKafkaErrorCode::from))
    });
    use RDKafkaErrorCode::{NoError, UnknownTopicOrPartition};
    match answer.await {
        Ok(Ok(None | Some(NoError))) => Ok(Found::There),
        Ok(Ok(Some(UnknownTopicOrPartition))) => Ok(Found::Missing),
        Ok(Ok(Some(error))) => Err(format!("topic {:?}: {error}", options.topic)),
        Ok(Err(error)) => {
            let said = context.last_error();
            Err(said.unwrap_or_else(|| error.rdkafka_error_code().map_or(error.to_string(), |code| code.to_string())))
        }
        Err(error) => Err(format!("looking for topic {:?}: {error}", options.topic)),
    }
}

async fn create(
    config: &ClientConfig,
    context: &Context,
    options: &KafkaOptions,
    wanted: &TopicOptions,
) -> Result<(), String> {
    let topic = &options.topic;
    let failed = |why: String| format!("topic {topic:?} is not there and could not be made: {why}");
    let admin: AdminClient<Context> = config.create_with_context(context.clone()).map_err(|e| failed(e.to_string()))?;
    let retention = wanted.retention.as_millis().to_string();
    let cleanup = match wanted.cleanup {
        Cleanup::Delete => "delete",
        Cleanup::Compact => "compact",
    };
    let partitions = i32::try_from(wanted.partitions).map_err(|e| failed(e.to_string()))?;
    let replication = i32::try_from(wanted.replication).map_err(|e| failed(e.to_string()))?;
    let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(replication))
        .set("retention.ms", &retention)
        .set("cleanup.policy", cleanup);
    let wait = options.timeout.min(ANSWER_TIMEOUT);
    let limits = AdminOptions::new().request_timeout(Some(wait)).operation_timeout(Some(wait));
    let made = admin.create_topics([&new], &limits).await;
    bury(admin).await;
    match made.map(|mut results| results.pop()) {
        Ok(Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists)))) => Ok(()),
        Ok(Some(Err((_, code)))) => Err(failed(code.to_string())),
        Ok(_) => {
            tracing::info!(topic, partitions, replication, cleanup, "topic made");
            Ok(())
        }
        Err(error) => Err(failed(error.to_string())),
    }
}
